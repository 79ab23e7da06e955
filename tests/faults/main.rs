//! Factor sets, models and lanes that fail, through the crate's own API.
//!
//! No test here may call the C ABI: it sets a panic hook for the whole process, and
//! what is told of a panic then names its place (`tests/handles_that_fail.rs`).

mod failed_engine;
mod health;
mod quarantine;
