//! The header, the table, the goals and the JSON.

use serde_json::{Value, json};
use signal_bench::bench::{Bench, Library};
use signal_bench::jitter::Lost;
use signal_bench::runs::Judged;
use signal_bench::schedule::{KEPT, Outcome, SHORT_QUEUE};
use signal_bench::series::{Figures, median};

use crate::args::{Args, Set};
use crate::row::{Row, WINDOW};

/// Depths a second that must be sustained.
const RATE_GOAL: f64 = 2_000_000.0;
/// p99 at half of saturation, in line round trips.
const P99_GOAL: f64 = 6.0;

/// The rates of the table.
pub struct Rates {
    saturation: Option<f64>,
    /// Whether the search found a rate that sustains.
    found: bool,
    /// Whether the search's trials had their cores to themselves.
    valid: bool,
    rates: Vec<f64>,
}

impl Rates {
    /// 10 % to 100 % of the highest sustained rate, and the goal's where it is not above.
    pub fn of_saturation(saturation: f64, valid: bool) -> Self {
        let mut rates: Vec<f64> = (1..=10)
            .map(|tenth| saturation * f64::from(tenth) / 10.0)
            .collect();
        if saturation >= RATE_GOAL {
            rates.push(RATE_GOAL);
            rates.sort_by(f64::total_cmp);
        }
        Self {
            saturation: Some(saturation),
            found: true,
            valid,
            rates,
        }
    }

    /// Where not even the slowest rate that is tried sustains: 10 % to 100 % of it.
    pub fn below(slowest: f64, valid: bool) -> Self {
        Self {
            found: false,
            ..Self::of_saturation(slowest, valid)
        }
    }

    /// Those of the flag.
    pub fn given(rates: &[u64]) -> Self {
        Self {
            saturation: None,
            found: false,
            valid: true,
            rates: rates.iter().map(|&rate| rate as f64).collect(),
        }
    }

    /// All, in the order of the table.
    pub fn all(&self) -> impl Iterator<Item = f64> + '_ {
        self.rates.iter().copied()
    }
}

/// Every rate once, and the line round trip around them.
pub struct Repetition {
    pub line: Figures,
    pub line_is_valid: bool,
    /// Of the host's core and the lane's, with nothing else running.
    pub lost: [Lost; 2],
    pub rows: Vec<Judged<Row>>,
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, library: &Library) {
    let set = match args.set {
        Set::Test0000 => "factor set and model test0000",
        Set::Market => "factor set market, a linear model of its 15 factors",
    };
    let trades = match args.trades {
        0 => String::new(),
        trades => format!(", {trades} trades sent before each Depth"),
    };
    let rates = if args.pace.rate.is_empty() {
        format!(
            "10 % to 100 % of the highest rate that 2 of 3 trials of {:?} sustain",
            args.trial()
        )
    } else {
        "those of --rate".to_owned()
    };
    bench.header(
        "how long a Depth takes at a fixed rate, through the C ABI",
        &[
            ("library", library.describe()),
            (
                "timed",
                format!(
                    "on core {}, the host's thread: from the time at which a Depth was meant to be sent\n\
                     (not when it was) to the first stamp in its callback; nothing is subtracted",
                    bench.cores.host
                ),
            ),
            (
                "host",
                "a Depth is due: inlined poll, signal_on_data; none is: inlined poll".to_owned(),
            ),
            (
                "subject",
                format!(
                    "{set}, timing on, {}, {} instruments in turn{trades},\n\
                     rings of {} messages",
                    args.subject.describe(),
                    args.instruments,
                    args.ring.map_or("the default number of".into(), |ring| ring.to_string()),
                ),
            ),
            ("rates", rates),
            (
                "run",
                format!(
                    "{} repetitions, {:?} of each rate in each; the line is measured around them",
                    args.repetitions(),
                    args.duration()
                ),
            ),
            (
                "window p99",
                format!(
                    "the median of the p99s of all windows of {WINDOW:?}: what p99 is while the machine\n\
                     takes no core away"
                ),
            ),
            (
                "FAIL",
                format!(
                    "less than {:.0} % of the rate was sent, anything was dropped or conflated, or at\n\
                     each send of the last quarter more than {SHORT_QUEUE} Depths were under way",
                    100.0 * KEPT
                ),
            ),
        ],
    );
}

/// Median over the repetitions.
fn over(repetitions: &[Repetition], read: impl Fn(&Repetition) -> f64) -> f64 {
    median(&mut repetitions.iter().map(read).collect::<Vec<_>>())
}

fn p99(row: &Row) -> f64 {
    row.figures.p99.unwrap_or_default()
}

fn window_p99(row: &Row) -> f64 {
    row.window_p99_ns.unwrap_or(f64::NAN)
}

/// A rate's rows, each with its repetition: the valid ones, whose line is valid too;
/// where there is none, all, and that they are INVALID.
fn rows(repetitions: &[Repetition], place: usize) -> (Vec<(&Repetition, &Row)>, bool) {
    let of = |all: bool| -> Vec<(&Repetition, &Row)> {
        let valid = |r: &&Repetition| all || r.line_is_valid && r.rows[place].taken.is_valid();
        let repetitions = repetitions.iter().filter(valid);
        repetitions.map(|r| (r, &r.rows[place].value)).collect()
    };
    match of(false) {
        none if none.is_empty() => (of(true), true),
        valid => (valid, false),
    }
}

/// Whether a rate was sustained, as far as that can be judged.
#[derive(Debug, PartialEq)]
enum Verdict {
    Sustained,
    /// In how many of its valid repetitions it failed, and why in the first.
    Failed(usize, String),
    /// What took the cores, in the first of them.
    Invalid(String),
}

fn verdict(repetitions: &[Repetition], place: usize) -> Verdict {
    let (rows, invalid) = rows(repetitions, place);
    if invalid {
        let mut all = repetitions.iter();
        let why = all.find_map(|repetition| repetition.rows[place].taken.why());
        return Verdict::Invalid(
            why.unwrap_or("the line beside it was measured while others ran".into()),
        );
    }
    let outcomes = rows.iter().map(|(_, row)| &row.outcome);
    let failed: Vec<&Outcome> = outcomes.filter(|outcome| !outcome.passed()).collect();
    match failed.first() {
        None => Verdict::Sustained,
        Some(first) => {
            let why = first.failures().join(", ");
            Verdict::Failed(
                failed.len(),
                format!("{why}; preempted {} times", first.preempted),
            )
        }
    }
}

/// Prints the table and the goals.
pub fn table(bench: &Bench, rates: &Rates, repetitions: &[Repetition]) {
    let line = over(repetitions, |repetition| repetition.line.p50);
    println!("line round trip: {line:.1} ns, median; all below in ns but where it says otherwise");
    for (place, name) in ["host", "lane"].into_iter().enumerate() {
        println!(
            "the machine alone takes {:.2} % of the {name}'s core, in gaps over 1 us of at most {:.0} us",
            100.0 * over(repetitions, |repetition| repetition.lost[place].share),
            over(repetitions, |repetition| repetition.lost[place].longest_ns) / 1000.0,
        );
    }
    println!();
    println!(
        "{:>11} {:>6} {:>9} {:>7} {:>9} {:>9} {:>11} {:>7} {:>9} {:>10} {:>8} {:>10}  verdict",
        "Depths/s",
        "of max",
        "median",
        "x line",
        "p99",
        "x line",
        "window p99",
        "x line",
        "p99.9",
        "max",
        "deepest",
        "count"
    );
    for (place, rate) in rates.all().enumerate() {
        let (rows, _) = rows(repetitions, place);
        let over = |read: &dyn Fn(&Repetition, &Row) -> f64| {
            median(&mut rows.iter().map(|(r, row)| read(r, row)).collect::<Vec<_>>())
        };
        let read = |read: fn(&Row) -> f64| over(&|_, row| read(row));
        let ratio = |read: fn(&Row) -> f64| over(&|r, row| read(row) / r.line.p50);
        let max = |read: fn(&Row) -> f64| rows.iter().map(|(_, row)| read(row)).fold(0.0, f64::max);
        let share = rates.saturation.map(|saturation| rate / saturation);
        let left_out = match repetitions.len() - rows.len() {
            0 => String::new(),
            some => format!("; {some} of {} INVALID and left out", repetitions.len()),
        };
        let verdict = match verdict(repetitions, place) {
            Verdict::Sustained => format!("ok{left_out}"),
            Verdict::Failed(count, why) => {
                format!("FAIL ({count} of {}): {why}{left_out}", rows.len())
            }
            Verdict::Invalid(why) => format!("INVALID: {why}"),
        };
        println!(
            "{rate:>11.0} {:>6} {:>9.0} {:>7.2} {:>9.0} {:>9.2} {:>11.0} {:>7.2} {:>9.0} {:>10.0} {:>8.0} {:>10.0}  {verdict}",
            share.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share)),
            read(|row| row.figures.p50),
            ratio(|row| row.figures.p50),
            read(p99),
            ratio(p99),
            read(window_p99),
            ratio(window_p99),
            read(|row| row.figures.p999.unwrap_or_default()),
            max(|row| row.figures.max.unwrap_or_default()),
            max(|row| row.outcome.deepest as f64),
            rows.iter()
                .map(|(_, row)| row.figures.count as f64)
                .sum::<f64>(),
        );
    }
    println!();
    bench.print_validity();
    for goal in goals(rates, repetitions) {
        let verdict = match goal.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not judged, INVALID",
        };
        println!("{}: {verdict}", goal.text);
    }
}

struct Goal {
    text: String,
    /// `None` where it cannot be judged.
    met: Option<bool>,
}

/// Both goals, where the rates were searched for.
fn goals(rates: &Rates, repetitions: &[Repetition]) -> Vec<Goal> {
    let Some(saturation) = rates.saturation else {
        return Vec::new();
    };
    let place = |wanted: f64| {
        let mut all = rates.all();
        all.position(|rate| (rate / wanted - 1.0).abs() < 1e-9)
    };
    let mut goals = Vec::new();
    let sustained = place(RATE_GOAL).map(|place| verdict(repetitions, place));
    let (how, met) = match &sustained {
        None => ("above saturation".to_owned(), Some(false)),
        Some(Verdict::Sustained) => (
            "every repetition sustained it".to_owned(),
            Some(rates.found),
        ),
        Some(Verdict::Failed(count, why)) => (format!("{count} failed: {why}"), Some(false)),
        Some(Verdict::Invalid(why)) => (why.clone(), None),
    };
    goals.push(Goal {
        text: format!(
            "saturation {saturation:.0} Depths a second; {RATE_GOAL:.0} without a drop (goal): {how}"
        ),
        met: met.filter(|_| rates.valid),
    });
    if let Some(place) = place(saturation / 2.0) {
        let (rows, invalid) = rows(repetitions, place);
        for (what, read) in [
            ("p99 at half of saturation", p99 as fn(&Row) -> f64),
            ("the same in the median window", window_p99),
        ] {
            let ratios = rows.iter().map(|(r, row)| read(row) / r.line.p50);
            let ratio = median(&mut ratios.collect::<Vec<_>>());
            goals.push(Goal {
                text: format!("{what}, {ratio:.2} line round trips (goal < {P99_GOAL:.0})"),
                met: (rates.valid && !invalid).then_some(ratio < P99_GOAL),
            });
        }
    }
    goals
}

/// Everything, for other programs.
pub fn to_json(args: &Args, library: &Library, rates: &Rates, repetitions: &[Repetition]) -> Value {
    let row = |run: &Judged<Row>| {
        let of = &run.value;
        let mut value = of.figures.to_json();
        let Outcome {
            rate,
            sent,
            received,
            dropped,
            conflated,
            deepest,
            short_at_end,
            latest_ns,
            preempted,
            ..
        } = of.outcome;
        let failures = of.outcome.failures();
        value["window_p99_ns"] = json!(of.window_p99_ns);
        value["rate"] = json!(rate);
        value["achieved"] = json!(of.outcome.achieved());
        value["sent"] = json!(sent);
        value["received"] = json!(received);
        value["dropped"] = json!(dropped);
        value["conflated"] = json!(conflated);
        value["deepest_queue"] = json!(deepest);
        value["shortest_queue_in_the_last_quarter"] = json!(short_at_end);
        value["latest_send_ns"] = json!(latest_ns);
        value["preempted"] = json!(preempted);
        let valid = run.taken.is_valid();
        value["validity"] = run.taken.to_json();
        value["passed"] = json!(valid.then_some(failures.is_empty()));
        value["failures"] = json!(failures);
        value
    };
    let repeated: Vec<Value> = repetitions
        .iter()
        .map(|repetition| {
            json!({
                "line_round_trip": repetition.line.to_json(),
                "line_is_valid": repetition.line_is_valid,
                "lost_by_host_and_lane": repetition.lost.map(Lost::to_json),
                "rows": repetition.rows.iter().map(row).collect::<Vec<_>>(),
            })
        })
        .collect();
    let goals: Vec<Value> = goals(rates, repetitions)
        .iter()
        .map(|goal| json!({ "goal": goal.text, "met": goal.met }))
        .collect();
    json!({
        "library": library.to_json(),
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "set": format!("{:?}", args.set).to_lowercase(),
        "instruments": args.instruments,
        "trades_per_depth": args.trades,
        "ring": args.ring,
        "duration_ms": args.duration().as_millis() as u64,
        "repetitions": args.repetitions(),
        "saturation": rates.saturation,
        "saturation_found": rates.found,
        "saturation_is_valid": rates.valid,
        "goals": goals,
        "per_repetition": repeated,
    })
}
