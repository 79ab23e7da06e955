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

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::report::{Table, mark, spread};
use signal_bench::series::{Figures, Stamps, batched, median};

use measuring::EMPTY;

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

/// Rows that have something in common, their name in the result, and how many times more calls they
/// need.
const GROUPS: [(&str, &str, usize); 3] = [
    ("what measures", "measuring", 10),
    ("factor sets", "factors", 1),
    ("models", "models", 1),
];

type Measure = Box<dyn FnMut(&Stamps, usize) -> Figures>;

struct Row {
    title: String,
    measure: Measure,
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
        }
    }
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
    let mut rows = Vec::new();
    for (group, of) in [measuring::rows(), factors::rows()?, models::rows()?]
        .into_iter()
        .enumerate()
    {
        let wanted = |row: &Row| row.title == EMPTY || row.title.contains(&args.only);
        rows.extend(of.into_iter().filter(wanted).map(|row| (group, row)));
    }
    let name = |(_, row): &(_, Row)| format!("{}, ", row.title);
    let measured = bench.in_turn(repetitions, &mut rows, name, |(group, row), _| {
        Ok((row.measure)(&bench.stamps, GROUPS[*group].2 * calls))
    })?;
    let mut empty = 0.0;
    let mut all = Vec::new();
    for (group, (title, key, _)) in GROUPS.into_iter().enumerate() {
        let columns = ["median ns", "min .. max", "less the loop", "M calls/s", ""];
        let mut table = Table::new(title, columns);
        let both = rows.iter().zip(&measured);
        for ((_, row), runs) in both.filter(|((of, _), _)| *of == group) {
            let shown = bench.shown(runs).into_iter();
            let ns: Vec<f64> = shown.map(|figures| figures.p50).collect();
            let middle = median(ns.iter().copied());
            if row.title == EMPTY {
                empty = middle;
            }
            let more = [middle - empty, 1e3 / middle].map(|figure| format!("{figure:.2}"));
            let cells = spread(ns.iter().copied(), 2).into_iter().chain(more);
            table.row(&row.title, cells.chain([mark(!runs.are_invalid())]));
            all.push(json!({
                "row": row.title,
                "of": key,
                "valid": !runs.are_invalid(),
                "ns": middle,
                "min_ns": ns.iter().copied().reduce(f64::min),
                "max_ns": ns.iter().copied().reduce(f64::max),
                "calls_per_s": 1e9 / middle,
                "per_repetition_ns": ns,
            }));
        }
        if !table.rows.is_empty() {
            bench.show(table);
        }
    }
    let result = json!({"repetitions": repetitions, "calls": calls, "rows": all});
    bench.end(Vec::new, result)
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
