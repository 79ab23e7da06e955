//! Stamps in TSC ticks, through `quanta`, or by system calls where the host has forbidden the TSC or
//! replaced the C library's clock.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::stderr::say;
use super::time;
use super::tsc;

/// A span of ticks that is long enough to show `quanta`'s scale to the last bit: it calibrates over
/// far fewer.
const SPAN: u64 = 1 << 48;

/// The engine's clock: stamps in ticks, differences in nanoseconds.
///
/// With timing off it reads no hardware and every stamp is 0.
///
/// The thread that creates the clock decides for all. If a host forbids the TSC later, on a thread
/// that passes events or polls, that thread ends the process: a check in each call would be a
/// system call.
#[derive(Clone, Debug)]
pub struct Clock {
    /// `None`: only the system call is allowed, and a tick is a nanosecond.
    source: Option<quanta::Clock>,
    /// Nanoseconds that [`SPAN`] ticks take.
    span_nanos: u64,
    tsc: bool,
    on: bool,
}

impl Clock {
    /// Creates a clock. The first one in a process calibrates the TSC, which takes up to 200 ms.
    pub fn new(on: bool) -> Self {
        let source = (tsc::may_read() && is_systems_own()).then(quanta::Clock::new);
        let tsc = source.as_ref().is_some_and(reads_tsc);
        let span_nanos = match &source {
            Some(source) => source.delta_as_nanos(0, SPAN),
            None => {
                say_once_that_stamps_are_calls(tsc::may_read());
                SPAN
            }
        };
        Self {
            source,
            span_nanos,
            tsc,
            on,
        }
    }

    /// Whether stamps are taken.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether [`now`](Self::now) reads the TSC, and so is no system call.
    #[inline]
    pub fn reads_tsc(&self) -> bool {
        self.tsc
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
            return read_tsc();
        }
        self.now_without_tsc()
    }

    #[cold]
    fn now_without_tsc(&self) -> u64 {
        match &self.source {
            Some(source) => source.raw(),
            None => time::nanos(),
        }
    }

    /// Nanoseconds from one stamp to a later one; 0 if `end` is not later.
    #[inline]
    pub fn nanos(&self, start: u64, end: u64) -> u64 {
        let ticks = u128::from(end.saturating_sub(start));
        ((ticks * u128::from(self.span_nanos)) >> SPAN.trailing_zeros()) as u64
    }

    /// Ticks in `nanos`, at least 1.
    pub fn ticks(&self, nanos: u64) -> u64 {
        let ticks = u128::from(nanos) * u128::from(SPAN) / u128::from(self.span_nanos.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    /// What one stamp costs, in ns: the lowest mean of several rounds, so that an interruption does
    /// not count as cost. Takes well under a millisecond.
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

/// # Errors
///
/// A sentence that says that the calling thread has no clock at all.
pub(crate) fn check() -> Result<(), String> {
    match tsc::may_read() || time::nanos() > 0 {
        true => Ok(()),
        false => Err(
            "the TSC is forbidden on this thread (PR_SET_TSC) and so is the system call clock_gettime (a \
             sandbox): there is no clock; allow one of them"
                .into(),
        ),
    }
}

fn say_once_that_stamps_are_calls(may_read: bool) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let (why, cure) = match may_read {
        false => (
            "the TSC is forbidden on the thread that makes the handle (PR_SET_TSC), or the kernel does \
             not say",
            "allow it there before signal_create",
        ),
        true => (
            "clock_gettime does not tell the system's time: something in this process has replaced it",
            "load no such library (LD_PRELOAD)",
        ),
    };
    say(&format!(
        "{why}: each clock reading is a system call, which takes some 100 ns more; {cure}"
    ));
}

/// Whether the C library's clock, by which `quanta` calibrates, is the system's. One that
/// has taken its place, as for tests at another time, may stand still, so that
/// calibration never ends, or leap.
fn is_systems_own() -> bool {
    const ROUNDS: usize = 4;
    const APART_NANOS: u64 = 50_000;
    const SLACK_NANOS: u64 = 10_000;
    /// As many as take that long at least, if the time moves.
    const LOOKS: usize = 10_000;
    const NOT_YET: u8 = 0;
    const OWN: u8 = 1;
    const OTHER: u8 = 2;
    static KNOWN: AtomicU8 = AtomicU8::new(NOT_YET);
    let known = KNOWN.load(Ordering::Relaxed);
    if known != NOT_YET {
        return known == OWN;
    }
    let is_own = (0..ROUNDS).all(|_| {
        let start = time::nanos();
        let _ = (0..LOOKS).any(|_| time::nanos().saturating_sub(start) >= APART_NANOS);
        let before = time::nanos();
        let told = time::library_nanos().saturating_add(SLACK_NANOS);
        (before..=time::nanos() + 2 * SLACK_NANOS).contains(&told)
    });
    KNOWN.store(if is_own { OWN } else { OTHER }, Ordering::Relaxed);
    is_own
}

/// Reads the TSC, like `quanta`, whose call is not inlined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read_tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Whether `quanta` has found the TSC usable as a clock, and reads it.
#[cfg(target_arch = "x86_64")]
fn reads_tsc(source: &quanta::Clock) -> bool {
    (0..3).all(|_| {
        let before = read_tsc();
        let read = source.raw();
        (before..=read_tsc()).contains(&read)
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn reads_tsc(_: &quanta::Clock) -> bool {
    false
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_those_of_quanta() {
        let clock = Clock::new(true);
        let Some(source) = &clock.source else {
            return;
        };
        for ticks in [0, 1, 7, 1000, 123_456_789, 1 << 40, (1 << 50) + 12_345] {
            for start in [0, 5, 1 << 52] {
                let (quanta, ours) = (
                    source.delta_as_nanos(start, start + ticks),
                    clock.nanos(start, start + ticks),
                );
                assert_eq!(ours, quanta, "{ticks} ticks");
            }
        }
        assert_eq!(clock.nanos(2, 1), 0);
        let ticks = clock.ticks(1_000_000);
        assert!((999_999..=1_000_000).contains(&clock.nanos(0, ticks)));
    }
}
