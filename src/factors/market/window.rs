//! The last trades' prices and sizes.

use bytemuck::{Pod, Zeroable};

use super::ratio;

/// Values in a cache line, and sums side by side.
const LANES: usize = 8;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f64; LANES]);

/// A ring of the last trades. What is wanted of them is computed from the ring
/// each time: running sums would drift.
#[derive(Debug)]
pub(super) struct Window {
    /// Prices in the first half, sizes in the second.
    lines: Box<[Line]>,
    size: usize,
    /// Trades in the ring. Their order in it means nothing.
    len: usize,
    next: usize,
}

/// What the trades in the window come to.
pub(super) struct Tape {
    /// Mean size.
    pub volume_mean: f64,
    /// Mean price, weighted by size; 0 without any size.
    pub vwap: f64,
    /// Population standard deviation of the prices.
    pub deviation: f64,
}

impl Window {
    /// An empty window of so many trades. All memory is taken and touched here:
    /// zeros might be pages that are only made when they are first written.
    pub fn new(size: usize) -> Self {
        let lines = vec![Line([f64::NAN; LANES]); 2 * size.div_ceil(LANES)];
        Self {
            lines: lines.into_boxed_slice(),
            size,
            len: 0,
            next: 0,
        }
    }

    /// Bytes that such a window takes on the heap.
    pub fn heap_bytes(size: usize) -> usize {
        2 * size.div_ceil(LANES) * size_of::<Line>()
    }

    /// Bytes that this one takes on the heap.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Adds a trade, in place of the oldest once the window is full.
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

    /// Mean size, weighted mean price and deviation of the trades. There must be
    /// one.
    #[inline]
    pub fn tape(&self) -> Tape {
        let values: &[f64] = bytemuck::cast_slice(&self.lines);
        let (prices, volumes) = values.split_at(values.len() / 2);
        let (prices, volumes) = (&prices[..self.len], &volumes[..self.len]);
        let count = self.len as f64;
        // Differences from one of the prices are exact or nearly so, and 0 if
        // all prices are equal.
        let pivot = prices[0];
        let [volume, amount, offset] = sums(prices, volumes, |price, volume| {
            [volume, price * volume, price - pivot]
        });
        let mean = offset / count;
        let [rest, squares] = sums(prices, volumes, |price, _| {
            let difference = (price - pivot) - mean;
            [difference, difference * difference]
        });
        // `rest` is what rounding the mean left: Chan, Golub and LeVeque,
        // "Algorithms for Computing the Sample Variance" (1983), (1.7).
        let variance = (squares - rest * rest / count) / count;
        Tape {
            volume_mean: volume / count,
            vwap: ratio(amount, volume),
            // Not `max`, which would make a 0 of an overflow.
            deviation: if variance < 0.0 { 0.0 } else { variance.sqrt() },
        }
    }
}

/// Sums of `K` terms made of each pair, in lanes, so that it vectorises.
#[inline(always)]
fn sums<const K: usize>(xs: &[f64], ys: &[f64], terms: impl Fn(f64, f64) -> [f64; K]) -> [f64; K] {
    let mut lanes = [[0.0; LANES]; K];
    let (x_lines, x_rest) = xs.as_chunks::<LANES>();
    let (y_lines, y_rest) = ys.as_chunks::<LANES>();
    for (x, y) in x_lines.iter().zip(y_lines) {
        for lane in 0..LANES {
            let terms = terms(x[lane], y[lane]);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[lane] += term;
            }
        }
    }
    for (lane, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        for (lanes, term) in lanes.iter_mut().zip(terms(x, y)) {
            lanes[lane] += term;
        }
    }
    lanes.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h)))
}
