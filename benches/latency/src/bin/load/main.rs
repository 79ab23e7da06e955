//! Depths at fixed rates, whatever the library does: latency from the time at which
//! each was meant to be sent, to its callback.
//!
//! | file | what |
//! |---|---|
//! | `args` | the flags |
//! | `row` | one rate for some time |
//! | `report` | the header, the table, the goals, the JSON |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod args;
mod report;
mod row;

use std::process::ExitCode;

use clap::Parser;
use latency_bench::bench::{self, Bench, Library};
use latency_bench::echo::{self, Trips};
use latency_bench::series::Series;
use latency_bench::workload;
use latency_bench::{jitter, schedule};

use args::Args;
use report::{Rates, Repetition};
use row::{Load, Row};

/// Rates between which saturation is looked for, Depths a second.
const SLOWEST: f64 = 10_000.0;
const FASTEST: f64 = 100_000_000.0;
/// How exactly.
const PRECISION: f64 = 0.02;
/// A rate sustains if so many of [`TRIALS`] trials do: a machine that takes a core away
/// for a moment should not decide.
const NEEDED: usize = 2;
const TRIALS: usize = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("load", run(&args))
}

fn run(args: &Args) -> Result<(), String> {
    let bench = Bench::start("load", &args.common)?;
    let library = Library::load(&args.subject)?;
    report::header(args, &bench, &library);
    let model = workload::linear_model()?;
    let load = Load {
        bench: &bench,
        library: &library,
        config: args.config(&bench.cores, model.path()),
        instruments: args.instruments,
        trades: args.trades,
    };

    let rates = if args.pace.rate.is_empty() {
        let trial = args.trial();
        let found = schedule::saturation(SLOWEST, FASTEST, PRECISION, |rate| {
            let mut kept = 0;
            for number in 0..TRIALS {
                kept += usize::from(load.run(rate, trial)?.outcome.passed());
                let left = TRIALS - 1 - number;
                if kept >= NEEDED || kept + left < NEEDED {
                    break;
                }
            }
            Ok(kept >= NEEDED)
        })?;
        if found == 0.0 {
            println!(
                "saturation: not even {SLOWEST:.0} Depths a second were sustained; measured up to there\n"
            );
            Rates::below(SLOWEST)
        } else {
            println!("saturation: {found:.0} Depths a second\n");
            Rates::of_saturation(found)
        }
    } else {
        Rates::given(&args.pace.rate)
    };

    let trips = Trips {
        count: args.common.pick(50_000, 5_000),
        gap: 0,
    };
    let mut repetitions = Vec::new();
    for _ in 0..args.repetitions() {
        let mut line = Series::new();
        echo::line(&bench.stamps, bench.lane(), trips, &mut line)?;
        let rows: Vec<Row> = rates
            .all()
            .map(|rate| load.run(rate, args.duration()))
            .collect::<Result<_, _>>()?;
        echo::line(&bench.stamps, bench.lane(), trips, &mut line)?;
        repetitions.push(Repetition {
            lost: jitter::measure(&bench.stamps, bench.lane(), args.trial())?,
            line: line.figures(&bench.stamps),
            rows,
        });
    }
    report::table(&bench, &rates, &repetitions);
    bench.write(report::to_json(args, &library, &rates, &repetitions))
}
