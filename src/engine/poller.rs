//! The poller: where signals come out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Instruments;
use crate::messages::wire::{self, Signals, Wire};
use crate::messages::{Instrument, InstrumentId, Name, Names, Signal};
use crate::os::clock::Clock;
use crate::sync::padded::Values;
use crate::sync::ring::Receiver;
use crate::sync::ring::cursors::HostCursors;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{Hop, Recorder};
use crate::telemetry::slowest::SlowSignal;

/// Where signals come out. For the host's thread only.
pub struct Poller {
    pub(super) signals: Receiver,
    pub(super) at_host: HostCursors,
    pub(super) next_sequence: u64,
    /// The oldest that a signal may be when it is taken, ticks.
    pub(super) max_age: u64,
    pub(super) names: Arc<Names>,
    pub(super) clock: Clock,
    pub(super) recorder: Option<Recorder>,
    /// The signal that was taken last, unless timing is off.
    pub(super) last: SlowSignal,
    /// Whether the hops of `last` are still to be recorded.
    pub(super) is_pending: bool,
    pub(super) counters: Arc<Counters>,
    pub(super) values: Values,
    /// Signals of a lent batch, which are still in the ring.
    pub(super) lent: Lent,
}

/// A `max_age` that no signal reaches.
pub(super) const NO_MAX_AGE: u64 = u64::MAX;

/// The signals of the last batch; they are the oldest in the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lent {
    pub(super) count: usize,
    /// When they were taken, TSC ticks.
    pub(super) taken: u64,
    pub(super) recorded: bool,
}

impl Poller {
    /// Passes every signal that is ready now to `on_signal`, oldest first, and returns how many it
    /// got: not those that are older than `max_age_us`, which are dropped. If there is nothing new,
    /// this takes one acquire load, a compare and a prefetch, all inlined into the caller.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn poll(&mut self, mut on_signal: impl FnMut(&Name, Signal<'_>)) -> usize {
        let ready = self.begin();
        let mut taken = 0;
        for _ in 0..ready {
            if !self.take(&mut on_signal) {
                break;
            }
            taken += 1;
        }
        self.record_last();
        taken
    }

    /// Begins a poll and updates the ring's high-water mark. Returns the number of signals
    /// that are ready now.
    #[inline]
    pub(crate) fn begin(&mut self) -> usize {
        self.free_batch();
        let ready = self.signals.look();
        if ready > 0 {
            self.signals.note_waiting(ready);
        } else {
            self.signals.prefetch();
        }
        ready
    }

    /// Signals that are ready now.
    #[inline]
    pub fn ready(&self) -> usize {
        let published = self.at_host.published.load(Ordering::Acquire);
        published.wrapping_sub(self.at_host.taken.load(Ordering::Relaxed)) as usize
    }

    /// What instruments are, by the numbers in their signals.
    pub fn instruments(&self) -> Instruments {
        Instruments(self.names.clone())
    }

    /// An instrument's name, at the address that its signals have, and what the instrument
    /// is.
    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<(&Name, &Instrument)> {
        Some((self.names.get(id)?, self.names.instrument(id)?))
    }

    /// Takes the oldest signal that is not too old out of the ring and then passes it on. So it is
    /// not taken again if `on_signal` unwinds. Drops those before it.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub(crate) fn take<R>(&mut self, on_signal: impl FnOnce(&Name, Signal<'_>) -> R) -> bool {
        self.record_last();
        if self.max_age != NO_MAX_AGE && !self.drop_too_old() {
            return false;
        }
        // Stamped once poll has found the signal, before its payload is read. Reading takes
        // as long as the stamp, and as a stamp is not a barrier, the two happen at the same
        // time.
        let now = self.clock.stamp();
        let values = &mut self.values;
        let received = self.signals.try_receive(|words| {
            let (signal, published) = Signals::decode(words);
            let count = signal.values.len().min(values.len());
            wire::copy(&signal.values[..count], values);
            (signal.sequence, signal.meta, signal.model, count, published)
        });
        let Some((sequence, meta, model, count, published)) = received else {
            return false;
        };
        self.count_taken(1);
        self.note_gap(sequence);
        if self.clock.is_on() {
            self.last = SlowSignal {
                sequence,
                instrument: meta.instrument,
                arrival: meta.arrival,
                published,
                taken: now,
                before: self.last.published_before(meta.arrival),
            };
            self.is_pending = true;
        }
        // Ingest named the instrument before it published its first message.
        if let Some(name) = self.names.get(meta.instrument) {
            let values = &self.values[..count];
            on_signal(
                name,
                Signal {
                    sequence,
                    meta,
                    model,
                    values,
                },
            );
        }
        true
    }

    /// Drops the oldest signals as long as they are too old. None is lent. Returns whether the oldest
    /// is young enough: one that comes later may be too old again.
    #[cold]
    #[inline(never)]
    fn drop_too_old(&mut self) -> bool {
        let now = self.clock.stamp();
        while self.signals.peek(0).is_some() {
            // It stays the oldest: nobody else takes signals.
            let Some(sequence) = self.too_old(0, now) else {
                return true;
            };
            self.drop_oldest(sequence);
        }
        false
    }

    /// The number of the `nth` signal in the ring if that is too old at `now`.
    pub(super) fn too_old(&self, nth: usize, now: u64) -> Option<u64> {
        let (signal, _) = Signals::decode(self.signals.peek(nth)?);
        let age = now.saturating_sub(signal.meta.arrival);
        (age > self.max_age).then_some(signal.sequence)
    }

    /// Drops the oldest signal, which has this number. The number is seen, so it is not missing.
    pub(super) fn drop_oldest(&mut self, sequence: u64) {
        self.signals.release(1);
        self.move_on(1);
        self.note_gap(sequence);
        self.counters.bump(Counter::DroppedEgressTooOld);
    }

    #[inline]
    pub(super) fn count_taken(&mut self, signals: u64) {
        self.move_on(signals);
        self.counters.add(Counter::Delivered, signals);
    }

    /// Tells an inlined poll that so many signals are out of the ring, or lent.
    #[inline]
    fn move_on(&mut self, signals: u64) {
        let taken = &self.at_host.taken;
        taken.store(
            taken.load(Ordering::Relaxed).wrapping_add(signals),
            Ordering::Relaxed,
        );
        let next = self.signals.address(self.lent.count);
        self.at_host
            .next
            .store(next.addr() as u64, Ordering::Relaxed);
    }

    /// Counts the numbers between the last signal's and this one's.
    #[inline]
    pub(super) fn note_gap(&mut self, sequence: u64) {
        if sequence != self.next_sequence {
            self.counters.add(
                Counter::EgressGap,
                sequence.wrapping_sub(self.next_sequence),
            );
        }
        self.next_sequence = sequence.wrapping_add(1);
    }

    /// Records the hops of the signal taken last. This happens after its callback, so that
    /// histograms do not delay it.
    #[inline(always)]
    pub(crate) fn record_last(&mut self) {
        if self.is_pending {
            self.is_pending = false;
            self.record();
        }
    }

    #[inline(never)]
    fn record(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            record(recorder, &self.last);
            recorder.hand_over();
        }
    }

    pub(super) fn finish(&mut self) {
        self.record_last();
        self.free_batch();
        if let Some(recorder) = self.recorder.take() {
            recorder.finish();
        }
    }
}

/// Records a signal that was taken.
#[inline(always)]
pub(super) fn record(recorder: &mut Recorder, signal: &SlowSignal) {
    recorder.record(Hop::HostWait, signal.published, signal.taken);
    recorder.record(Hop::TickToCallback, signal.arrival, signal.taken);
    recorder.offer(signal);
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("ready", &self.ready())
            .field("next_sequence", &self.next_sequence)
            .finish_non_exhaustive()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.finish();
    }
}
