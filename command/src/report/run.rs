//! What was measured: the reports of one run, read and added up.

use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use signal::Hop;
use signal::config::Latency;
use signal::os::files::entries;

use super::distribution::Distribution;
use super::log::{self, Entry, Rises, Slow};
use super::summary::Summary;
use crate::failure::{Failure, Result};

/// Most points of a curve over time; a log of a day has 86,400 intervals.
const MOST_SLICES: usize = 240;
/// Folders below the one that is named; a process makes one for each handle.
const DEPTH: usize = 3;
/// No slice of time is shorter, s.
const SHORTEST_S: f64 = 1e-3;
/// From this part of the time on, a core that was not a lane's own shows in its p99.
const MOST_AWAY: f64 = 0.01;

/// Parts of a run of one kind: several handles, or repetitions of one measurement.
pub struct Run {
    /// What it is called in tables and charts.
    pub label: String,
    /// Its reports, by time.
    pub reports: Vec<Report>,
    /// When the first interval began, s since the epoch.
    pub start: f64,
    /// How long a slice of time is, s.
    pub slice_s: f64,
    /// How many events and signals were lost in each slice of time, by the logs.
    pub lost: Vec<u64>,
    /// What each hop took. Those that were timed, in the order of the path.
    pub hops: Vec<HopTimes>,
}

/// The report of one engine.
pub struct Report {
    /// Its folder.
    pub folder: PathBuf,
    /// Its facts, if it has ended.
    pub summary: Option<Summary>,
    /// The signals that were slow.
    pub slow: Vec<Slow>,
    /// What the library remarked in the log.
    pub remarks: Vec<String>,
    /// What a reader should know of the files themselves.
    pub warnings: Vec<String>,
    /// The latencies of each hop that was timed.
    pub hops: Vec<(Hop, Histogram<u64>)>,
    /// When its first interval began and its last one ended, s since the epoch.
    span: (f64, f64),
    /// The median length of an interval, s.
    interval_s: f64,
}

/// The latencies of one hop in a run.
pub struct HopTimes {
    /// The hop.
    pub hop: Hop,
    /// All of them.
    pub total: Histogram<u64>,
    /// Those of each slice of time. An interval belongs to the slice that has its middle.
    pub slices: Vec<Distribution>,
    /// Messages a second in each slice. An interval of several slices has its part in each.
    pub rates: Vec<f64>,
}

impl Run {
    /// Reads all reports in a folder, or below it.
    ///
    /// # Errors
    ///
    /// A folder without reports, or a report that is not understood.
    pub fn read(path: &Path, label: String) -> Result<Self> {
        let folders = find(path)?;
        let reports = folders.into_iter().map(Report::read);
        let mut reports = reports.collect::<Result<Vec<_>>>()?;
        reports.sort_by(|a, b| a.span.0.total_cmp(&b.span.0));
        let timed = reports.iter().filter(|report| !report.hops.is_empty());
        let (mut start, mut end, mut interval) = (f64::MAX, f64::MIN, f64::MAX);
        for report in timed {
            start = start.min(report.span.0);
            end = end.max(report.span.1);
            interval = interval.min(report.interval_s);
        }
        let whole = (end - start).max(0.0);
        let slices = ((whole / interval).round().max(1.0) as usize).min(MOST_SLICES);
        let mut run = Self {
            label,
            reports,
            start,
            slice_s: (whole / slices as f64).max(1e-9),
            lost: vec![0; slices],
            hops: Vec::new(),
        };
        run.hops = run.slice(slices)?;
        Ok(run)
    }

    /// Reads the logs once more and sorts their intervals into slices of time.
    fn slice(&mut self, slices: usize) -> Result<Vec<HopTimes>> {
        let mut cut: Vec<Vec<Option<Histogram<u64>>>> =
            Hop::ALL.iter().map(|_| vec![None; slices]).collect();
        let mut rates = vec![vec![0.0; slices]; Hop::ALL.len()];
        for report in &self.reports {
            let path = report.folder.join(Latency::LOG);
            let mut rises = Rises::default();
            log::read(&path, |entry, decode| {
                let interval = match entry {
                    Entry::Interval(interval) => interval,
                    Entry::Lost(lost) => {
                        let slice = ((lost.by - self.start) / self.slice_s) as usize;
                        self.lost[slice.min(slices - 1)] += rises.rise(lost.counter, lost.total);
                        return Ok(());
                    }
                    Entry::Slow(_) | Entry::Remark(_) => return Ok(()),
                };
                let histogram = decode(&interval)?;
                let from = (interval.start - self.start) / self.slice_s;
                let to = from + interval.length / self.slice_s;
                let slice = ((from + to) as usize / 2).min(slices - 1);
                add(&mut cut[interval.hop as usize][slice], &histogram);
                let rate = histogram.len() as f64 / self.slice_s;
                spread(&mut rates[interval.hop as usize], (from, to), rate);
                Ok(())
            })?;
        }
        let timed = Hop::ALL.into_iter().zip(cut).zip(rates);
        let timed = timed.filter(|((_, slices), _)| slices.iter().any(Option::is_some));
        Ok(timed
            .map(|((hop, slices), rates)| {
                let mut total = None;
                slices
                    .iter()
                    .flatten()
                    .for_each(|slice| add(&mut total, slice));
                let each = slices.iter();
                HopTimes {
                    hop,
                    total: total.unwrap_or_else(empty),
                    slices: each
                        .map(|slice| slice.as_ref().map(Distribution::new).unwrap_or_default())
                        .collect(),
                    rates,
                }
            })
            .collect())
    }

    /// The latencies of a hop, if it was timed.
    pub fn hop(&self, hop: Hop) -> Option<&HopTimes> {
        self.hops.iter().find(|times| times.hop == hop)
    }

    /// The seconds in which engines of this run ran, as far as their logs tell.
    pub fn seconds(&self) -> f64 {
        let hops = self.hops.iter();
        let most = hops.map(|times| times.slices.len()).max().unwrap_or(0);
        most as f64 * self.slice_s
    }

    /// A counter, of all reports.
    pub fn counter(&self, name: &str) -> Option<u64> {
        let summaries = self.summaries();
        let each = summaries.map(|summary| summary.counters.get(name).copied());
        each.sum()
    }

    /// The summaries of the reports that have one.
    pub fn summaries(&self) -> impl Iterator<Item = &Summary> {
        self.reports
            .iter()
            .filter_map(|report| report.summary.as_ref())
    }

    /// Why the latencies are not the library's own, if other threads had its cores.
    pub fn invalid(&self) -> Option<String> {
        let most = self.summaries().filter_map(Summary::most_away);
        let (part, lane) = most.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        (part >= MOST_AWAY).then(|| {
            format!(
                "other threads had the core of {} for {:.0} % of the time",
                lane.name,
                part * 100.0
            )
        })
    }
}

impl Report {
    /// Reads one report.
    ///
    /// # Errors
    ///
    /// A file of it that cannot be read or is not understood.
    pub fn read(folder: PathBuf) -> Result<Self> {
        let path = folder.join(Latency::LOG);
        let summary = Summary::read(&folder.join(Latency::SUMMARY))?;
        let mut totals: Vec<Option<Histogram<u64>>> = vec![None; Hop::ALL.len()];
        let (mut remarks, mut slow) = (Vec::new(), Vec::new());
        let mut span = (f64::MAX, f64::MIN);
        let mut lengths = Vec::new();
        let ending = log::read(&path, |entry, decode| {
            match entry {
                Entry::Lost(_) => {}
                Entry::Slow(signal) => slow.push(signal),
                Entry::Remark(text) => remarks.push(text.to_owned()),
                Entry::Interval(interval) => {
                    let histogram = decode(&interval)?;
                    check_precision(&histogram)?;
                    add(&mut totals[interval.hop as usize], &histogram);
                    span.0 = span.0.min(interval.start);
                    span.1 = span.1.max(interval.start + interval.length);
                    lengths.push(interval.length);
                }
            }
            Ok(())
        })?;
        let hops = Hop::ALL.into_iter().zip(totals);
        let hops: Vec<_> = hops
            .filter_map(|(hop, total)| Some((hop, total?)))
            .collect();
        let mut report = Self {
            folder,
            summary,
            slow,
            remarks,
            warnings: Vec::new(),
            hops,
            span,
            interval_s: median(&mut lengths).max(SHORTEST_S),
        };
        report.warnings = report.doubts(ending.cut);
        Ok(report)
    }

    /// When its last interval ended, s since the epoch.
    pub fn end(&self) -> f64 {
        self.span.1
    }

    /// What does not fit together in the files.
    fn doubts(&self, cut: bool) -> Vec<String> {
        let mut doubts = Vec::new();
        if cut {
            doubts.push(format!(
                "the last line of {} is cut, and left out: did the machine lose its power, or is the file being copied?",
                Latency::LOG
            ));
        }
        let Some(summary) = &self.summary else {
            doubts.push(format!(
                "no {}: the host left without signal_destroy or is still running, so counters and facts are unknown; latencies are those up to the last interval of the log",
                Latency::SUMMARY
            ));
            return doubts;
        };
        for told in &summary.hops {
            let logged = self.hops.iter().find(|(hop, _)| hop.name() == told.hop);
            let logged = logged.map_or(0, |(_, histogram)| histogram.len());
            if logged != told.count {
                doubts.push(format!(
                    "the log has {logged} latencies of {}, {} has {}: parts of the log are missing",
                    told.hop,
                    Latency::SUMMARY,
                    told.count
                ));
            }
        }
        doubts
    }
}

/// Adds a rate to the slices from here to there, and its part to those that are covered in part.
fn spread(to: &mut [f64], (start, end): (f64, f64), rate: f64) {
    let last = to.len() - 1;
    let (first, final_one) = (
        (start.max(0.0) as usize).min(last),
        (end as usize).min(last),
    );
    let length = (end - start).max(f64::MIN_POSITIVE);
    for (slice, sum) in to.iter_mut().enumerate().take(final_one + 1).skip(first) {
        let from = start.max(slice as f64);
        let until = if slice == last {
            end
        } else {
            end.min((slice + 1) as f64)
        };
        *sum += rate * ((until - from) / length).clamp(0.0, 1.0);
    }
}

/// The median; the upper one of two. 0 if there is none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A histogram that grows as it needs.
fn empty() -> Histogram<u64> {
    let digits = signal::telemetry::hops::DIGITS;
    Histogram::new(digits).expect("the number of digits is valid")
}

/// Adds a histogram to what there is.
pub fn add(to: &mut Option<Histogram<u64>>, histogram: &Histogram<u64>) {
    to.get_or_insert_with(empty)
        .add(histogram)
        .expect("it grows as it needs");
}

/// Refuses what would lose precision when it is added up.
fn check_precision(histogram: &Histogram<u64>) -> std::result::Result<(), String> {
    let (found, expected) = (histogram.sigfig(), signal::telemetry::hops::DIGITS);
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "its histogram has {found} significant digits; expected {expected}, as the library writes"
        )),
    }
}

/// The folders with a report, at or below `path`, in the order of their names.
fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let named = |path: &Path, what: &str| Failure::said(format!("{}: {what}", path.display()));
    let about = path
        .metadata()
        .map_err(|error| named(path, &error.to_string()))?;
    if !about.is_dir() {
        return Err(named(path, "expected the folder of a latency report"));
    }
    look(path, DEPTH, &mut found).map_err(|error| named(path, &error.to_string()))?;
    found.sort();
    if found.is_empty() {
        return Err(named(
            path,
            &format!(
                "no {} in it or below it; expected the folder that SIGNAL_LATENCY_DIR, latency.dir or --report named",
                Latency::LOG
            ),
        ));
    }
    Ok(found)
}

fn look(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.join(Latency::LOG).is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in entries(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            look(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_its_part_in_each_slice() {
        for ((start, end), expected) in [
            ((0.0, 1.0), [12.0, 0.0, 0.0]),
            ((0.5, 1.0), [12.0, 0.0, 0.0]),
            ((0.5, 2.5), [3.0, 6.0, 3.0]),
            // Times are rounded to ms.
            ((2.5, 3.01), [0.0, 0.0, 12.0]),
        ] {
            let mut rates = [0.0; 3];
            spread(&mut rates, (start, end), 12.0);
            let apart = rates
                .iter()
                .zip(expected)
                .map(|(rate, expected)| (rate - expected).abs());
            assert!(apart.sum::<f64>() < 1e-9, "{start} to {end}: {rates:?}");
        }
    }
}
