//! Stamps in TSC ticks, through `quanta`.

use std::hint::black_box;

/// The engine's clock: stamps in ticks, differences in nanoseconds.
///
/// With timing off it reads no hardware and every stamp is 0.
#[derive(Clone, Debug)]
pub struct Clock {
    source: quanta::Clock,
    tsc: bool,
    on: bool,
}

impl Clock {
    /// A clock. The first one in a process calibrates the TSC, which takes up
    /// to 200 ms.
    pub fn new(on: bool) -> Self {
        let source = quanta::Clock::new();
        let tsc = reads_tsc(&source);
        Self { source, tsc, on }
    }

    /// Whether stamps are taken.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// A stamp, in TSC ticks; 0 with timing off.
    #[inline]
    pub fn stamp(&self) -> u64 {
        if self.on { self.now() } else { 0 }
    }

    /// A stamp, in TSC ticks, whether timing is on or off.
    #[inline]
    pub fn now(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if self.tsc {
            return tsc();
        }
        self.source.raw()
    }

    /// Nanoseconds from one stamp to a later one; 0 if `end` is not later.
    #[inline]
    pub fn nanos(&self, start: u64, end: u64) -> u64 {
        self.source.delta_as_nanos(start, end)
    }

    /// Ticks that a time takes, at least 1.
    pub fn ticks(&self, nanos: u64) -> u64 {
        const SPAN: u64 = 1 << 40;
        let span_nanos = self.nanos(0, SPAN).max(1);
        let ticks = u128::from(nanos) * u128::from(SPAN) / u128::from(span_nanos);
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    /// What one stamp costs, in ns: the least mean of several rounds, so that
    /// an interruption does not count as cost. Takes well under a millisecond.
    pub fn stamp_cost_ns(&self) -> f64 {
        const ROUNDS: usize = 16;
        const STAMPS: u32 = 512;
        (0..ROUNDS)
            .map(|_| {
                let start = self.now();
                for _ in 0..STAMPS {
                    black_box(self.now());
                }
                let end = self.now();
                self.nanos(start, end) as f64 / f64::from(STAMPS + 1)
            })
            .fold(f64::INFINITY, f64::min)
    }
}

/// The TSC. `quanta` reads the same, in a call that is not inlined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Whether `quanta` has found the TSC fit to tell the time, and reads it.
#[cfg(target_arch = "x86_64")]
fn reads_tsc(source: &quanta::Clock) -> bool {
    (0..3).all(|_| {
        let before = tsc();
        let read = source.raw();
        (before..=tsc()).contains(&read)
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn reads_tsc(_: &quanta::Clock) -> bool {
    false
}
