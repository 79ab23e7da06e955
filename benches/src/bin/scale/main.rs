//! What a tick costs as the work grows: instruments, factors, bursts, models.
//!
//! | file | what |
//! |---|---|
//! | `subject` | what is driven: the library through its C ABI, or the engine in Rust |
//! | `axes` | what grows, its steps, one measurement of a step |
//! | `report` | the header, the tables, the charts, the JSON |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod axes;
mod report;
mod subject;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use signal_bench::args::{Common, Subject, positive};
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::echo::{self, Trips};
use signal_bench::runs::Runs;
use signal_bench::series::{Figures, Series};

use axes::{Axis, Material, Measured, Setup};
use report::{Grown, Step};

/// What a tick costs as the work grows.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    subject: Subject,
    /// Trips a repetition and step [default: 40000]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// Messages that the ring from the host holds [default: the library's]
    #[arg(long, value_name = "N", value_parser = positive)]
    ring: Option<usize>,
    /// What grows; all of them one after the other, if left out
    #[arg(long, value_enum, value_name = "AXIS", value_delimiter = ',')]
    only: Vec<Axis>,
    /// Folder for a table and a chart of each
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("scale", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("scale", &args.common)?;
    let library = Library::load(&args.subject)?;
    let repetitions = args.common.repetitions(5);
    let iterations = args.iterations.unwrap_or(args.common.pick(40_000, 1_000));
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder)
            .map_err(|error| format!("--out {}: {error}", folder.display()))?;
    }
    report::header(&bench, &library, &args.subject, repetitions, iterations);
    let material = Material::new()?;
    let setup = Setup {
        bench: &bench,
        library: &library,
        placement: &args.subject.placement,
        shards: args.subject.shards,
        material: &material,
        ring: args.ring,
        iterations,
    };
    let mut results = Vec::new();
    for axis in Axis::all() {
        if !args.only.is_empty() && !args.only.contains(&axis) {
            continue;
        }
        let mut runs = Runs::default();
        for number in 0..repetitions {
            let name = format!("{axis:?}, repetition {}", number + 1);
            runs.push(bench.run(&name, || repeat(&setup, axis))?);
        }
        let mut result = Grown::new(axis, !runs.are_invalid());
        for (line, steps) in bench.shown(&runs) {
            result.lines.push(*line);
            for (step, measured) in result.steps.iter_mut().zip(steps) {
                step.measured.push(measured.clone());
            }
        }
        report::table(&result);
        if let Some(folder) = &args.out {
            report::files(&result, folder)?;
        }
        results.push(result);
    }
    bench.print_validity();
    bench.may_compare();
    bench.end(report::to_json(
        &library,
        &args.subject,
        args.ring,
        iterations,
        &results,
    ))
}

/// Every step of an axis once, and the line before and after.
fn repeat(setup: &Setup, axis: Axis) -> Result<(Figures, Vec<Measured>), String> {
    let bench = setup.bench;
    let trips = Trips {
        count: setup.iterations / 2,
        gap: 0,
    };
    let mut line = Series::new();
    echo::line(&bench.stamps, bench.lane(), trips, &mut line)?;
    let sizes = axis.sizes().iter();
    let measured = sizes
        .map(|&size| setup.measure(axis, size))
        .collect::<Result<_, _>>()?;
    echo::line(&bench.stamps, bench.lane(), trips, &mut line)?;
    Ok((line.figures(&bench.stamps), measured))
}

impl Step {
    /// A step of this size, not measured yet.
    fn of(size: usize) -> Self {
        Self {
            size,
            measured: Vec::new(),
        }
    }
}
