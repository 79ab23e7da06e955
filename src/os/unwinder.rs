//! The unwinder that the library uses, `libgcc_s.so`, and a host that has another copy of it.
//!
//! A host that is linked with `-static-libgcc` and `-static-libstdc++` throws with its own copy. For
//! a frame of ours that copy asks Rust's personality routine, which answers through functions of
//! `libgcc_s.so`. These look a register's size up in a table that each copy of libgcc fills in
//! when it first unwinds, and end the process if it is empty.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::{c_int, c_void};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Look = extern "C" fn(*mut c_void, *mut c_void) -> c_int;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn _Unwind_Backtrace(look: Look, with: *mut c_void) -> c_int;
    fn _Unwind_FindEnclosingFunction(address: *const c_void) -> *const c_void;
}

/// Has the library's copy fill in its table, by a look at one frame.
///
/// Nothing is thrown: a host may keep what it has loaded later from its unwinders, as Seastar does,
/// and a panic that finds no frame of ours ends the process. The look does so where the unwinder
/// does not find itself, so that is asked first.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn prepare() {
    extern "C" fn stop(_: *mut c_void, _: *mut c_void) -> c_int {
        const NORMAL_STOP: c_int = 4;
        NORMAL_STOP
    }
    let within = (_Unwind_Backtrace as *const c_void).wrapping_byte_add(1);
    // SAFETY: the first call searches tables for a function around the address; the second calls
    // `stop` with the first frame that it finds, and returns.
    unsafe {
        if !_Unwind_FindEnclosingFunction(within).is_null() {
            _Unwind_Backtrace(stop, std::ptr::null_mut());
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn prepare() {}
