//! Timing one contender.

use std::hint::black_box;

use crate::allocations;
use crate::contenders::Contender;
use crate::inputs::{Out, Row};

/// A batch takes at least this long, so that the clock's reads and steps are
/// below a hundredth of it.
const BATCH_NS: f64 = 2_000.0;

/// A row's part of a repetition ends after this, whatever is left.
const LONGEST_NS: f64 = 300e6;

/// The clock.
pub struct Clock(quanta::Clock);

impl Clock {
    pub fn new() -> Self {
        Self(quanta::Clock::new())
    }

    fn raw(&self) -> u64 {
        self.0.raw()
    }

    fn ns(&self, start: u64, end: u64) -> f64 {
        self.0.delta_as_nanos(start, end) as f64
    }

    /// What one read costs, ns.
    pub fn cost_ns(&self) -> f64 {
        const READS: u32 = 1_000_000;
        let start = self.raw();
        for _ in 0..READS {
            black_box(self.raw());
        }
        self.ns(start, self.raw()) / f64::from(READS)
    }
}

/// What one repetition gives.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Median batch, ns an inference.
    pub p50: f64,
    /// 99th percentile of the batches, ns an inference.
    pub p99: f64,
    /// Inferences timed.
    pub count: usize,
}

/// A [`Contender`] whose loop is compiled with it: per inference only the
/// contender's own calls remain.
pub trait Timed {
    /// One inference.
    fn once(&mut self, row: &Row, out: &mut Out);

    /// How many inferences make a batch.
    fn batch(&mut self, clock: &Clock, rows: &[Row]) -> usize;

    /// Most allocations that one inference takes, over all rows.
    fn allocations(&mut self, rows: &[Row]) -> u64;

    /// Times `samples` inferences, going round the rows, whose number is a
    /// power of two. Once round before, untimed.
    fn series(&mut self, clock: &Clock, rows: &[Row], batch: usize, samples: usize) -> Figures;
}

impl<C: Contender> Timed for C {
    fn once(&mut self, row: &Row, out: &mut Out) {
        self.run(row, out);
    }

    fn batch(&mut self, clock: &Clock, rows: &[Row]) -> usize {
        go_round(self, rows);
        let start = clock.raw();
        go_round(self, rows);
        let one = clock.ns(start, clock.raw()) / rows.len() as f64;
        let inferences = (BATCH_NS / one.max(1.0)).ceil() as usize;
        inferences.next_power_of_two()
    }

    fn allocations(&mut self, rows: &[Row]) -> u64 {
        go_round(self, rows);
        let mut out = Out::default();
        let taken = rows.iter().map(|row| {
            let before = allocations::count();
            self.run(black_box(row), &mut out);
            allocations::count() - before
        });
        taken.max().unwrap_or_default()
    }

    fn series(&mut self, clock: &Clock, rows: &[Row], batch: usize, samples: usize) -> Figures {
        let mut batches = Vec::with_capacity(samples.div_ceil(batch));
        let mut out = Out::default();
        let mut next = 0;
        leave_avx();
        go_round(self, rows);
        let begin = clock.raw();
        while batches.len() < batches.capacity() {
            let start = clock.raw();
            for _ in 0..batch {
                self.run(black_box(&rows[next & (rows.len() - 1)]), &mut out);
                black_box(&mut out);
                next += 1;
            }
            let end = clock.raw();
            batches.push(clock.ns(start, end) / batch as f64);
            if clock.ns(begin, end) > LONGEST_NS {
                break;
            }
        }
        batches.sort_unstable_by(f64::total_cmp);
        Figures {
            p50: median_of_sorted(&batches),
            p99: batches[(batches.len() * 99).div_ceil(100) - 1],
            count: batches.len() * batch,
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

/// Part of every series: caches and predictors know this contender again.
fn go_round(contender: &mut impl Contender, rows: &[Row]) {
    let mut out = Out::default();
    for row in rows {
        contender.run(black_box(row), &mut out);
        black_box(&mut out);
    }
}

/// The median; sorts.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(values)
}

fn median_of_sorted(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

/// Reads the row's first value and writes it: what the loop itself costs.
pub struct Nothing;

impl Contender for Nothing {
    fn run(&mut self, row: &Row, out: &mut Out) {
        out[0] = row[0];
    }
}
