//! From which cost on a model is better off on a lane than on the host's own thread, where signals
//! are delivered from `on_data` or by polling. What exactly is timed: `benches/README.md`.

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};
use signal_bench::args::{Common, Lib, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::drive::{Driver, Host, Trips, hop};
use signal_bench::folder::Folder;
use signal_bench::report::{Table, mark};
use signal_bench::series::{Figures, median, middle};
use signal_bench::workload::{self, Moving};
use signal_bench::{feed, forest};

/// Models of growing cost, on the host's thread and on a lane, delivered from on_data and by poll.
#[derive(Debug, Parser)]
#[command(name = "delivery")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    lib: Lib,
    /// Longest wait of on_data, us
    #[arg(long, value_name = "US", default_value_t = 50)]
    budget_us: u64,
    /// Depths a repetition, model and way [default: 20000; 1000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// The host's own work for each Depth of a burst, ns
    #[arg(long, value_name = "NS", default_value_t = 1000)]
    host_work_ns: u64,
}

/// Trees of the models; 0 is a constant.
const TREES: [usize; 6] = [0, 10, 30, 100, 300, 1000];
/// A name, one for the table, where the stages run, who makes the callbacks. The others are
/// compared with the first.
const WAYS: [[&str; 4]; 3] = [
    ["inline, on_data", "inline", "inline", "on_data"],
    ["fused, on_data", "fused", "fused", "on_data"],
    ["fused, spinning poll", "poll", "fused", "poll"],
];
/// What is timed of each way, in the result and in the table: one Depth at a time; from the host's
/// call of on_data to its return; from a burst's arrival to the callback of its last Depth.
const TIMED: [(&str, &str); 3] = [
    ("tick_to_callback", "tick to callback"),
    ("on_data", "in on_data"),
    ("last_of_burst", "last of a burst"),
];
const SINGLE: usize = 0;
const LAST: usize = 2;
/// Depths that come at once.
const BURST: usize = 8;

struct Model {
    name: String,
    /// The model's own work, as the library's hop says it, inline.
    work_ns: f64,
    valid: bool,
    /// Of each way what is timed, one a repetition.
    ways: [[Vec<Figures>; TIMED.len()]; WAYS.len()],
}

impl Model {
    fn ns(&self, way: usize, timed: usize) -> f64 {
        middle(&self.ways[way][timed])
    }

    fn to_json(&self) -> Value {
        let ways = WAYS.iter().zip(&self.ways).map(|([name, ..], all)| {
            let timed = TIMED.iter().zip(all);
            let timed = timed.map(|((key, _), all)| ((*key).to_owned(), json!(all)));
            ((*name).to_owned(), timed.collect())
        });
        json!({
            "model": self.name,
            "work_ns": self.work_ns,
            "valid": self.valid,
            "ways": ways.collect::<Map<_, _>>(),
        })
    }
}

fn main() -> ExitCode {
    bench::main("delivery", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("delivery", &args.common)?.with_library(&args.lib)?;
    let iterations = args.common.or(args.iterations, 20_000, 1_000);
    let repetitions = args.common.repetitions(5);
    let run = format!(
        "{repetitions} repetitions of {iterations} Depths a model and way, and as many in bursts of {BURST} with\n\
         {} ns of the host's own work for each; on_data waits {} us at most",
        args.host_work_ns, args.budget_us
    );
    let question = "from which cost on is a model better off on a lane?";
    bench.header(question, &[("run", run)]);
    let rows = feed::rows_of_moving_books()?;
    let folder = Folder::new("delivery")?;
    let mut models = Vec::new();
    for trees in TREES {
        let (name, model) = match trees {
            0 => ("constant".to_owned(), json!("test0000")),
            _ => {
                let text = forest::lightgbm(trees, &rows, 1);
                let file = folder.write(&format!("{trees}.txt"), &text)?;
                let model = json!({"name": "trees", "file": file, "check_names": false});
                (format!("{trees} trees"), model)
            }
        };
        let runs = bench.repeat(repetitions, &format!("{name}, "), |_| {
            let mut work_ns = 0.0;
            let ways = WAYS.map(|[_, _, placement, deliver]| {
                let mut config = workload::config(&json!(placement), 1, &bench.cores, true);
                config["deliver"] = json!(deliver);
                config["deliver_budget_us"] = json!(args.budget_us);
                config["factors"] = json!("market");
                config["model"] = model.clone();
                let mut driver = Driver::new(bench.create(&config)?, &bench.stamps);
                let timed = measure(&mut driver, &bench, iterations, args.host_work_ns)?;
                if placement == "inline" {
                    work_ns = hop(&driver.host.hops(), "model.work");
                }
                Ok::<_, String>(timed)
            });
            let ways = ways.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok((work_ns, ways))
        })?;
        let shown = bench.shown(&runs);
        let all = |way: usize, timed: usize| shown.iter().map(|(_, of)| of[way][timed]).collect();
        models.push(Model {
            name,
            work_ns: median(shown.iter().map(|(work_ns, _)| *work_ns)),
            valid: !runs.are_invalid(),
            ways: [0, 1, 2].map(|way| [0, 1, 2].map(|timed| all(way, timed))),
        });
    }
    show(&bench, &models, args.host_work_ns);
    let result = json!({
        "budget_us": args.budget_us,
        "host_work_ns": args.host_work_ns,
        "burst": BURST,
        "repetitions": repetitions,
        "models": models.iter().map(Model::to_json).collect::<Vec<_>>(),
    });
    bench.end(Vec::new, result)
}

fn measure(
    driver: &mut Driver<'_, impl Host>,
    bench: &Bench,
    iterations: usize,
    host_work_ns: u64,
) -> Result<[Figures; TIMED.len()], String> {
    let mut source = Moving::new(false);
    let (ticks, calls) = driver.trips::<true>(Trips::new(iterations), &mut source)?;
    let bursts = Trips::new(iterations / BURST);
    // A strategy that takes its time.
    let work = bench.stamps.ticks(host_work_ns);
    let last = driver.bursts(BURST, bursts, work, &mut source)?;
    Ok([ticks, calls, last].map(|series| series.figures(&bench.stamps)))
}

/// The models' table, and where one way overtakes the first.
fn show(bench: &Bench, models: &[Model], host_work_ns: u64) {
    let mut columns = vec!["its work".to_owned()];
    for (_, what) in TIMED {
        columns.extend(WAYS.map(|[_, way, ..]| format!("{what}, {way}")));
    }
    let mut table = Table::new("model", columns.iter().map(String::as_str).chain([""]));
    for model in models {
        let mut cells = vec![model.work_ns];
        for timed in 0..TIMED.len() {
            cells.extend((0..WAYS.len()).map(|way| model.ns(way, timed)));
        }
        let cells = cells.into_iter().map(|ns| format!("{ns:.0}"));
        table.row(&model.name, cells.chain([mark(model.valid)]));
    }
    bench.show(table);
    let ways = WAYS.map(|[name, way, ..]| format!("{way}: {name}"));
    bench.say(format!(
        "factor set market; trees of {} leaves; medians, ns; {}",
        forest::LEAVES,
        ways.join("; ")
    ));
    if !bench.may_compare() {
        return;
    }
    let burst = format!("bursts of {BURST}, {host_work_ns} ns of the host's own work each");
    for (what, timed) in [("one Depth at a time", SINGLE), (&burst, LAST)] {
        for (way, [name, ..]) in WAYS.iter().enumerate().skip(1) {
            let ahead = |model: &Model| model.ns(0, timed) - model.ns(way, timed);
            let all = models.iter().map(|model| (model.work_ns, ahead(model)));
            let first = WAYS[0][0];
            let found = match crosses(&all.collect::<Vec<_>>()) {
                Some(work) if work == models[0].work_ns => {
                    format!("is ahead of {first} at every cost")
                }
                Some(work) => format!("overtakes {first} at {work:.0} ns"),
                None => format!("stays behind {first} at every cost"),
            };
            bench.say(format!("{what}: {name} {found}"));
        }
    }
}

/// The cost of a model, ns, from which on a way is ahead; `None` if it never is. Given are
/// costs and by how much it is ahead. Between two models it lies on the line between them.
fn crosses(ahead: &[(f64, f64)]) -> Option<f64> {
    match ahead.iter().rposition(|(_, ahead)| *ahead <= 0.0) {
        None => ahead.first().map(|(work, _)| *work),
        Some(last) => {
            let (from, to) = (ahead[last], ahead.get(last + 1)?);
            Some(from.0 + (to.0 - from.0) * -from.1 / (to.1 - from.1))
        }
    }
}

#[test]
fn the_crossing_lies_between_two_models() {
    // Behind by 10, then ahead by 30: a quarter of the way.
    let twice = [(100.0, -10.0), (500.0, 30.0)];
    assert_eq!(crosses(&twice), Some(200.0));
    assert_eq!(crosses(&twice[..1]), None);
    assert_eq!(crosses(&twice[1..]), Some(500.0));
    // From where on it stays ahead.
    assert_eq!(crosses(&[(1.0, 1.0), (2.0, -1.0), (3.0, 1.0)]), Some(2.5));
}
