//! The facts of a latency report: its `summary.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use signal::os::files::read;

use crate::failure::{Failure, Result};

/// The format that is understood. The library raises it when a field goes or changes its meaning;
/// new fields come without.
const FORMAT: u32 = 1;

/// The largest summary that is read, bytes. One of a handle has some kilobytes, a merged one more.
const LARGEST: u64 = 1 << 28;

/// `summary.json`, as far as reports show it.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    format: u32,
    /// How long the engine ran, s.
    pub seconds: f64,
    /// The hops that were timed.
    pub hops: Vec<Hop>,
    /// All counters by name.
    pub counters: BTreeMap<String, u64>,
    /// The lanes.
    #[serde(default)]
    pub vitals: Vec<Lane>,
    /// The rings.
    #[serde(default)]
    pub rings: Vec<Ring>,
    /// How CPU quotas held the process up.
    #[serde(default)]
    pub throttling: Value,
    /// What was put in quarantine, and why.
    #[serde(default)]
    pub incidents: Vec<Value>,
    /// What a person should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What one reading of the clock costs, ns.
    #[serde(default)]
    pub stamp_cost_ns: Option<f64>,
    /// Placement of the stages.
    #[serde(default)]
    pub lanes: String,
    /// Facts of the machine.
    #[serde(default)]
    pub machine: Value,
    /// Facts of the build.
    #[serde(default)]
    pub build: Value,
    /// The configuration.
    #[serde(default)]
    pub configuration: Value,
}

/// One hop, as the library summed it up.
#[derive(Clone, Debug, Deserialize)]
pub struct Hop {
    /// Its name.
    pub hop: String,
    /// Messages timed.
    pub count: u64,
}

/// One lane.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Lane {
    /// Its stages and core.
    pub name: String,
    /// The core on which it is pinned.
    pub core: Option<usize>,
    /// How often it stood still.
    #[serde(default)]
    pub stalls: u64,
    /// The longest time between two looks for work, ns.
    #[serde(default)]
    pub longest_duty_ns: u64,
    /// How often it was away from its core.
    #[serde(default)]
    pub away: u64,
    /// How long it was away, ns.
    #[serde(default)]
    pub away_ns: u64,
    /// How long others had its core while it wanted to run, by the kernel's count, ns.
    #[serde(default)]
    pub waited_for_core_ns: Option<u64>,
}

/// One ring.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Ring {
    /// Its name.
    pub name: String,
    /// How many messages it holds.
    pub capacity: usize,
    /// The most messages that it held.
    pub high_water: usize,
}

impl Summary {
    /// Reads a summary; nothing if there is none, because its host left without `signal_destroy` or
    /// is still running.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not a summary of this format.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let named = |what: String| Failure::said(format!("{}: {what}", path.display()));
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let text = read(path, LARGEST).map_err(named)?;
        Self::parse(&text).map(Some).map_err(named)
    }

    fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let summary: Self = serde_json::from_slice(text).map_err(|error| {
            format!("{error}; expected the summary that the library writes: is the file whole?")
        })?;
        if summary.format != FORMAT {
            return Err(format!(
                "it has format {}; expected {FORMAT}: use the command of the library that wrote it",
                summary.format
            ));
        }
        Ok(summary)
    }

    /// Events and signals that were lost or refused, by counter; those that are not zero.
    pub fn losses(&self) -> impl Iterator<Item = (&str, u64)> {
        let counters = self.counters.iter();
        counters
            .filter(|(name, count)| **count > 0 && is_loss(name))
            .map(|(name, count)| (name.as_str(), *count))
    }

    /// The part of the time in which the lane that suffered most was without its core.
    pub fn most_away(&self) -> Option<(f64, &Lane)> {
        let part = |lane: &Lane| {
            let away = lane.away_ns.max(lane.waited_for_core_ns.unwrap_or(0));
            away as f64 / (self.seconds.max(1e-9) * 1e9)
        };
        let each = self.vitals.iter().map(|lane| (part(lane), lane));
        each.max_by(|(a, _), (b, _)| a.total_cmp(b))
    }
}

/// Whether a counter counts losses.
pub fn is_loss(name: &str) -> bool {
    let mut all = signal::Counter::ALL.iter();
    all.any(|counter| counter.name() == name && counter.is_loss())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"format":1,"started_unix_s":1.5,"seconds":2,"hops":[],"counters":{"delivered":3,"dropped_egress_ring_full":2,"refused_bad_price":0,"conflated_egress":1},"more":7}"#;

    #[test]
    fn reads_what_it_needs_and_lets_new_fields_be() {
        let summary = Summary::parse(LEAST.as_bytes()).unwrap();
        let losses: Vec<_> = summary.losses().collect();
        assert_eq!(
            losses,
            [("conflated_egress", 1), ("dropped_egress_ring_full", 2)]
        );
        assert!(summary.most_away().is_none());
    }

    #[test]
    fn refuses_another_format_and_half_a_file() {
        let other = LEAST.replace("\"format\":1", "\"format\":2");
        let told = Summary::parse(other.as_bytes()).unwrap_err();
        assert!(told.contains("it has format 2; expected 1"), "{told}");
        let told = Summary::parse(&LEAST.as_bytes()[..60]).unwrap_err();
        assert!(told.contains("is the file whole"), "{told}");
    }
}
