//! Batches: signals that the host reads in place, in the ring through which they arrived.

use std::fmt;

use super::Poller;
use super::poller::{Lent, NO_MAX_AGE, record};
use crate::messages::wire::{Signals, Wire};
use crate::messages::{InstrumentId, Name, Signal};
use crate::telemetry::slowest::SlowSignal;

/// Signals that were ready, oldest first, in place: nothing is copied. Dropping the batch
/// frees their slots in the ring.
///
/// ```
/// use signal::abi::{Depth, HostEvent};
/// use signal::{Config, Engine};
///
/// let config = Config::from_json(r#"{"placement": "inline", "model": "none"}"#)?;
/// let mut engine = Engine::start(&config)?;
/// let mut depth: Depth = bytemuck::Zeroable::zeroed();
/// depth.symbol[..8].copy_from_slice(b"btc_usdt");
/// for bid in [100.0, 101.0, 102.0] {
///     depth.bid_price[0] = bid.into();
///     depth.ask_price[0] = (bid + 2.0).into();
///     engine.on_event(HostEvent::Depth(&depth));
/// }
/// let batch = engine.poll_batch(2);
/// let bids: Vec<f64> = batch.iter().map(|(_, signal)| signal.values[2]).collect();
/// assert_eq!(bids, [100.0, 101.0]);
/// let (name, signal) = batch.get(1).unwrap();
/// assert_eq!((name.as_str(), signal.sequence), ("BTCUSDT", 2));
/// drop(batch);
/// assert_eq!(engine.poll_batch(usize::MAX).len(), 1);
/// # Ok::<(), signal::Error>(())
/// ```
pub struct Batch<'a> {
    poller: &'a mut Poller,
}

impl Poller {
    /// Returns at most `max` of the signals that are ready now, in place, and frees the
    /// previous batch. They count as delivered. One slot of the ring is never lent: if the
    /// ring is full of ready signals, one of them is left for the next batch. If there is
    /// nothing new, this takes one acquire load, a compare and a prefetch.
    ///
    /// Signals that are older than `max_age_us` are dropped. A batch ends before such a signal: the
    /// next one drops it.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn poll_batch(&mut self, max: usize) -> Batch<'_> {
        self.lend(max);
        Batch { poller: self }
    }

    /// Frees the previous batch, takes at most `max` signals and leaves them in the ring.
    /// Returns their number.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub(crate) fn lend(&mut self, max: usize) -> usize {
        let ready = self.begin();
        // If the whole ring were lent, nothing could be published into it. A host that polls
        // only when there is news would then never come back to free it. A ring of one slot,
        // which no JSON can configure, cannot spare any.
        let most = (self.signals.capacity() - 1).max(1);
        let most = max.min(most);
        let (count, taken) = match self.max_age {
            NO_MAX_AGE => (ready.min(most), None),
            _ => self.in_time(ready, most),
        };
        if count == 0 {
            return 0;
        }
        self.lent = Lent {
            count,
            taken: taken.unwrap_or_else(|| self.clock.stamp()),
            recorded: false,
        };
        self.count_taken(count as u64);
        for nth in 0..count {
            if let Some(signal) = self.lent_signal(nth) {
                let sequence = signal.sequence;
                self.note_gap(sequence);
            }
        }
        count
    }

    /// Drops the oldest of the `ready` signals as long as they are too old, unless none is wanted.
    /// Returns how many of those behind them, at most `most`, come before one that is too old, and
    /// when.
    #[inline(never)]
    fn in_time(&mut self, ready: usize, most: usize) -> (usize, Option<u64>) {
        let now = self.clock.stamp();
        let mut left = if most == 0 { 0 } else { ready };
        while left > 0
            && let Some(sequence) = self.too_old(0, now)
        {
            self.drop_oldest(sequence);
            left -= 1;
        }
        let wanted = 0..left.min(most);
        let in_time = wanted.take_while(|&nth| self.too_old(nth, now).is_none());
        (in_time.count(), Some(now))
    }

    /// The `nth` signal of the last batch.
    #[inline]
    fn lent_signal(&self, nth: usize) -> Option<Signal<'_>> {
        self.signals.peek(nth).map(|words| Signals::decode(words).0)
    }

    /// The `nth` signal of the last batch with its instrument's name, and the time from
    /// `on_event` until it was taken, ns; 0 with timing off.
    #[inline]
    pub(crate) fn lent_at(&self, nth: usize) -> Option<(&Name, Signal<'_>, u64)> {
        let signal = self.lent_signal(nth)?;
        // Ingest named the instrument before it published its first message.
        let name = self.names.get(signal.meta.instrument)?;
        let age = self.clock.nanos(signal.meta.arrival, self.lent.taken);
        Some((name, signal, age))
    }

    /// The instrument of the last batch's `nth` signal; `None` if there are fewer.
    pub(crate) fn lent_instrument(&self, nth: usize) -> Option<InstrumentId> {
        let is_lent = nth < self.lent.count;
        is_lent.then(|| self.lent_signal(nth).map(|signal| signal.meta.instrument))?
    }

    /// Frees the last batch.
    #[inline]
    pub(crate) fn free_batch(&mut self) {
        if self.lent.count > 0 {
            self.free_lent();
        }
    }

    /// Whether a batch is lent.
    #[inline]
    pub(crate) fn has_lent(&self) -> bool {
        self.lent.count > 0
    }

    #[inline(never)]
    fn free_lent(&mut self) {
        self.record_batch();
        let count = std::mem::take(&mut self.lent).count;
        self.signals.release(count);
    }

    /// Records the hops of the last batch, once. This happens when the batch is freed, so
    /// that histograms do not delay its signals.
    pub(crate) fn record_batch(&mut self) {
        if self.lent.recorded || !self.clock.is_on() {
            return;
        }
        self.lent.recorded = true;
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        for nth in 0..self.lent.count {
            let Some(words) = self.signals.peek(nth) else {
                break;
            };
            let (signal, published) = Signals::decode(words);
            self.last = SlowSignal {
                sequence: signal.sequence,
                instrument: signal.meta.instrument,
                arrival: signal.meta.arrival,
                published,
                taken: self.lent.taken,
                before: self.last.published_before(signal.meta.arrival),
            };
            record(recorder, &self.last);
        }
        recorder.hand_over();
    }
}

impl Batch<'_> {
    /// Signals in the batch.
    #[inline]
    pub fn len(&self) -> usize {
        self.poller.lent.count
    }

    /// Whether nothing was ready.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `nth` signal with its instrument's name, where the oldest is number 0; `None` if
    /// there are fewer.
    #[inline]
    pub fn get(&self, nth: usize) -> Option<(&Name, Signal<'_>)> {
        if nth >= self.len() {
            return None;
        }
        let (name, signal, _) = self.poller.lent_at(nth)?;
        Some((name, signal))
    }

    /// All signals with their instruments' names, oldest first.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, Signal<'_>)> + '_ {
        (0..self.len()).map(|nth| self.get(nth).expect("a batch's signals stay in the ring"))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.poller.free_batch();
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use crate::abi::{Depth, HostEvent};
    use crate::{Config, Engine};

    #[test]
    fn what_is_ready_behind_a_batch_is_no_part_of_it() {
        let config = Config::from_json(r#"{"placement": "inline", "model": "none"}"#).unwrap();
        let mut engine = Engine::start(&config).unwrap();
        let mut depth = Depth::zeroed();
        depth.symbol[..8].copy_from_slice(b"btc_usdt");
        depth.bid_price[0] = 100.0.into();
        depth.ask_price[0] = 101.0.into();
        for _ in 0..3 {
            assert!(engine.on_event(HostEvent::Depth(&depth)));
        }
        assert_eq!(engine.feeder.sequence(), 3);
        let poller = engine.ends().1;
        assert!(!poller.has_lent());
        assert_eq!(poller.lend(2), 2);
        assert!(poller.has_lent());
        assert!(poller.lent_instrument(1).is_some());
        assert!(poller.lent_instrument(2).is_none());
        poller.free_batch();
        assert!(!poller.has_lent() && poller.lent_instrument(0).is_none());
        assert_eq!(poller.ready(), 1);
        let batch = engine.poll_batch(usize::MAX);
        let printed = format!("{batch:?}");
        assert!(printed.contains("sequence: 3"), "{printed}");
        drop(batch);
        assert!(
            !engine.poller.has_lent(),
            "a batch is freed when it is dropped"
        );
    }
}
