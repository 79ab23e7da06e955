//! The design that the library replaces beside the library, in one run.
//!
//! | file | what |
//! |---|---|
//! | `args` | the flags |
//! | `cases` | factors and model; who takes part; one measurement |
//! | `agree` | both must compute the same values |
//! | `report` | the header, the tables, the goals, the JSON |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod agree;
mod args;
mod cases;
mod report;

use std::process::ExitCode;

use clap::Parser;
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::echo::{self, Trips};
use signal_bench::runs::Runs;
use signal_bench::series::Series;
use signal_bench::workload;

use args::Args;
use cases::{Case, Contender, Setup};
use report::Repetition;

fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("hf_live_design", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("hf_live_design", &args.common)?;
    let library = Library::load(&args.subject)?;
    let design_cores = args.design_cores(&bench.cores);
    report::header(args, &bench, &library, &design_cores);
    let model = workload::linear_model()?;
    let setup = Setup {
        api: &library.api,
        stamps: &bench.stamps,
        cores: &bench.cores,
        design_cores: &design_cores,
        placement: &args.subject.placement,
        shards: args.subject.shards,
        model: model.path(),
        trips: args.iterations(),
    };
    for case in Case::ALL {
        agree::check(&setup, case)?;
    }
    println!("values: equal to the library's, bit by bit, in every setting\n");

    let half = Trips {
        count: args.iterations() / 2,
        gap: 0,
    };
    let mut repetitions = Runs::default();
    for number in 0..args.repetitions() {
        let name = format!("repetition {}", number + 1);
        repetitions.push(bench.run(&name, || repeat(&bench, &setup, half, number))?);
    }
    let repetitions = bench.shown(&repetitions);
    report::tables(&bench, repetitions);
    let result = report::to_json(args, &bench, &library, &design_cores, repetitions);
    bench.end(result)
}

/// Everybody once, and the line before and after.
fn repeat(bench: &Bench, setup: &Setup, half: Trips, number: usize) -> Result<Repetition, String> {
    let mut line = Series::new();
    echo::line(&bench.stamps, bench.lane(), half, &mut line)?;
    let mut measured = Vec::new();
    for case in Case::ALL {
        // Who begins changes, so that what one leaves behind meets each.
        let count = Contender::ALL.len();
        let mut figures = vec![None; count];
        for turn in 0..count {
            let place = (turn + number) % count;
            figures[place] = Some(setup.measure(case, Contender::ALL[place])?);
        }
        measured.push(figures.into_iter().flatten().collect());
    }
    echo::line(&bench.stamps, bench.lane(), half, &mut line)?;
    Ok(Repetition {
        line: line.figures(&bench.stamps),
        measured,
    })
}
