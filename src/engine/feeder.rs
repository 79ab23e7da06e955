//! The feeder: where the host's events go in.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::abi::HostEvent;
use crate::pipeline::clock::Clock;
use crate::pipeline::control::Control;
use crate::pipeline::counters::{Counter, Counters};
use crate::pipeline::idle::{Idle, Waiter};
use crate::pipeline::lane::{self, Turn};
use crate::pipeline::overload::{IngestOverload, Overload};
use crate::pipeline::ring::Sender;
use crate::pipeline::wire;

/// Where events go in. Belongs to the host's thread.
pub struct Feeder {
    pub(super) sender: Sender,
    pub(super) levels: usize,
    pub(super) sequence: u64,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) control: Arc<Control>,
    pub(super) overload: Overload,
    pub(super) inline: Option<Box<dyn Turn>>,
}

impl Feeder {
    /// Copies the event into the ring to ingest and returns. With the ring full
    /// the event is dropped and counted; only with `overload.ingest` `block` it
    /// waits for room, at most `overload.block_ms`. With the `inline` placement
    /// all stages run here.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on_event(&mut self, event: HostEvent<'_>) {
        let arrival = self.clock.stamp();
        self.counters.bump(event.kind().into());
        if self.control.has_failed() {
            self.counters.bump(Counter::RefusedFailed);
            return;
        }
        self.sequence += 1;
        let (levels, sequence) = (self.levels, self.sequence);
        let sent = self
            .sender
            .try_send(|words| wire::carry(&event, levels, sequence, arrival, words));
        if sent.is_err() {
            self.no_room(&event, arrival);
        }
        if let Some(work) = &mut self.inline {
            lane::turn_inline(work.as_mut(), &self.control);
        }
    }

    #[cold]
    fn no_room(&mut self, event: &HostEvent<'_>, arrival: u64) {
        if self.overload.ingest == IngestOverload::DropNewest {
            self.counters.bump(Counter::DroppedIngestRingFull);
            return;
        }
        self.counters.bump(Counter::RingWaits);
        let longest = Duration::from_millis(self.overload.block_ms);
        // On one core the lane must get it to make room.
        let (start, mut waiter) = (Instant::now(), Waiter::new(Idle::Park));
        let (levels, sequence) = (self.levels, self.sequence);
        loop {
            let sent = self
                .sender
                .try_send(|words| wire::carry(event, levels, sequence, arrival, words));
            if sent.is_ok() {
                return;
            }
            if self.control.has_failed() {
                self.counters.bump(Counter::RefusedFailed);
                return;
            }
            if start.elapsed() > longest {
                self.counters.bump(Counter::DroppedIngestTimeout);
                return;
            }
            waiter.wait();
        }
    }

    /// Publishes the signals that wait for room, where this thread runs the
    /// stages. Elsewhere the lane does it by itself.
    #[inline]
    pub fn publish_held(&mut self) {
        if let Some(work) = &mut self.inline {
            lane::turn_inline(work.as_mut(), &self.control);
        }
    }

    /// Counts something that was handed in but is no event.
    pub(crate) fn refuse(&self, reason: Counter) {
        self.counters.bump(reason);
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
        if let Some(work) = self.inline.take() {
            work.finish();
        }
    }
}
