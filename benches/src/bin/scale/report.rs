//! The header, the tables, the charts and the JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use signal_bench::args::Subject;
use signal_bench::bench::{Bench, Library};
use signal_bench::chart::{self, Line, Words};
use signal_bench::series::{Figures, median};

use crate::axes::{Axis, LINEAR, Measured};

/// The library's hops that stand in the tables.
const HOPS: [&str; 5] = [
    "ingest.wait",
    "ingest.work",
    "factor.work",
    "model.work",
    "host.wait",
];

/// One step, measured once a repetition.
pub struct Step {
    pub size: usize,
    pub measured: Vec<Measured>,
}

/// One axis, measured.
pub struct Grown {
    axis: Axis,
    pub steps: Vec<Step>,
    /// Line round trips, one a repetition.
    pub lines: Vec<Figures>,
    /// Whether the cores were the bench's own.
    valid: bool,
}

/// Above what is not.
const INVALID: &str =
    "**INVALID: other things had the cores; compare nothing with these figures.**";

impl Step {
    fn over(&self, read: impl Fn(&Measured) -> f64) -> f64 {
        median(&mut self.measured.iter().map(read).collect::<Vec<_>>())
    }

    fn p50(&self) -> f64 {
        self.over(|measured| measured.figures.p50)
    }

    fn hop(&self, name: &str) -> f64 {
        self.over(|measured| measured.hops.get(name).copied().unwrap_or_default())
    }
}

impl Grown {
    /// An axis whose steps have not been measured.
    pub fn new(axis: Axis, valid: bool) -> Self {
        Self {
            axis,
            valid,
            steps: axis.sizes().iter().map(|&size| Step::of(size)).collect(),
            lines: Vec::new(),
        }
    }

    fn to_line(&self, step: &Step) -> f64 {
        let pairs = step.measured.iter().zip(&self.lines);
        let mut ratios: Vec<f64> = pairs.map(|(m, line)| m.figures.p50 / line.p50).collect();
        median(&mut ratios)
    }

    fn name(&self) -> &'static str {
        match self.axis {
            Axis::Instruments => "instruments",
            Axis::Factors => "factors",
            Axis::Burst => "burst",
            Axis::Model => "model",
        }
    }

    fn title(&self) -> &'static str {
        match self.axis {
            Axis::Instruments => "Tick to callback, one Depth under way, market + linear",
            Axis::Factors => "Tick to callback, one Depth under way, a set of N means, linear",
            Axis::Burst => "Time of a burst, first on_data to last callback, per Depth",
            Axis::Model => "Tick to callback, one Depth under way, factor set market",
        }
    }

    /// The axis itself.
    fn x(&self) -> &'static str {
        match self.axis {
            Axis::Instruments => "instruments",
            Axis::Factors => "factors",
            Axis::Burst => "Depths in the burst",
            Axis::Model => "trees of 31 leaves",
        }
    }

    /// A table, in Markdown.
    fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.valid {
            let _ = write!(text, "{INVALID}\n\n");
        }
        let _ = write!(text, "| {} | median, ns | x line | p99, ns |", self.x());
        for hop in HOPS {
            let _ = write!(text, " {hop} |");
        }
        text.push_str("\n|---|---|---|---|---|---|---|---|---|\n");
        for step in &self.steps {
            let p99 = step.over(|measured| measured.figures.p99.unwrap_or_default());
            let _ = write!(
                text,
                "| {} | {:.0} | {:.2} | {p99:.0} |",
                self.axis.step(step.size),
                step.p50(),
                self.to_line(step),
            );
            for hop in HOPS {
                let _ = write!(text, " {:.0} |", step.hop(hop));
            }
            text.push('\n');
        }
        text
    }

    /// Steps that have a place on the axis: a constant model has no trees.
    fn points(&self, read: impl Fn(&Step) -> f64) -> Vec<(f64, f64)> {
        let steps = self.steps.iter();
        let placed = steps.filter(|step| self.axis != Axis::Model || step.size > LINEAR);
        placed.map(|step| (step.size as f64, read(step))).collect()
    }

    fn lines(&self) -> Vec<Line> {
        let whole = match self.axis {
            Axis::Burst => "a Depth of the burst, median",
            _ => "tick to callback, median",
        };
        let mut lines = vec![Line {
            name: whole.to_owned(),
            points: self.points(Step::p50),
        }];
        // In a burst Depths wait for each other: the waits are not parts of a Depth's share.
        let hops = match self.axis {
            Axis::Burst => &HOPS[1..4],
            _ => &HOPS[..],
        };
        lines.extend(hops.iter().map(|hop| Line {
            name: (*hop).to_owned(),
            points: self.points(|step| step.hop(hop)),
        }));
        lines
    }
}

/// Prints what is about to be timed, where.
pub fn header(
    bench: &Bench,
    library: &Library,
    subject: &Subject,
    repetitions: usize,
    iterations: usize,
) {
    bench.header(
        "what a tick costs as the work grows",
        &[
            ("library", format!("{}; {}, idle spin, timing on", library.describe(), subject.describe())),
            (
                "timed",
                format!(
                    "on core {}, the host's thread: from a stamp before on_data(Depth) to the first stamp in\n\
                     the callback, one Depth under way; of a burst from its first on_data to its last callback,\n\
                     divided by its size; the host spins on the inlined poll; nothing is subtracted",
                    bench.cores.host
                ),
            ),
            (
                "through",
                "the C ABI; factors: the same engine in this process, since the library has no such sets"
                    .to_owned(),
            ),
            (
                "hops",
                "the library's own medians, steps of its clock; those of factors and models are what is done\n\
                 there, those that end in wait are between two threads"
                    .to_owned(),
            ),
            (
                "run",
                format!("{repetitions} repetitions of {iterations} trips a step, all steps in turn; the line around them"),
            ),
        ],
    );
}

/// Prints an axis.
pub fn table(result: &Grown) {
    let mut lines: Vec<f64> = result.lines.iter().map(|line| line.p50).collect();
    println!(
        "{}. Line round trip {:.1} ns\n\n{}",
        result.title(),
        median(&mut lines),
        result.markdown()
    );
}

/// Writes an axis' table and chart.
pub fn files(result: &Grown, folder: &Path) -> Result<(), String> {
    let table = folder.join(format!("{}.md", result.name()));
    fs::write(&table, result.markdown())
        .map_err(|error| format!("cannot write {}: {error}", table.display()))?;
    let title = match result.valid {
        true => result.title().to_owned(),
        false => format!("INVALID. {}", result.title()),
    };
    let words = Words {
        title: &title,
        x: result.x(),
        y: "ns",
    };
    let path = folder.join(format!("{}.svg", result.name()));
    chart::write(&path, words, &result.lines())
}

/// Everything, for other programs.
pub fn to_json(
    library: &Library,
    subject: &Subject,
    ring: Option<usize>,
    iterations: usize,
    results: &[Grown],
) -> Value {
    let axis = |result: &Grown| {
        let steps: Vec<Value> = result
            .steps
            .iter()
            .map(|step| {
                let repeated = step.measured.iter().map(|measured| {
                    let mut value = measured.figures.to_json();
                    value["hops_p50_ns"] = json!(measured.hops);
                    value
                });
                json!({
                    "step": result.axis.step(step.size),
                    "size": step.size,
                    "p50_ns": step.p50(),
                    "ratio_to_line": result.valid.then(|| result.to_line(step)),
                    "per_repetition": repeated.collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "axis": result.name(),
            "valid": result.valid,
            "lines_p50_ns": result.lines.iter().map(|line| line.p50).collect::<Vec<_>>(),
            "steps": steps,
        })
    };
    json!({
        "library": library.to_json(),
        "placement": subject.placement,
        "shards": subject.shards,
        "ring": ring,
        "iterations": iterations,
        "axes": results.iter().map(axis).collect::<Vec<_>>(),
    })
}
