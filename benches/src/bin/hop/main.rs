//! What one hop between two cores costs: our ring beside a bare cache line, other
//! rings and channels. What exactly is timed: `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `contenders` | the rings and channels |
//! | `message` | what is in a message |
//! | `latency` | there and back, one message under way |
//! | `throughput` | one way, as fast as it goes |
//! | `report` | the header, the tables, the JSON |

mod contenders;
mod latency;
mod message;
mod report;
mod throughput;

use std::process::ExitCode;

use clap::Parser;
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::echo::{self, Trips};
use signal_bench::runs::Runs;
use signal_bench::series::Series;

use contenders::Entry;
use report::{Repetition, Size};

/// What one hop between two cores costs: our ring beside a cache line and other rings.
#[derive(Debug, Parser)]
#[command(name = "hop")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Trips a repetition, contender and size [default: 50000]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// Messages of a throughput measurement [default: 500000]
    #[arg(long, value_name = "N", value_parser = positive)]
    messages: Option<usize>,
    /// Only contenders with this in their name; ours always
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

impl Args {
    fn iterations(&self) -> usize {
        let default = self.common.pick(50_000, 2_000);
        self.iterations.unwrap_or(default)
    }

    fn messages(&self) -> usize {
        let default = self.common.pick(500_000, 20_000);
        self.messages.unwrap_or(default)
    }

    fn repetitions(&self) -> usize {
        self.common.repetitions(7)
    }
}

fn main() -> ExitCode {
    bench::exit("hop", run(&Args::parse()))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("hop", &args.common)?;
    let chosen = |entries: Vec<Entry>| -> Vec<Entry> {
        let wanted = |entry: &Entry| entry.ours || entry.name.contains(&args.only);
        entries.into_iter().filter(wanted).collect()
    };
    let mut sizes = [
        Size::new::<8>(chosen(contenders::all::<8>())),
        Size::new::<16>(chosen(contenders::all::<16>())),
        Size::new::<56>(chosen(contenders::all::<56>())),
    ];
    report::header(args, &bench, &sizes[0]);
    let mut runs = [Runs::default(), Runs::default(), Runs::default()];
    for number in 0..args.repetitions() {
        for (size, runs) in sizes.iter().zip(&mut runs) {
            let name = format!("{} B, repetition {}", size.bytes, number + 1);
            let run = bench.run(&name, || repeat(args, &bench, size, number));
            runs.push(run.map_err(|error| format!("{} B, {error}", size.bytes))?);
        }
    }
    for (size, runs) in sizes.iter_mut().zip(&runs) {
        size.take(bench.shown(runs));
        size.print();
        runs.print_invalid();
    }
    bench.print_validity();
    if bench.may_compare() {
        report::verdicts(&sizes);
    }
    let result = report::to_json(args, &bench, &sizes);
    bench.end(result)
}

/// One size once: the line half before and half after the contenders, who take turns
/// in being first.
fn repeat(args: &Args, bench: &Bench, size: &Size, number: usize) -> Result<Repetition, String> {
    let (stamps, lane) = (&bench.stamps, bench.lane());
    let trips = Trips {
        count: args.iterations(),
        gap: 0,
    };
    let half = Trips {
        count: trips.count.div_ceil(2),
        ..trips
    };
    let latency = latency::Setting {
        stamps,
        lane,
        trips,
    };
    let throughput = throughput::Setting {
        stamps,
        lane,
        messages: args.messages() as u64,
    };
    let mut line = Series::new();
    echo::line(stamps, lane, half, &mut line)?;
    let count = size.contenders.len();
    let mut measured = vec![None; count];
    for turn in 0..count {
        let place = (number + turn) % count;
        let contender = &size.contenders[place];
        let named = |error| format!("{}: {error}", contender.entry.name);
        let series = (contender.entry.latency)(&latency).map_err(named)?;
        let rate = (contender.entry.throughput)(&throughput).map_err(named)?;
        measured[place] = Some((series.figures(stamps), rate));
    }
    echo::line(stamps, lane, half, &mut line)?;
    Ok(Repetition {
        line: line.figures(stamps),
        contenders: measured.into_iter().flatten().collect(),
    })
}
