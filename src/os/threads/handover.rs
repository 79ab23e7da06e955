//! What a thread of ours gets after it has started, such as a file to write, and the
//! order to end. The thread waits for both without allocating: the host may have used up
//! its memory by then.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::os::parker::{Parker, Unparker};
use crate::os::time::Instant;

struct Shared<T> {
    /// From `Box::into_raw`, or null.
    given: AtomicPtr<T>,
    is_over: AtomicBool,
    /// It goes to another thread if a `T` may.
    _of: PhantomData<Mutex<T>>,
}

impl<T> Shared<T> {
    /// Puts `what` there, or nothing; what was there comes back.
    fn exchange(&self, what: Option<T>) -> Option<T> {
        let what = what.map_or(ptr::null_mut(), |what| Box::into_raw(Box::new(what)));
        let before = self.given.swap(what, Ordering::AcqRel);
        // SAFETY: what is there came from `Box::into_raw` above, and whoever swaps it out
        // is its one owner.
        (!before.is_null()).then(|| unsafe { *Box::from_raw(before) })
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.exchange(None);
    }
}

/// The side that made the thread.
pub(crate) struct Giver<T> {
    shared: Arc<Shared<T>>,
    wake: Unparker,
}

/// The thread's side.
pub(crate) struct Taker<T> {
    shared: Arc<Shared<T>>,
    parker: Parker,
}

/// Makes both sides.
pub(crate) fn handover<T>() -> (Giver<T>, Taker<T>) {
    let shared = Arc::new(Shared {
        given: AtomicPtr::new(ptr::null_mut()),
        is_over: AtomicBool::new(false),
        _of: PhantomData,
    });
    let parker = Parker::new();
    let giver = Giver {
        shared: shared.clone(),
        wake: parker.unparker(),
    };
    (giver, Taker { shared, parker })
}

impl<T> Giver<T> {
    /// Gives it to the thread, once.
    pub(crate) fn give(&self, what: T) {
        self.shared.exchange(Some(what));
        self.wake.unpark();
    }

    /// Tells the thread to end.
    pub(crate) fn end(&self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.wake.unpark();
    }
}

impl<T> Taker<T> {
    /// Waits for it; `None` if the thread was told to end before it came.
    pub(crate) fn take(&self) -> Option<T> {
        loop {
            // Before the look: it may be given and the end told at once.
            let is_over = self.is_over();
            let given = self.shared.exchange(None);
            if given.is_some() || is_over {
                return given;
            }
            self.parker.park();
        }
    }

    /// Whether the thread was told to end: all that was done before is seen then.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    /// Sleeps for this long, or until it is told to end.
    pub(crate) fn sleep(&self, longest: Duration) {
        self.parker.park_timeout(longest);
    }

    /// The same, until a moment.
    pub(crate) fn sleep_until(&self, deadline: Instant) {
        self.parker.park_deadline(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_before_the_end_and_the_end_without_it() {
        let (giver, taker) = handover();
        let thread = std::thread::spawn(move || {
            let got = taker.take();
            while !taker.is_over() {
                taker.sleep(Duration::from_secs(60));
            }
            got
        });
        giver.give(7);
        giver.end();
        assert_eq!(thread.join().unwrap(), Some(7));

        let (giver, taker) = handover::<u32>();
        giver.end();
        assert_eq!(taker.take(), None);
    }
}
