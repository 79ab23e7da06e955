//! What a tick costs from `signal_on_data` to the callback, beside what the
//! machine asks for crossing to another core at all. Everything is measured in turn on the same
//! two cores, repetition after repetition, so that a ratio is formed of figures from the same
//! moment. What exactly is timed: `benches/README.md`.

mod rows;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, Subject, thousand};
use signal_bench::bench::{self, Bench, Ended, Library, rotated};
use signal_bench::drive::{Driver, Host, Trips};
use signal_bench::echo::{self, RING};
use signal_bench::folder::Folder;
use signal_bench::judge::Runs;
use signal_bench::report::{FIGURES, Table, figures, spread};
use signal_bench::series::{Figures, Series, batched, median, middle};
use signal_bench::workload::{self, Moving};

use rows::{CASES, LINE, MARKET, ROWS, Repetition, Rows, TICK, by_row, goals};

/// What a tick costs from signal_on_data to the callback.
#[derive(Debug, Parser)]
#[command(name = "tick_to_callback")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    subject: Subject,
    /// Trips a repetition and measurement, at least 1000 [default: 200000; 20000 with --quick]
    #[arg(long, value_name = "N", value_parser = thousand)]
    iterations: Option<usize>,
    /// Pause before each trip, nanoseconds, in every measurement alike: ticks that come apart
    #[arg(long, value_name = "N", default_value_t = 0)]
    gap_ns: u64,
    /// A second libsignal.so, measured row by row in turn with the first. Give a copy of the same
    /// file to see how far from 1 chance alone goes
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
}

/// Repetitions that are thrown away at most, for each that is wanted.
const MOST_MOVED: usize = 3;

struct Setting<'a> {
    bench: &'a Bench,
    subject: &'a Subject,
    model: &'a Path,
    trips: Trips,
}

fn main() -> ExitCode {
    bench::main("tick_to_callback", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("tick_to_callback", &args.common)?
        .with_library(&args.subject.lib)?
        .with_against(args.against.as_deref())?;
    let wanted = args.common.repetitions(7);
    let iterations = args.common.or(args.iterations, 200_000, 20_000);
    let run = format!(
        "{wanted} repetitions of {iterations} trips, gap {} ns; {}, idle spin; case by case; which\n\
         library is first changes each repetition; one in which the line changes is repeated",
        args.gap_ns,
        args.subject.describe()
    );
    bench.header("what a tick costs, through the C ABI", &[("run", run)]);

    let folder = Folder::new("tick")?;
    let model = workload::linear_model(&folder)?;
    let gap = bench.stamps.ticks(args.gap_ns);
    let setting = Setting {
        bench: &bench,
        subject: &args.subject,
        model: &model,
        trips: Trips {
            gap,
            ..Trips::new(iterations)
        },
    };
    let (mut runs, mut moved) = (Runs::default(), 0);
    while runs.0.len() < wanted {
        let number = runs.0.len();
        let name = format!("repetition {}", number + 1);
        let repetition = bench.run(&name, || setting.repeat(number))?;
        // Its ratios would be of figures from two machines.
        if repetition.value.moved() && moved < MOST_MOVED * wanted {
            moved += 1;
        } else {
            runs.0.push(repetition);
        }
    }
    let shown = bench.shown(&runs);
    tables(&bench, &shown);
    if moved > 0 {
        bench.say(format!(
            "{moved} more repetitions were thrown away: the cores were moved while they ran"
        ));
    }
    let left = shown.iter().filter(|repetition| repetition.moved()).count();
    if left > 0 {
        bench.say(format!(
            "the cores were moved in {left} of the repetitions shown: do not trust ratios"
        ));
    }
    let over = |read: fn(&Repetition, &str) -> Option<f64>| {
        by_row(|row| {
            let ratios: Vec<f64> = shown.iter().filter_map(|of| read(of, row)).collect();
            (!ratios.is_empty()).then(|| median(ratios))
        })
    };
    let last = shown.last();
    let hops = |row| last.map(|last| &last.hops[row]);
    let result = json!({
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "repetitions": wanted,
        "thrown_away": moved,
        "iterations": iterations,
        "gap_ns": args.gap_ns,
        "ring_slots": RING,
        "median_ratio_to_line": bench.compared(|| over(Repetition::to_line)),
        "median_ratio_against": bench.compared(|| over(Repetition::to_library)),
        "per_repetition": shown.iter().map(|of| of.to_json()).collect::<Vec<_>>(),
        "hops_last_repetition": {
            "test0000": hops(TICK),
            "market_linear": hops(MARKET),
        },
    });
    let goals = || goals(&shown);
    bench.end(goals, result)
}

impl Setting<'_> {
    /// Measures everything once. The echo threads and the libraries' lanes take turns
    /// on the lane's core: a handle lives only while it is measured.
    fn repeat(&self, number: usize) -> Result<Repetition, String> {
        let (bench, trips) = (self.bench, self.trips);
        let mut of = Repetition::default();
        let stamp = batched(&bench.stamps, trips.count, || {
            black_box(bench.stamps.raw());
        });
        of.rows.insert("clock_read", stamp);
        of.rows.insert("rtrb_64", echo::ring::<8>(bench, trips)?);
        of.rows.insert("rtrb_448", echo::ring::<56>(bench, trips)?);

        let piece = Trips {
            gap: trips.gap,
            ..Trips::new(trips.count / (CASES.len() + 1))
        };
        let mut line = Series::default();
        let mut cross = |of: &mut Repetition| -> Result<(), String> {
            let mut series = Series::default();
            echo::line(bench, piece, &mut series)?;
            of.lines.push(series.figures(&bench.stamps).p50);
            line.add(&series);
            Ok(())
        };
        cross(&mut of)?;
        for case in CASES {
            let measured = rotated(&bench.libraries, number, |library| {
                let measured = self.measure(case, library);
                measured.map_err(|error| format!("{}, {}: {error}", library.role, case.0))
            });
            let mut measured = measured?.into_iter();
            if let Some((rows, hops)) = measured.next() {
                of.rows.extend(rows);
                of.hops.insert(case.0, hops);
            }
            measured.for_each(|(rows, _)| of.against.extend(rows));
            cross(&mut of)?;
        }
        of.rows.insert(LINE, line.figures(&bench.stamps));
        Ok(of)
    }

    /// Makes a handle, measures, destroys the handle: its rows, and its own hops of the
    /// trips.
    fn measure(
        &self,
        (row, is_inline, is_market, timing): (&'static str, bool, bool, bool),
        library: &Library,
    ) -> Result<(Rows, Vec<Value>), String> {
        let (stamps, trips) = (&self.bench.stamps, self.trips);
        let inline = json!("inline");
        let (placement, shards) = match is_inline {
            true => (&inline, 1),
            false => (&self.subject.placement, self.subject.shards),
        };
        let mut config = workload::config(placement, shards, &self.bench.cores, timing);
        if is_market {
            config = workload::market(config, self.model);
        }
        let mut driver = Driver::new(library.create(&config)?, stamps);
        let mut source = Moving::new(is_market);
        let (ticks, _) = driver.trips::<false>(trips, &mut source)?;
        let mut rows = Rows::from([(row, ticks.figures(stamps))]);
        // Before the other measurements add their ticks.
        let hops = driver.host.hops();
        if row == TICK {
            let (_, calls) = driver.trips::<true>(trips, &mut source)?;
            let handle = &driver.host;
            let function = batched(stamps, trips.count, || {
                black_box(handle.poll_call());
            });
            let inlined = batched(stamps, trips.count, || {
                black_box(handle.poll_inlined());
            });
            rows.insert("on_data", calls.figures(stamps));
            rows.insert("empty_poll_function", function);
            rows.insert("empty_poll_inlined", inlined);
        }
        Ok((rows, hops))
    }
}

/// Shows the rows, those of the other library beside them, and the library's own hops.
fn tables(bench: &Bench, shown: &[&Repetition]) {
    let all = |key: &str| -> Vec<Figures> { shown.iter().map(|of| of.rows[key]).collect() };
    let line = all(LINE);
    let mut table = Table::new("", FIGURES);
    for (key, title) in ROWS {
        table.row(title, figures(&all(key), &line));
    }
    bench.show(table);
    if bench.may_compare() && shown.iter().any(|of| !of.against.is_empty()) {
        let columns = ["library", "against", "against/library", "min .. max"];
        let mut table = Table::new("against", columns);
        for (key, title) in ROWS {
            let ratios: Vec<f64> = shown.iter().filter_map(|of| of.to_library(key)).collect();
            if ratios.is_empty() {
                continue;
            }
            let theirs = shown.iter().map(|of| of.against[key].p50);
            let medians = [middle(&all(key)), median(theirs)];
            let medians = medians.map(|median| format!("{median:.1}"));
            table.row(title, medians.into_iter().chain(spread(ratios, 3)));
        }
        bench.show(table);
    }
    for (row, name) in [(TICK, "test0000"), (MARKET, "market + linear")] {
        let title = format!("the library's own hops, {name}, timing on, last repetition, ns");
        let mut table = Table::new(&title, ["p50", "p99", "p99.9", "count"]);
        for hop in shown.last().map_or(&[][..], |last| &last.hops[row]) {
            let cells = ["p50_ns", "p99_ns", "p999_ns", "count"].map(|key| hop[key].to_string());
            table.row(hop["hop"].as_str().unwrap_or_default(), cells);
        }
        bench.show(table);
    }
}
