//! A run against a baseline: what changed, and whether the noise explains it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use signal::Hop;

use super::distribution::Distribution;
use super::figures::least_count;
use super::run::{Run, median};

/// The percentiles that are judged.
const JUDGED: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];
/// With this many reports on both sides, these are the repetitions; else parts of the runs are.
const LEAST_REPORTS: usize = 3;
/// With fewer parts of a run, nothing is judged.
const LEAST_PARTS: usize = 5;
/// A change counts if this part of all pairs of repetitions shows it.
const SHOWN_BY: f64 = 0.9;
/// The least change that counts, as a part of the baseline, where repeated runs tell the noise.
const LEAST_CHANGE: f64 = 0.05;
/// The same where only parts of one run do: they do not show how runs differ from each other.
const LEAST_CHANGE_OF_ONE: f64 = 0.15;
/// The least change that counts, ns, where the library did not say what its clock costs.
const CLOCK_NS: f64 = 10.0;

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shorter, beyond the noise.
    Faster,
    /// Longer, beyond the noise.
    Slower,
    /// No change beyond the noise.
    NoChange,
    /// Not enough latencies to judge.
    TooFew,
    /// Other threads had the cores of one of the two.
    Invalid,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::NoChange => "no change",
            Self::TooFew => "too few to judge",
            Self::Invalid => "INVALID",
        }
    }
}

/// A run against a baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The baseline's label.
    pub baseline: String,
    /// The run's label.
    pub run: String,
    /// Of all hops together.
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub says: String,
    /// Each judged percentile of each hop that both have.
    pub changes: Vec<Change>,
    /// Facts that are not the same.
    pub facts: Vec<Difference>,
}

/// One percentile of one hop on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The hop's name.
    pub hop: &'static str,
    /// The percentile's name.
    pub percentile: &'static str,
    /// The baseline's, ns: the median of its repetitions.
    pub before_ns: f64,
    /// The run's, ns: the median of its repetitions.
    pub after_ns: f64,
    /// The least change that would count, ns.
    pub least_ns: f64,
    /// In which part of all pairs of repetitions the run's is longer, from 0 to 1.
    pub longer_in: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// A fact that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its place, such as `machine.cpu`.
    pub fact: String,
    /// The baseline's values, as JSON.
    pub before: String,
    /// The run's values, as JSON.
    pub after: String,
}

impl Comparison {
    /// Compares two runs.
    pub fn new(baseline: &Run, run: &Run) -> Self {
        let hops = baseline.hops.iter().map(|times| times.hop);
        let both = hops.filter(|hop| run.hop(*hop).is_some());
        let changes: Vec<_> = both
            .flat_map(|hop| {
                JUDGED.map(|(name, quantile)| Change::new((baseline, run), hop, name, quantile))
            })
            .collect();
        let (verdict, says) = judge(baseline, run, &changes);
        Self {
            baseline: baseline.label.clone(),
            run: run.label.clone(),
            verdict,
            says,
            changes,
            facts: differences(baseline, run),
        }
    }
}

impl Change {
    fn new(
        (baseline, run): (&Run, &Run),
        hop: Hop,
        percentile: &'static str,
        quantile: f64,
    ) -> Self {
        let by_reports = [baseline, run]
            .iter()
            .all(|run| run.reports.len() >= LEAST_REPORTS);
        let of = |run: &Run| repetitions(run, hop, quantile, by_reports);
        let (mut before, mut after) = (of(baseline), of(run));
        let longer_in = longer_in(&before, &after);
        let (before_ns, after_ns) = (median(&mut before), median(&mut after));
        let least = if by_reports {
            LEAST_CHANGE
        } else {
            LEAST_CHANGE_OF_ONE
        };
        let least_ns = (before_ns * least)
            .max(clock_ns(baseline))
            .max(clock_ns(run));
        let parts = if by_reports {
            LEAST_REPORTS
        } else {
            LEAST_PARTS
        };
        let few = before.len() < parts || after.len() < parts;
        let verdict = match after_ns - before_ns {
            _ if few => Verdict::TooFew,
            by if by >= least_ns && longer_in >= SHOWN_BY => Verdict::Slower,
            by if by <= -least_ns && longer_in <= 1.0 - SHOWN_BY => Verdict::Faster,
            _ => Verdict::NoChange,
        };
        Self {
            hop: hop.name(),
            percentile,
            before_ns,
            after_ns,
            least_ns,
            longer_in,
            verdict,
        }
    }

    /// By how much, ns.
    pub fn by_ns(&self) -> f64 {
        self.after_ns - self.before_ns
    }
}

/// What one reading of the clock costs, ns: a smaller change may be the clock's.
fn clock_ns(run: &Run) -> f64 {
    let costs = run.summaries().filter_map(|summary| summary.stamp_cost_ns);
    costs.reduce(f64::max).unwrap_or(CLOCK_NS)
}

/// The percentile of each repetition: of each report, or of each part of the run that has enough
/// latencies to tell it.
fn repetitions(run: &Run, hop: Hop, quantile: f64, by_reports: bool) -> Vec<f64> {
    let least = least_count(quantile);
    let told = |of: &Distribution| (of.count() >= least).then(|| of.quantile(quantile) as f64);
    if by_reports {
        let each = run.reports.iter().flat_map(|report| &report.hops);
        let each = each.filter(|(of, _)| *of == hop);
        return each
            .filter_map(|(_, histogram)| told(&Distribution::new(histogram)))
            .collect();
    }
    let slices = run.hop(hop).map_or(&[][..], |times| &times.slices);
    let mut parts = Vec::new();
    let mut part = Distribution::default();
    for slice in slices {
        part.add(slice);
        if let Some(value) = told(&part) {
            parts.push(value);
            part = Distribution::default();
        }
    }
    parts
}

/// In which part of all pairs the second one's value is the longer; an equal one counts half.
fn longer_in(before: &[f64], after: &[f64]) -> f64 {
    let pairs = before.len() * after.len();
    if pairs == 0 {
        return 0.5;
    }
    let each = before.iter().flat_map(|before| {
        after
            .iter()
            .map(move |after| match after.total_cmp(before) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            })
    });
    each.sum::<f64>() / pairs as f64
}

/// The verdict of all hops together, and the sentence for it.
fn judge(baseline: &Run, run: &Run, changes: &[Change]) -> (Verdict, String) {
    for run in [baseline, run] {
        if let Some(why) = run.invalid() {
            return (
                Verdict::Invalid,
                format!("not compared: {}: {why}", run.label),
            );
        }
    }
    let all = Hop::TickToCallback.name();
    let named = |verdict: Verdict| {
        let those = changes.iter().filter(|change| change.verdict == verdict);
        let (whole, hops): (Vec<_>, Vec<_>) = those.partition(|change| change.hop == all);
        let each = whole.into_iter().chain(hops).map(|change| {
            let percent = 100.0 * change.by_ns() / change.before_ns.max(1.0);
            format!(
                "{} {} by {:+.0} ns ({percent:+.0} %)",
                change.hop,
                change.percentile,
                change.by_ns()
            )
        });
        each.collect::<Vec<_>>()
    };
    let (slower, faster) = (named(Verdict::Slower), named(Verdict::Faster));
    let told = changes
        .iter()
        .any(|change| change.verdict != Verdict::TooFew);
    match (slower.is_empty(), faster.is_empty()) {
        (false, true) => (Verdict::Slower, format!("slower: {}", slower.join(", "))),
        (false, false) => (
            Verdict::Slower,
            format!(
                "slower: {}; faster: {}",
                slower.join(", "),
                faster.join(", ")
            ),
        ),
        (true, false) => (Verdict::Faster, format!("faster: {}", faster.join(", "))),
        (true, true) if told => (
            Verdict::NoChange,
            "no change of any median or p99 beyond the noise".to_owned(),
        ),
        (true, true) => (
            Verdict::TooFew,
            "too few latencies to judge: longer runs, or three reports of each side, would do"
                .to_owned(),
        ),
    }
}

/// The facts that are not the same on both sides.
fn differences(baseline: &Run, run: &Run) -> Vec<Difference> {
    let (before, after) = (facts(baseline), facts(run));
    if before.is_empty() || after.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let shown = |facts: &Facts, name: &String| {
        let values = facts.get(name).map(|values| values.join(", "));
        values.unwrap_or_else(|| "-".to_owned())
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Difference {
            fact: name.clone(),
            before: shown(&before, name),
            after: shown(&after, name),
        })
        .collect()
}

/// Values by the name of the fact; several where the reports of a run differ.
pub type Facts = BTreeMap<String, Vec<String>>;

/// The facts of all reports of a run.
pub fn facts(run: &Run) -> Facts {
    let mut all = Facts::new();
    for summary in run.summaries() {
        let mut one = BTreeMap::new();
        one.insert("lanes".to_owned(), summary.lanes.clone());
        for (name, value) in [
            ("machine", &summary.machine),
            ("build", &summary.build),
            ("configuration", &summary.configuration),
        ] {
            flatten(name, value, &mut one);
        }
        for (name, value) in one {
            let values = all.entry(name).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    all
}

/// The values of an object by their paths. Where a report lies is no fact, and the clock's rate is
/// measured at each start: a thousandth is its precision.
fn flatten(path: &str, value: &Value, to: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, to);
            }
        }
        _ if path == "configuration.latency.dir" => {}
        _ if path == "machine.tsc_ticks_per_us" => {
            let rate = value.as_f64().unwrap_or(0.0);
            to.insert(path.to_owned(), format!("{:.0}", rate));
        }
        Value::String(text) => {
            to.insert(path.to_owned(), text.clone());
        }
        other => {
            to.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::super::run::{HopTimes, add};
    use super::*;

    /// A run of 60 intervals whose speed wanders by some percent, as that of a machine with
    /// neighbours does; `slower` is the factor stage's further work, ns.
    fn run(label: &str, slower: u64, random: &mut fastrand::Rng) -> Run {
        const SLICES: usize = 60;
        let hops = [
            Hop::IngestWait,
            Hop::FactorWork,
            Hop::HostWait,
            Hop::TickToCallback,
        ];
        let mut cut: Vec<Vec<Distribution>> = vec![Vec::new(); hops.len()];
        let mut totals = vec![None; hops.len()];
        for _ in 0..SLICES {
            let pace = 0.95 + 0.1 * random.f64();
            let mut slices = vec![Histogram::<u64>::new(2).unwrap(); hops.len()];
            for _ in 0..200 {
                let mut took = |base: f64| (base * pace * (1.0 - 0.3 * random.f64().ln())) as u64;
                let [wait, work, host] = [took(120.0), took(200.0) + slower, took(150.0)];
                for (slice, ns) in slices
                    .iter_mut()
                    .zip([wait, work, host, wait + work + host])
                {
                    slice.record(ns).unwrap();
                }
            }
            for ((slice, cut), total) in slices.iter().zip(&mut cut).zip(&mut totals) {
                cut.push(Distribution::new(slice));
                add(total, slice);
            }
        }
        let each = hops.into_iter().zip(cut).zip(totals);
        Run {
            label: label.to_owned(),
            reports: Vec::new(),
            start: 0.0,
            slice_s: 1.0,
            lost: Vec::new(),
            hops: each
                .map(|((hop, slices), total)| HopTimes {
                    hop,
                    total: total.unwrap(),
                    rates: vec![200.0; slices.len()],
                    slices,
                })
                .collect(),
        }
    }

    #[test]
    fn runs_that_are_alike_have_not_changed() {
        let mut random = fastrand::Rng::with_seed(11);
        for pair in 0..20 {
            let (before, after) = (run("before", 0, &mut random), run("after", 0, &mut random));
            let compared = Comparison::new(&before, &after);
            assert_eq!(
                compared.verdict,
                Verdict::NoChange,
                "pair {pair}: {}",
                compared.says
            );
        }
    }

    #[test]
    fn further_work_of_one_stage_is_named_there_and_nowhere_else() {
        let mut random = fastrand::Rng::with_seed(12);
        for pair in 0..20 {
            let (before, after) = (
                run("before", 0, &mut random),
                run("after", 300, &mut random),
            );
            let compared = Comparison::new(&before, &after);
            assert_eq!(compared.verdict, Verdict::Slower);
            let named = compared
                .changes
                .iter()
                .filter(|change| change.verdict != Verdict::NoChange);
            let named: Vec<_> = named.map(|change| change.hop).collect();
            for hop in ["factor.work", "tick_to_callback"] {
                assert!(named.contains(&hop), "pair {pair}: {}", compared.says);
            }
            let others = named
                .iter()
                .filter(|hop| ["ingest.wait", "host.wait"].contains(hop));
            assert_eq!(others.count(), 0, "pair {pair}: {}", compared.says);
            let back = Comparison::new(&after, &before);
            assert_eq!(back.verdict, Verdict::Faster, "pair {pair}: {}", back.says);
        }
    }

    #[test]
    fn a_run_that_wanders_widely_explains_a_change() {
        let mut random = fastrand::Rng::with_seed(13);
        let (before, mut after) = (
            run("before", 0, &mut random),
            run("after", 100, &mut random),
        );
        assert_eq!(Comparison::new(&before, &after).verdict, Verdict::Slower);
        // A third of the time it was as before.
        for times in &mut after.hops {
            let known = before.hop(times.hop).unwrap();
            times.slices[..20].clone_from_slice(&known.slices[..20]);
        }
        assert_eq!(Comparison::new(&before, &after).verdict, Verdict::NoChange);
    }

    #[test]
    fn a_few_latencies_are_not_judged() {
        let mut random = fastrand::Rng::with_seed(14);
        let (before, mut after) = (
            run("before", 0, &mut random),
            run("after", 300, &mut random),
        );
        after
            .hops
            .iter_mut()
            .for_each(|times| times.slices.truncate(1));
        let compared = Comparison::new(&before, &after);
        assert_eq!(compared.verdict, Verdict::TooFew, "{}", compared.says);
    }

    #[test]
    fn facts_are_named_where_they_differ() {
        let mut facts = BTreeMap::new();
        let value =
            serde_json::json!({"cpu": "A", "tsc_ticks_per_us": 2299.9981, "cores": {"of": [1, 2]}});
        flatten("machine", &value, &mut facts);
        let expected = [
            ("machine.cores.of", "[1,2]"),
            ("machine.cpu", "A"),
            ("machine.tsc_ticks_per_us", "2300"),
        ];
        assert_eq!(
            facts,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }
}
