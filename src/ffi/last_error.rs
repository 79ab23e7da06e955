//! What `signal_last_error` says, one text per thread.
//!
//! A refused call may come from a signal handler that interrupted any code, on a thread that has
//! never called before. So it stores one pointer, and neither allocates nor frees. The pointer is
//! in the thread's control block, under a pthread key. If the host has used up the keys that lie
//! there, it is in a table of our own.

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

/// A text that had to be allocated, kept until the next one.
struct Made(RefCell<CString>);

impl Drop for Made {
    fn drop(&mut self) {
        // Calls may come after the thread's storage is gone, from `atexit`.
        if get() == self.0.get_mut().as_ptr() {
            clear();
        }
    }
}

thread_local! {
    // For calls that allocate anyway: its first use on a thread allocates.
    static MADE: Made = Made(RefCell::default());
}

static SAID: Key = Key::new(None);
/// Maximum number of threads with a text at once, if `SAID` is not in the control block.
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
    // So that nobody reads the old text while it is replaced, nor if the storage is gone.
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

/// As [`set`], but without allocating: the text has a limited length and replaces the thread's
/// previous one.
pub(super) fn write(text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) {
    clear();
    let Some(room) = texts::of_this_thread() else {
        return set_static(texts::NO_ROOM);
    };
    let mut into = Text::new(&room.bytes);
    // Writing never fails: `into` truncates.
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
        // SAFETY: a thread's text is NUL-terminated, and stays until its next call.
        let text = unsafe { CStr::from_ptr(text) };
        stderr::say(text.to_str().unwrap_or_default());
    }
}

pub(super) fn clear() {
    say(null());
}

pub(super) fn get() -> *const c_char {
    const NO_PLACE: &CStr =
        c"more than 1024 threads of this process have had an error: the message for this one, if there was any, is lost";
    if let Some(said) = SAID.in_place() {
        return said.get().cast_const().cast();
    }
    match ELSEWHERE.find(me()) {
        Some(place) => place.load(Ordering::Relaxed),
        None if IS_FULL.load(Ordering::Relaxed) => NO_PLACE.as_ptr(),
        None => null(),
    }
}
