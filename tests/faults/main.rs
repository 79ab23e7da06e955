//! Factor sets, models and lanes that fail, through the crate's own API.
//!
//! No test here may call the C ABI. It sets a panic hook for the whole process, which adds
//! the place of a panic to what is reported (`tests/handles_that_fail.rs`).

mod failed_engine;
mod health;
mod quarantine;
