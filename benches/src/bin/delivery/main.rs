//! When a signal reaches a host that polls on its next Depth only, and what
//! `"deliver": "on_data"` makes of that. What exactly is timed:
//! `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `host` | a host in Godzilla's order of calls |
//! | `market` | Depths at a fixed rate |
//! | `crossing` | models of growing cost on the host's thread and on a lane |
//! | `report` | the header, the tables, the JSON |

mod crossing;
mod host;
mod market;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use signal_bench::args::{Common, Pace, positive};
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_command::host::library;

/// Tick to callback where the host polls once a Depth, with poll and with on_data.
#[derive(Debug, Parser)]
#[command(name = "delivery")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Depths a second [default: 10,30,100], and how long each measurement is [default: 10s]
    #[command(flatten)]
    pace: Pace,
    /// libsignal.so to measure [default: SIGNAL_LIB_PATH, else the one built with this program]
    #[arg(long, value_name = "PATH")]
    lib: Option<std::path::PathBuf>,
    /// Longest wait of on_data, us
    #[arg(long, value_name = "US", default_value_t = 50)]
    budget_us: u64,
    /// Depths a repetition and model, where one model is compared with the next
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// The host's own work for each Depth of a burst, ns
    #[arg(long, value_name = "NS", default_value_t = 1000)]
    host_work_ns: u64,
}

impl Args {
    fn rates(&self) -> Vec<u64> {
        match self.pace.rate.is_empty() {
            true => self.common.pick(vec![10, 30, 100], vec![100]),
            false => self.pace.rate.clone(),
        }
    }

    fn duration(&self) -> Duration {
        let default = self.common.pick(10_000, 100);
        self.pace.duration.unwrap_or(Duration::from_millis(default))
    }

    fn iterations(&self) -> usize {
        let default = self.common.pick(20_000, 1_000);
        self.iterations.unwrap_or(default)
    }

    fn repetitions(&self) -> usize {
        self.common.repetitions(5)
    }
}

/// Where the stages run, and who makes the callbacks.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// As in the tables and in the JSON.
    pub name: &'static str,
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

impl Way {
    /// The configuration; lanes spin.
    pub fn config(self, bench: &Bench, budget_us: u64) -> Value {
        let mut config =
            signal_bench::workload::config(&json!(self.placement), 1, &bench.cores, true);
        config["deliver"] = json!(self.deliver);
        config["deliver_budget_us"] = json!(budget_us);
        config
    }
}

fn main() -> ExitCode {
    bench::exit("delivery", run(&Args::parse()))
}

fn run(args: &Args) -> Result<Ended, String> {
    let library = Library::load_from(library::find(args.lib.as_deref())?)?;
    let bench = Bench::start("delivery", &args.common)?;
    report::header(args, &bench, &library);
    let market = market::measure(args, &bench, &library)?;
    report::market(&market);
    let models = crossing::measure(args, &bench, &library)?;
    report::crossing(args, &bench, &models);
    bench.print_validity();
    bench.end(json!({
        "library": library.to_json(),
        "budget_us": args.budget_us,
        "market": market.iter().map(market::Row::to_json).collect::<Vec<_>>(),
        "host_work_ns": args.host_work_ns,
        "burst": crossing::BURST,
        "repetitions": args.repetitions(),
        "models": models.iter().map(crossing::Model::to_json).collect::<Vec<_>>(),
    }))
}
