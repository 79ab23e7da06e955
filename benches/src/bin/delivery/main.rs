//! When a signal reaches a host that polls on its next Depth only, and what
//! `"deliver": "on_data"` makes of that. What exactly is timed:
//! `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `market` | Depths at a fixed rate |
//! | `crossing` | models of growing cost on the host's thread and on a lane |

mod crossing;
mod market;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, Lib, Pace, positive};
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::live::{self, Live};
use signal_bench::workload;

/// Tick to callback where the host polls once a Depth, with poll and with on_data.
#[derive(Debug, Parser)]
#[command(name = "delivery")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Depths a second [default: 10,30,100], and how long each measurement is [default: 10s]
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    lib: Lib,
    /// Longest wait of on_data, us
    #[arg(long, value_name = "US", default_value_t = 50)]
    budget_us: u64,
    /// Depths a repetition, model and way, where one model is compared with the next [default:
    /// 20000; 1000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// The host's own work for each Depth of a burst, ns
    #[arg(long, value_name = "NS", default_value_t = 1000)]
    host_work_ns: u64,
}

/// Where the stages run, and who makes the callbacks.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    placement: &'static str,
    deliver: &'static str,
}

const fn way(name: &'static str, placement: &'static str, deliver: &'static str) -> Way {
    Way {
        name,
        placement,
        deliver,
    }
}

struct Setup<'a> {
    bench: &'a Bench,
    library: &'a Library,
    rates: Vec<u64>,
    duration: Duration,
    budget_us: u64,
    iterations: usize,
    repetitions: usize,
    host_work_ns: u64,
}

impl Setup<'_> {
    /// A handle whose lanes spin; `more` is added to its configuration.
    fn create(&self, way: Way, more: Value) -> Result<Live, String> {
        let mut config = workload::config(&json!(way.placement), 1, &self.bench.cores, true);
        config["deliver"] = json!(way.deliver);
        config["deliver_budget_us"] = json!(self.budget_us);
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        live::create(&self.library.api, &config)
    }
}

fn main() -> ExitCode {
    bench::main("delivery", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let library = Library::load(&args.lib)?;
    let bench = Bench::start("delivery", &args.common)?;
    let given = (!args.pace.rate.is_empty()).then(|| args.pace.rate.clone());
    let [long, short] = [10_000, 100].map(Duration::from_millis);
    let setup = Setup {
        bench: &bench,
        library: &library,
        rates: args.common.or(given, vec![10, 30, 100], vec![100]),
        duration: args.common.or(args.pace.duration, long, short),
        budget_us: args.budget_us,
        iterations: args.common.or(args.iterations, 20_000, 1_000),
        repetitions: args.common.repetitions(5),
        host_work_ns: args.host_work_ns,
    };
    let run = format!(
        "{} s a rate and way; then {} repetitions of {} Depths a model and way, and as many in\n\
         bursts of {} with {} ns of the host's own work for each; on_data waits {} us at most",
        setup.duration.as_secs_f64(),
        setup.repetitions,
        setup.iterations,
        crossing::BURST,
        setup.host_work_ns,
        setup.budget_us
    );
    let lines = [("library", library.describe()), ("run", run)];
    bench.header(
        "when does a signal reach a host that polls on the next Depth?",
        &lines,
    );
    let market = market::measure(&setup)?;
    let models = crossing::measure(&setup)?;
    let result = json!({
        "library": library.to_json(),
        "budget_us": setup.budget_us,
        "market": market,
        "host_work_ns": setup.host_work_ns,
        "burst": crossing::BURST,
        "repetitions": setup.repetitions,
        "models": models,
    });
    bench.end(Vec::new, result)
}
