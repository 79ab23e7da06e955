//! The header, the table and the JSON.

use serde_json::{Map, Value, json};
use signal_bench::bench::{Bench, Library};
use signal_bench::echo::RING;
use signal_bench::series::median;
use signal_bench::table::{self, Row};

use crate::args::Args;
use crate::goals::goals;
use crate::rows::{Repetition, What};

/// The goal for the work of the factor set `market`, ns.
const FACTOR_GOAL_NS: u64 = 150;
/// Of the table's first column.
const WIDTH: usize = 31;

/// The library's own hops in the last repetition, timing on.
#[derive(Default)]
pub struct Hops {
    /// Factor set and model `test0000`.
    pub test0000: Vec<Value>,
    /// Factor set `market`, a linear model.
    pub market: Vec<Value>,
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, library: &Library, against: Option<&Library>) {
    let mut lines = vec![("library", library.describe())];
    if let Some(against) = against {
        let text = format!(
            "{}\nmeasured in turn with the library, case by case; the first changes each repetition",
            against.describe()
        );
        lines.push(("against", text));
    }
    lines.extend([
        (
            "timed",
            format!(
                "on core {}, the host's thread: every stamp is taken there, per trip, and\n\
                 includes one clock read; nothing is subtracted",
                bench.cores.host
            ),
        ),
        (
            "across",
            format!(
                "core {}: an echo thread (line, rtrb with {RING} slots), or the library's first lane",
                bench.lane()
            ),
        ),
        (
            "tick",
            format!(
                "stamp before signal_on_data(Depth) to first stamp in the callback; one Depth\n\
                 under way, the host spins on the inlined poll; {}, idle spin",
                args.subject.describe()
            ),
        ),
        (
            "inline",
            "the same with placement inline: the host's thread does all the work".to_owned(),
        ),
        (
            "run",
            format!(
                "{} repetitions of {} trips, gap {} ns; the line is measured before, between\n\
                 and after the library's rows; a repetition in which it changes is repeated",
                args.repetitions(),
                args.iterations(),
                args.gap_ns
            ),
        ),
    ]);
    bench.header("what a tick costs, through the C ABI", &lines);
}

/// Prints the table, the library's own hops and the verdicts.
pub fn table(bench: &Bench, repetitions: &[Repetition], moved: usize, hops: &Hops) {
    table::head(WIDTH);
    for what in What::ALL {
        let figures = repetitions.iter().filter_map(|r| r.rows.get(&what));
        let row = Row {
            title: what.title(),
            figures: figures.copied().collect(),
            ratios: repetitions.iter().filter_map(|r| r.to_line(what)).collect(),
        };
        row.print(WIDTH);
    }
    if bench.may_compare() {
        against(repetitions);
    }
    for (name, hops) in [
        ("test0000", &hops.test0000),
        ("market + linear", &hops.market),
    ] {
        println!("\nthe library's own hops, {name}, timing on, last repetition, ns:");
        for hop in hops {
            println!(
                "  {:<28} p50 {:>6}  p99 {:>6}  p99.9 {:>7}  count {}",
                hop["hop"].as_str().unwrap_or_default(),
                hop["p50_ns"],
                hop["p99_ns"],
                hop["p999_ns"],
                hop["count"],
            );
        }
    }
    println!();
    bench.print_validity();
    if moved > 0 {
        println!("{moved} more repetitions were thrown away: the cores were moved while they ran");
    }
    let left = repetitions.iter().filter(|r| r.moved()).count();
    if left > 0 {
        println!("the cores were moved in {left} of the repetitions shown: do not trust ratios");
    }
    println!();
    if !bench.may_compare() {
        return;
    }
    println!("goals, medians over the repetitions:");
    for goal in goals(repetitions) {
        goal.print();
    }
    if let Some(p50) = market_factor_work(hops) {
        let verdict = if p50 < FACTOR_GOAL_NS {
            "met"
        } else {
            "MISSED"
        };
        println!("  market's factor.work p50 = {p50} ns (goal < {FACTOR_GOAL_NS}): {verdict}");
    }
}

/// The rows of the other library beside this one's.
fn against(repetitions: &[Repetition]) {
    if repetitions.iter().all(|r| r.against.is_empty()) {
        return;
    }
    println!(
        "\n{:<WIDTH$} {:>9} {:>9} {:>15}  {:>15}",
        "against", "library", "against", "against/library", "min .. max"
    );
    for what in What::ALL {
        let mut ratios: Vec<f64> = repetitions.iter().filter_map(|r| r.against(what)).collect();
        if ratios.is_empty() {
            continue;
        }
        let p50 = |of: fn(&Repetition) -> &std::collections::BTreeMap<What, _>| {
            let figures = repetitions.iter().filter_map(|r| of(r).get(&what));
            let figures: Vec<&signal_bench::series::Figures> = figures.collect();
            median(
                &mut figures
                    .iter()
                    .map(|figures| figures.p50)
                    .collect::<Vec<_>>(),
            )
        };
        let ratio = median(&mut ratios);
        println!(
            "{:<WIDTH$} {:>9.1} {:>9.1} {:>15.3}  {:>15}",
            what.title(),
            p50(|r| &r.rows),
            p50(|r| &r.against),
            ratio,
            format!("{:.3} .. {:.3}", ratios[0], ratios[ratios.len() - 1]),
        );
    }
}

/// Everything, for other programs.
pub fn to_json(
    args: &Args,
    bench: &Bench,
    library: &Library,
    against: Option<&Library>,
    repetitions: &[Repetition],
    moved: usize,
    hops: &Hops,
) -> Value {
    let over = |read: fn(&Repetition, What) -> Option<f64>| -> Map<String, Value> {
        let rows = What::ALL.iter().filter_map(|&what| {
            let mut ratios: Vec<f64> = repetitions.iter().filter_map(|r| read(r, what)).collect();
            (!ratios.is_empty()).then(|| (what.key().to_owned(), json!(median(&mut ratios))))
        });
        rows.collect()
    };
    let goals = || -> Map<String, Value> {
        let goals = goals(repetitions);
        goals.iter().map(|goal| goal.to_json()).collect()
    };
    json!({
        "library": library.to_json(),
        "against": against.map(Library::to_json),
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "repetitions": args.repetitions(),
        "thrown_away": moved,
        "iterations": args.iterations(),
        "gap_ns": args.gap_ns,
        "ring_slots": RING,
        "median_ratio_to_line": bench.compared(|| over(Repetition::to_line).into()),
        "median_ratio_against": bench.compared(|| over(Repetition::against).into()),
        "goals": bench.compared(|| goals().into()),
        "per_repetition": repetitions.iter().map(Repetition::to_json).collect::<Vec<_>>(),
        "hops_last_repetition": { "test0000": hops.test0000, "market_linear": hops.market },
    })
}

fn market_factor_work(hops: &Hops) -> Option<u64> {
    let mut hops = hops.market.iter();
    hops.find(|hop| hop["hop"] == "factor.work")?["p50_ns"].as_u64()
}
