//! What a tick costs from `signal_on_data` to the callback, beside what the
//! machine asks for crossing to another core at all.
//!
//! Everything is measured in turn on the same two cores, repetition after
//! repetition, so that a ratio is formed of figures from the same moment. What
//! exactly is timed: `benches/README.md`. `--help` lists the flags.

mod args;
mod echo;
mod library;
mod machine;
mod report;
mod series;
mod ticks;

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use args::{Args, Command};
use echo::Trips;
use library::Api;
use machine::Cores;
use report::{Hops, Repetition};
use series::{Figures, Series, Stamps, batched};
use ticks::{Ticks, empty_poll_call, empty_poll_inlined};

fn main() -> ExitCode {
    let args = match args::parse(env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("tick_to_callback: {error} (--help lists the flags)");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tick_to_callback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let cores = machine::choose(args.host_core, &args.lane_cores)?;
    let facts = machine::facts(&cores);
    let api = Api::load(&library::find(args.lib.as_deref())?)?;
    machine::pin(cores.host)?;
    let stamps = Stamps::new();
    report::header(args, &cores, &stamps, &facts, &api.version());

    let model = linear_model().map_err(|error| format!("cannot write a model file: {error}"))?;
    let before = machine::preemptions();
    let mut repetitions = Vec::with_capacity(args.repetitions);
    let mut hops = Hops::default();
    for _ in 0..args.repetitions {
        let (repetition, last_hops) = repeat(args, &cores, &stamps, &api, &model)?;
        repetitions.push(repetition);
        hops = last_hops;
    }
    let preemptions = machine::preemptions() - before;
    report::table(&repetitions, &hops, preemptions);

    if let Some(path) = &args.json {
        let version = api.version();
        let value = report::to_json(
            args,
            &stamps,
            facts,
            &version,
            &repetitions,
            &hops,
            preemptions,
        );
        fs::write(path, format!("{value:#}\n"))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Measures everything once. The echo threads and the library's lane take turns
/// on the lane's core: a handle lives only while it is measured.
fn repeat(
    args: &Args,
    cores: &Cores,
    stamps: &Stamps,
    api: &Api,
    model: &NamedTempFile,
) -> Result<(Repetition, Hops), String> {
    let lane = cores.lanes[0];
    let trips = Trips {
        count: args.iterations,
        gap: stamps.ticks(args.gap_ns),
    };
    let half = Trips {
        count: trips.count / 2,
        ..trips
    };

    let stamp = batched(stamps, trips.count, || {
        black_box(stamps.raw());
    });
    let ring64 = echo::ring::<8>(stamps, lane, trips)?;
    let ring448 = echo::ring::<56>(stamps, lane, trips)?;

    let mut line = Series::new();
    echo::line(stamps, lane, half, &mut line)?;
    let timed = timed(args, cores, stamps, api, trips)?;
    let tick_untimed = {
        let handle = api.create(&config(args, cores, false))?;
        Ticks::new(&handle, stamps).tick_to_callback(trips)?
    };
    let (tick_market, market_hops) = {
        let handle = api.create(&market(config(args, cores, true), model.path()))?;
        let mut ticks = Ticks::new(&handle, stamps).with_trades();
        (ticks.tick_to_callback(trips)?, handle.hops())
    };
    echo::line(stamps, lane, half, &mut line)?;

    // In the order of `What::ALL`.
    let repetition = Repetition([
        stamp,
        line.figures(stamps),
        ring64.figures(stamps),
        ring448.figures(stamps),
        timed.on_data,
        timed.poll_call,
        timed.poll_inlined,
        timed.tick,
        tick_untimed.figures(stamps),
        tick_market.figures(stamps),
    ]);
    let hops = Hops {
        test0000: timed.hops,
        market: market_hops,
    };
    Ok((repetition, hops))
}

/// What a handle with timing on gives.
struct Timed {
    tick: Figures,
    on_data: Figures,
    poll_call: Figures,
    poll_inlined: Figures,
    hops: Vec<Value>,
}

fn timed(
    args: &Args,
    cores: &Cores,
    stamps: &Stamps,
    api: &Api,
    trips: Trips,
) -> Result<Timed, String> {
    let handle = api.create(&config(args, cores, true))?;
    let mut ticks = Ticks::new(&handle, stamps);
    let tick = ticks.tick_to_callback(trips)?.figures(stamps);
    // Before the other measurements add their ticks.
    let hops = handle.hops();
    let on_data = ticks.on_data(trips)?.figures(stamps);
    let poll_call = empty_poll_call(stamps, &handle, trips.count);
    let poll_inlined = empty_poll_inlined(stamps, &handle, trips.count);
    let sent = 2 * (trips.warm_up() + trips.count) as u64;
    if ticks.received() != sent {
        return Err(format!(
            "{sent} Depths were sent, {} signals came",
            ticks.received()
        ));
    }
    Ok(Timed {
        tick,
        on_data,
        poll_call,
        poll_inlined,
        hops,
    })
}

/// The same with the factor set `market` and a linear model of its 15 factors.
fn market(mut config: Value, model: &Path) -> Value {
    config["factors"] = json!("market");
    config["model"] = json!({"name": "linear", "file": model});
    config
}

/// A linear model with a weight, a mean and a scale for each of 15 factors.
fn linear_model() -> std::io::Result<NamedTempFile> {
    let numbers = |start: f64| (0..15).map(|place| start + f64::from(place)).collect();
    let (weights, mean, scale): (Vec<f64>, Vec<f64>, Vec<f64>) =
        (numbers(-7.0), numbers(0.0), numbers(1.0));
    let json = json!({"weights": weights, "bias": 0.5, "mean": mean, "scale": scale});
    let mut file = NamedTempFile::new()?;
    write!(file, "{json}")?;
    Ok(file)
}

fn config(args: &Args, cores: &Cores, timing: bool) -> Value {
    let mut config = json!({
        "placement": args.placement,
        "idle": "spin",
        "timing": timing,
    });
    // Inline has no lane to pin.
    if args.placement != "inline" {
        config["cores"] = json!(cores.lanes);
    }
    config
}
