//! The bench's flags.

use std::path::Path;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use signal_bench::args::{Common, Pace, Subject, positive};
use signal_bench::machine::Cores;
use signal_bench::workload;

/// How long a Depth takes from when it was meant to be sent, at fixed rates.
///
/// Without --rate the highest sustained rate is looked for, and 10 % to 100 % of it are
/// measured.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub subject: Subject,
    #[command(flatten)]
    pub pace: Pace,
    /// Instruments, in turn
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = positive)]
    pub instruments: usize,
    /// Trades of the same instrument sent before each Depth; they are not in the rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub trades: usize,
    /// Messages that the rings from and to the host hold [default: the library's]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub ring: Option<usize>,
    /// Factors and model
    #[arg(long, value_name = "SET", value_enum, default_value_t = Set::Market)]
    pub set: Set,
}

/// Factors and model to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Set {
    /// Factor set and model `test0000`.
    #[value(name = "test0000")]
    Test0000,
    /// Factor set `market`, a linear model.
    Market,
}

impl Args {
    /// Length of one rate in one repetition.
    pub fn duration(&self) -> Duration {
        let default = self
            .common
            .pick(Duration::from_millis(500), Duration::from_millis(50));
        self.pace.duration.unwrap_or(default)
    }

    /// Length of one trial in the search for saturation.
    pub fn trial(&self) -> Duration {
        self.duration().min(Duration::from_millis(200))
    }

    /// How often every rate is measured in turn.
    pub fn repetitions(&self) -> usize {
        self.common.repetitions(5)
    }

    /// The library's configuration: timing on, a table for all instruments.
    pub fn config(&self, cores: &Cores, model: &Path) -> Value {
        let mut config =
            workload::config(&self.subject.placement, self.subject.shards, cores, true);
        config["instruments"]["max"] = self.instruments.into();
        if let Some(ring) = self.ring {
            config["rings"] = json!({ "ingest": ring, "egress": ring });
        }
        match self.set {
            Set::Test0000 => config,
            Set::Market => workload::market(config, model),
        }
    }
}
