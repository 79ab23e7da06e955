//! The header, the tables, the goals and the JSON.

use serde_json::{Map, Value, json};
use signal_bench::bench::{Bench, Library};
use signal_bench::hf_live::Setting;
use signal_bench::series::{Figures, median};

use crate::args::Args;
use crate::cases::{APART, Case, Contender, GAP_NS};

/// The design's fastest: all its threads spin, on a core each where there are cores.
const BEST: Setting = Setting::Spin;
/// At the median, against that.
const MEDIAN_GOAL: f64 = 5.0;
/// At p99, against that.
const P99_GOAL: f64 = 20.0;

/// Everybody once.
pub struct Repetition {
    pub line: Figures,
    /// In the order of the cases; within one, of [`Contender::ALL`].
    pub measured: Vec<Vec<Figures>>,
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, library: &Library, design_cores: &[usize]) {
    let (cores, iterations) = (&bench.cores, args.iterations());
    let mut lines = vec![
        ("library", library.describe()),
        (
            "libsignal",
            format!("{}, idle spin, timing on", args.subject.describe()),
        ),
    ];
    for contender in Contender::ALL {
        if let Contender::Design(setting) = contender {
            lines.push((setting.name(), setting.about(design_cores)));
        }
    }
    lines.push((
        "its cores",
        format!("{design_cores:?}: the tick thread's first"),
    ));
    lines.push((
        "timed",
        format!(
            "on core {}, the host's thread: from a stamp before on_data(Depth) to the first stamp in\n\
             the callback; one Depth under way, the host spins on poll; nothing is subtracted",
            cores.host
        ),
    ));
    lines.push((
        "run",
        format!(
            "{} repetitions of {iterations} trips, all in turn; where threads sleep {}, {} us apart,\n\
             compared with libsignal at the same gap; market gets a trade, untimed, 1 us before each Depth,\n\
             in the rows apart {} us before",
            args.repetitions(),
            iterations / APART,
            GAP_NS / 1000,
            GAP_NS / 1000,
        ),
    ));
    bench.header(
        "the design that the library replaces, beside the library: same factors, same models",
        &lines,
    );
}

fn p50(figures: &Figures) -> f64 {
    figures.p50
}

fn p99(figures: &Figures) -> f64 {
    figures.p99.unwrap_or_default()
}

/// Times the library's figure, median over the repetitions. The library's Depths come as
/// far apart as the contender's.
fn times(
    repetitions: &[Repetition],
    case: usize,
    contender: Contender,
    read: fn(&Figures) -> f64,
) -> f64 {
    let (theirs, ours) = (contender.place(), contender.rival().place());
    let ratio = |of: &Repetition| read(&of.measured[case][theirs]) / read(&of.measured[case][ours]);
    median(&mut repetitions.iter().map(ratio).collect::<Vec<_>>())
}

/// A goal: against the design's best setting.
struct Goal {
    what: &'static str,
    times: f64,
    at_least: f64,
}

impl Goal {
    fn all(repetitions: &[Repetition], case: usize) -> [Goal; 2] {
        let goal = |what, read, at_least| Goal {
            what,
            times: times(repetitions, case, Contender::Design(BEST), read),
            at_least,
        };
        [
            goal("the median", p50, MEDIAN_GOAL),
            goal("p99", p99, P99_GOAL),
        ]
    }

    fn met(&self) -> bool {
        self.times >= self.at_least
    }
}

/// Prints a table for each case, and the goals.
pub fn tables(bench: &Bench, repetitions: &[Repetition]) {
    let mut lines: Vec<f64> = repetitions.iter().map(|r| r.line.p50).collect();
    println!("line round trip: {:.1} ns, median", median(&mut lines));
    for (case, of) in Case::ALL.iter().enumerate() {
        println!(
            "\n{:<18} {:>9} {:>18} {:>7} {:>7} {:>8} {:>7} {:>9} {:>10} {:>8}",
            of.title(),
            "median ns",
            "min .. max",
            "x line",
            "x ours",
            "p99",
            "x ours",
            "p99.9",
            "max",
            "count"
        );
        for contender in Contender::ALL {
            let place = contender.place();
            let all = |read: fn(&Figures) -> f64| -> Vec<f64> {
                let figures = repetitions.iter().map(|r| &r.measured[case][place]);
                figures.map(read).collect()
            };
            let mut medians = all(p50);
            let middle = median(&mut medians);
            let mut ratios: Vec<f64> = repetitions
                .iter()
                .map(|r| r.measured[case][place].p50 / r.line.p50)
                .collect();
            let maxima = all(|figures| figures.max.unwrap_or_default());
            println!(
                "  {:<16} {middle:>9.0} {:>18} {:>7.2} {:>7.2} {:>8.0} {:>7.2} {:>9.0} {:>10.0} {:>8}",
                contender.name(),
                format!("{:.0} .. {:.0}", medians[0], medians[medians.len() - 1]),
                median(&mut ratios),
                times(repetitions, case, contender, p50),
                median(&mut all(p99)),
                times(repetitions, case, contender, p99),
                median(&mut all(|figures| figures.p999.unwrap_or_default())),
                maxima.into_iter().fold(0.0, f64::max),
                all(|figures| figures.count as f64).iter().sum::<f64>(),
            );
        }
    }
    println!();
    bench.print_validity();
    if !bench.may_compare() {
        return;
    }
    for (case, of) in Case::ALL.iter().enumerate() {
        for goal in Goal::all(repetitions, case) {
            println!(
                "{}: {:.1} times faster than its best setting, {}, at {} (goal >= {}): {}",
                of.title(),
                goal.times,
                BEST.name(),
                goal.what,
                goal.at_least,
                if goal.met() { "met" } else { "MISSED" },
            );
        }
        let against = |what: &str, setting: Setting| {
            let contender = Contender::Design(setting);
            println!(
                "{}: {:.1} times faster than {what}, {}, at the median, {:.1} times at p99",
                of.title(),
                times(repetitions, case, contender, p50),
                setting.name(),
                times(repetitions, case, contender, p99),
            );
        };
        against("its usual setting", Setting::Sleep);
        against("both its threads made one", Setting::SpinOne);
    }
}

/// Everything, for other programs.
pub fn to_json(
    args: &Args,
    bench: &Bench,
    library: &Library,
    design_cores: &[usize],
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
                let figures = Contender::ALL.iter().zip(&repetition.measured[case]);
                let named = figures.map(|(c, figures)| (c.name().to_owned(), figures.to_json()));
                Value::Object(named.collect())
            });
            value.insert("line_round_trip".into(), repetition.line.to_json());
            Value::Object(value)
        })
        .collect();
    let compared = || {
        per_case(&|case| {
            let rows = Contender::ALL.into_iter().map(|contender| {
                let ratio = |read| times(repetitions, case, contender, read);
                let value = json!({ "p50": ratio(p50), "p99": ratio(p99) });
                (contender.name().to_owned(), value)
            });
            Value::Object(rows.collect())
        })
    };
    let goals = || {
        per_case(&|case| {
            let goals = Goal::all(repetitions, case).map(|goal| {
                json!({
                    "at": goal.what,
                    "setting": BEST.name(),
                    "times": goal.times,
                    "at_least": goal.at_least,
                    "met": goal.met(),
                })
            });
            json!(goals)
        })
    };
    json!({
        "library": library.to_json(),
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "design_cores": design_cores,
        "iterations": args.iterations(),
        "repetitions": args.repetitions(),
        "goals": bench.compared(|| goals().into()),
        "times_the_library": bench.compared(|| compared().into()),
        "per_repetition": repeated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p50: f64, p99: f64) -> Figures {
        Figures {
            p50,
            p99: Some(p99),
            p999: None,
            max: None,
            count: 1,
        }
    }

    /// The library 100 and 200 ns back to back, 300 and 400 apart.
    fn repetition(spin: Figures, sleep: Figures) -> Repetition {
        let slow = figures(9e6, 9e6);
        let row = Contender::ALL.map(|contender| match contender {
            Contender::Library => figures(100.0, 200.0),
            Contender::LibraryApart => figures(300.0, 400.0),
            Contender::Design(Setting::Spin) => spin,
            Contender::Design(Setting::Sleep) => sleep,
            Contender::Design(_) => slow,
        });
        Repetition {
            line: figures(50.0, 60.0),
            measured: vec![row.to_vec(), row.to_vec()],
        }
    }

    #[test]
    fn goals_are_against_all_threads_spinning() {
        let run = [repetition(figures(500.0, 3900.0), figures(3000.0, 4000.0))];
        let [median, tail] = Goal::all(&run, 0);
        assert_eq!((median.times, median.met()), (5.0, true));
        assert_eq!((tail.times, tail.met()), (19.5, false));
        let run = [repetition(figures(499.0, 8000.0), figures(3000.0, 4000.0))];
        assert!(!Goal::all(&run, 1)[0].met());
    }

    #[test]
    fn a_setting_that_sleeps_is_compared_at_its_own_gap() {
        let run = [repetition(figures(500.0, 500.0), figures(3000.0, 4000.0))];
        let usual = Contender::Design(Setting::Sleep);
        assert_eq!(times(&run, 0, usual, p50), 10.0);
        assert_eq!(times(&run, 0, Contender::Library, p50), 1.0);
        assert_eq!(times(&run, 0, Contender::LibraryApart, p99), 1.0);
    }
}
