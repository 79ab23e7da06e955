//! A long run that must end as it began: rounds of varied configurations under a
//! sustained rate with bursts, host stalls and bad events. After each round the
//! books must balance, and over all rounds memory must stay flat.
//!
//! What exactly is checked: `benches/soak/README.md`. `--help` lists the flags.
//!
//! | file | what |
//! |---|---|
//! | `args` | the flags |
//! | `report` | Markdown and JSON |

mod args;
mod report;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::{Value, json};
use signal_bench::folder::Folder;
use signal_bench::machine::{self, Cores};
use signal_command::host::library::{self, Api};
use signal_soak::cases::{self, Case};
use signal_soak::round::{self, Round};
use signal_soak::{memory, process};

use args::{Args, Command};
use report::Run;

/// Length of a round unless something else asks for less.
const ROUND: Duration = Duration::from_secs(20);
/// Rounds that each configuration should get: one to warm up, two to compare.
const CYCLES: u32 = 3;

fn main() -> ExitCode {
    let args = match args::parse(env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("soak: {error} (--help lists the flags)");
            return ExitCode::from(2);
        }
    };
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
    if let Some(part) = &args.only {
        cases.retain(|case| case.name.contains(part.as_str()));
        if cases.is_empty() {
            return Err(format!(
                "--only {part}: no configuration has this in its name"
            ));
        }
    }
    let api = Api::load(&library::find(args.lib.as_deref())?)?;
    let folder = Folder::new("soak").map_err(|error| format!("no temporary folder: {error}"))?;
    // What the library keeps for the process, such as the file of claimed cores, is
    // there before the first round looks.
    drop(api.create(&json!({}))?);
    let each = args.duration / (CYCLES * cases.len() as u32);
    let length = args.round.unwrap_or(ROUND.min(each));
    let version = api.version();
    println!(
        "soak: {:.0} s in rounds of {:.1} s, {} configurations, seed {}, library {version}",
        args.duration.as_secs_f64(),
        length.as_secs_f64(),
        cases.len(),
        args.seed
    );
    let start = Instant::now();
    let mut wrong = Vec::new();
    let rounds = play(args, &api, &cases, length, folder.path(), &mut wrong);
    let flatness = memory::judge(&cases, &rounds);
    wrong.extend(flatness.wrong.iter().cloned());
    let run = Run {
        cases: &cases,
        rounds: &rounds,
        flatness: &flatness,
        wrong: &wrong,
        facts: facts(),
        version,
        seed: args.seed,
        took: start.elapsed(),
        round: length,
    };
    print!("{}", report::verdict(&run));
    let write = |path: &Path, text: String| {
        fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    if let Some(path) = &args.report {
        write(path, report::markdown(&run))?;
    }
    if let Some(path) = &args.json {
        write(path, format!("{:#}\n", report::to_json(&run)))?;
    }
    Ok(wrong.is_empty())
}

/// Plays rounds, the cases in turn, until the time is over. Each case gets a round.
fn play(
    args: &Args,
    api: &Api,
    cases: &[Case],
    length: Duration,
    folder: &Path,
    wrong: &mut Vec<String>,
) -> Vec<Round> {
    let start = Instant::now();
    // All of it is there from the start: it is no part of what rounds leave behind.
    let most = cases.len() + (args.duration.as_nanos() / length.as_nanos()) as usize;
    let mut rounds = Vec::with_capacity(most);
    for place in rounds.spare_capacity_mut() {
        *place = std::mem::MaybeUninit::zeroed();
    }
    while rounds.len() < cases.len() || start.elapsed() + length <= args.duration {
        let place = rounds.len() % cases.len();
        let (number, case) = (rounds.len() + 1, &cases[place]);
        let seed = args.seed.wrapping_add(number as u64);
        match round::run(api, (place, case), seed, length, folder) {
            Ok(round) => {
                println!("{}", report::line(number, case, &round));
                wrong.extend(
                    round
                        .wrong
                        .iter()
                        .map(|what| format!("round {number}, '{}': {what}", case.name)),
                );
                rounds.push(round);
            }
            Err(error) => {
                wrong.push(format!("round {number}, '{}': {error}", case.name));
                break;
            }
        }
    }
    rounds
}

/// What the machine says about itself.
fn facts() -> Value {
    let allowed = machine::allowed();
    let mut facts = machine::facts(&Cores {
        host: allowed.last().copied().unwrap_or(0),
        lanes: Vec::new(),
    });
    // Nothing is pinned here but the lanes, and those as each configuration says.
    if let Some(facts) = facts.as_object_mut() {
        facts.retain(|name, _| {
            [
                "cpu",
                "hypervisor",
                "kernel",
                "allowed_cores",
                "isolated_cores",
                "load_average",
            ]
            .contains(&name.as_str())
        });
    }
    facts
}
