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
use schedule::{MOST_TRIALS, NEEDED, TRIALS, Trials};
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::echo::{self, Trips};
use signal_bench::runs::Judged;
use signal_bench::series::Series;
use signal_bench::workload;
use signal_bench::{jitter, schedule};

use args::Args;
use report::{Rates, Repetition};
use row::{Load, Row};

/// Rates between which saturation is looked for, Depths a second.
const SLOWEST: f64 = 10_000.0;
const FASTEST: f64 = 100_000_000.0;
/// How exactly.
const PRECISION: f64 = 0.02;
fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("load", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
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
        let most = args.common.pick(MOST_TRIALS, TRIALS);
        let mut disturbed = false;
        let found = schedule::saturation(SLOWEST, FASTEST, PRECISION, |rate| {
            let mut trials = Trials::default();
            loop {
                let watch = bench.watch();
                let passed = load.run(rate, trial)?.outcome.passed();
                let taken = watch.end();
                trials.add(taken.is_valid(), passed);
                let decided = trials.decided();
                let out_of_tries = trials.count() == most;
                bench.note(
                    &format!("trial of {rate:.0}/s"),
                    &taken,
                    decided.is_none() && out_of_tries,
                );
                if let Some(sustains) = decided {
                    return Ok(sustains);
                }
                if out_of_tries {
                    disturbed = true;
                    return Ok(trials.guess());
                }
            }
        })?;
        if disturbed {
            println!(
                "saturation is INVALID: a rate had fewer than {NEEDED} trials of {most} that agree and had \
                 the cores to themselves"
            );
        }
        if found == 0.0 {
            println!(
                "saturation: not even {SLOWEST:.0} Depths a second were sustained; measured up to there\n"
            );
            Rates::below(SLOWEST, !disturbed)
        } else {
            println!("saturation: {found:.0} Depths a second\n");
            Rates::of_saturation(found, !disturbed)
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
        let half = |name: &str| {
            bench.run(name, || {
                let mut line = Series::new();
                echo::line(&bench.stamps, bench.lane(), trips, &mut line)?;
                Ok(line)
            })
        };
        let mut line = half("line before")?;
        let rows: Vec<Judged<Row>> = rates
            .all()
            .map(|rate| bench.run(&format!("{rate:.0}/s"), || load.run(rate, args.duration())))
            .collect::<Result<_, _>>()?;
        let after = half("line after")?;
        line.value.add(&after.value);
        repetitions.push(Repetition {
            lost: jitter::measure(&bench.stamps, bench.lane(), args.trial())?,
            line_is_valid: line.taken.is_valid() && after.taken.is_valid(),
            line: line.value.figures(&bench.stamps),
            rows,
        });
    }
    report::table(&bench, &rates, &repetitions);
    let result = report::to_json(args, &library, &rates, &repetitions);
    bench.end(result)
}
