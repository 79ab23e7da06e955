//! The bench's flags.

use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
inference: what one inference costs, beside other engines

  --core N           core to measure on (default: the last allowed one)
  --repetitions N    how often everything is measured in turn (default 9)
  --samples N        inferences a repetition and row, at least 1000 (default 20000)
  --models DIR       folder made by models.py (default: made beside this program if need be)
  --require-peers    fail if another engine is missing
  --json FILE        write the numbers of every repetition there
  --quick            3 repetitions of 2000 samples, each once: does it run, not how fast
  --help             this text";

/// The flags, read.
#[derive(Debug)]
pub struct Args {
    /// Core to measure on.
    pub core: Option<usize>,
    /// Repetitions.
    pub repetitions: usize,
    /// Inferences a repetition and row.
    pub samples: usize,
    /// How often a row is measured in a repetition at most, until its core was its own.
    pub tries: usize,
    /// Folder of the models.
    pub models: Option<PathBuf>,
    /// Whether a missing peer is a failure.
    pub require_peers: bool,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Measure.
    Run(Args),
    /// Print the usage.
    Help,
}

/// Reads the flags that follow the program's name.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = Args {
        core: None,
        repetitions: 9,
        samples: 20_000,
        tries: 3,
        models: None,
        require_peers: false,
        json: None,
    };
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        // Flags that stand alone.
        match (flag.as_str(), &inline) {
            ("--help" | "-h", None) => return Ok(Command::Help),
            ("--require-peers", None) => {
                args.require_peers = true;
                continue;
            }
            ("--quick", None) => {
                args.repetitions = 3;
                args.samples = 2_000;
                args.tries = 1;
                continue;
            }
            _ => {}
        }
        let mut value = || {
            inline
                .clone()
                .or_else(|| words.next())
                .ok_or(format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--core" => args.core = Some(at_least(0, &flag, &value()?)?),
            "--repetitions" => args.repetitions = at_least(1, &flag, &value()?)?,
            "--samples" => args.samples = at_least(1000, &flag, &value()?)?,
            "--models" => args.models = Some(value()?.into()),
            "--json" => args.json = Some(value()?.into()),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(Command::Run(args))
}

fn at_least(least: usize, flag: &str, text: &str) -> Result<usize, String> {
    let value: usize = text
        .trim()
        .parse()
        .map_err(|_| format!("{flag} needs a whole number, not '{text}'"))?;
    if value < least {
        return Err(format!("{flag} {value}: at least {least}"));
    }
    Ok(value)
}
