//! The design that the library replaces beside the library, in one run. What exactly is
//! timed: `benches/README.md`. `--help` lists the flags.

mod cases;

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};
use signal_bench::args::{Common, Subject, positive};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::echo;
use signal_bench::folder::Folder;
use signal_bench::machine::{self, Cores};
use signal_bench::report::{FIGURES, Goal, Table, figures};
use signal_bench::series::{Figures, median};
use signal_bench::workload;

use cases::{ALL, APART, BEST, CASES, GAP_NS, Setup, rival};

/// Tick to callback of the design that the library replaces, beside the library.
#[derive(Debug, Parser)]
#[command(name = "hf_live_design")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    subject: Subject,
    /// Trips a repetition of the library and of settings that spin; a fiftieth of it
    /// where they sleep [default: 100000; 4000 with --quick]
    #[arg(long, value_name = "N", value_parser = positive)]
    iterations: Option<usize>,
}

/// The line; everybody, in the order of the cases and of [`ALL`].
type Repetition = (Figures, Vec<Vec<Figures>>);
type Read = fn(&Figures) -> f64;

const P50: Read = |figures| figures.p50;
const P99: Read = |figures| figures.p99.unwrap_or_default();

/// The design's cores: those of `--lane-cores`. Where that is not given, the lane's and
/// a second one, if one is free: `spin` has two threads that spin.
fn design_cores(named: &[usize], cores: &Cores) -> Vec<usize> {
    let mut design = cores.lanes.clone();
    if named.is_empty() {
        let taken: Vec<usize> = cores.lanes.iter().chain([&cores.host]).copied().collect();
        design.extend(machine::another(&taken));
    }
    design
}

fn main() -> ExitCode {
    bench::main("hf_live_design", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let bench = Bench::start("hf_live_design", &args.common)?.with_library(&args.subject.lib)?;
    let design_cores = design_cores(&args.common.lane_cores, &bench.cores);
    let iterations = args.common.or(args.iterations, 100_000, 4_000);
    let repetitions = args.common.repetitions(5);
    let run = format!(
        "{repetitions} repetitions of {iterations} trips, all in turn; where threads sleep {}, {} us apart",
        iterations / APART,
        GAP_NS / 1000,
    );
    let subject = format!("{}, idle spin, timing on", args.subject.describe());
    let its_cores = format!("{design_cores:?}: the tick thread's first");
    let lines = [
        ("libsignal", subject),
        ("its cores", its_cores),
        ("run", run),
    ];
    let question =
        "the design that the library replaces, beside the library: same factors and models";
    bench.header(question, &lines);
    let folder = Folder::new("hf-live")?;
    let model = workload::linear_model(&folder)?;
    let setup = Setup {
        bench: &bench,
        design_cores: &design_cores,
        subject: &args.subject,
        model: &model,
        trips: iterations,
    };
    for case in &CASES {
        setup.check(case)?;
    }
    bench.say("values: equal to the library's, bit by bit, in every setting\n");
    let runs = bench.repeat(repetitions, "", |number| {
        echo::around(&bench, iterations, || setup.repeat(number))
    })?;
    let shown = bench.shown(&runs);
    tables(&bench, &shown);
    let per_case = |value: &dyn Fn(usize) -> Map<String, Value>| -> Map<String, Value> {
        let cases = CASES.iter().enumerate();
        let cases = cases.map(|(case, of)| (of.key.to_owned(), value(case).into()));
        cases.collect()
    };
    let repetition = |(line, measured): &&Repetition| {
        let mut value = per_case(&|case| {
            let named = ALL.iter().zip(&measured[case]);
            let named = named.map(|(of, figures)| (of.name.to_owned(), json!(figures)));
            named.collect()
        });
        value.insert("line_round_trip".into(), json!(line));
        Value::Object(value)
    };
    let compared = |case| {
        let rows = ALL.iter().enumerate().map(|(place, of)| {
            let [p50, p99] = [P50, P99].map(|read| times(&shown, case, place, read));
            (of.name.to_owned(), json!({"p50": p50, "p99": p99}))
        });
        rows.collect()
    };
    let result = json!({
        "placement": args.subject.placement,
        "shards": args.subject.shards,
        "design_cores": design_cores,
        "iterations": iterations,
        "repetitions": repetitions,
        "times_the_library": bench.compared(|| per_case(&compared).into()),
        "per_repetition": shown.iter().map(repetition).collect::<Vec<_>>(),
    });
    let goals = || {
        let goals = CASES.iter().enumerate().flat_map(|(case, of)| {
            [("the median", P50, 5.0), ("p99", P99, 20.0)].map(|(at, read, least)| {
                let best = ALL[BEST].name;
                let what = format!(
                    "{}: times faster than its best setting, {best}, at {at}",
                    of.title
                );
                Goal::at_least(&what, Some(times(&shown, case, BEST, read)), least, "")
            })
        });
        goals.collect()
    };
    bench.end(goals, result)
}

/// Times the library's figure, median over the repetitions. The library's Depths come as
/// far apart as the contender's.
fn times(shown: &[&Repetition], case: usize, place: usize, read: Read) -> f64 {
    let ratio = |(_, of): &&Repetition| read(&of[case][place]) / read(&of[case][rival(place)]);
    median(shown.iter().map(ratio))
}

/// A table for each case, and how the design's other settings compare.
fn tables(bench: &Bench, shown: &[&Repetition]) {
    let line: Vec<Figures> = shown.iter().map(|(line, _)| *line).collect();
    bench.say(format!(
        "line round trip: {:.1} ns, median",
        median(line.iter().map(P50))
    ));
    for (case, of) in CASES.iter().enumerate() {
        let columns = FIGURES.into_iter().chain(["x ours", "p99 x ours"]);
        let mut table = Table::new(of.title, columns);
        for (place, contender) in ALL.iter().enumerate() {
            let all: Vec<Figures> = shown.iter().map(|(_, of)| of[case][place]).collect();
            let ratios = [P50, P99].map(|read| format!("{:.2}", times(shown, case, place, read)));
            let cells = figures(&all, &line).into_iter().chain(ratios);
            table.row(contender.name, cells);
        }
        bench.show(table);
    }
    if !bench.may_compare() {
        return;
    }
    for (case, of) in CASES.iter().enumerate() {
        for (place, contender) in ALL.iter().enumerate() {
            let what = match contender.name {
                "sleep" => "its usual setting",
                "spin-one" => "both its threads made one",
                _ => continue,
            };
            bench.say(format!(
                "{}: {:.1} times faster than {what}, {}, at the median, {:.1} times at p99",
                of.title,
                times(shown, case, place, P50),
                contender.name,
                times(shown, case, place, P99),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_compared_at_its_own_gap() {
        let figures = |p50, p99| Figures {
            p99: Some(p99),
            ..Figures::mean(p50, 1)
        };
        // The library 100 and 200 ns back to back, 300 and 400 apart.
        let row = ALL.map(|contender| match contender.name {
            "libsignal" => figures(100.0, 200.0),
            "libsignal, apart" => figures(300.0, 400.0),
            "spin" => figures(500.0, 3900.0),
            "sleep" => figures(3000.0, 4000.0),
            _ => figures(9e6, 9e6),
        });
        let run: Repetition = (figures(50.0, 60.0), vec![row.to_vec()]);
        let times = |place, read| times(&[&run], 0, place, read);
        assert_eq!((times(BEST, P50), times(BEST, P99)), (5.0, 19.5));
        assert_eq!(times(5, P50), 10.0);
        assert_eq!(times(3, P99), 1.0);
    }

    #[test]
    fn a_second_core_is_taken_unless_cores_were_named() {
        let allowed = machine::allowed();
        let (host, lane) = (allowed[0], allowed[allowed.len() - 1]);
        let lanes = vec![lane];
        let cores = Cores { host, lanes };
        assert_eq!(design_cores(&[lane], &cores), [lane]);
        let chosen = design_cores(&[], &cores);
        let third = allowed.iter().any(|core| ![host, lane].contains(core));
        assert_eq!(chosen.len(), 1 + usize::from(third));
        assert_eq!(chosen[0], lane);
        assert!(!chosen[1..].iter().any(|core| [host, lane].contains(core)));
    }
}
