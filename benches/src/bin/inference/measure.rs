//! Timing one engine.

use std::hint::black_box;

use signal_bench::series::{Figures, Stamps, median};

use crate::allocations;
use crate::inputs::{Out, Row};

/// A batch takes at least this long, so that the clock's reads and steps are
/// below a hundredth of it.
const BATCH_NS: f64 = 2_000.0;
/// A line's part of a repetition ends after this, whatever is left.
const LONGEST_NS: f64 = 300e6;

/// An engine's inference, whose loop is compiled with it.
pub trait Timed {
    fn once(&mut self, row: &Row, out: &mut Out);

    /// How many inferences make a batch.
    fn batch(&mut self, stamps: &Stamps, rows: &[Row]) -> usize;

    /// Most allocations that one inference takes, over all rows.
    fn allocations(&mut self, rows: &[Row]) -> u64;

    /// Times `samples` inferences, going round the rows, whose number is a
    /// power of two. Once round before, untimed.
    fn series(&mut self, stamps: &Stamps, rows: &[Row], batch: usize, samples: usize) -> Figures;
}

impl<F: FnMut(&Row, &mut Out)> Timed for F {
    fn once(&mut self, row: &Row, out: &mut Out) {
        self(row, out);
    }

    fn batch(&mut self, stamps: &Stamps, rows: &[Row]) -> usize {
        go_round(self, rows);
        let start = stamps.raw();
        go_round(self, rows);
        let one = stamps.ns((stamps.raw() - start) as f64) / rows.len() as f64;
        let inferences = (BATCH_NS / one.max(1.0)).ceil() as usize;
        inferences.next_power_of_two()
    }

    fn allocations(&mut self, rows: &[Row]) -> u64 {
        go_round(self, rows);
        let mut out = Out::default();
        let taken = rows.iter().map(|row| {
            let before = allocations::count();
            self(black_box(row), &mut out);
            allocations::count() - before
        });
        taken.max().unwrap_or_default()
    }

    fn series(&mut self, stamps: &Stamps, rows: &[Row], batch: usize, samples: usize) -> Figures {
        let mut batches = Vec::with_capacity(samples.div_ceil(batch));
        let mut out = Out::default();
        let mut next = 0;
        leave_avx();
        go_round(self, rows);
        let begin = stamps.raw();
        while batches.len() < batches.capacity() {
            let start = stamps.raw();
            for _ in 0..batch {
                self(black_box(&rows[next & (rows.len() - 1)]), &mut out);
                black_box(&mut out);
                next += 1;
            }
            let end = stamps.raw();
            batches.push(stamps.ns((end - start) as f64) / batch as f64);
            if stamps.ns((end - begin) as f64) > LONGEST_NS {
                break;
            }
        }
        batches.sort_unstable_by(f64::total_cmp);
        Figures {
            p99: Some(batches[(batches.len() * 99).div_ceil(100) - 1]),
            max: batches.last().copied(),
            ..Figures::mean(
                median(batches.iter().copied()),
                (batches.len() * batch) as u64,
            )
        }
    }
}

/// Clears the upper halves of the vector registers. tract leaves them in use,
/// and code without AVX that follows on the thread, whosever it is, then runs at
/// a quarter of its speed.
fn leave_avx() {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the machine has AVX; by the calling convention nobody keeps
        // anything in those halves across a call.
        unsafe { std::arch::x86_64::_mm256_zeroupper() };
    }
}

/// Part of every series: caches and predictors know this engine again.
fn go_round(run: &mut impl FnMut(&Row, &mut Out), rows: &[Row]) {
    let mut out = Out::default();
    for row in rows {
        run(black_box(row), &mut out);
        black_box(&mut out);
    }
}

#[test]
fn allocations_are_counted() {
    let rows = [Row::default(); 4];
    let mut allocates = |row: &Row, out: &mut Out| out[0] = black_box(row.to_vec())[0];
    assert_eq!(allocates.allocations(&rows), 1);
    let mut nothing = |_: &Row, out: &mut Out| *out = Out::default();
    assert_eq!(nothing.allocations(&rows), 0);
}
