//! What a tick costs from `signal_on_data` to the callback, beside what the
//! machine asks for crossing to another core at all.
//!
//! Everything is measured in turn on the same two cores, repetition after
//! repetition, so that a ratio is formed of figures from the same moment. What
//! exactly is timed: `benches/README.md`. `--help` lists the flags.
//!
//! | file | what |
//! |---|---|
//! | `rows` | the rows of the table, one repetition of them |
//! | `cases` | the library's configurations and which rows each gives |
//! | `goals` | the goals |
//! | `report` | the header, the table, the JSON |

mod args;
mod cases;
mod goals;
mod report;
mod rows;

use std::hint::black_box;
use std::process::ExitCode;

use clap::Parser;
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::echo::{self, Trips};
use signal_bench::runs::Runs;
use signal_bench::series::{Series, batched};
use signal_bench::workload;

use args::Args;
use cases::{Case, Setting};
use report::Hops;
use rows::{Repetition, What};

/// Repetitions that are thrown away at most, for each that is wanted.
const MOST_MOVED: usize = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    bench::exit("tick_to_callback", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("tick_to_callback", &args.common)?;
    let library = Library::load(&args.subject)?;
    let against = args
        .against
        .clone()
        .map(Library::load_from)
        .transpose()
        .map_err(|error| format!("--against: {error}"))?;
    report::header(args, &bench, &library, against.as_ref());

    let model = workload::linear_model()?;
    let setting = Setting {
        stamps: &bench.stamps,
        cores: &bench.cores,
        placement: &args.subject.placement,
        shards: args.subject.shards,
        model: model.path(),
        trips: Trips {
            count: args.iterations(),
            gap: bench.stamps.ticks(args.gap_ns),
        },
    };
    let mut repetitions = Runs::default();
    let mut hops = Hops::default();
    let (mut number, mut moved) = (0, 0);
    while number < args.repetitions() {
        // Who goes first changes, so that what one leaves behind meets both.
        let other_first = number % 2 == 1;
        let repetition = bench.run(&format!("repetition {}", number + 1), || {
            let against = against.as_ref();
            repeat(&bench, &setting, &library, against, other_first, &mut hops)
        })?;
        // Its ratios would be of figures from two machines.
        if repetition.value.moved() && moved < MOST_MOVED * args.repetitions() {
            moved += 1;
        } else {
            number += 1;
            repetitions.push(repetition);
        }
    }
    let repetitions = bench.shown(&repetitions);
    report::table(&bench, repetitions, moved, &hops);
    let result = report::to_json(
        args,
        &bench,
        &library,
        against.as_ref(),
        repetitions,
        moved,
        &hops,
    );
    bench.end(result)
}

/// Measures everything once. The echo threads and the libraries' lanes take turns
/// on the lane's core: a handle lives only while it is measured.
fn repeat(
    bench: &Bench,
    setting: &Setting,
    library: &Library,
    against: Option<&Library>,
    other_first: bool,
    hops: &mut Hops,
) -> Result<Repetition, String> {
    let (stamps, lane, trips) = (setting.stamps, bench.lane(), setting.trips);
    let piece = Trips {
        count: trips.count / (Case::ALL.len() + 1),
        ..trips
    };
    let mut repetition = Repetition::default();
    let stamp = batched(stamps, trips.count, || {
        black_box(stamps.raw());
    });
    let ring64 = echo::ring::<8>(stamps, lane, trips)?.figures(stamps);
    let ring448 = echo::ring::<56>(stamps, lane, trips)?.figures(stamps);
    repetition.rows.insert(What::Stamp, stamp);
    repetition.rows.insert(What::Ring64, ring64);
    repetition.rows.insert(What::Ring448, ring448);

    let mut line = Series::new();
    let mut cross = |repetition: &mut Repetition| -> Result<(), String> {
        let mut series = Series::new();
        echo::line(stamps, lane, piece, &mut series)?;
        repetition.lines.push(series.figures(stamps).p50);
        line.add(&series);
        Ok(())
    };
    cross(&mut repetition)?;
    for case in Case::ALL {
        let mut other = || -> Result<(), String> {
            if let Some(against) = against {
                let measured = case.measure(setting, &against.api);
                let measured = measured.map_err(|error| format!("--against: {error}"))?;
                repetition.against.extend(measured.rows);
            }
            Ok(())
        };
        if other_first {
            other()?;
        }
        let measured = case.measure(setting, &library.api)?;
        if !other_first {
            other()?;
        }
        repetition.rows.extend(measured.rows);
        match case {
            Case::Timed => hops.test0000 = measured.hops,
            Case::Market => hops.market = measured.hops,
            _ => {}
        }
        cross(&mut repetition)?;
    }
    repetition.rows.insert(What::Line, line.figures(stamps));
    Ok(repetition)
}
