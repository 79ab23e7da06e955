//! The header, the tables, the goals and the JSON.

use latency_bench::bench::{Bench, Library};
use latency_bench::hf_live::Setting;
use latency_bench::series::{Figures, median};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::cases::{Case, Contender};

/// At the median, against its best setting.
const MEDIAN_GOAL: f64 = 5.0;
/// At p99, against its best setting.
const P99_GOAL: f64 = 20.0;

/// Everybody once.
pub struct Repetition {
    pub line: Figures,
    /// In the order of the cases; within one, of the contenders, the library first.
    pub measured: Vec<Vec<Figures>>,
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, library: &Library, contenders: &[Contender]) {
    let mut lines = vec![
        (
            "library",
            format!(
                "{}; placement {}, idle spin, timing on",
                library.describe(),
                args.subject.placement
            ),
        ),
        (
            "timed",
            format!(
                "on core {}, the host's thread: from a stamp before on_data(Depth) to the first stamp in\n\
                 the callback; one Depth under way, the host spins on poll; nothing is subtracted",
                bench.cores.host
            ),
        ),
    ];
    for contender in contenders {
        if let Contender::Design(setting) = contender {
            lines.push((setting.name(), setting.about(&bench.cores.lanes)));
        }
    }
    lines.push((
        "run",
        format!(
            "{} repetitions of {} trips ({} where threads sleep), all in turn; market gets a trade,\n\
             untimed, 1 us before each Depth",
            args.repetitions(),
            args.iterations(),
            args.iterations() / 20
        ),
    ));
    bench.header(
        "the design that the library replaces, beside the library, same factors and models",
        &lines,
    );
}

/// How many times the library's figure theirs is, median over the repetitions.
fn times(
    repetitions: &[Repetition],
    case: usize,
    theirs: impl Fn(&[Figures]) -> f64,
    ours: impl Fn(&Figures) -> f64,
) -> f64 {
    let mut ratios: Vec<f64> = repetitions
        .iter()
        .map(|repetition| {
            let figures = &repetition.measured[case];
            theirs(&figures[1..]) / ours(&figures[0])
        })
        .collect();
    median(&mut ratios)
}

fn p99(figures: &Figures) -> f64 {
    figures.p99.unwrap_or_default()
}

fn least(figures: &[Figures], read: fn(&Figures) -> f64) -> f64 {
    figures.iter().map(read).fold(f64::INFINITY, f64::min)
}

/// Times the library at the median and at p99.
struct Factors {
    /// Of its best setting, chosen anew for each figure and repetition.
    best: (f64, f64),
    /// Of its usual one.
    usual: (f64, f64),
}

fn factors(contenders: &[Contender], repetitions: &[Repetition], case: usize) -> Factors {
    let usual = contenders[1..]
        .iter()
        .position(|&contender| contender == Contender::Design(Setting::Sleep))
        .unwrap_or_default();
    let p50 = |figures: &Figures| figures.p50;
    Factors {
        best: (
            times(repetitions, case, |all| least(all, |f| f.p50), p50),
            times(repetitions, case, |all| least(all, p99), p99),
        ),
        usual: (
            times(repetitions, case, |all| all[usual].p50, p50),
            times(repetitions, case, |all| p99(&all[usual]), p99),
        ),
    }
}

/// Prints a table for each case, and the goals.
pub fn tables(bench: &Bench, contenders: &[Contender], repetitions: &[Repetition]) {
    let mut lines: Vec<f64> = repetitions.iter().map(|r| r.line.p50).collect();
    println!("line round trip: {:.1} ns, median", median(&mut lines));
    for (case, of) in Case::ALL.iter().enumerate() {
        println!(
            "\n{:<18} {:>9} {:>21} {:>8} {:>9} {:>10} {:>10} {:>8}",
            of.title(),
            "median ns",
            "min .. max",
            "x line",
            "p99",
            "p99.9",
            "max",
            "count"
        );
        for (place, contender) in contenders.iter().enumerate() {
            let all = |read: fn(&Figures) -> f64| -> Vec<f64> {
                let figures = repetitions.iter().map(|r| &r.measured[case][place]);
                figures.map(read).collect()
            };
            let mut medians = all(|figures| figures.p50);
            let p50 = median(&mut medians);
            let mut ratios: Vec<f64> = repetitions
                .iter()
                .map(|r| r.measured[case][place].p50 / r.line.p50)
                .collect();
            println!(
                "  {:<16} {p50:>9.0} {:>21} {:>8.2} {:>9.0} {:>10.0} {:>10.0} {:>8}",
                contender.name(),
                format!("{:.0} .. {:.0}", medians[0], medians[medians.len() - 1]),
                median(&mut ratios),
                median(&mut all(p99)),
                median(&mut all(|figures| figures.p999.unwrap_or_default())),
                all(|figures| figures.max.unwrap_or_default())
                    .into_iter()
                    .fold(0.0, f64::max),
                all(|figures| figures.count as f64).iter().sum::<f64>(),
            );
        }
    }
    println!();
    bench.print_preemptions();
    for (case, of) in Case::ALL.iter().enumerate() {
        let Factors { best, usual } = factors(contenders, repetitions, case);
        let verdict = |met: bool| if met { "met" } else { "MISSED" };
        println!(
            "{}: {:.1} times faster than its best setting at the median (goal >= {MEDIAN_GOAL}): {}; \
             {:.1} times at p99 (goal >= {P99_GOAL}): {}",
            of.title(),
            best.0,
            verdict(best.0 >= MEDIAN_GOAL),
            best.1,
            verdict(best.1 >= P99_GOAL),
        );
        println!(
            "{}: {:.0} times faster than its usual setting at the median, {:.0} times at p99",
            of.title(),
            usual.0,
            usual.1
        );
    }
}

/// Everything, for other programs.
pub fn to_json(
    args: &Args,
    library: &Library,
    contenders: &[Contender],
    repetitions: &[Repetition],
) -> Value {
    let per_case = |value: &dyn Fn(usize) -> Value| -> Map<String, Value> {
        let cases = Case::ALL.iter().enumerate();
        cases
            .map(|(case, of)| (of.key().to_owned(), value(case)))
            .collect()
    };
    let repeated: Vec<Value> = repetitions
        .iter()
        .map(|repetition| {
            let mut value = per_case(&|case| {
                let figures = contenders.iter().zip(&repetition.measured[case]);
                let named = figures.map(|(c, figures)| (c.name().to_owned(), figures.to_json()));
                Value::Object(named.collect())
            });
            value.insert("line_round_trip".into(), repetition.line.to_json());
            Value::Object(value)
        })
        .collect();
    let compared = per_case(&|case| {
        let Factors { best, usual } = factors(contenders, repetitions, case);
        json!({
            "times_its_best_setting": { "p50": best.0, "p99": best.1 },
            "times_its_usual_setting": { "p50": usual.0, "p99": usual.1 },
            "goals_met": { "p50": best.0 >= MEDIAN_GOAL, "p99": best.1 >= P99_GOAL },
        })
    });
    json!({
        "library": library.to_json(),
        "placement": args.subject.placement,
        "iterations": args.iterations(),
        "repetitions": args.repetitions(),
        "goals": { "p50": MEDIAN_GOAL, "p99": P99_GOAL },
        "compared": compared,
        "per_repetition": repeated,
    })
}
