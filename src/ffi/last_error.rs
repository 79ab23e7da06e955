//! What `signal_last_error` says, one text a thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

enum Text {
    Static(&'static CStr),
    Owned(CString),
}

thread_local! {
    static LAST: RefCell<Option<Text>> = const { RefCell::new(None) };
}

fn put(text: Option<Text>) {
    // At process exit the thread's storage may be gone, and a signal handler may
    // come while it is being written: then nobody reads it.
    let before = LAST.try_with(|last| {
        last.try_borrow_mut()
            .ok()
            .map(|mut last| std::mem::replace(&mut *last, text))
    });
    drop(before);
}

pub(super) fn set(message: String) {
    put(Some(Text::Owned(
        CString::new(message.replace('\0', " ")).unwrap_or_default(),
    )));
}

/// Takes no memory: for calls that are refused.
pub(super) fn set_static(message: &'static CStr) {
    put(Some(Text::Static(message)));
}

pub(super) fn clear() {
    put(None);
}

pub(super) fn get() -> *const c_char {
    LAST.try_with(|last| match last.try_borrow() {
        Ok(last) => match &*last {
            Some(Text::Static(text)) => text.as_ptr(),
            Some(Text::Owned(text)) => text.as_ptr(),
            None => std::ptr::null(),
        },
        Err(_) => std::ptr::null(),
    })
    .unwrap_or(std::ptr::null())
}
