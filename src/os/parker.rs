//! A thread that sleeps until it is woken, or until a time limit.
//!
//! The standard library's `park_timeout` sleeps until a point in time, and reads the current time
//! in a way that may be forbidden: see [`super::time`]. This one gives the kernel a duration.

use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::time::Instant;

const ASLEEP_OR_BUSY: u32 = 0;
const WOKEN: u32 = 1;

/// The sleeping side.
#[derive(Debug)]
pub(crate) struct Parker {
    word: Word,
}

/// The waking side.
#[derive(Clone, Debug)]
pub(crate) struct Unparker {
    word: Word,
}

#[derive(Clone, Debug)]
enum Word {
    Shared(Arc<AtomicU32>),
    Static(&'static AtomicU32),
}

impl Deref for Word {
    type Target = AtomicU32;

    fn deref(&self) -> &AtomicU32 {
        match self {
            Self::Shared(word) => word,
            Self::Static(word) => word,
        }
    }
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            word: Word::Shared(Arc::default()),
        }
    }

    /// Over a word that is 0 at first, for a static: nothing is made when it is first used.
    pub(crate) const fn over(word: &'static AtomicU32) -> Self {
        Self {
            word: Word::Static(word),
        }
    }

    pub(crate) fn unparker(&self) -> Unparker {
        Unparker {
            word: self.word.clone(),
        }
    }

    /// Sleeps for `longest`, or until it is woken; not at all if it was woken since the last sleep.
    /// It may return early.
    pub(crate) fn park_timeout(&self, longest: Duration) {
        if self.word.swap(ASLEEP_OR_BUSY, Ordering::Acquire) == WOKEN {
            return;
        }
        let longest = libc::timespec {
            tv_sec: libc::time_t::try_from(longest.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: longest.subsec_nanos().into(),
        };
        // SAFETY: the word lives as long as `self`; the call reads it and the time, and sleeps only
        // if this thread has not been woken in the meantime.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                ASLEEP_OR_BUSY,
                ptr::from_ref(&longest),
            );
        }
        self.word.swap(ASLEEP_OR_BUSY, Ordering::Acquire);
    }

    /// Sleeps until it is woken. It may return early.
    pub(crate) fn park(&self) {
        self.park_timeout(Duration::MAX);
    }

    /// As [`park_timeout`](Self::park_timeout), until `deadline`.
    pub(crate) fn park_deadline(&self, deadline: Instant) {
        self.park_timeout(deadline.since(Instant::now()));
    }
}

impl Unparker {
    /// Wakes the other side, or prevents its next sleep.
    pub(crate) fn unpark(&self) {
        self.word.store(WOKEN, Ordering::Release);
        // SAFETY: the word lives as long as `self`; the call wakes the thread that sleeps on it.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_woken_before_does_not_sleep_and_only_once() {
        let parker = Parker::new();
        parker.unparker().unpark();
        let start = Instant::now();
        parker.park_timeout(Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
        let start = Instant::now();
        parker.park_timeout(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
        // A deadline that has passed.
        parker.park_deadline(start);
    }

    #[test]
    fn who_sleeps_is_woken() {
        let parker = Parker::new();
        let unparker = parker.unparker();
        let start = Instant::now();
        let waker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            unparker.unpark();
        });
        parker.park_deadline(start + Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
        waker.join().unwrap();
    }
}
