//! Depths at fixed rates, whatever the library does: latency from the time at which
//! each was meant to be sent, to its callback.
//!
//! | file | what |
//! |---|---|
//! | `row` | one rate for some time, and whether it was kept |
//! | `report` | the table, the goals |
//!
//! What exactly is timed: `benches/README.md`. `--help` lists the flags.

mod report;
mod row;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, Subject, duration, positive, rate};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::drive::Trips;
use signal_bench::echo;
use signal_bench::folder::Folder;
use signal_bench::jitter;
use signal_bench::judge::Judged;
use signal_bench::series::Series;
use signal_bench::workload;

use report::{RATE_GOAL, Rates, Repetition, goals, table};
use row::{Load, Row};

/// How long a Depth takes from when it was meant to be sent, at fixed rates.
///
/// Without --rate the highest sustained rate is looked for, and 10 % to 100 % of it are
/// measured, --duration each in a repetition [default: 500ms] and 200 ms at most in a trial
/// of the search.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    subject: Subject,
    /// Depths a second; several rates are measured one after the other
    #[arg(long, value_name = "N[,M]", value_delimiter = ',', value_parser = rate)]
    rate: Vec<u64>,
    /// Length of one measurement, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Instruments, in turn
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = positive)]
    instruments: usize,
    /// Trades of the same instrument sent before each Depth; they are not in the rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    trades: usize,
    /// Messages that the rings from and to the host hold [default: the library's, 2 ms at 2
    /// million a second: a lane that is stopped for longer drops]
    #[arg(long, value_name = "N", value_parser = positive)]
    ring: Option<usize>,
    /// Factor set and model: both test0000, or market and a linear model of its 15 factors
    #[arg(long, value_name = "SET", value_parser = ["test0000", "market"], default_value = "market")]
    set: String,
}

/// Trials of a rate that agree.
const NEEDED: usize = 2;
/// Rates between which saturation is looked for, Depths a second.
const SLOWEST: f64 = 10_000.0;
const FASTEST: f64 = 100_000_000.0;
const PRECISION: f64 = 0.02;

fn main() -> ExitCode {
    bench::main("load", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("load", &args.common)?.with_library(&args.subject.lib)?;
    let [long, short] = [500, 50].map(Duration::from_millis);
    let duration = args.common.or(args.duration, long, short);
    let trial = duration.min(Duration::from_millis(200));
    let wanted = args.common.repetitions(5);
    let rates = match args.rate.is_empty() {
        true => "10 % to 100 % of the highest that is sustained",
        false => "those of --rate",
    };
    let subject = format!(
        "{}, timing on, {}, {} instruments in turn, {} trades before each Depth, rings of {} messages",
        args.set,
        args.subject.describe(),
        args.instruments,
        args.trades,
        args.ring
            .map_or("the default number of".into(), |ring| ring.to_string()),
    );
    let lines = [
        ("subject", subject),
        (
            "run",
            format!("{wanted} repetitions, {duration:?} of each rate in each; rates: {rates}"),
        ),
    ];
    bench.header(
        "how long a Depth takes from when it was meant to be sent",
        &lines,
    );
    let folder = Folder::new("load")?;
    let mut config = args.subject.config(&bench.cores);
    config["instruments"]["max"] = args.instruments.into();
    if let Some(ring) = args.ring {
        config["rings"] = json!({ "ingest": ring, "egress": ring });
    }
    if args.set == "market" {
        config = workload::market(config, &workload::linear_model(&folder)?);
    }
    let load = Load {
        bench: &bench,
        config,
        instruments: args.instruments,
        trades: args.trades,
    };
    let rates = match args.rate.as_slice() {
        [] => search(&load, trial)?,
        given => Rates {
            rates: given.iter().map(|&rate| rate as f64).collect(),
            valid: true,
            ..Rates::default()
        },
    };
    let trips = Trips::new(args.common.or(None, 50_000, 5_000));
    let mut repetitions = Vec::new();
    for _ in 0..wanted {
        let half = |name: &str| {
            bench.run(name, || {
                let mut line = Series::default();
                echo::line(&bench, trips, &mut line)?;
                Ok(line)
            })
        };
        let mut line = half("line before")?;
        let row = |&rate: &f64| bench.run(&format!("{rate:.0}/s"), || load.run(rate, duration));
        let rows: Vec<Judged<Row>> = rates.rates.iter().map(row).collect::<Result<_, _>>()?;
        let after = half("line after")?;
        line.value.add(&after.value);
        repetitions.push(Repetition {
            line: line.value.figures(&bench.stamps),
            line_taken: [line.taken, after.taken],
            lost: jitter::measure(&bench, trial)?,
            rows,
        });
    }
    table(&bench, &rates, &repetitions);
    let result = json!({
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "set": args.set,
        "instruments": args.instruments,
        "trades_per_depth": args.trades,
        "ring": args.ring,
        "duration_ms": duration.as_millis() as u64,
        "repetitions": wanted,
        "saturation": rates.saturation,
        "saturation_found": rates.found,
        "saturation_is_valid": rates.valid,
        "per_repetition": repetitions.iter().map(to_json).collect::<Vec<_>>(),
    });
    bench.end(|| goals(&rates, &repetitions), result)
}

/// Looks for saturation: a rate sustains if two of three trials do. A moment's trouble
/// should not decide.
fn search(load: &Load, trial: Duration) -> Result<Rates, String> {
    let bench = load.bench;
    let mut valid = true;
    let found = saturation(SLOWEST, FASTEST, PRECISION, |rate| {
        let name = format!("trial of {rate:.0}/s");
        let mut counts = [0; 2];
        while counts.iter().all(|&count| count < NEEDED) {
            let run = bench.run(&name, || load.run(rate, trial))?;
            valid &= run.taken.is_valid();
            counts[usize::from(run.value.failures().is_empty())] += 1;
        }
        Ok(counts[1] == NEEDED)
    })?;
    if !valid {
        bench.say("saturation is INVALID: a trial had not the cores to itself");
    }
    bench.say(match found {
        Some(found) => format!("saturation: {found:.0} Depths a second\n"),
        None => format!(
            "saturation: not even {SLOWEST:.0} Depths a second were sustained; measured up to there\n"
        ),
    });
    // 10 % to 100 % of it, and the goal's where it is not above.
    let most = found.unwrap_or(SLOWEST);
    let mut rates: Vec<f64> = (1..=10)
        .map(|tenth| most * f64::from(tenth) / 10.0)
        .collect();
    rates.extend(Some(RATE_GOAL).filter(|&goal| goal <= most));
    rates.sort_by(f64::total_cmp);
    Ok(Rates {
        rates,
        saturation: Some(most),
        found: found.is_some(),
        valid,
    })
}

/// The highest rate that `sustains`, to `precision` (0.02: 2 %), by halving the ratio
/// between one that does and one that does not. `None` if not even `low` does.
fn saturation(
    low: f64,
    high: f64,
    precision: f64,
    mut sustains: impl FnMut(f64) -> Result<bool, String>,
) -> Result<Option<f64>, String> {
    if !sustains(low)? {
        return Ok(None);
    }
    // Upwards first: a rate far above saturation says little and takes long to drain.
    let (mut good, mut bad) = (low, low);
    while bad == good {
        if good >= high {
            return Ok(Some(good));
        }
        bad = (good * 2.0).min(high);
        if sustains(bad)? {
            good = bad;
        }
    }
    while bad / good > 1.0 + precision {
        let middle = (good * bad).sqrt();
        match sustains(middle)? {
            true => good = middle,
            false => bad = middle,
        }
    }
    Ok(Some(good))
}

fn to_json(of: &Repetition) -> Value {
    let row = |run: &Judged<Row>| {
        let failures = run.value.failures();
        let mut value = json!(run.value);
        value["validity"] = json!(run.taken);
        value["passed"] = json!(run.taken.is_valid().then_some(failures.is_empty()));
        value["failures"] = json!(failures);
        value
    };
    json!({
        "line_round_trip": of.line,
        "line_is_valid": of.line_taken.iter().all(|taken| taken.is_valid()),
        "lost_by_host_and_lane": of.lost,
        "rows": of.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

#[test]
fn saturation_is_found_from_either_side_within_its_bounds() {
    for limit in [150.0, 3_456_789.0, 9e6] {
        let mut tried = 0;
        let found = saturation(100.0, 1e8, 0.02, |rate| {
            tried += 1;
            Ok(rate <= limit)
        });
        let found = found.unwrap().unwrap();
        assert!(found <= limit && found * 1.03 > limit, "{limit}: {found}");
        assert!(tried < 40, "{tried}");
    }
    let within = |sustains| saturation(100.0, 800.0, 0.02, |_| Ok(sustains));
    assert_eq!((within(true), within(false)), (Ok(Some(800.0)), Ok(None)));
}
