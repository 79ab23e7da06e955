//! What one hop between two cores costs: our ring beside a bare cache line, other
//! rings and channels. What exactly is timed: `benches/README.md`.
//!
//! | file | what |
//! |---|---|
//! | `contenders` | the rings and channels |
//! | `cpp` | those of C++ libraries |
//! | `measure` | one way, as fast as it goes |

mod contenders;
mod cpp;
mod measure;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use serde_json::{Value, json};
use signal_bench::args::{Common, positive};
use signal_bench::bench::{self, Bench, Ended, rotated};
use signal_bench::drive::Trips;
use signal_bench::echo::{self, RING, Wait};
use signal_bench::report::{FIGURES, Goal, Table, figures, ratio, spread};
use signal_bench::series::{Figures, median, middle};

use contenders::Entry;

/// What one hop between two cores costs: our ring beside a cache line and other rings.
#[derive(Debug, Parser)]
#[command(name = "hop")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Trips a repetition, contender and size [default: 50000; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
    /// Messages of a throughput measurement [default: 500000; 20000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    messages: Option<usize>,
    /// Only contenders with this in their name; ours always
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// A peer that this build lacks is a failure; else the header says so and the run goes on
    #[arg(long)]
    require_peers: bool,
}

/// One size once: the line, and of each contender there and back in each way to wait, and
/// million messages a second.
type Repetition = (Figures, Vec<([Figures; 2], f64)>);

/// A contender's figures, one a repetition.
#[derive(Serialize)]
struct Contender {
    name: &'static str,
    how: &'static str,
    ours: bool,
    median_ratio_to_line: Value,
    /// In the faster way to wait.
    there_and_back: Vec<Figures>,
    waits_with: &'static str,
    there_and_back_in_the_slower_way: Vec<Figures>,
    million_messages_per_s: Vec<f64>,
}

#[derive(Serialize)]
struct Size {
    bytes: usize,
    /// The line round trip, one a repetition.
    line: Vec<Figures>,
    contenders: Vec<Contender>,
    latency: Option<Verdict>,
    throughput: Option<Verdict>,
}

/// The best of ours beside the best peer.
#[derive(Serialize)]
struct Verdict {
    ours: &'static str,
    best_peer: &'static str,
    /// Of each repetition ours divided by the peer: the median, the least, the greatest.
    ours_to_peer: f64,
    min: f64,
    max: f64,
}

impl Verdict {
    fn of(all: &[Contender], values: impl Fn(&Contender) -> Vec<f64>, more: bool) -> Option<Self> {
        let best = |ours: bool| {
            let key = |contender: &&Contender| {
                let middle = median(values(contender));
                if more { -middle } else { middle }
            };
            let all = all.iter().filter(|contender| contender.ours == ours);
            all.min_by(|a, b| key(a).total_cmp(&key(b)))
        };
        let (ours, peer) = (best(true)?, best(false)?);
        let pairs = values(ours).into_iter().zip(values(peer));
        let ratios: Vec<f64> = pairs.map(|(ours, peer)| ours / peer).collect();
        Some(Self {
            ours: ours.name,
            best_peer: peer.name,
            min: ratios.iter().copied().reduce(f64::min)?,
            max: ratios.iter().copied().reduce(f64::max)?,
            ours_to_peer: median(ratios),
        })
    }

    /// In words. A difference that not even all repetitions agree on is none.
    fn words(&self, less_is_better: bool) -> &'static str {
        match (self.min > 1.0, self.max < 1.0, less_is_better) {
            (false, false, _) => "no difference that every repetition shows",
            (_, true, true) | (true, _, false) => "ours is faster",
            _ => "the peer is faster",
        }
    }
}

impl Size {
    fn new(bytes: usize, entries: &[Entry], shown: &[&Repetition], bench: &Bench) -> Self {
        let line: Vec<Figures> = shown.iter().map(|(line, _)| *line).collect();
        let contender = |(place, entry): (usize, &Entry)| {
            let of = |(_, all): &&Repetition| all[place];
            let (ways, rates): (Vec<_>, Vec<_>) = shown.iter().map(of).unzip();
            let (wait, there_and_back, slower) = faster(&ways);
            Contender {
                name: entry.name,
                how: entry.how,
                ours: entry.is_ours(),
                median_ratio_to_line: bench.compared(|| ratio(&there_and_back, &line).into()),
                there_and_back,
                waits_with: wait,
                there_and_back_in_the_slower_way: slower,
                million_messages_per_s: rates,
            }
        };
        let contenders: Vec<_> = entries.iter().enumerate().map(contender).collect();
        let medians = |of: &Contender| of.there_and_back.iter().map(|row| row.p50).collect();
        let rates = |of: &Contender| of.million_messages_per_s.clone();
        let compared = bench.may_compare();
        Self {
            bytes,
            line,
            latency: Verdict::of(&contenders, medians, false).filter(|_| compared),
            throughput: Verdict::of(&contenders, rates, true).filter(|_| compared),
            contenders,
        }
    }

    fn table(&self, is_invalid: bool) -> Table {
        let invalid = if is_invalid { ", INVALID" } else { "" };
        let title = format!("{} B, there and back{invalid}", self.bytes);
        let columns = FIGURES
            .into_iter()
            .chain(["M msg/s", "min .. max", "waits with"]);
        let mut table = Table::new(&title, columns);
        let mut row = |name, all: &[Figures], rates: &[f64], wait: &str| {
            let rates = spread(rates.iter().copied(), 1);
            let cells = figures(all, &self.line).into_iter().chain(rates);
            table.row(name, cells.chain([wait.to_owned()]));
        };
        row("line, no message", &self.line, &[], TIGHT);
        for of in &self.contenders {
            row(
                of.name,
                &of.there_and_back,
                &of.million_messages_per_s,
                of.waits_with,
            );
        }
        table
    }
}

const TIGHT: &str = "-";

/// The way to wait in which the median repetition is faster, as tables name it, with its figures
/// and those of the other way.
fn faster(ways: &[[Figures; 2]]) -> (&'static str, Vec<Figures>, Vec<Figures>) {
    let of = |way: usize| -> Vec<Figures> { ways.iter().map(|both| both[way]).collect() };
    let (tight, pause) = (of(0), of(1));
    if middle(&pause) < middle(&tight) {
        ("pause", pause, tight)
    } else {
        (TIGHT, tight, pause)
    }
}

fn main() -> ExitCode {
    bench::main("hop", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let absent = cpp::absent();
    if args.require_peers && !absent.is_empty() {
        return Err(format!("absent: {}", absent.join("; ")));
    }
    let bench = Bench::start("hop", &args.common)?;
    let repetitions = args.common.repetitions(7);
    let iterations = args.common.or(args.iterations, 50_000, 2_000);
    let messages = args.common.or(args.messages, 500_000, 20_000);
    let mut sizes = [
        (64, contenders::all::<8>()),
        (128, contenders::all::<16>()),
        (448, contenders::all::<56>()),
    ];
    for (_, entries) in &mut sizes {
        entries.retain(|entry| entry.is_ours() || entry.name.contains(&args.only));
    }
    let run = format!(
        "{repetitions} repetitions, each {iterations} trips and {messages} messages a contender and size;\n\
         {RING} slots; who is first changes each repetition; there and back without and with a pause\n\
         hint between two empty polls: the faster way is shown"
    );
    let hows = sizes[0].1.iter();
    let hows: Vec<String> = hows
        .map(|entry| format!("{}: {}", entry.name, entry.how))
        .collect();
    let mut lines = vec![("run", run), ("contenders", hows.join("\n"))];
    if !absent.is_empty() {
        lines.push(("ABSENT", absent.join("\n")));
    }
    bench.header("what one hop between two cores costs", &lines);
    let trips = Trips::new(iterations);
    let runs = bench.in_turn(
        repetitions,
        &mut sizes,
        |(bytes, _)| format!("{bytes} B, "),
        |(bytes, entries), number| {
            echo::around(&bench, iterations, || {
                rotated(entries, number, |entry| {
                    let named = |error| format!("{bytes} B, {}: {error}", entry.name);
                    let [tight, pause] = Wait::ALL.map(|wait| {
                        let series = (entry.latency)(&bench, trips, wait)?;
                        Ok(series.figures(&bench.stamps))
                    });
                    let ways = [tight.map_err(named)?, pause.map_err(named)?];
                    let rate = (entry.throughput)(&bench, messages as u64);
                    Ok((ways, rate.map_err(named)?))
                })
            })
        },
    )?;
    // Whether all of them may be compared, before one is.
    let shown: Vec<_> = runs.iter().map(|runs| bench.shown(runs)).collect();
    let mut all = Vec::new();
    for (((bytes, entries), shown), runs) in sizes.iter().zip(&shown).zip(&runs) {
        let size = Size::new(*bytes, entries, shown, &bench);
        bench.show(size.table(runs.are_invalid()));
        all.push(size);
    }
    if bench.may_compare() {
        verdicts(&bench, &all);
    }
    let result = json!({
        "repetitions": repetitions,
        "iterations": iterations,
        "messages": messages,
        "slots": RING,
        "sizes": all,
        "absent": absent,
    });
    bench.end(|| all.iter().flat_map(goals).collect(), result)
}

/// By size: there and back over our faster ring, in line round trips and in the time of the best
/// peer.
const GOALS: [(usize, f64, f64); 3] = [(64, 1.3, 0.95), (128, 1.35, 0.9), (448, 2.0, 0.8)];

fn goals(size: &Size) -> Vec<Goal> {
    let goals = GOALS.iter().filter(|goal| goal.0 == size.bytes);
    let goals = goals.flat_map(|&(bytes, most_lines, most_of_peer)| {
        let ours = size.contenders.iter().filter(|of| of.ours);
        let lines = ours.map(|of| ratio(&of.there_and_back, &size.line));
        let what = format!("{bytes} B there and back / line");
        let lines = Goal::at_most(&what, lines.reduce(f64::min), most_lines, "");
        let peer = size.latency.as_ref().map(|of| of.ours_to_peer);
        let what = format!("{bytes} B there and back / best peer");
        [lines, Goal::at_most(&what, peer, most_of_peer, "")]
    });
    goals.collect()
}

/// Says who is fastest, ours beside the best peer.
fn verdicts(bench: &Bench, sizes: &[Size]) {
    for (what, less) in [("there and back", true), ("throughput", false)] {
        let better = if less { "less" } else { "more" };
        bench.say(format!("{what}, ours / best peer ({better} is better):"));
        for size in sizes {
            let verdicts = [&size.throughput, &size.latency];
            let words = match verdicts[usize::from(less)] {
                None => "no peer was measured".to_owned(),
                Some(of) => format!(
                    "{} / {} = {:.3} ({:.3} .. {:.3}): {}",
                    of.ours,
                    of.best_peer,
                    of.ours_to_peer,
                    of.min,
                    of.max,
                    of.words(less)
                ),
            };
            bench.say(format!("  {:>4} B  {words}", size.bytes));
        }
    }
}

#[test]
fn the_best_of_ours_stands_beside_the_best_peer() {
    let contender = |name, ours, rates: [f64; 3]| Contender {
        name,
        how: "",
        ours,
        median_ratio_to_line: Value::Null,
        there_and_back: Vec::new(),
        waits_with: TIGHT,
        there_and_back_in_the_slower_way: Vec::new(),
        million_messages_per_s: rates.into(),
    };
    let all = [
        contender("slow", true, [1.0; 3]),
        contender("ours", true, [30.0, 20.0, 10.0]),
        contender("peer", false, [10.0, 10.0, 40.0]),
        contender("other", false, [9.0; 3]),
    ];
    let values = |of: &Contender| of.million_messages_per_s.clone();
    let best = Verdict::of(&all, values, true).unwrap();
    assert_eq!((best.ours, best.best_peer), ("ours", "peer"));
    let ratios = (best.ours_to_peer, best.min, best.max);
    assert_eq!(ratios, (2.0, 0.25, 3.0));
    assert!(best.words(false).starts_with("no difference"));
    let best = Verdict::of(&all, values, false).unwrap();
    assert_eq!((best.ours, best.best_peer), ("slow", "other"));
    assert_eq!(best.words(true), "ours is faster");
    assert_eq!(best.words(false), "the peer is faster");
    assert!(Verdict::of(&all[..2], values, true).is_none());
}

#[test]
fn the_faster_of_ours_is_judged() {
    let contender = |ours, p50| Contender {
        name: "",
        how: "",
        ours,
        median_ratio_to_line: Value::Null,
        there_and_back: vec![Figures::mean(p50, 1); 3],
        waits_with: TIGHT,
        there_and_back_in_the_slower_way: Vec::new(),
        million_messages_per_s: Vec::new(),
    };
    let all = vec![
        contender(true, 150.0),
        contender(true, 130.0),
        contender(false, 100.0),
    ];
    let medians = |of: &Contender| of.there_and_back.iter().map(|row| row.p50).collect();
    let size = Size {
        bytes: 64,
        line: vec![Figures::mean(100.0, 1); 3],
        latency: Verdict::of(&all, medians, false),
        throughput: None,
        contenders: all,
    };
    let judged = goals(&size);
    let judged: Vec<_> = judged.iter().map(|goal| (goal.value, goal.met)).collect();
    assert_eq!(judged, [(Some(1.3), Some(true)), (Some(1.3), Some(false))]);
    assert!(goals(&Size { bytes: 72, ..size }).is_empty());
}

#[test]
fn the_way_to_wait_with_the_lower_median_is_shown() {
    let at = |p50| Figures {
        p50,
        ..Figures::default()
    };
    let ways = [[at(3.0), at(1.0)], [at(2.0), at(9.0)], [at(2.5), at(2.0)]];
    let (wait, shown, other) = faster(&ways);
    let medians = |all: Vec<Figures>| all.iter().map(|of| of.p50).collect::<Vec<_>>();
    assert_eq!(wait, "pause");
    assert_eq!(medians(shown), [1.0, 9.0, 2.0]);
    assert_eq!(medians(other), [3.0, 2.0, 2.5]);
    let ways = ways.map(|[tight, pause]| [pause, tight]);
    assert_eq!(faster(&ways).0, TIGHT);
}
