//! Counts instructions and compares them with the committed counts: does a
//! change make the hot path longer?
//!
//! The program runs each case under callgrind and counts what a call costs. An
//! instruction count is the same on every run and every machine that has AVX2,
//! so 3 % more is a fact about the code, where 3 % more time would be weather.
//!
//! | file | what |
//! |---|---|
//! | `cases` | what is counted |
//! | `counted` | the side under valgrind: runs the cases, dumps the counts |
//! | `requests` | what a program can ask of callgrind |
//! | `touched` | the cache lines and pages that one event touches |
//! | `callgrind` | the other side: starts valgrind, reads the dumps |
//! | `baseline` | the committed counts, and the counts of now beside them |
//!
//! Why not `gungraun`, which does much the same: its baselines are callgrind's own
//! dumps in the build folder, so there is no file to commit and to review; it
//! needs a runner of its exact version installed beside it, minutes of a CI run;
//! and it starts valgrind once a case, with calibration each time.

mod baseline;
mod callgrind;
mod cases;
mod counted;
mod requests;
mod touched;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use signal_bench::args::Lib;
use signal_command::host::library;

use baseline::Baseline;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json");

/// Counts instructions a call under callgrind and compares them with the
/// committed counts. Exits with 1 if a count grew by 3 % or more, or if the cases
/// are not those of the baseline.
#[derive(Parser)]
#[command(version = None)]
struct Args {
    /// Writes the counts to the baseline instead of comparing with it
    #[arg(long)]
    bless: bool,
    /// The baseline to compare with [default: the source tree's counts.json]
    #[arg(long, value_name = "FILE", default_value = COMMITTED, hide_default_value = true)]
    baseline: PathBuf,
    /// Only cases whose name contains this; those left out are not missed
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "bless",
        default_value = "",
        hide_default_value = true
    )]
    only: String,
    #[command(flatten)]
    lib: Lib,
    /// Names the cases and ends
    #[arg(long)]
    list: bool,
    /// Set by the program when it starts itself again under valgrind
    #[arg(long, hide = true)]
    counted: bool,
    /// The same, for the lines that an event touches
    #[arg(long, hide = true)]
    touched: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        for case in cases::named(&args.only) {
            println!("{}", case.name);
        }
        return ExitCode::SUCCESS;
    }
    let done = match (args.counted, args.touched) {
        (true, _) => counted::run(&args.only).map(|()| true),
        (_, true) => touched::run().map(|()| true),
        _ => compare(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::from(2)
        }
    }
}

fn compare(args: &Args) -> Result<bool, String> {
    // Before the work: a file that cannot be read must not cost a minute first.
    let before = match args.bless {
        true => None,
        false => Some(Baseline::read(&args.baseline)?.only(&args.only)),
    };
    let lib = library::find(args.lib.lib.as_deref())?;
    let now = callgrind::count(&lib, &args.only)?;
    let Some(before) = before else {
        let count = now.write(&args.baseline)?;
        println!("{count} counts written to {}", args.baseline.display());
        return Ok(true);
    };
    let (text, is_fine) = baseline::compare(&before, &now);
    print!("{text}");
    Ok(is_fine)
}
