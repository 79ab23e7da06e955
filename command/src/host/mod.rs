//! Drives `libsignal.so` as a foreign host does.
//!
//! | module | what |
//! |---|---|
//! | [`bindings`] | the C ABI, and how a host loads it |
//! | [`library`] | a library and its handles, with a safe interface |

pub mod bindings;
pub mod library;
#[cfg(test)]
mod library_tests;
