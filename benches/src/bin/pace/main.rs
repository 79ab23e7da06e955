//! What a tick costs at the market's pace: quiet between two events, so that the next one finds
//! caches cold; and when its signal comes where the host polls on the next Depth only. What
//! exactly is timed: `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `case` | who works where, at which pace |
//! | `feed` | the events, and when their signals came |
//! | `goals` | what it is to cost |

mod case;
mod feed;
mod goals;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;
use serde_json::json;
use signal::abi::EventKind;
use signal_bench::args::{Common, Lib, duration, positive};
use signal_bench::bench::{self, Bench, Ended, Library, merged};
use signal_bench::drive::{Driver, Host, Probe, hop};
use signal_bench::live::Live;
use signal_bench::report::{Table, mark, spread, time};
use signal_bench::series::{Figures, Series, Stamps, median, middle};
use signal_bench::workload;

use case::{Between, Case, Pace, Way};
use feed::{Came, Even, Event, Feed, SETTLE, Session};

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
    /// The events of this capture file, at their own times, instead of --gap; with --goals besides
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gap", "others", "events"])]
    session: Option<PathBuf>,
    /// All that a goal is about, in turn: gaps, hosts that poll, hand over other events or walk over
    /// memory, a session, --against a library of before
    #[arg(long, requires_all = ["against", "session"])]
    #[arg(conflicts_with_all = ["way", "host", "pollute", "busy"])]
    goals: bool,
    /// Length of one measurement [default: 3s; 10s of a session]
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
    /// Trades and Tickers in turn between two Depths, evenly spread
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

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/move.onnx");
/// Unmeasured, at full speed, on a handle of their own: until predictors are as they stay.
const WARM_UP: usize = 2_000;
/// Fewest Depths of one measurement for which the stages' hops say something: one in 16 is timed.
const FEWEST_TIMED: usize = 300;
const SECOND: Duration = Duration::from_secs(1);
/// Fewest events for which a p99 says something.
const FEWEST: u64 = 1_000;

struct Setup<'a> {
    args: &'a Args,
    bench: &'a Bench,
    duration: Duration,
    session: Option<Session>,
}

/// What one repetition measured.
struct Measured {
    tick_to_callback: Series,
    work_ns: Option<f64>,
    late: u64,
    left_behind: u64,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    case: Case,
    valid: bool,
    /// One a repetition.
    tick_to_callback: Vec<Figures>,
    /// Of all repetitions together. A p99 of few events is none.
    together: Figures,
    /// The medians of ingest, factor and model, added up, a repetition; none of few events and of a
    /// session, whose lead has the same handle.
    work_ns: Vec<f64>,
    /// A figure a repetition: none is left out as INVALID.
    #[serde(skip)]
    is_whole: bool,
    /// Signals that missed their own call of on_data.
    late: u64,
    /// Signals that no Depth came to fetch.
    left_behind: u64,
}

impl Row {
    /// `None` of too few events.
    fn p99(&self) -> Option<f64> {
        self.together.p99
    }
}

/// The figures of all repetitions together.
fn together<'a>(runs: impl Iterator<Item = &'a Series>, stamps: &Stamps) -> Figures {
    let mut all = Series::default();
    runs.for_each(|run| all.add(run));
    let mut figures = all.figures(stamps);
    figures.p99 = figures.p99.filter(|_| figures.count >= FEWEST);
    figures.p999 = figures.p999.filter(|_| figures.count >= 10 * FEWEST);
    figures
}

fn main() -> ExitCode {
    bench::main("pace", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("pace", &args.common)?
        .with_library(&args.lib)?
        .with_against(args.against.as_deref())?
        .with_busy_lane(args.busy);
    let repetitions = args.common.repetitions(if args.goals { 7 } else { 5 });
    let [long, short] = [3_000, 50].map(Duration::from_millis);
    let excerpt = args.common.or(args.duration, 10 * SECOND, SECOND);
    let session = args.session.as_ref();
    let session = session.map(|file| Session::read(file, excerpt, &bench.stamps));
    let setup = Setup {
        args,
        bench: &bench,
        duration: args.common.or(args.duration, long, short),
        session: session.transpose()?,
    };
    let mut cases = setup.cases()?;
    let length = match (args.events, &args.session) {
        (Some(events), _) => format!("{events} Depths"),
        (None, Some(_)) if !args.goals => format!("{} s", excerpt.as_secs_f64()),
        (None, _) => format!("{} s", setup.duration.as_secs_f64()),
    };
    let usual = setup.usual();
    let host = match usual.host {
        Between::Silent => "makes no call",
        Between::Polls => "polls",
        Between::Inlined => "polls inlined",
    };
    let others = match args.session.is_some() && !args.goals {
        true => "the session's other events".to_owned(),
        false => format!("{} Trades and Tickers a Depth", usual.others),
    };
    let mut run = format!(
        "{repetitions} repetitions of {length} a row, in turn; market + move.onnx; between two events\n\
         the host {host}; {others}; {} KB walked over after each; on_data waits {} us at most",
        usual.pollute_kb, args.budget_us,
    );
    if args.goals {
        run += ";\nwhere a row says otherwise, that counts";
    }
    if args.busy {
        run += ";\na busy loop has the lane's core, too";
    }
    if let Some(file) = &args.session {
        let file = file.file_name().unwrap_or_default().display();
        run += &format!(";\nsession: {} s of {file}", excerpt.as_secs_f64());
    }
    let question = "what does a tick cost at the market's pace?";
    bench.header(question, &[("run", run)]);
    let name = |case: &Case| format!("{}, {}, ", case.pace.name(&usual), case.way.name);
    let runs = bench.in_turn(repetitions, &mut cases, name, |case, _| setup.measure(case))?;
    let rows = cases.into_iter().zip(&runs).map(|(case, runs)| {
        let shown = bench.shown(runs);
        Row {
            case,
            valid: !runs.are_invalid(),
            tick_to_callback: shown
                .iter()
                .map(|run| run.tick_to_callback.figures(&bench.stamps))
                .collect(),
            together: together(shown.iter().map(|run| &run.tick_to_callback), &bench.stamps),
            work_ns: shown.iter().filter_map(|run| run.work_ns).collect(),
            is_whole: shown.len() == repetitions,
            late: shown.iter().map(|run| run.late).sum(),
            left_behind: shown.iter().map(|run| run.left_behind).sum(),
        }
    });
    let rows: Vec<Row> = rows.collect();
    show(&bench, &rows, &usual);
    let result = json!({
        "budget_us": args.budget_us,
        "busy": args.busy,
        "rows": rows,
    });
    bench.end(|| goals::goals(args.busy, &rows), result)
}

impl Setup<'_> {
    /// What the flags say of each row.
    fn usual(&self) -> Pace {
        Pace {
            gap: None,
            host: self.args.host,
            others: self.args.others,
            pollute_kb: self.args.pollute,
        }
    }

    /// The rows.
    fn cases(&self) -> Result<Vec<Case>, String> {
        let mut ways = case::ways();
        ways.retain(|way| self.library(way).is_some());
        let names: Vec<&str> = ways.iter().map(|way| way.name.as_str()).collect();
        let args = self.args;
        if let Some(unknown) = args.way.iter().find(|way| !names.contains(&way.as_str())) {
            return Err(format!("--way {unknown}: expected one of {names:?}"));
        }
        let mut cases = Vec::new();
        let mut add = |pace: Pace, wanted: &dyn Fn(&str) -> bool| {
            let ways = ways.iter().filter(|way| wanted(&way.name));
            cases.extend(ways.cloned().map(|way| Case { pace, way }));
        };
        if args.goals {
            for (pace, ways) in goals::CASES {
                add(pace, &|way| ways.contains(&way));
            }
            return Ok(cases);
        }
        let gaps = match args.gap.as_slice() {
            _ if self.session.is_some() => vec![None],
            [] if args.common.quick => vec![Some(Duration::from_millis(1))],
            [] => [10, 100, 1_000, 10_000, 100_000]
                .map(|us| Some(Duration::from_micros(us)))
                .into(),
            given => given.iter().copied().map(Some).collect(),
        };
        for gap in gaps {
            let pace = Pace {
                gap,
                ..self.usual()
            };
            add(pace, &|way| {
                args.way.is_empty() || args.way.iter().any(|wanted| wanted == way)
            });
        }
        Ok(cases)
    }

    /// That a way measures; `None` without `--against`.
    fn library(&self, way: &Way) -> Option<&Library> {
        self.bench.libraries.get(usize::from(way.is_against()))
    }

    fn create(&self, way: &Way) -> Result<Live, String> {
        let mut base = workload::config(&json!(way.placement), 1, &self.bench.cores, true);
        base["deliver"] = json!("on_data");
        base["deliver_budget_us"] = json!(self.args.budget_us);
        let config = merged(workload::market(base, Path::new(MODEL)), way.config.clone());
        let library = self.library(way).ok_or("no library was loaded")?;
        library.create(&config)
    }

    fn feed(&self, pace: &Pace) -> Result<Feed<'_>, String> {
        let Some(gap) = pace.gap else {
            let session = self.session.as_ref().ok_or("no session was read")?;
            return Ok(Feed::Recorded(session, Vec::new()));
        };
        let lasting = (self.duration.as_secs_f64() / gap.as_secs_f64()).round() as usize;
        let fewest = if self.args.common.quick { 1 } else { 10 };
        let depths = SETTLE + self.args.events.unwrap_or(lasting.max(fewest));
        let step = self.bench.stamps.ticks(gap.as_nanos() as u64);
        let even = Even::new(step, pace.others, depths);
        Ok(Feed::Even(Box::new(even)))
    }

    fn driver(&self, way: &Way, room: usize) -> Result<Driving<'_>, String> {
        let stamps = &self.bench.stamps;
        let came = Came::new(stamps, room);
        Ok(Driver::with(self.create(way)?, came, stamps))
    }

    /// The times from when each Depth was due to its callback; how many signals missed their own
    /// call, and how many came behind the last one only.
    fn measure(&self, case: &Case) -> Result<Measured, String> {
        let (stamps, pace) = (&self.bench.stamps, &case.pace);
        let mut feed = self.feed(pace)?;
        // A handle's hops count from its first event: what warms up has a handle of its own.
        lead_in(&mut self.driver(&case.way, 0)?, &mut feed, WARM_UP)?;
        let (measured, total) = (feed.measured(), SETTLE + feed.measured());
        let mut driver = self.driver(&case.way, total)?;
        lead_in(&mut driver, &mut feed, 0)?;
        let memory = vec![1u64; pace.pollute_kb * 1024 / size_of::<u64>()];
        let (mut given, mut late) = (0, 0);
        driver.probe.begin();
        let start = stamps.raw();
        for place in 0..feed.len() {
            black_box(black_box(&memory).iter().sum::<u64>());
            feed.fetch(place);
            let due = start + feed.due(place);
            while stamps.raw() < due {
                match pace.host {
                    Between::Silent => {}
                    Between::Polls => drop(driver.host.poll_call()),
                    Between::Inlined => driver.host.poll(),
                }
            }
            if hand_over(&mut driver.host, feed.event(place)) {
                given += 1;
                let is_late = driver.probe.calls() < given;
                late += u64::from(is_late && given > SETTLE as u64);
            }
        }
        let series = driver.probe.series(&feed, start);
        // None of them is lost.
        driver.wait(total as u64)?;
        let hops = driver.host.hops();
        let work = ["ingest.work", "factor.work", "model.work"].map(|name| hop(&hops, name));
        let is_timed = pace.gap.is_some() && measured >= FEWEST_TIMED - SETTLE;
        Ok(Measured {
            left_behind: (measured as u64).saturating_sub(series.count()),
            tick_to_callback: series,
            work_ns: is_timed.then(|| work.iter().sum()),
            late,
        })
    }
}

type Driving<'a> = Driver<'a, Live, Came<'a>>;

/// What goes before the first event that is due, at full speed; of Depths at even intervals
/// so many.
fn lead_in(driver: &mut Driving<'_>, feed: &mut Feed<'_>, depths: usize) -> Result<(), String> {
    let mut given = 0;
    for place in 0..feed.lead(depths) {
        given += u64::from(hand_over(&mut driver.host, feed.lead_event(place)));
        driver.wait(given)?;
    }
    Ok(())
}

/// Godzilla's calls for an event. Whether it is a Depth, which makes a signal.
#[inline(always)]
fn hand_over(host: &mut Live, (kind, payload): Event<'_>) -> bool {
    let is_depth = kind == EventKind::Depth;
    if is_depth {
        host.poll();
        // Here the strategy's on_depth runs.
    }
    // SAFETY: a feed's payload is the whole struct of its kind.
    unsafe { host.on_data(kind.message_type(), payload.as_ptr().cast()) }
    is_depth
}

fn show(bench: &Bench, rows: &[Row], usual: &Pace) {
    let columns =
        "way | median | min .. max | p99 | max | count | late | left behind | work | x warm off | ";
    let mut table = Table::new("a Depth every", columns.split(" | "));
    for row in rows {
        let all = &row.tick_to_callback;
        let (pace, way) = (&row.case.pace, &row.case.way);
        let is_cold = |of: &&Row| {
            let cold = &of.case;
            cold.pace == *pace
                && cold.way.placement == way.placement
                && cold.way.name.ends_with("warm off")
        };
        let cold = rows.iter().find(is_cold);
        let cold = cold.filter(|cold| cold.valid && row.valid && !way.name.ends_with("poll"));
        let ratio = cold.map(|cold| middle(all) / middle(&cold.tick_to_callback));
        let cells = [
            way.name.clone(),
            time(middle(all)),
            spread(all.iter().map(|of| of.p50), 0)[1].clone(),
            row.p99().map_or("-".into(), time),
            time(row.together.max.unwrap_or_default()),
            row.together.count.to_string(),
            row.late.to_string(),
            row.left_behind.to_string(),
            match row.work_ns.as_slice() {
                [] => "-".into(),
                all => time(median(all.iter().copied())),
            },
            ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            mark(row.valid),
        ];
        table.row(&pace.name(usual), cells);
    }
    bench.show(table);
}
