//! The stages, as pure state machines: a message comes in, messages may go out.
//!
//! A stage knows nothing of threads, rings or clocks, so the same code runs
//! under every placement and in tests, which call it directly.
//!
//! | file | stage | takes | emits |
//! |---|---|---|---|
//! | `ingest` | decode, validate, intern | [`RawEvent`] | [`Event`] |
//! | `factor` | state per instrument, compute on a trigger | [`Event`] | [`FactorVector`] |
//! | `model` | run the models | [`FactorVector`] | [`Prediction`] |
//! | `egress` | number the signals | [`Prediction`] | [`Signal`] |
//! | `shards` | which of several factor stages keeps an instrument | | |
//!
//! [`RawEvent`]: crate::messages::RawEvent
//! [`Event`]: crate::messages::Event
//! [`FactorVector`]: crate::messages::FactorVector
//! [`Prediction`]: crate::messages::Prediction
//! [`Signal`]: crate::messages::Signal

mod egress;
mod factor;
mod ingest;
mod model;
mod shards;

pub use egress::{Egress, Sent};
pub use factor::{Applied, Factor, FactorPanic, Triggers};
pub use ingest::{Assets, Ingest, Refusal};
pub use model::{Callback, ModelPanic, ModelStage};
pub use shards::Shards;
