//! The bench's flags.

use std::path::PathBuf;

use clap::Parser;
use signal_bench::args::{Common, Subject};

/// What a tick costs from signal_on_data to the callback.
#[derive(Debug, Parser)]
#[command(name = "tick_to_callback")]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub subject: Subject,
    /// Trips a repetition and measurement, at least 1000 [default: 200000]
    #[arg(long, value_name = "N", value_parser = iterations)]
    pub iterations: Option<usize>,
    /// Pause before each trip, nanoseconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gap_ns: u64,
    /// A second libsignal.so, measured in turn with the first
    #[arg(long, value_name = "PATH")]
    pub against: Option<PathBuf>,
}

impl Args {
    /// Trips a repetition and measurement.
    pub fn iterations(&self) -> usize {
        let default = self.common.pick(200_000, 20_000);
        self.iterations.unwrap_or(default)
    }

    /// How often everything is measured in turn.
    pub fn repetitions(&self) -> usize {
        self.common.repetitions(7)
    }
}

fn iterations(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1000 => Ok(number),
        Ok(_) => Err("at least 1000".to_owned()),
        Err(_) => Err("a whole number is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_iterations_are_refused() {
        let parse = |number| Args::try_parse_from(["t", "--iterations", number]);
        let error = parse("999").unwrap_err().to_string();
        assert!(error.contains("--iterations") && error.contains("at least 1000"));
        assert_eq!(parse("1000").unwrap().iterations(), 1000);
    }
}
