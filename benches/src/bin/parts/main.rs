//! What each part costs by itself, a call, on one thread and without rings: what measures,
//! factor sets, models.
//!
//! | file | what |
//! |---|---|
//! | `measuring` | stamps, histograms, the callback |
//! | `factors` | the factor sets |
//! | `models` | the models |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod factors;
mod measuring;
mod models;

use std::hint::black_box;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::judge::Runs;
use signal_bench::report::{Table, spread};
use signal_bench::series::{Figures, Stamps, batched, median};

/// What each part costs by itself, a call: what measures, factor sets, models.
#[derive(Debug, Parser)]
#[command(name = "parts")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Calls a repetition and row, rounded up to thousands, ten times as many of what measures
    /// [default: 100000; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    calls: Option<usize>,
    /// Only rows with this in their title; the empty loop always
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

type Measure = Box<dyn FnMut(&Stamps, usize) -> Figures>;

struct Row {
    title: String,
    measure: Measure,
    runs: Runs<Figures>,
}

impl Row {
    /// A call of what is timed gets its number, which picks the input. A tenth as many go
    /// before. The loop is compiled with the call.
    fn new(title: impl Into<String>, mut call: impl FnMut(usize) + 'static) -> Self {
        let measure = move |stamps: &Stamps, calls: usize| {
            (0..calls / 10).for_each(&mut call);
            let mut number = calls / 10;
            batched(stamps, calls, || {
                call(number);
                number += 1;
            })
        };
        Self {
            title: title.into(),
            measure: Box::new(measure),
            runs: Runs::default(),
        }
    }

    fn ns(&self) -> Vec<f64> {
        self.runs
            .shown()
            .iter()
            .map(|figures| figures.p50)
            .collect()
    }
}

/// Rows that have something in common, and how many times more calls they need.
struct Group {
    title: &'static str,
    key: &'static str,
    times: usize,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    bench::main("parts", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start_alone("parts", &args.common)?;
    let repetitions = args.common.repetitions(5);
    let calls = args.common.or(args.calls, 100_000, 2_000);
    let run = format!(
        "{repetitions} repetitions of {calls} calls of every row in turn, ten times as many of what measures"
    );
    bench.header("what each part costs by itself, a call", &[("run", run)]);
    let group = |title, key, times, rows| Group {
        title,
        key,
        times,
        rows,
    };
    let mut groups = [
        group("what measures", "measuring", 10, measuring::rows()),
        group("factor sets", "factors", 1, factors::rows()?),
        group("models", "models", 1, models::rows()?),
    ];
    let wanted = |row: &Row| row.title == EMPTY || row.title.contains(&args.only);
    groups
        .iter_mut()
        .for_each(|group| group.rows.retain(wanted));
    for _ in 0..repetitions {
        for group in &mut groups {
            for row in &mut group.rows {
                let measure = &mut row.measure;
                let once = || Ok(measure(&bench.stamps, group.times * calls));
                row.runs.0.push(bench.run(&row.title, once)?);
            }
        }
    }
    let empty = median(groups[0].rows[0].ns());
    let mut rows = Vec::new();
    for group in groups.iter().filter(|group| !group.rows.is_empty()) {
        let columns = ["median ns", "min .. max", "less the loop", "M calls/s", ""];
        let mut table = Table::new(group.title, columns);
        for row in &group.rows {
            bench.shown(&row.runs);
            let ns = row.ns();
            let middle = median(ns.iter().copied());
            let more = [middle - empty, 1e3 / middle].map(|figure| format!("{figure:.2}"));
            let mark = if row.runs.are_invalid() {
                "INVALID"
            } else {
                ""
            };
            let cells = spread(ns.iter().copied(), 2).into_iter().chain(more);
            table.row(&row.title, cells.chain([mark.to_owned()]));
            rows.push(to_json(group, row, &ns));
        }
        bench.show(table);
    }
    let step = measuring::step(&bench.stamps, 10 * calls);
    bench.say(format!(
        "two rdtsc in a row lie {:.1} ns apart at least, {:.1} ns mostly; {:.1} % are equal",
        step.least_step_ns, step.usual_step_ns, step.equal_percent
    ));
    let result = json!({
        "repetitions": repetitions,
        "calls": calls,
        "rows": rows,
        "rdtsc": step,
    });
    bench.end(Vec::new, result)
}

/// The row that all others contain.
const EMPTY: &str = "empty loop";

fn to_json(group: &Group, row: &Row, ns: &[f64]) -> Value {
    let middle = median(ns.iter().copied());
    json!({
        "row": row.title,
        "of": group.key,
        "valid": !row.runs.are_invalid(),
        "ns": middle,
        "min_ns": ns.iter().copied().reduce(f64::min),
        "max_ns": ns.iter().copied().reduce(f64::max),
        "calls_per_s": 1e9 / middle,
        "per_repetition_ns": ns,
    })
}

fn empty() -> Row {
    Row::new(EMPTY, |number| {
        black_box(number);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_measures_something_and_has_its_own_title() {
        let stamps = Stamps::default();
        let all = [
            measuring::rows(),
            factors::rows().unwrap(),
            models::rows().unwrap(),
        ];
        let mut titles = std::collections::BTreeSet::new();
        for mut row in all.into_iter().flatten() {
            let figures = (row.measure)(&stamps, 1000);
            assert!(figures.count == 1000 && figures.p50 >= 0.0, "{}", row.title);
            assert!(titles.insert(row.title.clone()), "{}", row.title);
        }
    }
}
