//! Describes a panic on a thread of ours: one message, with its location, for the caller that asks.
//! It keeps the many lines of the standard hook off the host's stderr.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `catch_unwind` gives.
pub type Payload = Box<dyn Any + Send>;

thread_local! {
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Sets a hook that is silent about panics that we catch, and remembers their locations. Other
/// panics go to the previous hook. Only the first call has an effect; `more` says in which further
/// cases a panic is ours.
pub(crate) fn keep_quiet(more: fn() -> bool) {
    static SET: AtomicBool = AtomicBool::new(false);
    if SET.swap(true, Ordering::Relaxed) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let ours = QUIET.try_with(Cell::get).unwrap_or(false) || more();
        if !ours {
            return before(info);
        }
        let place = info
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let _ = LAST_PLACE.try_with(|last| *last.borrow_mut() = place);
    }));
}

/// Called on a thread that this library created: every panic on it is ours.
pub(crate) fn this_thread_is_ours() {
    let _ = QUIET.try_with(|quiet| quiet.set(true));
}

/// Makes this thread's part of the library's thread-local storage exist.
pub(crate) fn touch_storage() {
    let _ = QUIET.try_with(|quiet| std::hint::black_box(quiet.get()));
}

/// Runs `body`; a panic in it is ours.
pub(crate) fn quietly<R>(body: impl FnOnce() -> R) -> R {
    struct Loud(bool);
    impl Drop for Loud {
        fn drop(&mut self) {
            let _ = QUIET.try_with(|quiet| quiet.set(self.0));
        }
    }
    let _loud = Loud(QUIET.try_with(|quiet| quiet.replace(true)).unwrap_or(false));
    body()
}

/// Where this thread's last silenced panic happened, as `file:line`; returned only once.
pub(crate) fn last_panic_location() -> Option<String> {
    LAST_PLACE
        .try_with(|last| last.borrow_mut().take())
        .ok()
        .flatten()
}

/// A caught panic's message from [`describe`]; then the panic is [`discard`]ed.
pub(crate) fn told(panic: Payload) -> String {
    let message = describe(&*panic);
    discard(panic);
    message
}

/// Drops a panic's payload. A payload that is not text is leaked: it belongs to the code that
/// panicked, and dropping it might panic.
pub(crate) fn discard(panic: Payload) {
    if !panic.is::<&str>() && !panic.is::<String>() {
        std::mem::forget(panic);
    }
}

/// A caught panic's message, with its location if known: `index out of bounds
/// (src/models/x.rs:12)`. Call it on the thread that panicked.
pub(crate) fn describe(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    match last_panic_location() {
        Some(place) => format!("{message} ({place})"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn our_panics_have_a_place_and_it_is_told_once() {
        keep_quiet(|| false);
        let panic = catch_unwind(|| quietly(|| panic!("number {}", 7))).unwrap_err();
        let told = describe(&*panic);
        assert!(told.starts_with("number 7 (src/os/panic.rs:"), "{told}");
        assert_eq!(describe(&*panic), "number 7");
        assert!(!QUIET.get());
        let other = std::panic::catch_unwind(|| std::panic::panic_any(1)).unwrap_err();
        assert_eq!(describe(&*other), "a panic without a message");
    }

    #[test]
    fn threads_of_ours_are_quiet() {
        keep_quiet(|| false);
        let brief = crate::os::threads::Wanted::brief("signal-test");
        let told = crate::os::threads::spawn(brief, || {
            describe(&*catch_unwind(|| panic!("on a lane")).unwrap_err())
        });
        let told = told.unwrap().join().unwrap();
        assert!(told.starts_with("on a lane (src/os/panic.rs:"), "{told}");
    }
}
