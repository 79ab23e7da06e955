//! A long run that must end as it began: rounds of varied configurations under a
//! sustained rate with bursts, host stalls and bad events. After each round the
//! books must balance, and over all rounds memory must stay flat.
//!
//! What exactly is checked: `benches/soak/README.md`. `--help` lists the flags.
//!
//! | file | what |
//! |---|---|
//! | `cases` | the configurations and their loads |
//! | `feed` | the events |
//! | `round` | a handle's life under load |
//! | `probe` | the callback and what it insists on |
//! | `accounts` | the books |
//! | `process`, `memory` | what the process holds, and whether that grows |
//! | `report` | the terminal, Markdown and JSON |
//! | `checks` | tests of the checks |

mod accounts;
mod cases;
#[cfg(test)]
mod checks;
mod feed;
mod memory;
mod probe;
mod process;
mod report;
mod round;

use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;
use signal_bench::args::{self, Lib};
use signal_bench::bench::write;
use signal_command::host::library::{self, Api};

use cases::Case;
use report::Run;
use round::Round;

/// Length of a round unless something else asks for less.
const ROUND: Duration = Duration::from_secs(20);
/// Rounds that each configuration should get: one to warm up, two to compare.
const CYCLES: u32 = 3;

/// Rounds of varied configurations, load and mischief; what goes in must be accounted for.
///
/// Exit code 0: everything held. 1: a check failed, which one is said. 2: a wrong flag.
#[derive(Parser)]
#[command(name = "soak")]
struct Args {
    /// How long in all, such as 90s, 20m or 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = length)]
    duration: Duration,
    /// Length of a round [default: 20s, or less so that each configuration gets three]
    #[arg(long, value_name = "TIME", value_parser = length)]
    round: Option<Duration>,
    /// What events, bursts and stalls are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only configurations with this in their name
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    only: String,
    #[command(flatten)]
    lib: Lib,
    /// Write a report in Markdown there: machine, totals, a row a round
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the same there as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn length(text: &str) -> Result<Duration, String> {
    match args::duration(text)? {
        time if time < Duration::from_millis(100) => Err("at least 100ms".to_owned()),
        time => Ok(time),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match process::without_malloc_caches().and_then(|()| run(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all rounds; whether everything held.
fn run(args: &Args) -> Result<bool, String> {
    let mut cases = cases::all();
    cases.retain(|case| case.name.contains(&args.only));
    if cases.is_empty() {
        let only = &args.only;
        return Err(format!(
            "--only {only}: no configuration has this in its name"
        ));
    }
    let api = Api::load(&library::find(args.lib.lib.as_deref())?)?;
    // What the library keeps for the process, such as the file of claimed cores, is
    // there before the first round looks.
    drop(api.create(&json!({}))?);
    let each = args.duration / (CYCLES * cases.len() as u32);
    let length = args.round.unwrap_or(ROUND.min(each));
    println!(
        "soak: {:.0} s in rounds of {:.1} s, {} configurations, seed {}, library {}",
        args.duration.as_secs_f64(),
        length.as_secs_f64(),
        cases.len(),
        args.seed,
        api.version()
    );
    let start = Instant::now();
    let (rounds, mut wrong) = play(args, &api, &cases, length);
    let flatness = memory::judge(&cases, &rounds);
    wrong.extend(flatness.wrong.iter().cloned());
    let run = Run {
        cases,
        rounds,
        flatness,
        wrong,
        facts: report::facts(),
        version: api.version(),
        seed: args.seed,
        took: start.elapsed(),
        length,
    };
    print!("{}", run.verdict());
    if let Some(path) = &args.report {
        write(path, &run.markdown())?;
    }
    if let Some(path) = &args.json {
        write(path, &format!("{:#}\n", run.to_json()))?;
    }
    Ok(run.wrong.is_empty())
}

/// Plays rounds, the cases in turn, until the time is over, and says what was wrong. Each
/// case gets a round.
fn play(args: &Args, api: &Api, cases: &[Case], length: Duration) -> (Vec<Round>, Vec<String>) {
    let start = Instant::now();
    // All of it is there from the start: it is no part of what rounds leave behind.
    let most = cases.len() + (args.duration.as_nanos() / length.as_nanos()) as usize;
    let (mut rounds, mut wrong) = (Vec::with_capacity(most), Vec::new());
    rounds.spare_capacity_mut().fill_with(MaybeUninit::zeroed);
    while rounds.len() < cases.len() || start.elapsed() + length <= args.duration {
        let place = rounds.len() % cases.len();
        let (number, case) = (rounds.len() + 1, &cases[place]);
        let seed = args.seed.wrapping_add(number as u64);
        let named = |what: &String| format!("round {number}, '{}': {what}", case.name);
        match round::run(api, (place, case), seed, length) {
            Ok(round) => {
                println!("{}", report::line(number, case, &round));
                wrong.extend(round.wrong.iter().map(named));
                rounds.push(round);
            }
            Err(error) => {
                wrong.push(named(&error));
                break;
            }
        }
    }
    (rounds, wrong)
}
