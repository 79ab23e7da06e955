//! The unwinder that the library uses, `libgcc_s.so`, and a host that has another copy of it.
//!
//! A host that is linked with `-static-libgcc` and `-static-libstdc++` throws with its own copy. For
//! a frame of ours that copy asks Rust's personality routine, which answers through functions of
//! `libgcc_s.so`. These look a register's size up in a table that each copy of libgcc fills in
//! when it first unwinds, and end the process if it is empty.

use std::panic::{catch_unwind, resume_unwind};

/// Has the library's copy fill in its table, by unwinding one frame. No hook hears of it.
pub(crate) fn prepare() {
    let _ = catch_unwind(|| resume_unwind(Box::new(())));
}
