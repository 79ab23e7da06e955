//! Factor sets and models alone: what one call costs, on one thread, without rings.
//!
//! | file | what |
//! |---|---|
//! | `factors` | the rows of the factor sets |
//! | `models` | the rows of the models |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod factors;
mod models;

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::runs::Runs;
use signal_bench::series::{Figures, batched, median};

/// What factor sets and models cost by themselves, a call.
#[derive(Debug, Parser)]
#[command(name = "stages")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Calls a repetition and row [default: 100000]
    #[arg(long, value_name = "N", value_parser = positive)]
    calls: Option<usize>,
}

/// One row: its title, and a call of what it times.
struct Row {
    title: String,
    /// Given the number of the call, which picks the input.
    call: Box<dyn FnMut(usize)>,
    runs: Runs<Figures>,
}

impl Row {
    fn new(title: impl Into<String>, call: impl FnMut(usize) + 'static) -> Self {
        Self {
            title: title.into(),
            call: Box::new(call),
            runs: Runs::default(),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("stages", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start_alone("stages", &args.common)?;
    let repetitions = args.common.repetitions(5);
    let calls = args.calls.unwrap_or(args.common.pick(100_000, 2_000));
    bench.header(
        "what factor sets and models cost by themselves, a call",
        &[
            (
                "timed",
                format!(
                    "on core {}, one thread: batches of 1000 calls between two stamps; the figure is the\n\
                     median batch's mean, calling through a box included, nothing subtracted",
                    bench.cores.host
                ),
            ),
            ("factors", factors::ABOUT.to_owned()),
            ("models", models::ABOUT.to_owned()),
            (
                "run",
                format!("{repetitions} repetitions of {calls} calls of every row in turn"),
            ),
        ],
    );
    let mut rows = vec![Row::new("nothing: the loop and the box", |number| {
        std::hint::black_box(number);
    })];
    rows.extend(factors::rows()?);
    rows.extend(models::rows()?);
    for _ in 0..repetitions {
        for row in &mut rows {
            let mut number = 0;
            let mut call = || {
                (row.call)(number);
                number += 1;
            };
            // Caches and branch predictors; not timed.
            for _ in 0..calls / 10 {
                call();
            }
            let run = bench.run(&row.title, || Ok(batched(&bench.stamps, calls, &mut call)))?;
            row.runs.push(run);
        }
    }
    for row in &rows {
        bench.shown(&row.runs);
    }
    table(&rows);
    bench.print_validity();
    bench.may_compare();
    bench.end(json!({
        "repetitions": repetitions,
        "calls": calls,
        "rows": rows.iter().map(to_json).collect::<Vec<_>>(),
    }))
}

fn medians(row: &Row) -> (f64, f64, f64) {
    let mut all: Vec<f64> = row.runs.shown().iter().map(|figures| figures.p50).collect();
    let middle = median(&mut all);
    let (least, most) = (all.first(), all.last());
    (middle, *least.unwrap_or(&0.0), *most.unwrap_or(&0.0))
}

fn table(rows: &[Row]) {
    println!(
        "{:<50} {:>8} {:>18} {:>12}",
        "", "ns", "min .. max", "calls/s"
    );
    for row in rows {
        let (middle, least, most) = medians(row);
        println!(
            "{:<50} {middle:>8.1} {:>18} {:>10.2} M",
            row.title,
            format!("{least:.1} .. {most:.1}"),
            1000.0 / middle
        );
        row.runs.print_invalid();
    }
    println!();
}

fn to_json(row: &Row) -> Value {
    let (middle, least, most) = medians(row);
    json!({
        "row": row.title,
        "valid": !row.runs.are_invalid(),
        "ns": middle,
        "min_ns": least,
        "max_ns": most,
        "calls_per_s": 1e9 / middle,
        "per_repetition_ns": row.runs.shown().iter().map(|figures| figures.p50).collect::<Vec<_>>(),
    })
}
