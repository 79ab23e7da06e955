//! The sending ends of a lane: to the next lane, and to the host's thread.

use std::sync::Arc;
use std::time::Duration;

use super::accept::Accept;
use super::control::Control;
use super::idle::{Idle, Waiter};
use super::trace::Trace;
use crate::messages::wire::{self, Encode, FactorVectors, Signals, Wire};
use crate::messages::{Ends, FactorVector, Marker, Signal};
use crate::sync::broadcast::Producer;
use crate::sync::ring::Sender;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::heartbeat::Patience;

/// To the next lane. If the ring is full, this lane waits, and the ring before it fills. So
/// losses happen only at the pipeline's two ends.
pub(crate) struct LaneOutlet {
    pub(crate) sender: Sender,
    pub(crate) idle: Idle,
    pub(crate) patience: Patience,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
}

impl<W: Encode> Accept<W> for LaneOutlet {
    #[inline(always)]
    fn accept(&mut self, message: &W::View<'_>, trace: &mut Trace) {
        let published = trace.last();
        if !self.send(!trace.is_rehearsal(), |words| {
            W::encode(message, published, words);
        }) {
            drop_between_lanes::<W>(message, &self.counters);
        }
    }

    /// A marker that is not sent any more never arrives at the end.
    fn on_marker(&mut self, marker: Marker) {
        let _ = self.send(true, |words| W::encode_marker(marker, words));
    }

    fn may_rehearse(&self) -> bool {
        self.sender.has_room()
    }
}

impl LaneOutlet {
    /// Waits for room. Returns whether the message was sent, which is false only if this lane
    /// must not wait any longer. A rehearsal finds room, and publishes nothing.
    #[inline(always)]
    fn send(&mut self, publishes: bool, write: impl Fn(&mut [u64])) -> bool {
        let send = |sender: &mut Sender| sender.try_send_or_rehearse(publishes, &write).is_ok();
        if send(&mut self.sender) {
            return true;
        }
        debug_assert!(publishes, "a rehearsal needs room: see `may_rehearse`");
        self.counters.bump(Counter::RingWaits);
        let mut waiter = Waiter::new(self.idle);
        self.patience.begin();
        while !send(&mut self.sender) {
            if self.control.must_give_up() {
                return false;
            }
            waiter.wait();
            self.patience.wait();
        }
        true
    }
}

/// Counts a message that was dropped between lanes.
pub(crate) fn drop_between_lanes<W: Wire>(message: &W::View<'_>, counters: &Counters) {
    match W::ends(message) {
        Ends::Event => counters.bump(Counter::DroppedStageStopped),
        Ends::Nothing => counters.bump(Counter::LostStageParts),
        Ends::Copy => {
            counters.bump(Counter::LostStageParts);
            counters.bump(Counter::CopiesEnded);
        }
    }
}

/// To the lanes that share out the models. Each receives every factor vector, and a slow one
/// never makes this lane wait.
pub(crate) struct ModelsOutlet {
    pub(crate) producer: Producer,
    pub(crate) lanes: u64,
    /// The number of the last marker. Each message carries it, so that a lane that has missed
    /// the marker itself finds its place.
    pub(crate) last_marker: u64,
    pub(crate) counters: Arc<Counters>,
}

impl Accept<FactorVectors> for ModelsOutlet {
    #[inline(always)]
    fn accept(&mut self, vector: &FactorVector<'_>, trace: &mut Trace) {
        // The producer overwrites the oldest vector, which a slow lane may still need.
        if trace.is_rehearsal() {
            return;
        }
        self.counters.add(Counter::ModelVectorsSent, self.lanes);
        // The event ends here: no single lane can tell when all have answered.
        let message = FactorVector {
            ends: Ends::Nothing,
            ..*vector
        };
        let last_marker = self.last_marker;
        self.producer.send(|words| {
            FactorVectors::encode(&message, trace.last(), words);
            wire::set_last_marker(last_marker, words);
        });
        if vector.ends != Ends::Nothing {
            self.counters.bump(Counter::Answered);
        }
    }

    fn on_marker(&mut self, marker: Marker) {
        self.last_marker = marker.number();
        self.producer
            .send(|words| FactorVectors::encode_marker(marker, words));
    }
}

/// To the host's thread.
pub(crate) struct HostOutlet {
    pub(crate) sender: Sender,
    /// How long to wait for room; `None` gives up at once.
    pub(crate) block: Option<Duration>,
    pub(crate) idle: Idle,
    pub(crate) patience: Patience,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
}

impl HostOutlet {
    /// Publishes a signal, or returns the counter for its loss. With a weight of 0, it does
    /// all of that except publishing and counting. There must be [room](Self::has_room) then.
    #[inline]
    pub(crate) fn send(
        &mut self,
        signal: &Signal<'_>,
        stamp: u64,
        weight: u64,
    ) -> Result<(), Counter> {
        if !self.try_send(signal, stamp, weight) {
            debug_assert!(weight > 0, "a rehearsal needs room: see `may_rehearse`");
            self.no_room(signal, stamp)?;
        }
        self.counters.add(Counter::Published, weight);
        Ok(())
    }

    pub(crate) fn has_room(&self) -> bool {
        self.sender.has_room()
    }

    #[inline]
    fn try_send(&mut self, signal: &Signal<'_>, stamp: u64, weight: u64) -> bool {
        self.sender
            .try_send_or_rehearse(weight > 0, |words| Signals::encode(signal, stamp, words))
            .is_ok()
    }

    #[cold]
    fn no_room(&mut self, signal: &Signal<'_>, stamp: u64) -> Result<(), Counter> {
        let Some(longest) = self.block else {
            return Err(Counter::DroppedEgressRingFull);
        };
        self.counters.bump(Counter::RingWaits);
        let mut waiter = Waiter::new(self.idle);
        self.patience.begin();
        while !self.try_send(signal, stamp, 1) {
            if self.control.must_give_up() {
                return Err(Counter::DroppedEgressStopped);
            }
            if self.patience.waited() > longest {
                return Err(Counter::DroppedEgressTimeout);
            }
            waiter.wait();
            self.patience.wait();
        }
        Ok(())
    }
}
