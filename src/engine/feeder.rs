//! The feeder: where the host's events go in.

use std::fmt;
use std::sync::Arc;

use crate::abi::HostEvent;
use crate::pipeline::clock::Clock;
use crate::pipeline::counters::{Counter, Counters};
use crate::pipeline::lane::{self, Control, Turn};
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
    pub(super) inline: Option<Box<dyn Turn>>,
}

impl Feeder {
    /// Copies the event into the ring to ingest and returns. Never waits: with
    /// the ring full the event is dropped and counted. With the `inline`
    /// placement all stages run here.
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
            self.counters.bump(Counter::DroppedIngestRingFull);
        }
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
