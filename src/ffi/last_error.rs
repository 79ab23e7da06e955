//! What `signal_last_error` says, one text a thread.
//!
//! A call that is refused may come from a signal handler, in the middle of
//! anything, on a thread that was never here before: it stores one pointer, takes
//! no memory and gives none back. The pointer lies in the thread's control block,
//! under a key of the system's; where the host has used up those that lie there,
//! in a table of our own.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::stderr;
use crate::os::this_thread::{self, Key};
use crate::sync::per_thread::{PerThread, Who};

use super::texts;
use crate::report::Text;

/// The text that had to be made, kept until the next one.
struct Made(RefCell<CString>);

impl Drop for Made {
    fn drop(&mut self) {
        // Calls may come later than a thread's storage goes, from `atexit`.
        if get() == self.0.get_mut().as_ptr() {
            clear();
        }
    }
}

thread_local! {
    // For calls that take memory anyway: its first use on a thread allocates.
    static MADE: Made = Made(RefCell::default());
}

static SAID: Key = Key::new(None);
/// Threads that can have a text at once where `SAID` is not in place.
const PLACES: usize = 1024;
static ELSEWHERE: PerThread<c_char, PLACES> = PerThread::new();
static IS_FULL: AtomicBool = AtomicBool::new(false);

fn me() -> Who {
    Who::new(this_thread::name(), this_thread::id())
}

fn say(text: *const c_char) {
    if let Some(said) = SAID.in_place() {
        said.set(text.cast());
        return;
    }
    let place = if text.is_null() {
        ELSEWHERE.find(me())
    } else {
        ELSEWHERE.claim(me(), this_thread::is_alive)
    };
    match place {
        Some(place) => place.store(text.cast_mut(), Ordering::Relaxed),
        None if text.is_null() => (),
        None => IS_FULL.store(true, Ordering::Relaxed),
    }
}

pub(super) fn set(message: String) {
    // Nobody reads it while the text is exchanged, nor if the storage is gone.
    say(null());
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    let kept = MADE.try_with(|made| {
        let mut made = made.0.try_borrow_mut().ok()?;
        let before = std::mem::replace(&mut *made, text);
        Some((made.as_ptr(), before))
    });
    if let Ok(Some((text, _before))) = kept {
        say(text);
    }
}

/// As [`set`], for a text that takes no memory: of limited length, each of a thread's
/// in place of the one before.
pub(super) fn write(text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) {
    clear();
    let Some(room) = texts::of_this_thread() else {
        return set_static(c"too many threads have asked: there is no room for the reason");
    };
    let mut into = Text::new(&room.bytes);
    // It takes whatever it is given.
    let _ = text(&mut into);
    into.end();
    say(room.bytes.as_ptr().cast());
}

/// For calls that are refused.
pub(super) fn set_static(message: &'static CStr) {
    say(message.as_ptr());
}

/// Writes this thread's text to stderr.
pub(super) fn print() {
    let text = get();
    if !text.is_null() {
        // SAFETY: what a thread has said is NUL-terminated, and stays until its next call.
        let text = unsafe { CStr::from_ptr(text) };
        stderr::say(text.to_str().unwrap_or_default());
    }
}

pub(super) fn clear() {
    say(null());
}

pub(super) fn get() -> *const c_char {
    const NO_PLACE: &CStr =
        c"more than 1024 threads of this process have had an error: what there was to say to this one, if anything, is lost";
    if let Some(said) = SAID.in_place() {
        return said.get().cast_const().cast();
    }
    match ELSEWHERE.find(me()) {
        Some(place) => place.load(Ordering::Relaxed),
        None if IS_FULL.load(Ordering::Relaxed) => NO_PLACE.as_ptr(),
        None => null(),
    }
}
