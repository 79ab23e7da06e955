//! Engines fed through the crate's own API: what they compute, in which order, and what
//! happens to events and signals that do not fit.
//!
//! Several run at once and take each other's cores. `tests/delivery.rs` is a separate
//! program, because it measures how long a call waits for an engine.

mod batch;
mod computing;
mod dynamic_sets;
mod factors;
mod markers;
mod max_age;
mod model_lanes;
mod overload;
mod promises;
mod quoted;
mod rehearsal;
mod report;
mod shards;
mod slow_signals;
mod stateful_models;
mod timing_metadata;
