//! The feeder: where the host's events go in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Zeroable;

use super::stand_in::{Attempt, HostStandIn};
use crate::abi::HostEvent;
use crate::messages::{Marker, wire};
use crate::os::clock::Clock;
use crate::os::limit::Limit;
use crate::pipeline::control::Control;
use crate::pipeline::lane;
use crate::pipeline::overload::{IngestOverload, Overload};
use crate::pipeline::rehearsal::Looks;
use crate::pipeline::work::{BATCH, Turn};
use crate::sync::ring::Sender;
use crate::telemetry::counters::{Counter, Counters};

/// Spins of a blocked `on_event` before it yields the core.
const SPINS_PER_YIELD: u32 = 128;

/// Where events go in. For the host's thread only.
pub struct Feeder {
    pub(super) sender: Sender,
    pub(super) levels: usize,
    pub(super) sequence: u64,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) control: Arc<Control>,
    pub(super) overload: Overload,
    pub(super) unread_counted: bool,
    pub(super) markers: Markers,
    pub(super) inline: Option<Box<dyn Turn>>,
    /// If this thread may do the lane's work.
    pub(super) stand_in: Option<Arc<HostStandIn>>,
    /// If this thread runs the stages and keeps them warm.
    pub(super) looks: Option<Looks>,
}

/// The markers that were sent.
#[derive(Debug)]
pub(super) struct Markers {
    sent: u64,
    /// Messages sent before the last of them.
    behind: u64,
    /// How often each arrives at egress.
    ways: u64,
}

impl Markers {
    pub(super) fn new(ways: u64) -> Self {
        Self {
            sent: 0,
            behind: 0,
            ways,
        }
    }
}

impl Feeder {
    /// Copies the event into the ring to ingest and returns. If the ring is full, the event
    /// is dropped and counted; only if `overload.ingest` is `block`, it waits for room, at
    /// most `overload.block_ms`. With the `inline` placement all stages run here.
    ///
    /// Returns whether the event was accepted: false if it was dropped, or arrived after the
    /// engine had failed.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on_event(&mut self, event: HostEvent<'_>) -> bool {
        let arrival = self.clock.stamp();
        self.counters.bump(event.kind().into());
        if self.control.has_failed() {
            self.refuse_failed();
            return false;
        }
        self.sequence += 1;
        let (levels, sequence) = (self.levels, self.sequence);
        let sent = self
            .sender
            .try_send(|words| wire::carry(&event, levels, sequence, arrival, words));
        let taken = sent.is_ok() || self.no_room(&event, arrival);
        if let Some(work) = &mut self.inline {
            lane::turn_inline(work.as_mut(), BATCH, &self.control);
        }
        taken
    }

    /// Sends a [`Marker`] behind the events passed in so far. `None` if the last marker has
    /// not [passed](Self::has_passed) yet, if the ring is full, or if the engine has failed: try
    /// again after the next poll.
    ///
    /// ```
    /// use signal::abi::{Depth, HostEvent};
    /// use signal::{Config, Engine};
    ///
    /// let config = Config::from_json(r#"{"placement": "fused", "idle": "park"}"#)?;
    /// let mut engine = Engine::start(&config)?;
    /// let mut depth: Depth = bytemuck::Zeroable::zeroed();
    /// depth.symbol[..8].copy_from_slice(b"btc_usdt");
    /// depth.bid_price[0] = 100.0.into();
    /// depth.ask_price[0] = 101.0.into();
    /// engine.on_event(HostEvent::Depth(&depth));
    /// let (feeder, poller) = engine.ends();
    /// let marker = feeder.mark().expect("the first marker");
    /// while !feeder.has_passed(marker) {
    ///     std::thread::yield_now();
    /// }
    /// // The signals of all events before the marker are ready.
    /// assert_eq!(poller.poll(|_, _| {}), 1);
    /// # Ok::<(), signal::Error>(())
    /// ```
    pub fn mark(&mut self) -> Option<Marker> {
        let last = Marker(self.markers.sent);
        if !self.has_passed(last) || self.control.has_failed() {
            return None;
        }
        let marker = Marker(last.number() + 1);
        let behind = self.sender.sent();
        self.sender
            .try_send(|words| wire::carry_marker(marker, words))
            .ok()?;
        (self.markers.sent, self.markers.behind) = (marker.number(), behind);
        self.publish_held();
        Some(marker)
    }

    /// Whether the marker has passed all stages on all lanes. Then every event before it has been
    /// processed, and its signals are published, held for want of room, or counted as lost. A
    /// marker that was under way when the engine failed may never pass.
    pub fn has_passed(&self, marker: Marker) -> bool {
        self.control.marker_arrivals() >= marker.number() * self.markers.ways
    }

    /// Number of the last event passed in.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Makes room if the lane is away, or waits for it if `overload.ingest` says so. Returns
    /// whether the event was sent.
    #[cold]
    fn no_room(&mut self, event: &HostEvent<'_>, arrival: u64) -> bool {
        let (levels, sequence) = (self.levels, self.sequence);
        if let Some(host) = self.stand_in.as_ref().filter(|host| host.may(sequence)) {
            let attempt = host.handle_one(sequence, &self.control, &self.counters);
            let carry = |words: &mut [u64]| wire::carry(event, levels, sequence, arrival, words);
            if attempt != Attempt::Nothing && self.sender.try_send(carry).is_ok() {
                return true;
            }
        }
        if self.overload.ingest == IngestOverload::DropNewest {
            self.counters.bump(Counter::DroppedIngestRingFull);
            return false;
        }
        self.counters.bump(Counter::RingWaits);
        let longest = Duration::from_millis(self.overload.block_ms);
        let (mut limit, mut spins) = (None, 0u32);
        loop {
            let sent = self
                .sender
                .try_send(|words| wire::carry(event, levels, sequence, arrival, words));
            if sent.is_ok() {
                return true;
            }
            if self.control.has_failed() {
                self.refuse_failed();
                return false;
            }
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(SPINS_PER_YIELD) {
                let limit = limit.get_or_insert_with(|| Limit::of(longest));
                if limit.is_over() {
                    self.counters.bump(Counter::DroppedIngestTimeout);
                    return false;
                }
                // On a single core, the lane needs it to make room.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// Counts an event that arrives after the failure. Also counts, once, the events that a
    /// lane did not see before it ended.
    #[cold]
    fn refuse_failed(&mut self) {
        self.counters.bump(Counter::RefusedFailed);
        if self.inline.is_none() && !self.unread_counted && self.control.have_ended_before(1) {
            self.unread_counted = true;
            let unread = self.sender.waiting() as u64;
            let first = self.sender.sent() - unread;
            let has_marker = self.markers.sent > 0 && self.markers.behind >= first;
            let events = unread - u64::from(has_marker);
            self.counters.add(Counter::DroppedIngestStopped, events);
        }
    }

    /// Sends what no host can send, so that the lane that runs ingest fails. For tests.
    #[doc(hidden)]
    pub fn break_lane(&mut self) {
        let event = crate::abi::IndexPrice::zeroed();
        self.counters.bump(Counter::EventsIndexPrice);
        self.sequence += 1;
        let (levels, sequence) = (self.levels, self.sequence);
        let sent = self.sender.try_send(|words| {
            wire::carry(&HostEvent::IndexPrice(&event), levels, sequence, 0, words);
            wire::spoil(words);
        });
        assert!(sent.is_ok(), "the ring to ingest is full");
        self.publish_held();
    }

    /// Publishes the signals that wait for room, if this thread runs the stages. Otherwise
    /// the lane does so by itself.
    #[inline]
    pub fn publish_held(&mut self) {
        if let Some(work) = &mut self.inline {
            lane::turn_inline(work.as_mut(), BATCH, &self.control);
        }
    }

    /// What this thread does when it finds no signal: if it runs the stages, it keeps them warm.
    #[inline]
    pub(crate) fn idle(&mut self) {
        if let Some(looks) = &mut self.looks
            && looks.is_due(&self.clock)
        {
            self.publish_held();
        }
    }

    /// Counts something that was passed in but is no event.
    pub(crate) fn refuse(&self, reason: Counter) {
        self.counters.bump(reason);
    }

    /// Sends the last histograms of the stages that ran here.
    pub(super) fn finish(&mut self) {
        if let Some(work) = self.inline.take() {
            work.finish();
        }
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder")
            .field("sequence", &self.sequence)
            .field("ring", &self.sender)
            .finish_non_exhaustive()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::abi::Depth;
    use crate::telemetry::counters::Snapshot;
    use crate::{Config, Engine};

    /// An event that is sent while the lane fails may still be in the ring when the lane has
    /// ended.
    #[test]
    fn what_a_failed_lane_has_not_seen_is_counted_once() {
        let config = r#"{"placement": "fused", "model": "none", "idle": "park"}"#;
        let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
        let feeder = &mut engine.feeder;
        feeder.break_lane();
        let limit = Instant::now() + Duration::from_secs(60);
        while !feeder.control.have_ended_before(1) {
            assert!(Instant::now() < limit);
            std::thread::yield_now();
        }
        let unread = |feeder: &Feeder| {
            Snapshot::of(std::slice::from_ref(&feeder.counters)).get(Counter::DroppedIngestStopped)
        };
        assert_eq!(unread(feeder), 0);
        for _ in 0..2 {
            assert!(feeder.sender.try_send(|words| words.fill(0)).is_ok());
        }
        // A marker among them is no event.
        (feeder.markers.sent, feeder.markers.behind) = (1, feeder.sender.sent());
        let marker = |words: &mut [u64]| wire::carry_marker(Marker(1), words);
        assert!(feeder.sender.try_send(marker).is_ok());
        let event = Depth::zeroed();
        for _ in 0..3 {
            assert!(!feeder.on_event(HostEvent::Depth(&event)));
            assert_eq!(unread(feeder), 2);
            assert_eq!(feeder.mark(), None);
        }
        // `Debug` prints how far it is.
        assert!(format!("{feeder:?}").starts_with("Feeder { sequence: 1, ring: "));
    }
}
