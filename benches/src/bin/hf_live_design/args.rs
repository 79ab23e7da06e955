//! The bench's flags.

use clap::Parser;
use signal_bench::args::{Common, Subject, positive};
use signal_bench::machine::{self, Cores};

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

    /// The design's cores: those of `--lane-cores`. Where that is not given, the lane's and
    /// a second one, if one is free: `spin` has two threads that spin.
    pub fn design_cores(&self, cores: &Cores) -> Vec<usize> {
        let mut design = cores.lanes.clone();
        if self.common.lane_cores.is_empty() {
            let mut taken = cores.lanes.clone();
            taken.push(cores.host);
            design.extend(machine::another(&taken));
        }
        design
    }

    /// How often everything is measured in turn.
    pub fn repetitions(&self) -> usize {
        self.common.repetitions(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_core_is_taken_unless_cores_were_named() {
        let allowed = machine::allowed();
        let (host, lane) = (allowed[0], allowed[allowed.len() - 1]);
        let cores = Cores {
            host,
            lanes: vec![lane],
        };
        let named = Args::parse_from(["bench", "--lane-cores", &lane.to_string()]);
        assert_eq!(named.design_cores(&cores), [lane]);
        let chosen = Args::parse_from(["bench"]).design_cores(&cores);
        let third = allowed.iter().any(|core| ![host, lane].contains(core));
        assert_eq!(chosen.len(), 1 + usize::from(third));
        assert_eq!(chosen[0], lane);
        assert!(!chosen[1..].iter().any(|core| [host, lane].contains(core)));
    }
}
