//! The header, the table, the JSON.

use serde_json::{Map, Value, json};
use signal_bench::bench::Bench;
use signal_bench::series::median;

use crate::Args;
use crate::rows::{Row, Step};

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench) {
    let lines = [
        (
            "timed",
            format!(
                "on core {}: a stamp before and after each batch of 1000 calls in a row, so a figure is\n\
                 the mean of a batch; shown is the median batch. Calls in a row overlap in the\n\
                 processor: among other work one may cost more or less",
                bench.cores.host
            ),
        ),
        (
            "run",
            format!(
                "{} repetitions of {} calls a row",
                args.repetitions(),
                args.iterations()
            ),
        ),
    ];
    bench.header("what measuring itself costs", &lines);
}

/// Prints the table.
pub fn table(rows: &[Row], step: &Step, bench: &Bench) {
    println!(
        "{:<34} {:>9}  {:>15} {:>14}",
        "", "median ns", "min .. max", "less the loop"
    );
    let empty = middle(&rows[0]).0;
    for row in rows {
        let (p50, low, high) = middle(row);
        println!(
            "{:<34} {p50:>9.2}  {:>15} {:>14.2}",
            row.title,
            format!("{low:.2} .. {high:.2}"),
            p50 - empty
        );
        row.runs.print_invalid();
    }
    let ns = |ticks: u64| bench.stamps.ns(ticks as f64);
    println!(
        "\ntwo rdtsc in a row lie {:.1} ns apart at least, {:.1} ns mostly; {:.1} % are equal",
        ns(step.least),
        ns(step.usual),
        step.equal_percent
    );
}

/// Everything, for other programs.
pub fn to_json(args: &Args, rows: &[Row], step: &Step, bench: &Bench) -> Value {
    let all: Map<String, Value> = rows
        .iter()
        .map(|row| {
            let (p50, low, high) = middle(row);
            let value =
                json!({ "title": row.title, "valid": !row.runs.are_invalid(), "median_ns": p50, "min_ns": low, "max_ns": high });
            (row.key.to_owned(), value)
        })
        .collect();
    json!({
        "repetitions": args.repetitions(),
        "iterations": args.iterations(),
        "rows": all,
        "rdtsc": {
            "least_step_ns": bench.stamps.ns(step.least as f64),
            "usual_step_ns": bench.stamps.ns(step.usual as f64),
            "equal_percent": step.equal_percent,
        },
    })
}

/// The median, least and greatest of the repetitions.
fn middle(row: &Row) -> (f64, f64, f64) {
    let mut values: Vec<f64> = row.runs.shown().iter().map(|figures| figures.p50).collect();
    let middle = median(&mut values);
    let end = |value: Option<&f64>| value.copied().unwrap_or(0.0);
    (middle, end(values.first()), end(values.last()))
}
