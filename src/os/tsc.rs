//! Whether a thread may read the TSC: the host may have forbidden it (`PR_SET_TSC`), and a thread
//! that reads it anyway ends the process.
//!
//! A new thread inherits this from its creator, so an engine's threads are like the thread that
//! creates the engine. On other threads, such as a host thread that asks for the health of an older
//! engine, the TSC is allowed while our code runs.

use super::this_thread::Key;

/// Whether the calling thread may read the TSC. False if the kernel does not say.
pub(crate) fn may_read() -> bool {
    ask() == Some(true)
}

/// `None` if the kernel does not say. `errno` stays as it is.
fn ask() -> Option<bool> {
    let mut word: libc::c_int = 0;
    // SAFETY: the call writes into `word` and reads only the calling thread's state; `errno` is
    // this thread's own word.
    let error = unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let known = libc::prctl(libc::PR_GET_TSC, &raw mut word, 0, 0, 0) == 0;
        let error = (!known).then_some(*errno);
        *errno = before;
        error
    };
    match error {
        None => Some(word == libc::PR_TSC_ENABLE),
        // Other architectures may have no such setting.
        Some(libc::EINVAL) if cfg!(not(target_arch = "x86_64")) => Some(true),
        Some(_) => None,
    }
}

fn set(what: libc::c_int) -> bool {
    // SAFETY: the call changes only the calling thread; that thread reads the TSC only in ways that
    // the host has chosen, and here.
    unsafe { libc::prctl(libc::PR_SET_TSC, what, 0, 0, 0) == 0 }
}

/// Until this is dropped, the calling thread may read the TSC, if the system allows it.
#[derive(Debug)]
pub(crate) struct Allowed {
    was_forbidden: bool,
}

impl Allowed {
    pub(crate) fn new() -> Self {
        let is_forbidden = ask() == Some(false);
        Self {
            was_forbidden: is_forbidden && set(libc::PR_TSC_ENABLE),
        }
    }

    /// As [`new`](Self::new), for functions that may be called often, also from a signal handler: a
    /// thread that was once found to be allowed is not asked again, because asking is a system
    /// call.
    pub(crate) fn as_before() -> Self {
        static FOUND: Key = Key::new(None);
        const ALLOWED: usize = 1;
        let found = FOUND.in_place();
        if found.is_some_and(|found| found.get().addr() == ALLOWED) {
            return Self {
                was_forbidden: false,
            };
        }
        let allowed = Self::new();
        // Not where it is forbidden and stays so.
        if let Some(found) = found.filter(|_| !allowed.was_forbidden && may_read()) {
            found.set(std::ptr::without_provenance(ALLOWED));
        }
        allowed
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        if self.was_forbidden {
            set(libc::PR_TSC_SIGSEGV);
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;
    use crate::os::clock::Clock;

    /// Runs each test on a thread of its own, with the same permission as this one.
    fn on_a_thread(body: fn()) {
        std::thread::spawn(body).join().unwrap();
    }

    #[test]
    fn what_is_forbidden_is_allowed_meanwhile() {
        on_a_thread(|| {
            drop(Allowed::new());
            assert!(may_read());
            assert!(set(libc::PR_TSC_SIGSEGV));
            assert!(!may_read());
            let allowed = Allowed::new();
            assert!(may_read());
            drop(Allowed::new());
            assert!(may_read());
            drop(allowed);
            assert!(!may_read());
        });
    }

    #[test]
    fn a_thread_is_asked_until_it_was_found_to_be_allowed() {
        on_a_thread(|| {
            assert!(set(libc::PR_TSC_SIGSEGV));
            for _ in 0..2 {
                let allowed = Allowed::as_before();
                assert!(may_read());
                drop(allowed);
                assert!(!may_read());
            }
            assert!(set(libc::PR_TSC_ENABLE));
            drop(Allowed::as_before());
            assert!(set(libc::PR_TSC_SIGSEGV));
            let allowed = Allowed::as_before();
            assert!(!may_read());
            drop(allowed);
        });
    }

    #[test]
    fn a_clock_without_the_tsc_counts_nanoseconds_by_calls() {
        on_a_thread(|| {
            assert!(set(libc::PR_TSC_SIGSEGV));
            let clock = Clock::new(true);
            let (start, began) = (clock.stamp(), crate::os::time::Instant::now());
            std::thread::sleep(std::time::Duration::from_millis(2));
            let took = clock.nanos(start, clock.now());
            assert!(took >= 2_000_000 && u128::from(took) <= 2 * began.elapsed().as_nanos());
            assert_eq!(clock.ticks(1_000_000), 1_000_000);
            assert!(clock.stamp_cost_ns() > 0.0);
        });
    }
}
