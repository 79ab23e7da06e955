//! The time off the hot path: always read by a system call.
//!
//! The C library's `clock_gettime`, and with it everything in the standard library that waits until
//! a point in time, reads the TSC in the host's process (the vDSO). If the host has forbidden that
//! instruction on a thread (`PR_SET_TSC`), this ends the process. The system call works on every
//! thread, so no check is needed first; it takes some 100 ns more.

use std::mem::MaybeUninit;
use std::ops::{Add, AddAssign};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::interrupted::{done, unless_interrupted};
use crate::sync::slack::Punctual;

/// A point in time, like the standard library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    /// The current time.
    pub(crate) fn now() -> Self {
        Self(ask(libc::CLOCK_MONOTONIC))
    }

    /// The time when the machine was started.
    #[cfg(test)]
    pub(crate) fn long_ago() -> Self {
        Self(Duration::ZERO)
    }

    /// The time since then.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// The time from an earlier point to this one; zero if that one is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

/// The date and time of day.
pub(crate) fn wall_clock() -> SystemTime {
    UNIX_EPOCH + ask(libc::CLOCK_REALTIME)
}

/// Nanoseconds of a clock that never goes back.
#[inline]
pub(super) fn nanos() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    now.as_secs() * 1_000_000_000 + u64::from(now.subsec_nanos())
}

/// Waits for so long, on any thread: also on one that the host lets oversleep.
pub(crate) fn sleep(time: Duration) {
    let _punctual = Punctual::new();
    nap(time);
}

/// [`sleep`] for threads of this library, which never oversleep. The standard library's `sleep`
/// panics where a sandbox refuses `clock_nanosleep`; this one then takes `nanosleep`, which older C
/// libraries used, and where that is refused too, gives way once.
pub(crate) fn nap(time: Duration) {
    let mut left = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    let left = &raw mut left;
    let from_now = 0;
    // SAFETY: both calls read the time that `left` points to, and write into it what is
    // left of it when a signal's handler has interrupted them.
    let slept = unsafe {
        let asked = unless_interrupted(|| {
            done(libc::syscall(
                libc::SYS_clock_nanosleep,
                libc::CLOCK_MONOTONIC,
                from_now,
                left,
                left,
            ))
        });
        let nanosleep = || done(libc::syscall(libc::SYS_nanosleep, left, left));
        asked.or_else(|_| unless_interrupted(nanosleep))
    };
    if slept.is_err() {
        std::thread::yield_now();
    }
}

/// [`nanos`] by the C library, which what is loaded before it may have replaced. Only
/// where the TSC may be read.
pub(super) fn library_nanos() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is a valid place for the answer, and all zeros is a valid one.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}

#[inline]
fn ask(clock: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is a valid place for the answer, and all zeros is a valid value.
    let time = unsafe {
        let refused = libc::syscall(libc::SYS_clock_gettime, clock, time.as_mut_ptr()) != 0;
        if refused && super::tsc::may_read() {
            // A sandbox may refuse this system call, because its author has only seen the vDSO
            // answer it.
            libc::clock_gettime(clock, time.as_mut_ptr());
        }
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_standard_library() {
        let (before, date) = (std::time::Instant::now(), SystemTime::now());
        let start = Instant::now();
        sleep(Duration::from_millis(2));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(2) && took <= before.elapsed());
        let later = wall_clock().duration_since(date).unwrap();
        assert!(later < before.elapsed() + Duration::from_secs(1));
    }

    #[test]
    fn what_is_not_earlier_is_no_time_ago() {
        let now = Instant::now();
        let later = now + Duration::from_secs(7);
        assert_eq!(now.since(later), Duration::ZERO);
        assert_eq!(later.since(now), Duration::from_secs(7));
        assert!(now + Duration::MAX > later);
    }
}
