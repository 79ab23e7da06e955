//! The stages, as pure state machines: a message comes in, messages may go out.
//!
//! A stage knows nothing of threads, rings or clocks. The same code runs under every
//! placement and in tests, which call it directly.
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

use serde::{Deserialize, Serialize};

mod egress;
mod factor;
mod ingest;
mod model;
mod shards;

pub use egress::{Egress, Sent};
pub use factor::{Applied, Factor, FactorPanic, Triggers};
pub use ingest::{Assets, Ingest, Limits, Naming, Notice, Refusal, Rules, SymbolStyle};
pub use model::{Callback, ModelPanic, ModelStage, PanicPlace};
pub use shards::Shards;

/// A stage, in the order of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Decode, validate, intern.
    Ingest,
    /// Compute factors.
    Factor,
    /// Run the model.
    Model,
    /// Number the signals.
    Egress,
}

impl Stage {
    /// All stages, in the order of the path.
    pub const ALL: [Stage; 4] = [Stage::Ingest, Stage::Factor, Stage::Model, Stage::Egress];

    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Factor => "factor",
            Stage::Model => "model",
            Stage::Egress => "egress",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::messages::Names;

    #[test]
    fn a_stage_has_the_name_that_configurations_give_it() {
        for stage in Stage::ALL {
            assert_eq!(serde_json::json!(stage), stage.name());
        }
    }

    #[test]
    fn what_is_printed_of_a_stage_names_it_and_its_size() {
        let names = Arc::new(Names::new(1));
        let ingest = Ingest::new(5, names.clone(), Rules::default());
        let factor = Factor::new(Vec::new(), None, Triggers::new(&[]), names, 1);
        let egress = Egress::conflating(1, 1, 1);
        assert!(format!("{ingest:?}").starts_with("Ingest { levels: 5, instruments: 0"));
        assert!(format!("{factor:?}").starts_with("Factor { sets: 0, width: 0"));
        assert!(format!("{egress:?}").starts_with("Egress { last: 0, held: 0"));
    }
}
