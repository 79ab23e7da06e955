//! A lane's work: its inlet, and the stages after it, run to completion for each message.

use std::marker::PhantomData;
use std::sync::Arc;

use super::accept::Accept;
use super::inlet::{Inlet, Received};
use super::outlet::drop_between_lanes;
use super::rehearsal::{Rehearsal, Rehearsing};
use super::stand_in::StandIn;
use super::trace::Trace;
use crate::messages::wire::Wire;
use crate::os::clock::Clock;
use crate::stages::Stage;
use crate::sync::ring::Watch;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::heartbeat::Rehearsed;
use crate::telemetry::hops::Recorder;

/// Messages that a lane handles before it does anything else.
pub(crate) const BATCH: usize = 64;
/// Empty polls per prefetch of the next message's lines.
const LOOKS_PER_PREFETCH: u32 = 2;

/// A lane's work, whichever stages it has.
pub(crate) trait Turn: Send {
    /// Warms what is cold. Called on the thread that will run the work, but for messages that the
    /// host's thread handles in its place.
    fn prime(&mut self);
    /// Handles at most so many messages and publishes what waits for room. Returns the number
    /// of messages handled.
    fn turn(&mut self, most: usize) -> usize;
    /// Publishes what waits for room. Returns whether anything still waits.
    fn flush(&mut self) -> bool;
    /// Drops the messages in the inlet and counts them. Returns their number.
    fn discard(&mut self) -> usize;
    /// Hands over the histograms if they were requested.
    fn hand_over(&mut self);
    /// Ends the work: drops the messages in the inlet and hands over the last histograms.
    fn finish(self: Box<Self>);
    /// Brings a watch of the inlet up to date.
    fn renew(&self, _watch: &mut Watch) {}
    /// `None` if only the lane itself can do this work.
    fn stand_in(&self) -> Option<Arc<dyn StandIn>> {
        None
    }
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
    rehearsal: Option<Rehearsal>,
    /// The message that is rehearsed.
    spare: Box<[u64]>,
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
            rehearsal: None,
            spare: Box::default(),
            looks: 0,
            takes: PhantomData,
        }
    }

    /// Has the lane rehearse its messages while it has nothing to do, if its inlet allows it.
    pub(crate) fn rehearse(
        &mut self,
        how: &Rehearsing,
        clock: &Clock,
        polls: u32,
        rehearsed: Rehearsed,
    ) {
        if let Some(spares) = self.inlet.spares() {
            self.rehearsal = Rehearsal::new(how, clock, spares.words, polls, rehearsed);
            self.spare = vec![u64::MAX; spares.words].into_boxed_slice();
            self.trace.watch = Some(spares.watch);
        }
    }

    /// What to do when there is no message. Returns whether there is now a spare message to
    /// rehearse.
    #[inline]
    fn idle(&mut self) -> bool {
        // Not each time: that would often take away a line that is being written.
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOKS_PER_PREFETCH) {
            self.inlet.prefetch();
        }
        let rehearsal = self.rehearsal.as_mut();
        rehearsal.is_some_and(Rehearsal::is_due) && self.begin_rehearsal()
    }

    #[cold]
    fn begin_rehearsal(&mut self) -> bool {
        if !self.head.may_rehearse() {
            if let Some(rehearsal) = &mut self.rehearsal {
                rehearsal.postpone();
            }
            return false;
        }
        if let Some(watch) = &mut self.trace.watch {
            self.inlet.renew(watch);
        }
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.begin(&mut self.spare);
        }
        true
    }

    /// Ends a rehearsal, which has not taken place if a message came just before it.
    #[cold]
    fn end_rehearsal(&mut self, took_place: bool) {
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.end(took_place, &mut self.spare, &mut self.trace);
        }
        if took_place {
            self.counters.bump(Counter::Rehearsals);
        }
    }
}

impl<W: Wire, A: Accept<W> + Send, I: Inlet> Turn for Work<W, A, I> {
    fn prime(&mut self) {
        self.head.prime();
    }

    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    fn turn(&mut self, most: usize) -> usize {
        let mut handled = 0;
        let mut rehearses = false;
        while handled < most {
            let (head, trace) = (&mut self.head, &mut self.trace);
            let rehearsal = &mut self.rehearsal;
            let spare = rehearses.then_some(&*self.spare);
            let received = self.inlet.try_receive(spare, |received| {
                let (words, is_spare) = (received.words, received.is_spare);
                if let Some(marker) = received.missed {
                    head.on_marker(marker);
                }
                if let Some(marker) = W::marker(words) {
                    head.on_marker(marker);
                    return (None, is_spare);
                }
                if is_spare {
                    trace.begin_rehearsal();
                } else {
                    trace.begin();
                }
                let (mut message, published) = W::decode(words);
                if is_spare && let Some(meta) = W::meta(&mut message) {
                    trace.rehearsed = meta.rehearse();
                }
                head.accept(&message, trace);
                if let Some(rehearsal) = rehearsal
                    && !is_spare
                {
                    rehearsal.see(words, W::kind(&message), trace);
                }
                (Some(published), is_spare)
            });
            let Some((message, is_rehearsal)) = received else {
                if handled == 0 {
                    self.head.flush(&mut self.trace);
                    rehearses = self.idle();
                    if rehearses {
                        continue;
                    }
                }
                break;
            };
            if rehearses {
                rehearses = false;
                self.end_rehearsal(is_rehearsal);
                if is_rehearsal {
                    continue;
                }
            }
            if let Some(published) = message {
                let trace = &mut self.trace;
                trace.record(self.first, published, &mut self.recorder);
            }
            if handled == 0 {
                // The batch is longest at its beginning.
                self.inlet.note_level();
            }
            handled += 1;
        }
        if handled > 0 {
            self.head.flush(&mut self.trace);
        }
        handled
    }

    fn flush(&mut self) -> bool {
        self.head.flush(&mut self.trace)
    }

    fn discard(&mut self) -> usize {
        let (first, counters) = (self.first, &self.counters);
        let mut count = 0;
        let discard = |received: Received<'_>| match first {
            _ if W::marker(received.words).is_some() => {}
            Stage::Ingest => counters.bump(Counter::DroppedIngestStopped),
            _ => drop_between_lanes::<W>(&W::decode(received.words).0, counters),
        };
        while self.inlet.try_receive(None, discard).is_some() {
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

    #[inline]
    fn renew(&self, watch: &mut Watch) {
        self.inlet.renew(watch);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
