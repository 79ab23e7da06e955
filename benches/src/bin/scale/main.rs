//! What a tick costs as the work grows: instruments, factors, bursts, models.
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod axes;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use signal_bench::args::{Common, Subject, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::echo;
use signal_bench::report::{FIGURES, Table, figures, ratio};
use signal_bench::series::{Figures, median};

use axes::{Axis, Measured, Setup};

/// What a tick costs as the work grows.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    subject: Subject,
    /// Trips a repetition and step [default: 40000; 1000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// Messages that the ring from the host holds [default: the library's]
    #[arg(long, value_name = "N", value_parser = positive)]
    ring: Option<usize>,
    /// What grows; all of them one after the other, if left out
    #[arg(long, value_enum, value_name = "AXIS", value_delimiter = ',')]
    only: Vec<Axis>,
}

type Repetition = (Figures, Vec<Measured>);

fn main() -> ExitCode {
    bench::main("scale", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("scale", &args.common)?.with_library(&args.subject.lib)?;
    let repetitions = args.common.repetitions(5);
    let iterations = args.common.or(args.iterations, 40_000, 1_000);
    let subject = format!("{}, idle spin, timing on", args.subject.describe());
    let run = format!(
        "{repetitions} repetitions of {iterations} trips a step, all steps in turn; the line around them"
    );
    let lines = [("subject", subject), ("run", run)];
    bench.header("what a tick costs as the work grows", &lines);
    let setup = Setup::new(&bench, &args.subject, args.ring, iterations)?;
    let mut axes = Vec::new();
    for &axis in Axis::value_variants() {
        if !args.only.is_empty() && !args.only.contains(&axis) {
            continue;
        }
        let runs = bench.repeat(repetitions, &format!("{axis:?}, "), |_| {
            echo::around(&bench, iterations, || {
                let sizes = axis.sizes().iter();
                sizes.map(|&size| setup.measure(axis, size)).collect()
            })
        })?;
        let shown = bench.shown(&runs);
        axes.push(show(&bench, axis, &shown, !runs.are_invalid()));
    }
    let result = json!({
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "ring": args.ring,
        "iterations": iterations,
        "axes": axes,
    });
    bench.end(Vec::new, result)
}

/// An axis as a table, and for the result.
fn show(bench: &Bench, axis: Axis, shown: &[&Repetition], valid: bool) -> Value {
    let line: Vec<Figures> = shown.iter().map(|(line, _)| *line).collect();
    let (name, title) = axis.names();
    let invalid = if valid { "" } else { ", INVALID" };
    let columns = FIGURES.into_iter().chain(axes::HOPS);
    let mut table = Table::new(&format!("{name}{invalid}"), columns);
    let steps = axis.sizes().iter().enumerate().map(|(place, &size)| {
        let all = || shown.iter().map(|(_, steps)| &steps[place]);
        let of: Vec<Figures> = all().map(|(figures, _)| *figures).collect();
        let hop =
            |name: &str| median(all().map(|(_, hops)| hops.get(name).copied().unwrap_or_default()));
        let hops = axes::HOPS.map(|name| format!("{:.0}", hop(name)));
        let step = axis.step(size);
        table.row(&step, figures(&of, &line).into_iter().chain(hops));
        let repeated = all().map(|(figures, hops)| {
            let mut value = json!(figures);
            value["hops_p50_ns"] = json!(hops);
            value
        });
        json!({
            "step": step,
            "size": size,
            "p50_ns": median(of.iter().map(|figures| figures.p50)),
            "ratio_to_line": valid.then(|| ratio(&of, &line)),
            "per_repetition": repeated.collect::<Vec<_>>(),
        })
    });
    let steps: Vec<Value> = steps.collect();
    let lines: Vec<f64> = line.iter().map(|line| line.p50).collect();
    println!(
        "{title}. Line round trip {:.1} ns",
        median(lines.iter().copied())
    );
    bench.show(table);
    json!({
        "axis": name,
        "valid": valid,
        "lines_p50_ns": lines,
        "steps": steps,
    })
}
