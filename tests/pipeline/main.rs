//! Engines fed through the crate's own API: what they compute, in which order, and
//! what becomes of what does not fit.
//!
//! Several run at once and take each other's cores. `tests/delivery.rs` is a program
//! of its own because it measures how long an engine is waited for.

mod batch;
mod computing;
mod dynamic_sets;
mod factors;
mod markers;
mod model_lanes;
mod overload;
mod promises;
mod quoted;
mod report;
mod shards;
mod stateful_models;
