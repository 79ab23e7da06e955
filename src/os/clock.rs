//! Stamps in TSC ticks, through `quanta`; by system calls where the host has forbidden
//! the TSC.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use super::stderr::say;
use super::time;

/// The engine's clock: stamps in ticks, differences in nanoseconds.
///
/// With timing off it reads no hardware and every stamp is 0.
///
/// The thread that makes it decides for all: threads that it makes may read what it
/// may. A host that forbids the TSC later, on a thread that gives events or asks, ends
/// itself there.
#[derive(Clone, Debug)]
pub struct Clock {
    /// `None`: only the system call is allowed, and ticks are nanoseconds.
    source: Option<quanta::Clock>,
    tsc: bool,
    on: bool,
}

impl Clock {
    /// A clock. The first one in a process calibrates the TSC, which takes up
    /// to 200 ms.
    pub fn new(on: bool) -> Self {
        let source = may_read_tsc().then(quanta::Clock::new);
        let tsc = source.as_ref().is_some_and(reads_tsc);
        if source.is_none() {
            say_once_that_stamps_are_calls();
        }
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
        match &self.source {
            Some(source) => source.delta_as_nanos(start, end),
            None => end.saturating_sub(start),
        }
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

/// Whether the host lets the calling thread read the TSC (`PR_SET_TSC`): one that it
/// has forbidden to ends the process there. Where the kernel does not say, it may not.
pub(crate) fn may_read_tsc() -> bool {
    let mut word: libc::c_int = 0;
    // SAFETY: the call writes into `word` and asks for the calling thread alone.
    let known = unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut word, 0, 0, 0) } == 0;
    if known {
        return word == libc::PR_TSC_ENABLE;
    }
    // Elsewhere there may be no such thing to forbid.
    let error = std::io::Error::last_os_error().raw_os_error();
    cfg!(not(target_arch = "x86_64")) && error == Some(libc::EINVAL)
}

/// # Errors
///
/// A sentence that says that the calling thread has no clock at all.
pub(crate) fn check() -> Result<(), String> {
    match may_read_tsc() || time::nanos() > 0 {
        true => Ok(()),
        false => Err(
            "the TSC is forbidden on this thread (PR_SET_TSC) and so is the system call clock_gettime (a \
             sandbox): there is no clock; allow one of them"
                .into(),
        ),
    }
}

fn say_once_that_stamps_are_calls() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        say(
            "the TSC is forbidden on the thread that makes the handle (PR_SET_TSC), or the kernel does not \
             say: each stamp is a system call, some 100 ns more; allow it there before signal_create",
        );
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
