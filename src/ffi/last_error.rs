//! What `signal_last_error` says, one text a thread.
//!
//! A call that is refused may come from a signal handler, in the middle of
//! anything: it stores one pointer, takes no memory and gives none back.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr::null;

use super::texts;
use crate::report::Text;

/// The text that had to be made, kept until the next one.
struct Made(RefCell<CString>);

impl Drop for Made {
    fn drop(&mut self) {
        // Calls may come later than a thread's storage goes, from `atexit`.
        if SAID.get() == self.0.get_mut().as_ptr() {
            SAID.set(null());
        }
    }
}

thread_local! {
    // Nothing to drop: its first use registers no destructor, which would allocate.
    static SAID: Cell<*const c_char> = const { Cell::new(null()) };
    static MADE: Made = Made(RefCell::default());
}

pub(super) fn set(message: String) {
    // Nobody reads it while the text is exchanged, nor if the storage is gone.
    SAID.set(null());
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    let kept = MADE.try_with(|made| {
        let mut made = made.0.try_borrow_mut().ok()?;
        let before = std::mem::replace(&mut *made, text);
        Some((made.as_ptr(), before))
    });
    if let Ok(Some((text, _before))) = kept {
        SAID.set(text);
    }
}

/// As [`set`], for a text that takes no memory: of limited length, each of a thread's
/// in place of the one before.
pub(super) fn write(text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) {
    SAID.set(null());
    let Some(room) = texts::of_this_thread() else {
        return set_static(c"too many threads have asked: there is no room for the reason");
    };
    let mut into = Text::new(&room.bytes);
    // It takes whatever it is given.
    let _ = text(&mut into);
    into.end();
    SAID.set(room.bytes.as_ptr().cast());
}

/// For calls that are refused.
pub(super) fn set_static(message: &'static CStr) {
    SAID.set(message.as_ptr());
}

pub(super) fn clear() {
    SAID.set(null());
}

pub(super) fn get() -> *const c_char {
    SAID.get()
}
