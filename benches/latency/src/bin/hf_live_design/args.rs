//! The bench's flags.

use clap::Parser;
use latency_bench::args::{Common, Subject, positive};

/// Tick to callback of the design that the library replaces, beside the library.
#[derive(Debug, Parser)]
#[command(name = "hf_live_design")]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub subject: Subject,
    /// Trips a repetition of the library and of settings that spin; a fiftieth of it
    /// where they sleep [default: 100000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub iterations: Option<usize>,
}

impl Args {
    /// Trips a repetition.
    pub fn iterations(&self) -> usize {
        self.iterations.unwrap_or(self.common.pick(100_000, 4_000))
    }

    /// How often everything is measured in turn.
    pub fn repetitions(&self) -> usize {
        self.common.repetitions(5)
    }
}
