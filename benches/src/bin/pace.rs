//! What a tick costs at the market's pace: quiet between two events, so that the next one finds
//! caches cold; and when its signal comes where the host polls on the next Depth only. What
//! exactly is timed: `benches/README.md`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use signal_bench::args::{Common, Lib, duration, positive};
use signal_bench::bench::{self, Bench, Ended, Library, merged};
use signal_bench::drive::{Driver, Host, Probe};
use signal_bench::due::Due;
use signal_bench::live::Live;
use signal_bench::report::{Goal, Table, mark, spread, time};
use signal_bench::series::{Figures, median, middle};
use signal_bench::workload;

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
    /// Depths of one measurement, however long they take: 1,000 in all repetitions give a p99
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "duration")]
    events: Option<usize>,
    /// Only this way, as the table names it; may be repeated
    #[arg(long, value_name = "NAME")]
    way: Vec<String>,
    /// What the host does between two events
    #[arg(long, value_enum, default_value_t)]
    host: Between,
    /// Trades between two Depths, evenly spread
    #[arg(long, value_name = "N", default_value_t = 0)]
    others: usize,
    /// Memory that the host walks over after each event, KB: a strategy's
    #[arg(long, value_name = "KB", default_value_t = 0)]
    pollute: usize,
    /// A busy loop has the lane's core, too, as where another program runs there
    #[arg(long)]
    busy: bool,
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

/// What is compared: a name, the placement, and what is added to the configuration.
fn ways() -> Vec<(String, &'static str, Value)> {
    let mut ways = Vec::new();
    for placement in ["fused", "inline"] {
        for (end, config) in [
            ("", json!({"warm": "auto"})),
            (", warm off", json!({"warm": "off"})),
            (", no stand-in", json!({"stand_in_us": 0})),
            (", poll", json!({"deliver": "poll"})),
            // A library of before does not know the key `warm`.
            (", against", json!({})),
        ] {
            // Inline there is nobody to stand in for.
            if (placement, end) != ("inline", ", no stand-in") {
                ways.push((format!("{placement}{end}"), placement, config));
            }
        }
    }
    ways
}

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/move.onnx");
/// Unmeasured, at full speed: until predictors and the rings' pages are as they stay.
const WARM_UP: u64 = 2_000;
/// Unmeasured, at the pace.
const SETTLE: usize = 5;
/// Fewest events for which a p99 says something.
const FEWEST: u64 = 1_000;
/// Beside a busy loop on the lane's core: p99, fused, in that of inline.
const MOST_BESIDE_BUSY: f64 = 1.5;

struct Setup<'a> {
    args: &'a Args,
    bench: &'a Bench,
    duration: Duration,
}

#[derive(Serialize)]
struct Row {
    gap_ns: u64,
    way: String,
    valid: bool,
    /// One a repetition.
    tick_to_callback: Vec<Figures>,
    /// Signals that missed their own call of on_data.
    late: u64,
    /// Signals that no Depth came to fetch.
    left_behind: u64,
}

impl Row {
    fn count(&self) -> u64 {
        self.tick_to_callback.iter().map(|of| of.count).sum()
    }

    /// `None` of too few events.
    fn p99(&self) -> Option<f64> {
        let all = self.tick_to_callback.iter().filter_map(|of| of.p99);
        (self.count() >= FEWEST).then(|| median(all))
    }
}

fn main() -> ExitCode {
    bench::main("pace", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("pace", &args.common)?
        .with_library(&args.lib)?
        .with_against(args.against.as_deref())?
        .with_busy_lane(args.busy);
    let gaps = match args.gap.as_slice() {
        [] if args.common.quick => &[Duration::from_millis(1)],
        [] => &[10, 100, 1_000, 10_000, 100_000].map(Duration::from_micros)[..],
        given => given,
    };
    let repetitions = args.common.repetitions(5);
    let [long, short] = [3_000, 50].map(Duration::from_millis);
    let setup = Setup {
        args,
        bench: &bench,
        duration: args.common.or(args.duration, long, short),
    };
    let host = match args.host {
        Between::Silent => "makes no call",
        Between::Polls => "polls",
        Between::Inlined => "polls inlined",
    };
    let length = match args.events {
        Some(events) => format!("{events} Depths"),
        None => format!("{} s", setup.duration.as_secs_f64()),
    };
    let run = format!(
        "{repetitions} repetitions of {length} a gap and way, in turn; market + move.onnx; between two events\n\
         the host {host}; {} Trades a Depth; {} KB walked over after each; on_data waits {} us at most{}",
        args.others,
        args.pollute,
        args.budget_us,
        if args.busy {
            ";\na busy loop has the lane's core, too"
        } else {
            ""
        },
    );
    let question = "what does a tick cost at the market's pace?";
    bench.header(question, &[("run", run)]);
    let mut ways = ways();
    ways.retain(|(way, ..)| setup.library(way).is_some());
    let names: Vec<String> = ways.iter().map(|(way, ..)| way.clone()).collect();
    if let Some(unknown) = args.way.iter().find(|way| !names.contains(way)) {
        return Err(format!("--way {unknown}: expected one of {names:?}"));
    }
    ways.retain(|(way, ..)| args.way.is_empty() || args.way.contains(way));
    let mut rows = Vec::new();
    for &gap in gaps {
        let runs = bench.in_turn(
            repetitions,
            &mut ways,
            |(way, ..)| format!("{gap:?}, {way}, "),
            |(way, placement, config), _| {
                let mut base = workload::config(&json!(placement), 1, &bench.cores, true);
                base["deliver"] = json!("on_data");
                base["deliver_budget_us"] = json!(args.budget_us);
                let config = merged(workload::market(base, Path::new(MODEL)), config.clone());
                let library = setup.library(way).ok_or("no library was loaded")?;
                setup.measure(gap, library.create(&config)?)
            },
        )?;
        rows.extend(ways.iter().zip(&runs).map(|((way, ..), runs)| {
            let shown = bench.shown(runs);
            Row {
                gap_ns: gap.as_nanos() as u64,
                way: way.clone(),
                valid: !runs.are_invalid(),
                tick_to_callback: shown.iter().map(|run| run.0).collect(),
                late: shown.iter().map(|run| run.1).sum(),
                left_behind: shown.iter().map(|run| run.2).sum(),
            }
        }));
    }
    show(&bench, &rows);
    let result = json!({
        "host": args.host,
        "others": args.others,
        "pollute_kb": args.pollute,
        "budget_us": args.budget_us,
        "busy": args.busy,
        "rows": rows,
    });
    bench.end(|| goals(args, &rows), result)
}

/// Whether the host's thread stands in for the lane as fast as it works inline.
fn goals(args: &Args, rows: &[Row]) -> Vec<Goal> {
    let of = |gap_ns: u64, way: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row.gap_ns == gap_ns && row.way == way)
    };
    let fused = rows.iter().filter(|row| args.busy && row.way == "fused");
    let goal = |fused: &Row| {
        let p99 = |row: &Row| row.p99().filter(|_| row.valid);
        let inline = of(fused.gap_ns, "inline").and_then(p99);
        let ratio = p99(fused).zip(inline).map(|(fused, inline)| fused / inline);
        let what = format!(
            "p99, fused beside a busy loop / inline, every {}",
            time(fused.gap_ns as f64)
        );
        Goal::at_most(&what, ratio, MOST_BESIDE_BUSY, "")
    };
    fused.map(goal).collect()
}

impl Setup<'_> {
    /// That a way measures; `None` without `--against`.
    fn library(&self, way: &str) -> Option<&Library> {
        let place = usize::from(way.ends_with("against"));
        self.bench.libraries.get(place)
    }

    /// Events at a fixed pace, each with Godzilla's calls: poll, the strategy's `on_depth`,
    /// `on_data`. The times from when each Depth was due to its callback; how many signals missed
    /// their own call, and how many came behind the last one only.
    fn measure(&self, gap: Duration, host: Live) -> Result<(Figures, u64, u64), String> {
        let stamps = &self.bench.stamps;
        let lasting = (self.duration.as_secs_f64() / gap.as_secs_f64()).round() as usize;
        let total = SETTLE + self.args.events.unwrap_or(lasting.max(10));
        let step = stamps.ticks(gap.as_nanos() as u64);
        let probe = Due::new(stamps, step as f64, SETTLE, total - SETTLE);
        let mut driver = Driver::with(host, probe, stamps);
        let mut depth = workload::depth();
        let mut trade = workload::trade(&depth);
        for number in 0..WARM_UP {
            workload::turn(&mut depth, number as usize);
            depth.data_time = 0.into();
            driver.host.on_depth(&depth);
            driver.wait(number + 1)?;
        }
        let memory = vec![1u64; self.args.pollute * 1024 / size_of::<u64>()];
        let others = self.args.others as u64;
        let mut late = 0;
        driver.probe.begin(stamps.raw() + step);
        for number in 0..total {
            let due = driver.probe.due(number);
            for trades_left in (0..=others).rev() {
                black_box(black_box(&memory).iter().sum::<u64>());
                while stamps.raw() < due - trades_left * (step / (others + 1)) {
                    match self.args.host {
                        Between::Silent => {}
                        Between::Polls => drop(driver.host.poll_call()),
                        Between::Inlined => driver.host.poll(),
                    }
                }
                if trades_left > 0 {
                    trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
                    trade.trade_time = (number as i64 + 1).into();
                    driver.host.on_trade(&trade);
                }
            }
            driver.host.poll();
            // Here the strategy's on_depth runs.
            workload::turn(&mut depth, number);
            driver.host.on_depth(&depth);
            let is_late = driver.probe.calls() <= number as u64;
            late += u64::from(is_late && number >= SETTLE);
        }
        let figures = driver.probe.figures();
        let left_behind = (total - SETTLE) as u64 - figures.count;
        // None of them is lost.
        driver.wait(total as u64)?;
        Ok((figures, late, left_behind))
    }
}

fn show(bench: &Bench, rows: &[Row]) {
    let columns =
        "way | median | min .. max | p99 | max | count | late | left behind | x warm off | ";
    let mut table = Table::new("a Depth every", columns.split(" | "));
    for row in rows {
        let all = &row.tick_to_callback;
        let max = all.iter().filter_map(|of| of.max).fold(0.0, f64::max);
        let placement = row.way.split(',').next().unwrap_or_default();
        let is_cold = |of: &&Row| {
            of.gap_ns == row.gap_ns && of.way.starts_with(placement) && of.way.ends_with("warm off")
        };
        let cold = rows.iter().find(is_cold);
        let cold = cold.filter(|cold| cold.valid && row.valid && !row.way.ends_with("poll"));
        let ratio = cold.map(|cold| middle(all) / middle(&cold.tick_to_callback));
        let cells = [
            row.way.clone(),
            time(middle(all)),
            spread(all.iter().map(|of| of.p50), 0)[1].clone(),
            row.p99().map_or("-".into(), time),
            time(max),
            row.count().to_string(),
            row.late.to_string(),
            row.left_behind.to_string(),
            ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            mark(row.valid),
        ];
        table.row(&time(row.gap_ns as f64), cells);
    }
    bench.show(table);
}

#[test]
fn fused_beside_a_busy_loop_is_judged_by_the_p99_of_inline() {
    let row = |way: &str, p99: f64, count: u64| {
        let of = Figures {
            p99: Some(p99),
            count,
            ..Figures::default()
        };
        Row {
            gap_ns: 10_000_000,
            way: way.to_owned(),
            valid: true,
            tick_to_callback: vec![of; 3],
            late: 0,
            left_behind: 0,
        }
    };
    let judged = |flag: &str, fused: Row| {
        let args = Args::parse_from(["pace", flag]);
        let goals = goals(&args, &[fused, row("inline", 20.0, 400)]);
        goals.iter().map(|goal| (goal.value, goal.met)).collect()
    };
    let busy = |fused: Row| -> Vec<_> { judged("--busy", fused) };
    assert_eq!(busy(row("fused", 30.0, 400)), [(Some(1.5), Some(true))]);
    assert_eq!(busy(row("fused", 32.0, 400)), [(Some(1.6), Some(false))]);
    // Together fewer than 1,000 events.
    assert_eq!(busy(row("fused", 30.0, 333)), [(None, None)]);
    assert_eq!(busy(row("fused, warm off", 30.0, 400)), []);
    assert_eq!(judged("--quick", row("fused", 30.0, 400)), []);
}
