//! The table, the goals and the JSON.

use serde_json::{Value, json};
use signal_bench::contention::MOST_TAKEN;
use signal_bench::runs::{Judged, Tally};
use signal_bench::threads;

use crate::args::Args;
use crate::contenders::{Engine, Group};
use crate::inputs::Inputs;
use crate::measure::{Figures, median};

/// Everything that was found out.
pub struct Run {
    pub machine: Value,
    pub versions: [(Engine, Result<String, String>); 5],
    pub clock_ns: f64,
    pub loop_ns: f64,
    pub preemptions: i64,
    /// How many rows were what.
    pub tally: Tally,
    pub lines: Vec<Line>,
}

/// A line of the table.
pub struct Line {
    pub group: &'static Group,
    pub engine: Engine,
    pub file: &'static str,
    /// Or why it is not measured.
    pub measured: Result<Measured, String>,
}

/// What a line shows.
pub struct Measured {
    /// Inferences between two stamps.
    pub batch: usize,
    /// Most allocations that one inference took.
    pub allocations: u64,
    /// Greatest distance from the trainer's outputs, relative above 1.
    pub off: f64,
    pub repetitions: Vec<Judged<Figures>>,
}

impl Measured {
    /// Whether none of its repetitions had the core to itself: it is shown, and not compared.
    fn is_invalid(&self) -> bool {
        !self.repetitions.iter().any(|run| run.taken.is_valid())
    }

    /// Of the valid repetitions; of all where there is none.
    fn all(&self, read: fn(&Figures) -> f64) -> Vec<f64> {
        let any = self.is_invalid();
        let shown = self.repetitions.iter();
        let shown = shown.filter(|run| any || run.taken.is_valid());
        shown.map(|run| read(&run.value)).collect()
    }

    fn p50(&self) -> f64 {
        median(&mut self.all(|figures| figures.p50))
    }

    fn p99(&self) -> f64 {
        median(&mut self.all(|figures| figures.p99))
    }

    /// Median over the repetitions in which both are valid of the ratio of their medians;
    /// `None` without such a repetition.
    fn times(&self, base: &Measured) -> Option<f64> {
        let both = self.repetitions.iter().zip(&base.repetitions);
        let valid = both.filter(|(ours, base)| ours.taken.is_valid() && base.taken.is_valid());
        let mut ratios: Vec<f64> = valid
            .map(|(ours, base)| ours.value.p50 / base.value.p50)
            .collect();
        (!ratios.is_empty()).then(|| median(&mut ratios))
    }
}

impl Run {
    fn measured(&self, model: &str, engine: Engine, file: &str) -> Option<&Measured> {
        let here =
            |line: &&Line| line.group.model == model && line.engine == engine && line.file == file;
        self.lines.iter().find(here)?.measured.as_ref().ok()
    }

    /// Ours, the first line of its group.
    fn base(&self, group: &Group) -> Option<&Measured> {
        let (engine, file) = group.rows[0];
        self.measured(group.model, engine, file)
    }
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, inputs: &Inputs, run: &Run) {
    let text = |key: &str| run.machine[key].as_str().unwrap_or_default();
    println!("inference: one sample, f64 factors in, f64 outputs back");
    println!(
        "  timed       on core {}, one thread; {} different rows in turn; nothing is subtracted",
        run.machine["core"],
        inputs.rows.len()
    );
    println!(
        "  run         {} repetitions of {} samples, every line in turn in each",
        args.repetitions, args.samples
    );
    println!(
        "  machine     {}{}, kernel {}, load average {}",
        text("cpu"),
        if run.machine["hypervisor"] == true {
            " (virtual: the hypervisor may move or stop a core)"
        } else {
            ""
        },
        text("kernel"),
        text("load_average"),
    );
    println!(
        "  clock       {:.1} ns a read, two a batch; the loop alone {:.1} ns an inference",
        run.clock_ns, run.loop_ns
    );
    for (engine, version) in &run.versions {
        match version {
            Ok(version) => println!("  {:<11} {version}", engine.name()),
            Err(why) => println!("  {:<11} - ({why})", engine.name()),
        }
    }
    let made_with: Vec<String> = inputs
        .made_with
        .iter()
        .map(|(package, version)| format!("{package} {version}"))
        .collect();
    println!("  models      trained with {}\n", made_with.join(", "));
}

/// Prints the table and the goals.
pub fn table(run: &Run) {
    println!(
        "{:<34} {:>9}  {:>19} {:>8} {:>7} {:>6} {:>8}",
        "", "median ns", "min .. max", "p99", "x ours", "alloc", "off by"
    );
    let mut title = "";
    for line in &run.lines {
        if line.group.title != title {
            title = line.group.title;
            println!("{title}");
        }
        let name = format!("  {}, {}", line.engine.name(), line.file);
        match &line.measured {
            Err(why) => println!("{name:<34} {:>9}  {why}", "-"),
            Ok(measured) => println!("{}", cells(&name, line, measured, run)),
        }
    }
    println!();
    if !threads::are_counted() {
        println!(
            "runs were NOT judged: this kernel does not say for how long threads wait for a core"
        );
    }
    print!("{}", run.tally);
    println!(
        "this process was preempted {} times while measuring{}",
        run.preemptions,
        if run.preemptions > 0 {
            ": the tails are the machine's too"
        } else {
            ""
        }
    );
    for goal in goals(run) {
        println!("{}: {}", goal.text, goal.verdict());
    }
}

fn cells(name: &str, line: &Line, measured: &Measured, run: &Run) -> String {
    let mut medians = measured.all(|figures| figures.p50);
    let middle = median(&mut medians);
    let times = run
        .base(line.group)
        .and_then(|base| measured.times(base))
        .map_or("-".into(), |times| format!("{times:.2}"));
    let allocations = if line.engine.is_rust() {
        measured.allocations.to_string()
    } else {
        "-".into()
    };
    let off = if measured.off == 0.0 {
        "0".into()
    } else {
        format!("{:.0e}", measured.off)
    };
    format!(
        "{name:<34} {middle:>9.1}  {:>19} {:>8.1} {times:>7} {allocations:>6} {off:>8}",
        format!("{:.1} .. {:.1}", medians[0], medians[medians.len() - 1]),
        measured.p99(),
    ) + if measured.is_invalid() {
        "  INVALID"
    } else {
        ""
    }
}

struct Goal {
    text: String,
    /// `None` if there is nothing to judge.
    met: Option<bool>,
}

impl Goal {
    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not judged",
        }
    }
}

fn goals(run: &Run) -> Vec<Goal> {
    let at_most = |what: &str, model: &str, file: &str, most: f64| {
        let measured = run.measured(model, Engine::Ours, file);
        let ns = measured.filter(|m| !m.is_invalid()).map(Measured::p50);
        Goal {
            text: format!("{what}, {} ns (goal <= {most} ns)", figure(ns, 1)),
            met: ns.map(|ns| ns <= most),
        }
    };
    // Both on the same file.
    let faster = |what: &str, model: &str, file: &str| {
        let ours = run.measured(model, Engine::Ours, file);
        let theirs = run.measured(model, Engine::OnnxRuntime, file);
        let times = theirs
            .zip(ours)
            .and_then(|(theirs, ours)| theirs.times(ours));
        Goal {
            text: format!(
                "onnxruntime / ours, {what}, {} (goal >= 5)",
                figure(times, 2)
            ),
            met: times.map(|times| times >= 5.0),
        }
    };
    let ours = run.lines.iter().filter(|line| line.engine == Engine::Ours);
    let taken: Option<Vec<u64>> = ours
        .map(|line| Some(line.measured.as_ref().ok()?.allocations))
        .collect();
    let most = taken.and_then(|taken| taken.into_iter().max());
    vec![
        at_most("MLP", "mlp", "mlp.onnx", 400.0),
        at_most(
            "100 LightGBM trees",
            "lightgbm-100",
            "lightgbm-100.txt",
            1200.0,
        ),
        at_most(
            "100 XGBoost trees",
            "xgboost-100",
            "xgboost-100.json",
            1200.0,
        ),
        Goal {
            text: format!(
                "allocations of one inference, ours, all models, {} (goal 0)",
                most.map_or("-".into(), |most| most.to_string())
            ),
            met: most.map(|most| most == 0),
        },
        faster("linear", "linear", "linear.onnx"),
        faster("MLP", "mlp", "mlp.onnx"),
        faster("100 trees", "lightgbm-100", "lightgbm-100.onnx"),
        faster("500 trees", "lightgbm-500", "lightgbm-500.onnx"),
    ]
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}

/// Everything, for other programs.
pub fn to_json(args: &Args, inputs: &Inputs, run: &Run) -> Value {
    let lines: Vec<Value> = run.lines.iter().map(|line| line_json(line, run)).collect();
    let goals: Vec<Value> = goals(run)
        .iter()
        .map(|goal| json!({ "goal": goal.text, "met": goal.met }))
        .collect();
    let versions: serde_json::Map<String, Value> = run
        .versions
        .iter()
        .map(|(engine, version)| (engine.name().into(), json!(version.as_ref().ok())))
        .collect();
    json!({
        "bench": "inference",
        "repetitions": args.repetitions,
        "samples": args.samples,
        "rows": inputs.rows.len(),
        "machine": run.machine,
        "clock_read_ns": run.clock_ns,
        "loop_ns": run.loop_ns,
        "preemptions": run.preemptions,
        "validity": validity(run),
        "versions": versions,
        "models_made_with": inputs.made_with,
        "lines": lines,
        "goals": goals,
    })
}

fn validity(run: &Run) -> Value {
    let mut validity = run.tally.to_json();
    validity["most_taken"] = json!(MOST_TAKEN);
    validity["judged"] = json!(threads::are_counted());
    validity
}

fn line_json(line: &Line, run: &Run) -> Value {
    let mut value = json!({
        "model": line.group.model,
        "engine": line.engine.name(),
        "file": line.file,
    });
    match &line.measured {
        Err(why) => value["not_measured"] = json!(why),
        Ok(measured) => {
            let repetitions = measured.repetitions.iter().map(|run| {
                let figures = &run.value;
                json!({
                    "p50_ns": figures.p50,
                    "p99_ns": figures.p99,
                    "count": figures.count,
                    "valid": run.taken.is_valid(),
                })
            });
            value["valid"] = json!(!measured.is_invalid());
            value["median_ns"] = json!(measured.p50());
            value["p99_ns"] = json!(measured.p99());
            value["times_ours"] = json!(run.base(line.group).and_then(|base| measured.times(base)));
            value["allocations"] = json!(line.engine.is_rust().then_some(measured.allocations));
            value["off_by"] = json!(measured.off);
            value["batch"] = json!(measured.batch);
            value["repetitions"] = repetitions.collect();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_bench::contention::{Core, Taken};

    fn measured(runs: &[(f64, u64)]) -> Measured {
        let judged = |&(p50, waited_ns)| Judged {
            value: Figures {
                p50,
                p99: p50,
                count: 1,
            },
            taken: Taken {
                wall_ns: 1_000,
                cores: vec![Core {
                    waited_ns,
                    ..Core::default()
                }],
                others: Vec::new(),
            },
        };
        Measured {
            batch: 1,
            allocations: 0,
            off: 0.0,
            repetitions: runs.iter().map(judged).collect(),
        }
    }

    #[test]
    fn a_ratio_is_of_runs_that_both_had_the_core() {
        let base = measured(&[(10.0, 0), (10.0, 500), (20.0, 0)]);
        let other = measured(&[(900.0, 500), (900.0, 0), (60.0, 0)]);
        assert_eq!(other.times(&base), Some(3.0));
        assert_eq!((base.p50(), other.p50()), (15.0, 480.0));
        let disturbed = measured(&[(5.0, 500), (7.0, 500), (9.0, 500)]);
        assert!(disturbed.is_invalid() && !base.is_invalid());
        // Shown all the same, and compared with nothing.
        assert_eq!((disturbed.p50(), disturbed.times(&base)), (7.0, None));
    }
}
