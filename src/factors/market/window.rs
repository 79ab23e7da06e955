//! The last trades' prices and sizes.

use std::io;

use bytemuck::{Pod, Zeroable};

use super::ratio;
use crate::state;
use crate::sync::prefetch;

/// Values in a cache line.
const LINE: usize = 8;
/// Number of parallel sums, so that additions do not wait for each other and the loops vectorise.
const LANES: usize = 4;
type Lanes = [f64; LANES];

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f64; LINE]);

/// A ring of the last trades. Results are recomputed from the ring each time, because running sums
/// would drift.
#[derive(Debug)]
pub(super) struct Window {
    /// Prices in the first half, sizes in the second.
    lines: Box<[Line]>,
    size: usize,
    /// Number of trades in the ring. Their order in it has no meaning.
    len: usize,
    next: usize,
}

/// Statistics of the trades in the window.
pub(super) struct Tape {
    /// Mean size.
    pub volume_mean: f64,
    /// Mean price, weighted by size; 0 if all sizes are 0.
    pub vwap: f64,
    /// Population standard deviation of the prices.
    pub deviation: f64,
}

impl Window {
    /// An empty window of `size` trades. All memory is allocated and touched here, since the kernel
    /// may provide pages of zeros only at the first write.
    pub fn new(size: usize) -> Self {
        let lines = vec![Line([f64::NAN; LINE]); 2 * size.div_ceil(LINE)];
        Self {
            lines: lines.into_boxed_slice(),
            size,
            len: 0,
            next: 0,
        }
    }

    /// Bytes on the heap that a window of this size takes.
    pub fn heap_bytes(size: usize) -> usize {
        2 * size.div_ceil(LINE) * size_of::<Line>()
    }

    /// Prefetches the trades, or the first of a long window.
    pub fn prefetch(&self) {
        prefetch::value(&*self.lines);
    }

    /// Whether there is no trade.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap that this window holds.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Adds a trade, replacing the oldest if the window is full.
    #[inline]
    pub fn push(&mut self, price: f64, volume: f64) {
        let values: &mut [f64] = bytemuck::cast_slice_mut(&mut self.lines);
        let (prices, volumes) = values.split_at_mut(values.len() / 2);
        prices[self.next] = price;
        volumes[self.next] = volume;
        self.next += 1;
        self.len = self.len.max(self.next);
        if self.next == self.size {
            self.next = 0;
        }
    }

    /// Saves the trades.
    pub fn save(&self, to: &mut dyn io::Write) -> io::Result<()> {
        let values: &[f64] = bytemuck::cast_slice(&self.lines);
        let (prices, volumes) = values.split_at(values.len() / 2);
        state::put(
            to,
            &[self.size, self.len, self.next].map(|count| count as u64),
        )?;
        state::put_all(to, &prices[..self.len])?;
        state::put_all(to, &volumes[..self.len])
    }

    /// Replaces the trades by those that a window of the same size saved.
    pub fn load(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let [size, len, next] = state::take::<[u64; 3]>(from)?.map(|count| count as usize);
        let fills = len < size && next == len;
        if size != self.size || !(fills || len == size && next < size) {
            return Err(state::invalid("the trades of another window"));
        }
        (self.len, self.next) = (len, next);
        let values: &mut [f64] = bytemuck::cast_slice_mut(&mut self.lines);
        let (prices, volumes) = values.split_at_mut(values.len() / 2);
        state::take_all(from, &mut prices[..len])?;
        state::take_all(from, &mut volumes[..len])
    }

    /// Mean size, weighted mean price and deviation of the trades. There must be at least one
    /// trade.
    #[inline]
    pub fn tape(&self) -> Tape {
        let values: &[f64] = bytemuck::cast_slice(&self.lines);
        let (prices, volumes) = values.split_at(values.len() / 2);
        let (prices, volumes) = (&prices[..self.len], &volumes[..self.len]);
        // Differences from one of the prices do not cancel, and are 0 if all prices are equal.
        let pivot = prices[0];
        let [volume, amount, offset] = totals(prices, volumes, pivot);
        let count = self.len as f64;
        let share = 1.0 / count;
        let [rest, squares] = deviations(prices, pivot + offset * share);
        // `rest` is the rounding error of the mean: Chan, Golub and LeVeque, "Algorithms for
        // Computing the Sample Variance" (1983), (1.7).
        let variance = (squares - rest * rest * share) * share;
        Tape {
            volume_mean: volume / count,
            vwap: ratio(amount, volume),
            // Not `max`, which would turn NaN from an overflow into 0.
            deviation: if variance < 0.0 { 0.0 } else { variance.sqrt() },
        }
    }
}

/// Sums of sizes, of price times size, and of the prices' differences from `pivot`.
#[inline]
fn totals(prices: &[f64], volumes: &[f64], pivot: f64) -> [f64; 3] {
    let mut volume: Lanes = [0.0; LANES];
    let mut amount: Lanes = [0.0; LANES];
    let mut offset: Lanes = [0.0; LANES];
    let mut add = |lane: usize, p: f64, v: f64| {
        volume[lane] += v;
        amount[lane] += p * v;
        offset[lane] += p - pivot;
    };
    let (price_lines, prices) = prices.as_chunks::<LANES>();
    let (volume_lines, volumes) = volumes.as_chunks::<LANES>();
    for (prices, volumes) in price_lines.iter().zip(volume_lines) {
        for lane in 0..LANES {
            add(lane, prices[lane], volumes[lane]);
        }
    }
    for (lane, (&price, &volume)) in prices.iter().zip(volumes).enumerate() {
        add(lane, price, volume);
    }
    [fold(volume), fold(amount), fold(offset)]
}

/// Sums of the prices' differences from `mean` and of their squares.
#[inline]
fn deviations(prices: &[f64], mean: f64) -> [f64; 2] {
    let mut rest: Lanes = [0.0; LANES];
    let mut squares: Lanes = [0.0; LANES];
    let mut add = |lane: usize, p: f64| {
        let difference = p - mean;
        rest[lane] += difference;
        squares[lane] += difference * difference;
    };
    let (lines, prices) = prices.as_chunks::<LANES>();
    for prices in lines {
        for (lane, &price) in prices.iter().enumerate() {
            add(lane, price);
        }
    }
    for (lane, &price) in prices.iter().enumerate() {
        add(lane, price);
    }
    [fold(rest), fold(squares)]
}

#[inline]
fn fold([a, b, c, d]: Lanes) -> f64 {
    (a + c) + (b + d)
}
