//! What is compared: who works where, at which pace, and what the host does meanwhile.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use signal_bench::report::time;

/// What the host does between two events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Between {
    /// Makes no call, as Godzilla
    #[default]
    Silent,
    /// Calls signal_poll_callbacks all the time
    Polls,
    /// Polls inlined: calls only when there is a signal
    Inlined,
}

/// A placement and what is added to the configuration.
#[derive(Clone, Debug)]
pub struct Way {
    pub name: String,
    pub placement: &'static str,
    pub config: Value,
}

impl Way {
    pub fn is_against(&self) -> bool {
        self.name.ends_with("against")
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

pub fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for placement in ["fused", "inline"] {
        for (end, config) in [
            ("", json!({"warm": "auto"})),
            (", warm off", json!({"warm": "off"})),
            (", no stand-in", json!({"stand_in_us": 0})),
            (", poll", json!({"deliver": "poll"})),
            // A library of before does not know the key `warm`.
            (", against", json!({})),
        ] {
            // Inline there is nobody to stand in for.
            if (placement, end) != ("inline", ", no stand-in") {
                ways.push(Way {
                    name: format!("{placement}{end}"),
                    placement,
                    config,
                });
            }
        }
    }
    ways
}

/// When events come, and what the host does beside its calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// Between two Depths; `None` for those of the recorded session, at its own times.
    #[serde(rename = "gap_ns", serialize_with = "nanoseconds")]
    pub gap: Option<Duration>,
    pub host: Between,
    /// Trades and Tickers between two Depths.
    pub others: usize,
    /// Memory that it walks over after each event.
    pub pollute_kb: usize,
}

fn nanoseconds<S: Serializer>(gap: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    gap.map(|gap| gap.as_nanos() as u64).serialize(serializer)
}

impl Pace {
    pub const fn every(gap: Duration) -> Self {
        Self {
            gap: Some(gap),
            host: Between::Silent,
            others: 0,
            pollute_kb: 0,
        }
    }

    pub const SESSION: Self = Self {
        gap: None,
        ..Self::every(Duration::ZERO)
    };

    /// As a table names it, which says elsewhere what `usual` is.
    pub fn name(&self, usual: &Self) -> String {
        let gap = self.gap.map(|gap| time(gap.as_nanos() as f64));
        let mut name = gap.unwrap_or("session".into());
        if self.host != usual.host {
            name += match self.host {
                Between::Silent => ", silent",
                Between::Polls => ", polls",
                Between::Inlined => ", polls inlined",
            };
        }
        if self.others != usual.others {
            name += &format!(", {} others", self.others);
        }
        if self.pollute_kb != usual.pollute_kb {
            name += &format!(", walks {} KB", self.pollute_kb);
        }
        name
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Case {
    #[serde(flatten)]
    pub pace: Pace,
    pub way: Way,
}
