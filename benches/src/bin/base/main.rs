//! What measuring itself costs, on one core. What exactly is timed:
//! `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `rows` | what is called |
//! | `report` | the header, the table, the JSON |

mod report;
mod rows;

use std::process::ExitCode;

use clap::Parser;
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended};

/// What measuring itself costs: stamps, histograms, the loop around them.
#[derive(Debug, Parser)]
#[command(name = "base")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Calls a repetition and row, rounded up to thousands [default: 1000000]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
}

impl Args {
    fn iterations(&self) -> usize {
        let default = self.common.pick(1_000_000, 20_000);
        self.iterations.unwrap_or(default)
    }

    fn repetitions(&self) -> usize {
        self.common.repetitions(7)
    }
}

fn main() -> ExitCode {
    bench::exit("base", run(&Args::parse()))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start_alone("base", &args.common)?;
    report::header(args, &bench);
    let mut rows = rows::all();
    for _ in 0..args.repetitions() {
        for row in &mut rows {
            row.runs.push(bench.run(row.title, || {
                Ok((row.measure)(&bench.stamps, args.iterations()))
            })?);
        }
    }
    for row in &rows {
        bench.shown(&row.runs);
    }
    let step = rows::step(args.iterations());
    report::table(&rows, &step, &bench);
    bench.print_validity();
    bench.may_compare();
    let result = report::to_json(args, &rows, &step, &bench);
    bench.end(result)
}
