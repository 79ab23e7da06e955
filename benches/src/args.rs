//! Flags that mean the same in every bench. Flatten what a bench needs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

/// Repetitions of a `--quick` run.
const QUICK_REPETITIONS: usize = 3;

/// Where to measure, how often, and where the result goes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Core of the calling thread [default: the last allowed one that is left]
    #[arg(long, value_name = "N")]
    pub host_core: Option<usize>,
    /// Cores of the other threads, in their order [default: the last allowed one]
    #[arg(long, value_name = "N[,M]", value_delimiter = ',')]
    pub lane_cores: Vec<usize>,
    /// How often everything is measured in turn
    #[arg(long, value_name = "N", value_parser = positive)]
    pub repetitions: Option<usize>,
    /// Write the result there, with every repetition's figures and the machine's facts
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Few, short repetitions: does it run, not how fast
    #[arg(long)]
    pub quick: bool,
}

impl Common {
    /// The flag's repetitions, else few for `--quick`, else `default`.
    pub fn repetitions(&self, default: usize) -> usize {
        let default = self.pick(default, QUICK_REPETITIONS);
        self.repetitions.unwrap_or(default)
    }

    /// One of two defaults: the second for `--quick`.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// What is measured, where that is the library.
#[derive(Args, Clone, Debug)]
pub struct Subject {
    /// fused, split, inline, auto, or lanes such as [["ingest"],["factor","model"]]
    #[arg(long, value_name = "P", default_value = "fused", value_parser = placement)]
    pub placement: Value,
    /// Lanes of factor and model that share out the instruments; each needs a core of --lane-cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    pub shards: usize,
    /// libsignal.so to measure [default: SIGNAL_LIB_PATH, else the one built with this program]
    #[arg(long, value_name = "PATH")]
    pub lib: Option<PathBuf>,
}

impl Subject {
    /// Placement and shards, for the header.
    pub fn describe(&self) -> String {
        match self.shards {
            1 => format!("placement {}", self.placement),
            shards => format!("placement {}, {shards} shards", self.placement),
        }
    }
}

/// How fast events are sent and for how long, where that is not "as fast as answers come".
#[derive(Args, Clone, Debug)]
pub struct Pace {
    /// Events a second; several rates are measured one after the other
    #[arg(long, value_name = "N[,M]", value_delimiter = ',', value_parser = rate)]
    pub rate: Vec<u64>,
    /// Length of one measurement, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
}

/// A whole number of at least 1.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("a whole number is expected".to_owned()),
    }
}

/// Events a second, a whole number of at least 1; `_` between digits is read over.
fn rate(text: &str) -> Result<u64, String> {
    positive(&text.replace('_', "")).map(|number| number as u64)
}

/// The configuration's `placement`: a word, or lanes as JSON.
fn placement(text: &str) -> Result<Value, String> {
    if text.starts_with('[') {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        Ok(Value::from(text))
    }
}

/// A length of time: a number and `us`, `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 500ms, 10s or 2m is expected".to_owned();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct All {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        pace: Pace,
    }

    fn parse(words: &str) -> Result<All, String> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        All::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_is_read() {
        let all = parse(
            "--host-core 3 --lane-cores 4,5 --repetitions 9 --json out.json --rate 1_000,2000 \
             --duration 1.5s --placement [[\"ingest\"],[\"factor\",\"model\"]] --lib l.so --shards 2",
        )
        .unwrap();
        assert_eq!(all.common.host_core, Some(3));
        assert_eq!(all.common.lane_cores, [4, 5]);
        assert_eq!(all.common.repetitions(7), 9);
        assert_eq!(all.common.json.unwrap().to_str(), Some("out.json"));
        assert_eq!(all.pace.rate, [1000, 2000]);
        assert_eq!(all.pace.duration, Some(Duration::from_millis(1500)));
        assert_eq!(
            all.subject.placement,
            json!([["ingest"], ["factor", "model"]])
        );
        assert_eq!(all.subject.shards, 2);
        assert!(all.subject.describe().ends_with(", 2 shards"));
        assert_eq!(all.subject.lib.unwrap().to_str(), Some("l.so"));
    }

    #[test]
    fn defaults_are_the_benchs_own_and_shorter_when_quick() {
        let all = parse("").unwrap();
        assert_eq!(all.common.repetitions(7), 7);
        assert_eq!(all.subject.placement, "fused");
        assert_eq!(all.subject.describe(), "placement \"fused\"");
        let quick = parse("--quick").unwrap().common;
        assert_eq!(quick.repetitions(7), QUICK_REPETITIONS);
        assert_eq!(quick.pick(20, 2), 2);
        let both = parse("--quick --repetitions 1").unwrap().common;
        assert_eq!(both.repetitions(7), 1);
    }

    #[test]
    fn what_is_wrong_names_the_flag_and_what_is_expected() {
        for (words, flag, expected) in [
            ("--host-core x", "--host-core", "invalid digit"),
            ("--lane-cores 1,,2", "--lane-cores", "empty string"),
            ("--repetitions 0", "--repetitions", "at least 1"),
            ("--rate fast", "--rate", "whole number"),
            ("--duration 10", "--duration", "500ms"),
            ("--duration 0s", "--duration", "500ms"),
            ("--duration 3x", "--duration", "500ms"),
            ("--placement [oops", "--placement", "expected"),
            ("--shards 0", "--shards", "at least 1"),
            ("--fast", "--fast", "unexpected argument"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(flag), "{words}: {error}");
            assert!(error.contains(expected), "{words}: {error}");
        }
    }
}
