//! Objectives: what a run must keep, such as `tick_to_callback p99 < 5us`.

use std::str::FromStr;

use serde::Serialize;
use signal::{Counter, Hop};

use super::figures::least_count;
use super::log::hop_named;
use super::run::Run;
use super::summary::Summary;

/// One objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    what: What,
    /// Whether the bound itself is allowed.
    or_equal: bool,
    bound: f64,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Latency(Hop, Figure),
    Counter(String),
    /// All counters of what was lost or refused.
    Losses,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Quantile(f64),
    Max,
    Mean,
}

/// Whether an objective was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// The run's label.
    pub run: String,
    /// The objective as it was written.
    pub objective: String,
    /// Whether it was kept; none if that cannot be told.
    pub kept: Option<bool>,
    /// What was found, in words.
    pub found: String,
}

impl FromStr for Objective {
    type Err = String;

    /// Parses `HOP FIGURE < DURATION`, `COUNTER <= NUMBER` or `losses <= NUMBER`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected HOP FIGURE < DURATION, as in 'tick_to_callback p99 < 5us', or COUNTER <= NUMBER, as in 'losses <= 0'";
        let (left, right) = text.split_once('<').ok_or(expected)?;
        let (or_equal, right) = match right.strip_prefix('=') {
            Some(right) => (true, right),
            None => (false, right),
        };
        let words: Vec<_> = left.split_whitespace().collect();
        let (what, bound) = match words[..] {
            [hop, figure] => {
                let hop = hop_named(hop).ok_or_else(|| {
                    let names = Hop::ALL.map(Hop::name).join(", ");
                    format!("unknown hop {hop:?}; expected one of {names}")
                })?;
                (
                    What::Latency(hop, figure_named(figure)?),
                    duration_ns(right)?,
                )
            }
            ["losses"] => (What::Losses, number(right)?),
            [counter] => {
                let known = Counter::ALL.iter().any(|of| of.name() == counter);
                if !known {
                    return Err(format!(
                        "unknown counter {counter:?}; expected losses or a name of signal_stats_t, such as delivered. {expected}"
                    ));
                }
                (What::Counter(counter.to_owned()), number(right)?)
            }
            _ => return Err(expected.to_owned()),
        };
        Ok(Self {
            what,
            or_equal,
            bound,
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }
}

fn figure_named(name: &str) -> Result<Figure, String> {
    let quantile = name
        .strip_prefix('p')
        .and_then(|percent| percent.parse::<f64>().ok());
    match (name, quantile) {
        ("max", _) => Ok(Figure::Max),
        ("mean", _) => Ok(Figure::Mean),
        (_, Some(percent)) if percent > 0.0 && percent < 100.0 => {
            Ok(Figure::Quantile((percent * 1e7).round() / 1e9))
        }
        _ => Err(format!(
            "unknown figure {name:?}; expected a percentile such as p50, p99 or p99.9, or max or mean"
        )),
    }
}

fn number(text: &str) -> Result<f64, String> {
    let value = text.trim().parse::<u64>();
    value
        .map(|value| value as f64)
        .map_err(|_| format!("expected a whole number, found {:?}", text.trim()))
}

/// A duration such as `5us`, in ns.
fn duration_ns(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let expected =
        || format!("expected a duration such as 800ns, 5us, 1.5ms or 2s, found {text:?}");
    let unit = text
        .find(|of: char| of.is_ascii_alphabetic())
        .ok_or_else(expected)?;
    let (value, unit) = text.split_at(unit);
    let value = value.trim().parse::<f64>().map_err(|_| expected())?;
    let scale = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return Err(expected()),
    };
    match value * scale {
        ns if ns > 0.0 && ns.is_finite() => Ok(ns),
        _ => Err(expected()),
    }
}

impl Objective {
    /// Whether a run keeps it.
    pub fn judge(&self, run: &Run) -> Kept {
        let (kept, found) = match &self.what {
            What::Latency(hop, figure) => self.judge_latency(run, *hop, *figure),
            What::Counter(name) => self.judge_count(run.counter(name)),
            What::Losses => {
                let whole = run.reports.iter().all(|report| report.summary.is_some());
                let lost = run.summaries().flat_map(Summary::losses);
                self.judge_count(whole.then(|| lost.map(|(_, count)| count).sum()))
            }
        };
        Kept {
            run: run.label.clone(),
            objective: self.text.clone(),
            kept,
            found,
        }
    }

    fn within(&self, value: f64) -> bool {
        value < self.bound || self.or_equal && value <= self.bound
    }

    fn judge_latency(&self, run: &Run, hop: Hop, figure: Figure) -> (Option<bool>, String) {
        if let Some(why) = run.invalid() {
            return (None, format!("INVALID: {why}"));
        }
        let Some(times) = run.hop(hop) else {
            return (None, format!("{} was not timed", hop.name()));
        };
        let total = &times.total;
        let value = match figure {
            Figure::Quantile(quantile) if total.len() < least_count(quantile) => {
                return (
                    None,
                    format!(
                        "{} latencies; {} tell it",
                        total.len(),
                        least_count(quantile)
                    ),
                );
            }
            Figure::Quantile(quantile) => total.value_at_quantile(quantile) as f64,
            Figure::Max => total.max() as f64,
            Figure::Mean => total.mean(),
        };
        (Some(self.within(value)), format!("{value:.0} ns"))
    }

    fn judge_count(&self, count: Option<u64>) -> (Option<bool>, String) {
        match count {
            Some(count) => (Some(self.within(count as f64)), count.to_string()),
            None => (
                None,
                "a report has no summary.json, so its counters are unknown".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Objective>().expect_err(text)
    }

    #[test]
    fn reads_latencies_and_counters() {
        let objective: Objective = "tick_to_callback  p99.9 <= 1.5ms".parse().unwrap();
        assert_eq!(
            objective.what,
            What::Latency(Hop::TickToCallback, Figure::Quantile(0.999))
        );
        assert!(objective.within(1.5e6) && !objective.within(1.6e6));
        assert_eq!(objective.text, "tick_to_callback p99.9 <= 1.5ms");
        let objective: Objective = "host.wait max<2s".parse().unwrap();
        assert!(objective.within(1.9e9) && !objective.within(2e9));
        let objective: Objective = "losses <= 0".parse().unwrap();
        assert!(objective.within(0.0) && !objective.within(1.0));
        assert!("delivered < 10".parse::<Objective>().is_ok());
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, says) in [
            (
                "tick_to_callback p99 > 5us",
                "expected HOP FIGURE < DURATION",
            ),
            (
                "lunch p99 < 5us",
                "unknown hop \"lunch\"; expected one of ingest.wait",
            ),
            ("host.wait p100 < 5us", "unknown figure \"p100\""),
            ("host.wait 99 < 5us", "unknown figure \"99\""),
            ("host.wait p99 < 5", "expected a duration such as 800ns"),
            ("host.wait p99 < 5 minutes", "expected a duration"),
            ("host.wait p99 < -5us", "expected a duration"),
            ("losses <= few", "expected a whole number"),
            ("loses <= 0", "unknown counter \"loses\""),
        ] {
            assert!(refused(text).contains(says), "{text}: {}", refused(text));
        }
    }
}
