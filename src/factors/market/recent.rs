//! How many trades came within a second.

use std::io;

use crate::state;

/// Maximum number of trades that are counted.
const CAPACITY: usize = 1024;
/// Length of the span, ns. A trade exactly this old is outside.
const SPAN: u64 = 1_000_000_000;

/// The times of the last [`CAPACITY`] trades, ns.
///
/// Times may come in any order. As long as they ascend, the trades in the span are the most recent
/// ones, and the first of them only moves forward. After a step back all times are checked, until
/// the span has passed the step.
#[derive(Debug)]
pub(super) struct Recent {
    times: Box<Times>,
    /// Number of trades so far. Trade `n` is at index `n % CAPACITY`.
    count: u64,
    /// The first trade of the current ascending run of times.
    ascends_from: u64,
    /// The latest time before that run, among the trades that were stored when it began.
    latest_before: i64,
    /// The first trade in the span at the last count, while times ascend.
    first: u64,
}

#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[repr(align(64))]
struct Times([i64; CAPACITY]);

impl Recent {
    /// Bytes on the heap.
    pub const HEAP_BYTES: usize = size_of::<Times>();

    /// No trades. All memory is allocated and touched here.
    pub fn new() -> Self {
        // Never on the stack, which is the host's.
        let mut times: Box<Times> = bytemuck::zeroed_box();
        times.0.fill(i64::MIN);
        Self {
            times,
            count: 0,
            ascends_from: 0,
            latest_before: i64::MIN,
            first: 0,
        }
    }

    /// Whether there is no trade.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes on the heap that this value holds.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        size_of_val(&*self.times)
    }

    #[inline]
    fn time(&self, trade: u64) -> i64 {
        self.times.0[trade as usize % CAPACITY]
    }

    /// The oldest trade that is still stored.
    #[inline]
    fn oldest(&self) -> u64 {
        self.count.saturating_sub(CAPACITY as u64)
    }

    /// Adds a trade with this time.
    #[inline]
    pub fn push(&mut self, time: i64) {
        if self.count > 0 {
            let last = self.time(self.count - 1);
            if time < last {
                self.latest_before = if self.ascends_from <= self.oldest() {
                    last
                } else {
                    self.latest_before.max(last)
                };
                self.ascends_from = self.count;
                self.first = self.count;
            }
        }
        self.times.0[self.count as usize % CAPACITY] = time;
        self.count += 1;
    }

    /// Number of trades within the second that ends at the last trade's time, among the last 1,024.
    /// There must be a trade.
    #[inline]
    pub fn count(&mut self) -> u32 {
        let last = self.time(self.count - 1);
        let oldest = self.oldest();
        if self.ascends_from > oldest && !is_older(self.latest_before, last) {
            return self.count_all(last);
        }
        // Usually no trade or only a few have left the span: gallop, then bisect.
        let mut low = self.first.max(oldest);
        let mut high = self.count - 1;
        let mut step = 1;
        while low + step < high && is_older(self.time(low + step - 1), last) {
            low += step;
            step *= 2;
        }
        high = high.min(low + step);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_older(self.time(middle), last) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.first = low;
        (self.count - self.first) as u32
    }

    /// Saves the times.
    pub fn save(&self, to: &mut dyn io::Write) -> io::Result<()> {
        state::put(to, &[self.count, self.ascends_from, self.first])?;
        state::put(to, &self.latest_before)?;
        state::put_all(to, &self.times.0[..self.stored()])
    }

    /// Replaces the times by saved ones.
    pub fn load(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let [count, ascends_from, first] = state::take::<[u64; 3]>(from)?;
        let last = count.saturating_sub(1);
        if ascends_from > first || first > last || last > i64::MAX as u64 {
            return Err(state::invalid("times of trades that do not exist"));
        }
        (self.count, self.ascends_from, self.first) = (count, ascends_from, first);
        self.latest_before = state::take(from)?;
        let stored = self.stored();
        state::take_all(from, &mut self.times.0[..stored])
    }

    /// Number of trades whose times are stored.
    fn stored(&self) -> usize {
        self.count.min(CAPACITY as u64) as usize
    }

    #[cold]
    fn count_all(&self, last: i64) -> u32 {
        let len = self.stored();
        // Branch-free, so nothing to mispredict: half a nanosecond per trade.
        let within =
            |&time: &i64| u64::from((time <= last) & ((last.wrapping_sub(time) as u64) < SPAN));
        self.times.0[..len].iter().map(within).sum::<u64>() as u32
    }
}

/// Whether `time` is at least a second before `last`.
#[inline]
fn is_older(time: i64, last: i64) -> bool {
    // Subtracted as unsigned numbers, any two times give a valid difference.
    time <= last && last.wrapping_sub(time) as u64 >= SPAN
}
