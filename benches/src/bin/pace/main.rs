//! What a tick costs at the market's pace: quiet between two events, so that the next one finds
//! caches cold. What exactly is timed: `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `market` | events at a fixed pace, by a host that is silent or polls in between |

mod market;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::json;
use signal_bench::args::{Common, Lib, duration, positive};
use signal_bench::bench::{self, Bench, Ended, Library};
use signal_bench::judge::Runs;
use signal_bench::report::{Table, spread, time};
use signal_bench::series::{Figures, median};

/// What a tick costs where events come far apart.
#[derive(Debug, Parser)]
#[command(name = "pace")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    lib: Lib,
    /// A second libsignal.so, measured in turn with the first: an earlier one, say
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Time between two Depths [default: 10us,100us,1ms,10ms,100ms]
    #[arg(long, value_name = "TIME[,TIME]", value_delimiter = ',', value_parser = duration)]
    gap: Vec<Duration>,
    /// Length of one measurement [default: 3s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// What the host does between two events
    #[arg(long, value_enum, default_value_t)]
    host: Between,
    /// Trades between two Depths, evenly spread
    #[arg(long, value_name = "N", default_value_t = 0)]
    others: usize,
    /// Memory that the host walks over after each event, KB: a strategy's
    #[arg(long, value_name = "KB", default_value_t = 0)]
    pollute: usize,
    /// Longest wait of on_data, us
    #[arg(long, value_name = "US", default_value_t = 50, value_parser = positive)]
    budget_us: usize,
}

/// What the host does between two events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Between {
    /// Makes no call, as Godzilla
    #[default]
    Silent,
    /// Calls signal_poll_callbacks all the time
    Polls,
    /// Polls inlined: calls only when there is a signal
    Inlined,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    placement: &'static str,
    /// The key `warm`; `None` leaves it out.
    warm: Option<&'static str>,
    /// Whether the second library is measured.
    against: bool,
}

const fn way(name: &'static str, placement: &'static str, warm: Option<&'static str>) -> Way {
    let against = warm.is_none();
    Way {
        name,
        placement,
        warm,
        against,
    }
}

const WAYS: [Way; 6] = [
    way("fused", "fused", Some("auto")),
    way("fused, warm off", "fused", Some("off")),
    way("fused, against", "fused", None),
    way("inline", "inline", Some("auto")),
    way("inline, warm off", "inline", Some("off")),
    way("inline, against", "inline", None),
];

struct Setup<'a> {
    bench: &'a Bench,
    library: &'a Library,
    against: Option<&'a Library>,
    duration: Duration,
    host: Between,
    others: usize,
    /// Words that the host walks over.
    pollute: usize,
    budget_us: usize,
}

#[derive(Serialize)]
struct Row {
    gap_ns: u64,
    way: &'static str,
    valid: bool,
    /// One a repetition.
    tick_to_callback: Vec<Figures>,
    /// Signals that missed their own call of on_data.
    late: u64,
}

fn main() -> ExitCode {
    bench::main("pace", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let library = Library::load(&args.lib)?;
    let against = args.against.clone().map(Library::load_from).transpose();
    let against = against.map_err(|error| format!("--against: {error}"))?;
    let bench = Bench::start("pace", &args.common)?;
    let gaps = match args.gap.as_slice() {
        [] if args.common.quick => &[Duration::from_millis(1)],
        [] => &[10, 100, 1_000, 10_000, 100_000].map(Duration::from_micros)[..],
        given => given,
    };
    let repetitions = args.common.repetitions(5);
    let [long, short] = [3_000, 50].map(Duration::from_millis);
    let setup = Setup {
        bench: &bench,
        library: &library,
        against: against.as_ref(),
        duration: args.common.or(args.duration, long, short),
        host: args.host,
        others: args.others,
        pollute: args.pollute * 1024 / size_of::<u64>(),
        budget_us: args.budget_us,
    };
    let mut lines = vec![("library", library.describe())];
    if let Some(against) = &against {
        lines.push(("against", against.describe()));
    }
    let host = match args.host {
        Between::Silent => "makes no call",
        Between::Polls => "polls",
        Between::Inlined => "polls inlined",
    };
    let run = format!(
        "{repetitions} repetitions of {} s a gap and way, in turn; market + move.onnx; between two events\n\
         the host {host}; {} Trades a Depth; {} KB walked over after each; on_data waits {} us at most",
        setup.duration.as_secs_f64(),
        args.others,
        args.pollute,
        args.budget_us
    );
    lines.push(("run", run));
    bench.header("what does a tick cost at the market's pace?", &lines);
    let mut rows = Vec::new();
    for &gap in gaps {
        rows.extend(of_gap(&setup, gap, repetitions)?);
    }
    show(&setup, &rows);
    let result = json!({
        "library": library.to_json(),
        "against": against.as_ref().map(Library::to_json),
        "host": args.host,
        "others": args.others,
        "pollute_kb": args.pollute,
        "budget_us": args.budget_us,
        "rows": rows,
    });
    bench.end(Vec::new, result)
}

/// Every way in turn, repetition after repetition.
fn of_gap(setup: &Setup, gap: Duration, repetitions: usize) -> Result<Vec<Row>, String> {
    let is_measured = |way: &&Way| !way.against || setup.against.is_some();
    let ways: Vec<Way> = WAYS.iter().filter(is_measured).copied().collect();
    let mut runs: Vec<Runs<(Figures, u64)>> = ways.iter().map(|_| Runs::default()).collect();
    for number in 1..=repetitions {
        for (way, runs) in ways.iter().zip(&mut runs) {
            let name = format!("{gap:?}, {}, repetition {number}", way.name);
            let run = setup
                .bench
                .run(&name, || market::measure(setup, gap, *way))?;
            runs.0.push(run);
        }
    }
    Ok(ways
        .iter()
        .zip(&runs)
        .map(|(way, runs)| {
            let shown = setup.bench.shown(runs);
            Row {
                gap_ns: gap.as_nanos() as u64,
                way: way.name,
                valid: !runs.are_invalid(),
                tick_to_callback: shown.iter().map(|run| run.0).collect(),
                late: shown.iter().map(|run| run.1).sum(),
            }
        })
        .collect())
}

/// Fewest events for which a p99 says something.
const FEWEST: u64 = 1_000;

fn show(setup: &Setup, rows: &[Row]) {
    let columns = [
        "way",
        "median",
        "min .. max",
        "p99",
        "max",
        "count",
        "late",
        "x warm off",
        "",
    ];
    let mut table = Table::new("a Depth every", columns);
    for row in rows {
        let all = &row.tick_to_callback;
        let p50 = |row: &Row| median(row.tick_to_callback.iter().map(|of| of.p50));
        let count: u64 = all.iter().map(|of| of.count).sum();
        let p99 = median(all.iter().filter_map(|of| of.p99));
        let max = all.iter().filter_map(|of| of.max).fold(0.0, f64::max);
        let placement = row.way.split(',').next().unwrap_or_default();
        let cold = format!("{placement}, warm off");
        let cold = rows
            .iter()
            .find(|of| of.gap_ns == row.gap_ns && of.way == cold);
        let cold = cold.filter(|cold| cold.valid && row.valid);
        let ratio = cold.map_or("-".to_owned(), |cold| {
            format!("{:.2}", p50(row) / p50(cold))
        });
        table.row(
            &time(row.gap_ns as f64),
            [
                row.way.to_owned(),
                time(p50(row)),
                spread(all.iter().map(|of| of.p50), 0)[1].clone(),
                if count >= FEWEST {
                    time(p99)
                } else {
                    "-".to_owned()
                },
                time(max),
                count.to_string(),
                row.late.to_string(),
                ratio,
                if row.valid { "" } else { "INVALID" }.to_owned(),
            ],
        );
    }
    setup.bench.show(table);
}
