//! A lane's work: its inlet, and the stages after it, run to completion for each message.

use std::marker::PhantomData;
use std::sync::Arc;

use super::accept::Accept;
use super::inlet::Inlet;
use super::outlet::drop_between_lanes;
use super::trace::Trace;
use crate::messages::Marker;
use crate::messages::wire::Wire;
use crate::stages::Stage;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::Recorder;

/// Messages that a lane handles before it does anything else.
const BATCH: usize = 64;
/// Empty polls per prefetch of the next message's lines.
const LOOKS_PER_PREFETCH: u32 = 2;

/// A lane's work, whichever stages it has.
pub(crate) trait Turn: Send {
    /// Warms what is cold. Called on the thread that will run the work.
    fn prime(&mut self);
    /// Handles at most one batch of messages and publishes what waits for room. Returns the
    /// number of messages handled.
    fn turn(&mut self) -> usize;
    /// Publishes what waits for room. Returns whether anything still waits.
    fn flush(&mut self) -> bool;
    /// Drops the messages in the inlet and counts them. Returns their number.
    fn discard(&mut self) -> usize;
    /// Hands over the histograms if they were requested.
    fn hand_over(&mut self);
    /// Ends the work: drops the messages in the inlet and hands over the last histograms.
    fn finish(self: Box<Self>);
}

/// An inlet, the stages after it, and their hops; on cache lines of its own.
#[repr(align(128))]
pub(crate) struct Work<W, A, I> {
    inlet: I,
    first: Stage,
    head: A,
    trace: Trace,
    recorder: Recorder,
    counters: Arc<Counters>,
    /// Empty polls.
    looks: u32,
    takes: PhantomData<fn(W)>,
}

impl<W: Wire, A: Accept<W>, I: Inlet> Work<W, A, I> {
    pub(crate) fn new(
        inlet: I,
        first: Stage,
        head: A,
        trace: Trace,
        recorder: Recorder,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            inlet,
            first,
            head,
            trace,
            recorder,
            counters,
            looks: 0,
            takes: PhantomData,
        }
    }

    /// All that the lane does when it finds no message.
    #[inline]
    fn idle(&mut self) {
        // Not each time: that would often take away a line that is being written.
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOKS_PER_PREFETCH) {
            self.inlet.prefetch();
        }
        self.head.idle();
    }
}

impl<W: Wire, A: Accept<W> + Send, I: Inlet> Turn for Work<W, A, I> {
    fn prime(&mut self) {
        self.head.prime();
    }

    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    fn turn(&mut self) -> usize {
        let (head, trace) = (&mut self.head, &mut self.trace);
        let mut handled = 0;
        while handled < BATCH {
            let received = self.inlet.try_receive(|missed, words| {
                if let Some(marker) = missed {
                    head.on_marker(marker);
                }
                if let Some(marker) = W::marker(words) {
                    head.on_marker(marker);
                    return None;
                }
                trace.begin();
                let (message, published) = W::decode(words);
                head.accept(&message, trace);
                Some(published)
            });
            let Some(message) = received else { break };
            if let Some(published) = message {
                trace.record(self.first, published, &mut self.recorder);
            }
            if handled == 0 {
                // The batch is longest at its beginning.
                self.inlet.note_level();
            }
            handled += 1;
        }
        head.flush(trace);
        if handled == 0 {
            self.idle();
        }
        handled
    }

    fn flush(&mut self) -> bool {
        self.head.flush(&mut self.trace)
    }

    fn discard(&mut self) -> usize {
        let (first, counters) = (self.first, &self.counters);
        let mut count = 0;
        let discard = |_: Option<Marker>, words: &[u64]| match first {
            _ if W::marker(words).is_some() => {}
            Stage::Ingest => counters.bump(Counter::DroppedIngestStopped),
            _ => drop_between_lanes::<W>(&W::decode(words).0, counters),
        };
        while self.inlet.try_receive(discard).is_some() {
            count += 1;
        }
        count
    }

    #[inline]
    fn hand_over(&mut self) {
        self.recorder.hand_over();
    }

    fn finish(mut self: Box<Self>) {
        self.discard();
        self.head.finish(&mut self.trace);
        self.recorder.finish();
    }
}
