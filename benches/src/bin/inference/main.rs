//! What one inference costs, ours beside other engines on the same files, one
//! sample at a time, in one run.
//!
//! Everything is measured in turn on one core, repetition after repetition, so
//! that a ratio is formed of figures from the same moment. Nothing is timed that
//! does not compute what the model's trainer computes. What exactly is timed:
//! `benches/README.md`. `--help` lists the flags.

mod allocations;
mod args;
mod contenders;
mod inputs;
mod machine;
mod measure;
mod report;

use std::process::ExitCode;
use std::{env, fs};

use args::{Args, Command};
use contenders::{Engine, Engines, GROUPS, Group};
use inputs::{Inputs, OUTPUTS};
use measure::{Clock, Nothing, Timed};
use report::{Line, Run};
use signal_bench::bench::{self, Ended};
use signal_bench::contention::Taken;
use signal_bench::runs::{self, Tally};

/// How far an output may be off the trainer's: this, or this part of it.
const TOLERANCE: f64 = 1e-5;

fn main() -> ExitCode {
    let args = match args::parse(env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("inference: {error} (--help lists the flags)");
            return ExitCode::from(2);
        }
    };
    bench::exit("inference", run(&args))
}

fn run(args: &Args) -> Result<Ended, String> {
    let inputs = inputs::load(args.models.as_deref())?;
    let core = machine::pin(args.core)?;
    let clock = Clock::new();
    let engines = Engines::open();
    let mut run = Run {
        machine: machine::facts(core),
        versions: engines.versions(),
        clock_ns: clock.cost_ns(),
        loop_ns: {
            let batch = Nothing.batch(&clock, &inputs.rows);
            Nothing.series(&clock, &inputs.rows, batch, 100_000).p50
        },
        preemptions: 0,
        tally: Tally::default(),
        lines: Vec::new(),
    };
    report::header(args, &inputs, &run);

    let mut ready = Vec::new();
    for group in &GROUPS {
        for &(engine, file) in group.rows {
            let (contender, line) = prepare(&engines, group, engine, file, &inputs, &clock)?;
            ready.push(contender);
            run.lines.push(line);
        }
    }
    let before = machine::preemptions();
    for _ in 0..args.repetitions {
        for (contender, line) in ready.iter_mut().zip(&mut run.lines) {
            if let (Some(contender), Ok(measured)) = (contender, &mut line.measured) {
                let name = format!("{} on {}", line.engine.name(), line.file);
                let note = |taken: &Taken, is_kept| run.tally.note(&name, taken, is_kept);
                let series = || {
                    let batch = measured.batch;
                    Ok(contender.series(&clock, &inputs.rows, batch, args.samples))
                };
                let judged =
                    runs::judged::<_, String>(&[(core, "bench")], args.tries, note, series)?;
                measured.repetitions.push(judged);
            }
        }
    }
    run.preemptions = machine::preemptions() - before;
    report::table(&run);

    if let Some(path) = &args.json {
        let value = report::to_json(args, &inputs, &run);
        fs::write(path, format!("{value:#}\n"))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    verdict(args, &run)?;
    Ok(bench::ended(run.tally.is_valid(), args.tries == 1))
}

/// Loads a model and checks what it computes. That an engine cannot run it is a
/// line that says so; that it computes something else is an error.
fn prepare(
    engines: &Engines,
    group: &'static Group,
    engine: Engine,
    file: &'static str,
    inputs: &Inputs,
    clock: &Clock,
) -> Result<(Option<Box<dyn Timed>>, Line), String> {
    let line = |measured| Line {
        group,
        engine,
        file,
        measured,
    };
    let mut contender = match engines.load(engine, &inputs.folder.join(file)) {
        Ok(contender) => contender,
        Err(why) => return Ok((None, line(Err(why)))),
    };
    let off = compare(contender.as_mut(), file, inputs)
        .map_err(|error| format!("{} on {file}: {error}; nothing is timed", engine.name()))?;
    let measured = report::Measured {
        batch: contender.batch(clock, &inputs.rows),
        allocations: contender.allocations(&inputs.rows),
        off,
        repetitions: Vec::new(),
    };
    Ok((Some(contender), line(Ok(measured))))
}

/// Greatest distance from the trainer's outputs, over all rows; an error beyond
/// the tolerance.
fn compare(contender: &mut dyn Timed, file: &str, inputs: &Inputs) -> Result<f64, String> {
    let expected = inputs
        .outputs
        .get(file)
        .ok_or("bench.json has no outputs of it")?;
    let mut worst = 0f64;
    for (number, (row, expected)) in inputs.rows.iter().zip(expected).enumerate() {
        let mut out = [f64::NAN; OUTPUTS];
        contender.once(row, &mut out);
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
fn verdict(args: &Args, run: &Run) -> Result<(), String> {
    let absent: Vec<String> = run
        .lines
        .iter()
        .filter(|line| match line.engine {
            Engine::Ours => true,
            // Of the build, not of the machine; and it has no trees.
            Engine::Tract => false,
            _ => args.require_peers,
        })
        .filter_map(|line| {
            let why = line.measured.as_ref().err()?;
            Some(format!("{} on {}: {why}", line.engine.name(), line.file))
        })
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", absent.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contenders::Contender;
    use inputs::{FACTORS, Out, Row};

    struct Constant(Out);

    impl Contender for Constant {
        fn run(&mut self, _row: &Row, out: &mut Out) {
            *out = self.0;
        }
    }

    fn off(given: Out, expected: &[f64]) -> Result<f64, String> {
        let inputs = Inputs {
            folder: "".into(),
            rows: vec![[0.0; FACTORS]],
            outputs: [("file".to_owned(), vec![expected.to_vec()])].into(),
            made_with: [].into(),
        };
        compare(&mut Constant(given), "file", &inputs)
    }

    #[test]
    fn only_right_answers_are_timed() {
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
    fn allocations_are_counted() {
        struct Allocates;
        impl Contender for Allocates {
            fn run(&mut self, row: &Row, out: &mut Out) {
                let copy = std::hint::black_box(row.to_vec());
                out[0] = copy[0];
            }
        }
        let rows = [[0.0; FACTORS]; 4];
        assert_eq!(Allocates.allocations(&rows), 1);
        assert_eq!(Constant([0.0; OUTPUTS]).allocations(&rows), 0);
    }
}
