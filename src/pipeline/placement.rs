//! Placement: which stages share a lane.

use std::fmt;

use crate::stages::{Shards, Stage};

/// Which stages share a lane.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// `fused`. On a single core its lane parks instead of spinning.
    #[default]
    Auto,
    /// No lane: the host's thread runs all stages inside `on_data`.
    Inline,
    /// One lane for all stages. With several shards: one for ingest, one per shard for factor
    /// and model, one for egress.
    Fused,
    /// One lane per stage. With several shards, each has a lane for factor and one for model.
    Split,
    /// Lanes as listed: each stage once, in the order of the path. Egress may be omitted and
    /// then runs on the last lane. The model stage may have several lanes of its own, which
    /// share out the models; egress then has its own lane.
    Lanes(Vec<Vec<Stage>>),
}

impl Placement {
    /// Number of lanes; an upper bound with several shards. 0 shards count as 1.
    pub fn lanes(&self, shards: usize) -> usize {
        let once = match self {
            Placement::Inline => return 0,
            Placement::Auto | Placement::Fused if shards > 1 => 3,
            Placement::Auto | Placement::Fused => 1,
            Placement::Split => Stage::ALL.len(),
            Placement::Lanes(lanes) => lanes.len(),
        };
        // All lanes are repeated except those of ingest and egress.
        once + once.saturating_sub(2) * shards.saturating_sub(1)
    }

    /// Rings between lanes; an upper bound with several shards. 0 shards count as 1.
    pub fn rings(&self, shards: usize) -> usize {
        let lanes = self.lanes(shards);
        match shards {
            // One ring leads to each lane except ingest's.
            0 | 1 => lanes.saturating_sub(1),
            // One ring leads to each shard's lanes, and one from each shard to egress.
            _ => lanes.saturating_sub(2) + shards,
        }
    }

    /// Lanes that share out the models; 1 if the model stage is not repeated.
    pub fn model_lanes(&self) -> usize {
        let Placement::Lanes(lanes) = self else {
            return 1;
        };
        let alone = lanes.iter().filter(|lane| lane[..] == [Stage::Model]);
        alone.count().max(1)
    }
}

impl Placement {
    /// Checks that there can be `shards` copies of the lanes for factor and model.
    ///
    /// # Errors
    ///
    /// A sentence with the field, its value and what was expected.
    pub fn check_shards(&self, shards: usize) -> Result<(), String> {
        if !(1..=Shards::MAX).contains(&shards) {
            return Err(format!("shards: {shards}; expected 1 to {}", Shards::MAX));
        }
        let wrong = |why: &str| {
            Err(format!(
                "shards: {shards} with placement {self}, {why}; expected fused, split, auto, \
                 or lanes with ingest and egress on lanes of their own and one lane for model"
            ))
        };
        match self {
            _ if shards == 1 => Ok(()),
            Placement::Inline => wrong("which has no lanes to repeat"),
            Placement::Lanes(_) if self.model_lanes() > 1 => {
                wrong("where lanes divide the models among them already")
            }
            Placement::Lanes(lanes) => {
                let alone =
                    |lane: Option<&Vec<Stage>>, stage| lane.is_some_and(|lane| lane[..] == [stage]);
                match alone(lanes.first(), Stage::Ingest) && alone(lanes.last(), Stage::Egress) {
                    true => Ok(()),
                    false => wrong("where ingest or egress shares a lane"),
                }
            }
            Placement::Auto | Placement::Fused | Placement::Split => Ok(()),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::Auto => f.write_str("auto"),
            Placement::Inline => f.write_str("inline"),
            Placement::Fused => f.write_str("fused"),
            Placement::Split => f.write_str("split"),
            Placement::Lanes(lanes) => {
                let lanes: Vec<String> = lanes
                    .iter()
                    .map(|lane| {
                        let names: Vec<_> = lane.iter().map(|stage| stage.name()).collect();
                        names.join("+")
                    })
                    .collect();
                f.write_str(&lanes.join(" | "))
            }
        }
    }
}
