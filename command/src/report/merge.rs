//! Several reports as one, without loss: all intervals in one log, each as it was, and the sums of
//! the counters.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use signal::config::Latency;
use signal::os::files::{entries, make_folder};
use signal::telemetry::hops::{MAX_NS, beyond};

use super::log::{self, Entry, Rises, Slow};
use super::run::{Report, Run};
use super::summary::{Lane, Summary};
use crate::failure::{Failure, Result};
use crate::outputs::write_whole;

/// An interval of some log, as it stands there, or what was lost by then.
struct Line {
    start: f64,
    what: What,
}

enum What {
    Interval(String),
    Slow(Slow),
    /// By how much a counter of losses has risen.
    Lost(String, u64),
}

/// Writes the reports of all runs into a new folder, as one report.
///
/// # Errors
///
/// A folder that exists and is not empty, or a file that cannot be read or written.
pub fn write(runs: &[Run], to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Failure::said(format!("{}: {error}", to.display()));
    make_folder(to).map_err(failed)?;
    if entries(to).map_err(failed)?.next().is_some() {
        return Err(Failure::said(format!(
            "{} is not empty; expected a new folder for the merged report",
            to.display()
        )));
    }
    let reports: Vec<&Report> = runs.iter().flat_map(|run| &run.reports).collect();
    let start = runs.iter().map(|run| run.start).fold(f64::MAX, f64::min);
    let mut lines = Vec::new();
    let mut remarks = Vec::new();
    for report in &reports {
        collect(report, start, &mut lines, &mut remarks)?;
    }
    lines.sort_by(|a, b| a.start.total_cmp(&b.start));
    let log = log_of(start, &lines, &remarks);
    write_whole(&to.join(Latency::LOG), &log).map_err(Failure::said)?;
    let summary = summary(runs, &reports, start);
    let text = serde_json::to_string_pretty(&summary).expect("it has no maps with odd keys");
    write_whole(&to.join(Latency::SUMMARY), &(text + "\n")).map_err(Failure::said)
}

fn collect(
    report: &Report,
    start: f64,
    lines: &mut Vec<Line>,
    remarks: &mut Vec<String>,
) -> Result<()> {
    let mut rises = Rises::default();
    log::read(&report.folder.join(Latency::LOG), |entry, _| {
        match entry {
            Entry::Interval(interval) => {
                let since = (interval.start - start).max(0.0);
                lines.push(Line {
                    start: since,
                    what: What::Interval(interval.line(since)),
                });
            }
            Entry::Slow(slow) => lines.push(Line {
                start: (slow.at - start).max(0.0),
                what: What::Slow(slow),
            }),
            Entry::Lost(lost) => {
                let more = rises.rise(lost.counter, lost.total);
                lines.push(Line {
                    start: (lost.by - start).max(0.0),
                    what: What::Lost(lost.counter.to_owned(), more),
                });
            }
            Entry::Remark(text) => remarks.push(format!("{}: {text}", report.folder.display())),
        }
        Ok(())
    })?;
    Ok(())
}

fn log_of(start: f64, lines: &[Line], remarks: &[String]) -> String {
    let mut text = format!(
        "#[Histogram log format version 1.3]\n\
         #[Latencies in ns; untagged intervals are tick_to_callback]\n\
         #[StartTime: {start:.3} (seconds since epoch)]\n\
         #[BaseTime: {start:.3} (seconds since epoch)]\n\
         #\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    );
    for remark in remarks {
        let _ = writeln!(text, "#[{remark}]");
    }
    let mut lost: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        let _ = match &line.what {
            What::Slow(slow) => writeln!(text, "#[{}]", slow.line(line.start)),
            What::Interval(interval) => writeln!(text, "{interval}"),
            What::Lost(counter, more) => {
                let total = lost.entry(counter).or_default();
                *total += more;
                writeln!(text, "#[Lost: {counter} {total} by {:.3} s]", line.start)
            }
        };
    }
    text
}

fn summary(runs: &[Run], reports: &[&Report], start: f64) -> Value {
    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    let (mut lanes, mut rings, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut incidents = Vec::new();
    let mut throttling = Vec::new();
    let mut end = start;
    for report in reports {
        let named = |name: &str| format!("{}: {name}", report.folder.display());
        end = end.max(report.end());
        notes.extend(report.warnings.iter().map(|warning| named(warning)));
        let Some(of) = &report.summary else { continue };
        for (name, count) in &of.counters {
            *counters.entry(name.clone()).or_default() += count;
        }
        lanes.extend(of.vitals.iter().map(|lane| Lane {
            name: named(&lane.name),
            ..lane.clone()
        }));
        rings.extend(of.rings.iter().map(|ring| {
            json!({ "name": named(&ring.name), "capacity": ring.capacity, "high_water": ring.high_water })
        }));
        notes.extend(of.notes.iter().map(|note| named(note)));
        incidents.extend(of.incidents.iter().cloned());
        throttling.extend((!of.throttling.is_null()).then(|| of.throttling.clone()));
    }
    let mut all = Map::new();
    all.insert("format".into(), json!(1));
    all.insert("started_unix_s".into(), json!(start));
    all.insert("seconds".into(), json!(end - start));
    all.insert("hops".into(), json!(hops(runs)));
    all.insert("latency_bound_ns".into(), json!(MAX_NS));
    all.insert("counters".into(), json!(counters));
    all.insert("vitals".into(), json!(lanes));
    all.insert("rings".into(), json!(rings));
    all.insert("throttling".into(), json!(throttling));
    all.insert("incidents".into(), json!(incidents));
    all.insert("notes".into(), json!(notes));
    all.insert(
        "merged_from".into(),
        json!(
            reports
                .iter()
                .map(|report| &report.folder)
                .collect::<Vec<_>>()
        ),
    );
    let summaries: Vec<&Summary> = reports
        .iter()
        .filter_map(|report| report.summary.as_ref())
        .collect();
    for (name, values) in [
        (
            "machine",
            summaries
                .iter()
                .map(|of| of.machine.clone())
                .collect::<Vec<_>>(),
        ),
        (
            "build",
            summaries.iter().map(|of| of.build.clone()).collect(),
        ),
        (
            "configuration",
            summaries
                .iter()
                .map(|of| of.configuration.clone())
                .collect(),
        ),
        (
            "lanes",
            summaries.iter().map(|of| json!(of.lanes)).collect(),
        ),
        (
            "stamp_cost_ns",
            summaries.iter().map(|of| json!(of.stamp_cost_ns)).collect(),
        ),
    ] {
        all.insert(name.into(), one_or_all(name, values));
    }
    Value::Object(all)
}

/// The one value that all have, or all of them.
fn one_or_all(name: &str, mut values: Vec<Value>) -> Value {
    values.dedup();
    match (name, values.len()) {
        (_, 0) => Value::Null,
        (_, 1) => values.remove(0),
        // These are no objects elsewhere.
        ("lanes", _) => json!(
            values
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("; ")
        ),
        ("stamp_cost_ns", _) => json!(values.iter().filter_map(Value::as_f64).reduce(f64::max)),
        _ => json!({ "several": values }),
    }
}

/// The hops of all runs, added up as the library sums them up.
fn hops(runs: &[Run]) -> Vec<Value> {
    let mut totals = BTreeMap::new();
    for times in runs.iter().flat_map(|run| &run.hops) {
        let total = totals
            .entry(times.hop as usize)
            .or_insert((times.hop, None));
        super::run::add(&mut total.1, &times.total);
    }
    let each = totals
        .into_values()
        .filter_map(|(hop, total)| Some((hop, total?)));
    each.map(|(hop, total)| {
        json!({
            "hop": hop.name(),
            "count": total.len(),
            "p50_ns": total.value_at_quantile(0.5),
            "p99_ns": total.value_at_quantile(0.99),
            "p999_ns": total.value_at_quantile(0.999),
            "max_ns": total.max(),
            "beyond": beyond(&total),
        })
    })
    .collect()
}
