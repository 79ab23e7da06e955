//! Flags that mean the same in every bench. Flatten what a bench needs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::machine::Cores;
use crate::workload;

/// Where to measure, how often, and where the result goes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Core of the calling thread [default: the last allowed one that is left]
    #[arg(long, alias = "core", value_name = "N")]
    pub host_core: Option<usize>,
    /// Cores of the lanes, one a lane; an echo or receiving thread uses the first [default: the
    /// last allowed core]
    #[arg(long, value_name = "N[,M]", value_delimiter = ',')]
    pub lane_cores: Vec<usize>,
    /// How often everything is measured in turn [default: 5 to 9; 3 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub repetitions: Option<usize>,
    /// Write the result there: every repetition's figures, the flags, git's revision of the
    /// sources, the machine's facts
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Few, short repetitions, each measured once: does it run, not how fast
    #[arg(long)]
    pub quick: bool,
}

impl Common {
    /// The flag's repetitions, else few for `--quick`, else `default`.
    pub fn repetitions(&self, default: usize) -> usize {
        self.or(self.repetitions, default, 3)
    }

    /// What a flag gave, else one of two defaults: the second for `--quick`.
    pub fn or<T>(&self, given: Option<T>, full: T, quick: T) -> T {
        given.unwrap_or(if self.quick { quick } else { full })
    }
}

#[derive(Args, Clone, Debug)]
pub struct Lib {
    /// libsignal.so to measure [default: SIGNAL_LIB_PATH, else the one built with this program]
    #[arg(long, value_name = "PATH")]
    pub lib: Option<PathBuf>,
}

/// What is measured, where that is the library in a placement of one's choice.
#[derive(Args, Clone, Debug)]
pub struct Subject {
    /// fused, split, inline, auto, or lanes such as [["ingest"],["factor","model"]]; more lanes
    /// need more --lane-cores
    #[arg(long, value_name = "P", default_value = "fused", value_parser = placement)]
    pub placement: Value,
    /// Lanes of factor and model that share out the instruments; each needs a core of
    /// --lane-cores. Not in rows of placement inline
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    pub shards: usize,
    #[command(flatten)]
    pub lib: Lib,
}

impl Subject {
    /// Lanes that spin, timing on.
    pub fn config(&self, cores: &Cores) -> Value {
        workload::config(&self.placement, self.shards, cores, true)
    }

    pub fn describe(&self) -> String {
        match self.shards {
            1 => format!("placement {}", self.placement),
            shards => format!("placement {}, {shards} shards", self.placement),
        }
    }
}

pub fn positive(text: &str) -> Result<usize, String> {
    at_least(text, 1)
}

pub fn thousand(text: &str) -> Result<usize, String> {
    at_least(text, 1000)
}

fn at_least(text: &str, least: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        Ok(_) => Err(format!("at least {least}")),
        Err(_) => Err("a whole number is expected".to_owned()),
    }
}

/// Events a second; `_` between digits is read over.
pub fn rate(text: &str) -> Result<u64, String> {
    positive(&text.replace('_', "")).map(|number| number as u64)
}

/// The configuration's `placement`: a word, or lanes as JSON.
fn placement(text: &str) -> Result<Value, String> {
    match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        false => Ok(Value::from(text)),
    }
}

/// A length of time: a number and `us`, `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 5] = [
        ("us", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let read = || {
        let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = text.split_at(digits);
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let time = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds);
        time.ok().filter(|time| !time.is_zero())
    };
    read().ok_or_else(|| "a time such as 500ms, 10s or 2m is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct All {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        subject: Subject,
        #[arg(long, value_delimiter = ',', value_parser = rate)]
        rate: Vec<u64>,
        #[arg(long, value_parser = duration)]
        duration: Option<Duration>,
    }

    fn parse(words: &str) -> Result<All, String> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        All::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_counts_more_than_the_benchs_default_which_is_shorter_when_quick() {
        let all = parse("").unwrap();
        let (full, common) = (all.common.repetitions(7), all.common);
        assert_eq!((full, common.or(None, 20, 2)), (7, 20));
        assert_eq!(all.subject.describe(), "placement \"fused\"");
        let quick = parse("--quick").unwrap().common;
        assert_eq!((quick.repetitions(7), quick.or(None, 20, 2)), (3, 2));
        let both = parse("--quick --repetitions 1").unwrap().common;
        assert_eq!((both.repetitions(7), both.or(Some(5), 20, 2)), (1, 5));
        let lanes = "[[\"ingest\"],[\"factor\",\"model\"]]";
        let given = format!("--rate 1_000,2000 --duration 1.5s --placement {lanes} --shards 2");
        let given = parse(&given).unwrap();
        assert_eq!(given.rate, [1000, 2000]);
        assert_eq!(given.duration, Some(Duration::from_millis(1500)));
        let described = format!("placement {lanes}, 2 shards");
        assert_eq!(given.subject.describe(), described);
    }

    #[test]
    fn what_is_wrong_names_the_flag_and_what_is_expected() {
        for (flag, value, expected) in [
            ("--host-core", "x", "invalid digit"),
            ("--lane-cores", "1,,2", "empty string"),
            ("--repetitions", "0", "at least 1"),
            ("--rate", "fast", "whole number"),
            ("--duration", "10", "500ms"),
            ("--duration", "0s", "500ms"),
            ("--duration", "3x", "500ms"),
            ("--placement", "[oops", "expected"),
        ] {
            let error = parse(&format!("{flag} {value}")).unwrap_err();
            let says = error.contains(flag) && error.contains(expected);
            assert!(says, "{flag} {value}: {error}");
        }
    }
}
