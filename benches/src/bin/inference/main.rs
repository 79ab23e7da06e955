//! What one inference costs, ours beside other engines on the same files, one
//! sample at a time, in one run.
//!
//! Everything is measured in turn on one core, repetition after repetition, so
//! that a ratio is formed of figures from the same moment. Nothing is timed that
//! does not compute what the model's trainer computes. What exactly is timed:
//! `benches/README.md`. `--help` lists the flags.
//!
//! | file | what |
//! |---|---|
//! | `inputs` | the models' folder: made by `models.py`, read |
//! | `engines` | who is timed, on which model |
//! | `measure` | timing one of them |

mod allocations;
mod engines;
mod inputs;
mod measure;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};
use signal_bench::args::{Common, thousand};
use signal_bench::bench::{self, Bench, Ended};
use signal_bench::judge::Runs;
use signal_bench::report::{Goal, Table, spread};
use signal_bench::series::{Figures, batched, median};

use engines::{Engine, Engines, FILES};
use inputs::{Inputs, OUTPUTS, Out, Row};
use measure::Timed;

/// How far an output may be off the trainer's: this, or this part of it.
const TOLERANCE: f64 = 1e-5;

/// What one inference costs, beside other engines.
#[derive(Debug, Parser)]
#[command(name = "inference")]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Inferences a repetition and line, at least 1000 [default: 20000; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = thousand)]
    samples: Option<usize>,
    /// Folder made by models.py DIR [default: one beside the program, made anew when models.py is
    /// younger]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// A missing library is a failure; else its lines say so and the run goes on
    #[arg(long)]
    require_peers: bool,
}

struct Line {
    model: &'static str,
    file: &'static str,
    engine: Engine,
    /// Or why it is not measured.
    measured: Result<Measured, String>,
}

impl Line {
    fn name(&self) -> String {
        format!("{} on {}", self.engine.name(), self.file)
    }

    fn runs(&self) -> Option<&Runs<Figures>> {
        Some(&self.measured.as_ref().ok()?.runs)
    }
}

struct Measured {
    timed: Box<dyn Timed>,
    /// Inferences between two stamps.
    batch: usize,
    /// Most allocations that one inference took.
    allocations: u64,
    /// Greatest distance from the trainer's outputs, relative above 1.
    off: f64,
    runs: Runs<Figures>,
}

impl Measured {
    fn p50(&self) -> f64 {
        median(self.runs.shown().iter().map(|of| of.p50))
    }

    fn p99(&self) -> f64 {
        median(self.runs.shown().iter().filter_map(|of| of.p99))
    }
}

/// Median over the repetitions in which both are valid of the ratio of their medians;
/// `None` without such a repetition.
fn times(of: &Runs<Figures>, base: &Runs<Figures>) -> Option<f64> {
    let both = of.0.iter().zip(&base.0);
    let valid = both.filter(|(of, base)| of.taken.is_valid() && base.taken.is_valid());
    let ratios = valid.map(|(of, base)| of.value.p50 / base.value.p50);
    let ratios: Vec<f64> = ratios.collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

fn main() -> ExitCode {
    bench::main("inference", run)
}

fn run(args: &Args) -> Result<Ended, String> {
    let inputs = inputs::load(args.models.as_deref())?;
    let bench = Bench::start_alone("inference", &args.common)?;
    let engines = Engines::open();
    let (stamps, rows) = (&bench.stamps, &inputs.rows);
    let repetitions = args.common.repetitions(9);
    let samples = args.common.or(args.samples, 20_000, 2_000);
    let clock = batched(stamps, 1_000_000, || {
        black_box(stamps.raw());
    });
    let mut nothing = |row: &Row, out: &mut Out| out[0] = row[0];
    let batch = nothing.batch(stamps, rows);
    let loop_ns = nothing.series(stamps, rows, batch, 100_000).p50;
    let timed = format!(
        "on core {}, one thread; {} different rows in turn; nothing is subtracted; a clock read costs\n\
         {:.1} ns, two a batch; the loop alone {loop_ns:.1} ns an inference",
        bench.cores.host,
        rows.len(),
        clock.p50
    );
    let run = format!("{repetitions} repetitions of {samples} samples, every line in turn in each");
    let versions = engines.versions();
    let shown = versions.iter().map(|(engine, version)| match version {
        Ok(version) => format!("{} {version}", engine.name()),
        Err(why) => format!("{}: - ({why})", engine.name()),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let made_with = inputs.made_with.iter();
    let made_with = made_with.map(|(package, version)| format!("{package} {version}"));
    let models = format!("trained with {}", made_with.collect::<Vec<_>>().join(", "));
    bench.header(
        "one sample, f64 factors in, f64 outputs back",
        &[
            ("timed", timed),
            ("run", run),
            ("engines", shown),
            ("models", models),
        ],
    );

    let mut lines = Vec::new();
    for (model, file, all) in FILES {
        for &engine in all {
            lines.push(Line {
                model,
                file,
                engine,
                measured: prepare(&engines, engine, file, &inputs, &bench)?,
            });
        }
    }
    for _ in 0..repetitions {
        for line in &mut lines {
            let name = line.name();
            if let Ok(of) = &mut line.measured {
                let once = || Ok(of.timed.series(stamps, rows, of.batch, samples));
                of.runs.0.push(bench.run(&name, once)?);
            }
        }
    }
    bench.show(table(&lines));
    let goals = goals(&lines);
    let versions =
        versions.map(|(engine, version)| (engine.name().to_owned(), json!(version.ok())));
    let result = json!({
        "repetitions": repetitions,
        "samples": samples,
        "rows": rows.len(),
        "clock_read_ns": clock.p50,
        "loop_ns": loop_ns,
        "versions": versions.into_iter().collect::<Map<_, _>>(),
        "models_made_with": inputs.made_with,
        "lines": lines.iter().map(|line| to_json(line, &lines)).collect::<Vec<_>>(),
        "goals": goals,
    });
    let ended = bench.end(|| goals, result)?;
    are_all_there(args, &lines).map(|()| ended)
}

/// Loads a model and checks what it computes. That an engine cannot run it is a
/// line that says so; that it computes something else is an error.
fn prepare(
    engines: &Engines,
    engine: Engine,
    file: &str,
    inputs: &Inputs,
    bench: &Bench,
) -> Result<Result<Measured, String>, String> {
    let expected = inputs.outputs.get(file);
    let expected = expected.ok_or_else(|| format!("bench.json has no outputs of {file}"))?;
    let path = inputs.folder.join(file);
    let mut timed = match engines.load(engine, &path, expected[0].len()) {
        Ok(timed) => timed,
        Err(why) => return Ok(Err(why)),
    };
    let off = compare(timed.as_mut(), &inputs.rows, expected)
        .map_err(|error| format!("{} on {file}: {error}; nothing is timed", engine.name()))?;
    Ok(Ok(Measured {
        off,
        batch: timed.batch(&bench.stamps, &inputs.rows),
        allocations: timed.allocations(&inputs.rows),
        timed,
        runs: Runs::default(),
    }))
}

/// Greatest distance from the trainer's outputs, over all rows; an error beyond
/// the tolerance.
fn compare(timed: &mut dyn Timed, rows: &[Row], expected: &[Vec<f64>]) -> Result<f64, String> {
    let mut worst = 0f64;
    for (number, (row, expected)) in rows.iter().zip(expected).enumerate() {
        let mut out = [f64::NAN; OUTPUTS];
        timed.once(row, &mut out);
        let (given, untouched) = out.split_at(expected.len());
        let mut right = untouched.iter().all(|value| value.is_nan());
        for (ours, reference) in given.iter().zip(expected) {
            let off = (ours - reference).abs() / reference.abs().max(1.0);
            right &= off <= TOLERANCE;
            worst = worst.max(off);
        }
        if !right {
            return Err(format!(
                "row {number} gives {out:?}, its trainer {expected:?}"
            ));
        }
    }
    Ok(worst)
}

/// Whether the run is worth something, whatever its figures.
fn are_all_there(args: &Args, lines: &[Line]) -> Result<(), String> {
    let is_wanted = |line: &&Line| match line.engine {
        Engine::Ours => true,
        // Of the build, not of the machine; and it has no trees.
        Engine::Tract => false,
        _ => args.require_peers,
    };
    let absent = lines.iter().filter(is_wanted).filter_map(|line| {
        let why = line.measured.as_ref().err()?;
        Some(format!("{}: {why}", line.name()))
    });
    match absent.collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        absent => Err(format!("not measured: {}", absent.join("; "))),
    }
}

/// As a multiple of ours, the first line of the model.
fn times_ours(line: &Line, lines: &[Line]) -> Option<f64> {
    let first = lines.iter().find(|other| other.model == line.model)?;
    times(line.runs()?, first.runs()?)
}

fn table(lines: &[Line]) -> Table {
    let columns = [
        "median ns",
        "min .. max",
        "p99",
        "x ours",
        "alloc",
        "off by",
        "",
    ];
    let mut table = Table::new("", columns);
    let mut model = "";
    for line in lines {
        if line.model != model {
            model = line.model;
            table.row(model, []);
        }
        let name = format!("  {}, {}", line.engine.name(), line.file);
        let measured = match &line.measured {
            Ok(measured) => measured,
            Err(why) => {
                let cells = ["-", "", "", "", "", "", why].map(str::to_owned);
                table.row(&name, cells);
                continue;
            }
        };
        let times = times_ours(line, lines).map(|times| format!("{times:.2}"));
        let allocations = line
            .engine
            .is_rust()
            .then(|| measured.allocations.to_string());
        let off = match measured.off {
            0.0 => "0".into(),
            off => format!("{off:.0e}"),
        };
        let mark = if measured.runs.are_invalid() {
            "INVALID"
        } else {
            ""
        };
        let cells = [
            format!("{:.1}", measured.p99()),
            times.unwrap_or("-".into()),
            allocations.unwrap_or("-".into()),
            off,
            mark.to_owned(),
        ];
        let medians = measured.runs.shown().into_iter().map(|of| of.p50);
        table.row(&name, spread(medians, 1).into_iter().chain(cells));
    }
    table
}

fn goals(lines: &[Line]) -> Vec<Goal> {
    let find = |engine: Engine, file: &str| {
        let is_it = |line: &&Line| line.engine == engine && line.file == file;
        lines.iter().find(is_it)
    };
    let at_most = |what: &str, file: &str, most: f64| {
        let measured = find(Engine::Ours, file).and_then(|line| line.measured.as_ref().ok());
        let valid = measured.filter(|of| !of.runs.are_invalid());
        Goal::at_most(what, valid.map(Measured::p50), most, " ns")
    };
    // Both on the same file.
    let faster = |what: &str, file: &str| {
        let [theirs, ours] = [Engine::OnnxRuntime, Engine::Ours]
            .map(|engine| find(engine, file).and_then(Line::runs));
        let times = theirs
            .zip(ours)
            .and_then(|(theirs, ours)| times(theirs, ours));
        Goal::at_least(&format!("onnxruntime / ours, {what}"), times, 5.0, "")
    };
    let ours = lines.iter().filter(|line| line.engine == Engine::Ours);
    let taken = ours.map(|line| Some(line.measured.as_ref().ok()?.allocations));
    let taken: Option<Vec<u64>> = taken.collect();
    let most = taken.and_then(|taken| taken.into_iter().max());
    let shown = most.map_or("-".into(), |most| most.to_string());
    let allocations = format!("allocations of one inference, ours, all models: {shown} (goal 0)");
    vec![
        at_most("MLP", "mlp.onnx", 400.0),
        at_most("100 LightGBM trees", "lightgbm-100.txt", 1200.0),
        at_most("100 XGBoost trees", "xgboost-100.json", 1200.0),
        Goal::new(allocations, most.map(|most| most == 0)),
        faster("linear", "linear.onnx"),
        faster("MLP", "mlp.onnx"),
        faster("100 trees", "lightgbm-100.onnx"),
        faster("500 trees", "lightgbm-500.onnx"),
    ]
}

fn to_json(line: &Line, lines: &[Line]) -> Value {
    let model = Path::new(line.file).file_stem().unwrap_or_default();
    let (model, engine) = (model.to_string_lossy(), line.engine.name());
    let of = match &line.measured {
        Err(why) => {
            return json!({"model": model, "engine": engine, "file": line.file, "not_measured": why});
        }
        Ok(measured) => measured,
    };
    let repetitions = of.runs.0.iter().map(|run| {
        let mut value = json!(run.value);
        value["valid"] = json!(run.taken.is_valid());
        value
    });
    json!({
        "model": model,
        "engine": engine,
        "file": line.file,
        "valid": !of.runs.are_invalid(),
        "median_ns": of.p50(),
        "p99_ns": of.p99(),
        "times_ours": times_ours(line, lines),
        "allocations": line.engine.is_rust().then_some(of.allocations),
        "off_by": of.off,
        "batch": of.batch,
        "repetitions": repetitions.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use signal_bench::judge::{Core, Judged, Taken};

    use super::*;

    #[test]
    fn only_right_answers_are_timed() {
        let off = |given: Out, expected: &[f64]| {
            let mut gives = move |_: &Row, out: &mut Out| *out = given;
            compare(&mut gives, &[Row::default()], &[expected.to_vec()])
        };
        assert_eq!(off([1.0, 2.0], &[1.0, 2.0]), Ok(0.0));
        assert!(off([100.0005, 2.0], &[100.0, 2.0]).is_ok_and(|off| off > 0.0));
        assert!(off([1.0, 2.00003], &[1.0, 2.0]).is_err());
        assert!(off([1.0, f64::NAN], &[1.0, 2.0]).is_err());
        assert!(off([f64::NAN, 2.0], &[1.0, 2.0]).is_err());
        // One output is expected, two are written.
        assert!(off([1.0, 2.0], &[1.0]).is_err());
        assert_eq!(off([1.0, f64::NAN], &[1.0]), Ok(0.0));
    }

    #[test]
    fn a_ratio_is_of_runs_that_both_had_the_core() {
        let runs = |runs: [(f64, u64); 3]| {
            let judged = |(p50, waited_ns)| {
                let core = Core {
                    waited_ns,
                    ..Core::default()
                };
                Judged {
                    value: Figures::mean(p50, 1),
                    taken: Taken::of(1_000, vec![core]),
                }
            };
            Runs(runs.map(judged).into())
        };
        let base = runs([(10.0, 0), (10.0, 500), (20.0, 0)]);
        let other = runs([(900.0, 500), (900.0, 0), (60.0, 0)]);
        assert_eq!(times(&other, &base), Some(3.0));
        let disturbed = runs([(5.0, 500), (7.0, 500), (9.0, 500)]);
        assert_eq!(times(&disturbed, &base), None);
    }
}
