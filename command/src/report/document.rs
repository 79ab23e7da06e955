//! A report as data: what `--json` prints, and what the page is drawn from.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use signal::Hop;

use super::compare::{Comparison, facts};
use super::distribution::Distribution;
use super::figures::{Figures, PERCENTILES, least_count};
use super::log::Slow;
use super::objective::Kept;
use super::run::{HopTimes, Run};
use super::summary::{Lane, Ring};

/// Changes whenever a field goes or changes its meaning.
const FORMAT: u32 = 1;
/// Points of a percentile curve for each tenfold of 1/(1-p).
const POINTS_PER_DECADE: usize = 16;

/// Most slow signals that are shown.
const MOST_SLOW: usize = 100;

/// All that is shown.
#[derive(Debug, Serialize)]
pub struct Document {
    format: u32,
    /// The version of this command.
    version: &'static str,
    /// The percentiles' names and quantiles.
    percentiles: Vec<(&'static str, f64)>,
    /// The runs; with a baseline, this is the first.
    pub runs: Vec<Shown>,
    /// Whether the first run is the baseline.
    pub has_baseline: bool,
    /// Each run against the baseline.
    pub comparisons: Vec<Comparison>,
    /// Each objective of each run.
    pub objectives: Vec<Kept>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What it is called.
    pub label: String,
    /// Its folders.
    folders: Vec<String>,
    /// When its first interval began, s since the epoch.
    pub start_unix_s: f64,
    /// How long its logs reach, s.
    pub seconds: f64,
    /// How many reports it has.
    pub reports: usize,
    /// Why its latencies are not the library's own.
    pub invalid: Option<String>,
    /// The figures of each hop.
    pub figures: Vec<Figures>,
    /// The latency of each hop by percentile, and over time.
    curves: Vec<Curves>,
    /// The slowest of the signals that were slow, slowest first.
    pub slow: Vec<Slow>,
    /// How many were slow, and how many of them have a cause.
    pub slow_count: SlowCount,
    /// How many events and signals were lost in each slice of time, as the logs tell.
    lost_over_time: Vec<u64>,
    /// All counters, of all reports.
    pub counters: BTreeMap<String, u64>,
    /// Those of the counters that count losses and are not zero.
    pub losses: BTreeMap<String, u64>,
    /// Lanes of all reports.
    pub lanes: Vec<Lane>,
    /// Rings of all reports.
    pub rings: Vec<Ring>,
    /// How CPU quotas held the processes up.
    throttling: Vec<Value>,
    /// What was put in quarantine, and why.
    incidents: Vec<Value>,
    /// What a person should know: of the library, and of the files.
    pub notes: Vec<String>,
    /// Facts by name.
    facts: BTreeMap<String, Vec<String>>,
}

/// Slow signals: those of 10 times the median so far and more that were among the slowest of their
/// interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SlowCount {
    /// How many there were.
    pub all: usize,
    /// How many have a cause.
    pub explained: usize,
}

impl SlowCount {
    fn of(run: &Run) -> Self {
        let all = run.reports.iter().flat_map(|report| &report.slow);
        let explained = all.clone().filter(|slow| slow.cause != "unknown");
        Self {
            all: all.count(),
            explained: explained.count(),
        }
    }
}

/// The slowest signals of a run, by its own time.
fn slowest(run: &Run) -> Vec<Slow> {
    let mut all: Vec<Slow> = run
        .reports
        .iter()
        .flat_map(|report| report.slow.clone())
        .collect();
    all.sort_by_key(|slow| std::cmp::Reverse(slow.ns));
    all.truncate(MOST_SLOW);
    all.iter_mut().for_each(|slow| slow.at -= run.start);
    all
}

/// One hop in pictures.
#[derive(Debug, Serialize)]
struct Curves {
    hop: &'static str,
    /// 1/(1-p) and the latency there, ns.
    by_percentile: Vec<(f64, u64)>,
    /// What it took over time.
    over_time: Vec<Slice>,
}

/// One slice of time.
#[derive(Debug, Serialize)]
struct Slice {
    /// Its middle, s since the run's start.
    t: f64,
    /// Messages timed a second.
    rate: f64,
    /// Median, ns; none where nothing was timed.
    p50: Option<u64>,
    /// 99th percentile, ns, of this slice or of several around it; none where it cannot be told.
    p99: Option<u64>,
    /// 99.9th percentile, ns, likewise.
    p999: Option<u64>,
    /// The longest, ns.
    max: Option<u64>,
}

impl Document {
    /// Of these runs; with a baseline, it is the first.
    pub fn new(runs: &[Run], has_baseline: bool, objectives: Vec<Kept>) -> Self {
        let comparisons = match runs.split_first() {
            Some((baseline, others)) if has_baseline => others
                .iter()
                .map(|run| Comparison::new(baseline, run))
                .collect(),
            _ => Vec::new(),
        };
        Self {
            format: FORMAT,
            version: signal::VERSION,
            percentiles: PERCENTILES.to_vec(),
            runs: runs.iter().map(Shown::new).collect(),
            has_baseline,
            comparisons,
            objectives,
        }
    }
}

impl Document {
    /// Names and quantiles of the percentiles.
    pub fn percentiles(&self) -> &[(&'static str, f64)] {
        &self.percentiles
    }
}

impl Shown {
    fn new(run: &Run) -> Self {
        let mut counters = BTreeMap::new();
        let mut losses = BTreeMap::new();
        for summary in run.summaries() {
            for (name, count) in &summary.counters {
                *counters.entry(name.clone()).or_insert(0) += count;
            }
            for (name, count) in summary.losses() {
                *losses.entry(name.to_owned()).or_insert(0) += count;
            }
        }
        let throttling = run.summaries().map(|summary| &summary.throttling);
        Self {
            label: run.label.clone(),
            folders: run
                .reports
                .iter()
                .map(|report| report.folder.display().to_string())
                .collect(),
            start_unix_s: run.start,
            seconds: run.seconds(),
            reports: run.reports.len(),
            invalid: run.invalid(),
            figures: run.hops.iter().map(Figures::new).collect(),
            curves: run
                .hops
                .iter()
                .map(|times| Curves::new(times, run.slice_s))
                .collect(),
            slow_count: SlowCount::of(run),
            slow: slowest(run),
            lost_over_time: run.lost.clone(),
            counters,
            losses,
            lanes: run.summaries().flat_map(|of| of.vitals.clone()).collect(),
            rings: run.summaries().flat_map(|of| of.rings.clone()).collect(),
            throttling: throttling
                .filter(|value| !value.is_null())
                .cloned()
                .collect(),
            incidents: run
                .summaries()
                .flat_map(|of| of.incidents.clone())
                .collect(),
            notes: notes(run),
            facts: facts(run),
        }
    }

    /// The figures of the whole way, if it was timed.
    pub fn end_to_end(&self) -> Option<&Figures> {
        let name = Hop::TickToCallback.name();
        self.figures.iter().find(|figures| figures.hop == name)
    }
}

/// What a person should know, each once.
fn notes(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    for report in &run.reports {
        let of_files = report.warnings.iter();
        let of_summary = report.summary.iter().flat_map(|summary| &summary.notes);
        // The summary sums up what the log remarks.
        let of_log = report.remarks.iter().filter(|_| report.summary.is_none());
        for note in of_files.chain(of_summary).chain(of_log) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
    }
    notes
}

impl Curves {
    fn new(times: &HopTimes, slice_s: f64) -> Self {
        let all = Distribution::new(&times.total);
        let slices = times.slices.iter().zip(&times.rates).enumerate();
        let slices =
            slices.map(|(slice, (of, rate))| Slice::new((slice as f64 + 0.5) * slice_s, *rate, of));
        let mut over_time: Vec<_> = slices.collect();
        for (slice, ns) in told_over_time(&times.slices, 0.99) {
            over_time[slice].p99 = Some(ns);
        }
        for (slice, ns) in told_over_time(&times.slices, 0.999) {
            over_time[slice].p999 = Some(ns);
        }
        Self {
            hop: times.hop.name(),
            by_percentile: by_percentile(&all),
            over_time,
        }
    }
}

/// The latency at even steps of log(1/(1-p)), up to the longest.
fn by_percentile(all: &Distribution) -> Vec<(f64, u64)> {
    let count = all.count();
    if count == 0 {
        return Vec::new();
    }
    let last = (count as f64).log10();
    let steps = (last * POINTS_PER_DECADE as f64).ceil() as usize;
    let inner = (0..steps).map(|step| {
        let x = 10f64.powf(step as f64 / POINTS_PER_DECADE as f64);
        (x, all.quantile(1.0 - 1.0 / x))
    });
    inner.chain([(count as f64, all.max())]).collect()
}

impl Slice {
    fn new(t: f64, rate: f64, of: &Distribution) -> Self {
        let any = of.count() > 0;
        Self {
            t,
            rate,
            p50: any.then(|| of.quantile(0.5)),
            p99: None,
            p999: None,
            max: any.then(|| of.max()),
        }
    }
}

/// A quantile over time, by the number of a slice. Where a slice has too few latencies to tell it,
/// several that follow each other have one value, at their middle.
fn told_over_time(slices: &[Distribution], quantile: f64) -> Vec<(usize, u64)> {
    let mut told = Vec::new();
    let mut first = 0;
    let mut part = Distribution::default();
    for (slice, of) in slices.iter().enumerate() {
        part.add(of);
        if part.count() >= least_count(quantile) {
            told.push((usize::midpoint(first, slice), part.quantile(quantile)));
            part = Distribution::default();
            first = slice + 1;
        }
    }
    told
}

impl Shown {
    /// Median and longest of a hop over time, ns.
    pub fn over_time(&self, hop: &str) -> Vec<(Option<f64>, Option<f64>)> {
        let curves = self.curves.iter().find(|curves| curves.hop == hop);
        let slices = curves.map_or(&[][..], |curves| &curves.over_time);
        let value = |value: Option<u64>| value.map(|value| value as f64);
        slices
            .iter()
            .map(|slice| (value(slice.p50), value(slice.max)))
            .collect()
    }

    /// Events a second over time: each event that comes in is timed on its way to ingest.
    pub fn activity(&self) -> Vec<Option<f64>> {
        let name = Hop::IngestWait.name();
        let curves = self.curves.iter().find(|curves| curves.hop == name);
        let slices = curves.map_or(&[][..], |curves| &curves.over_time);
        slices.iter().map(|slice| Some(slice.rate)).collect()
    }
}
