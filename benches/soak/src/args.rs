//! The soak's flags.

use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub const USAGE: &str = "\
soak: rounds of varied configurations, load and mischief; what goes in must be accounted for

  --duration TIME   how long in all, such as 90s, 20m or 1h (default 1h)
  --round TIME      length of a round (default 20s, less where each configuration would not get three)
  --seed N          what the events, bursts and stalls are made from (default 1)
  --only TEXT       only configurations with this in their name
  --lib PATH        libsignal.so to load (else SIGNAL_LIB_PATH, else the one built beside this)
  --report FILE     write a report there, Markdown
  --json FILE       write all numbers there
  --help            this text

Exit code 0: everything held. 1: a check failed, which one is said. 2: a wrong flag.";

/// The flags, read.
#[derive(Debug)]
pub struct Args {
    /// Length of the whole run.
    pub duration: Duration,
    /// Length of a round; chosen if `None`.
    pub round: Option<Duration>,
    /// Seed of everything random.
    pub seed: u64,
    /// Part of the names of the configurations to run.
    pub only: Option<String>,
    /// Library to load.
    pub lib: Option<PathBuf>,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run.
    Run(Args),
    /// Print the usage.
    Help,
}

/// Reads the flags that follow the program's name.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = Args {
        duration: Duration::from_secs(3600),
        round: None,
        seed: 1,
        only: None,
        lib: None,
        report: None,
        json: None,
    };
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if let ("--help" | "-h", None) = (flag.as_str(), &inline) {
            return Ok(Command::Help);
        }
        let mut value = || {
            inline
                .clone()
                .or_else(|| words.next())
                .ok_or(format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--duration" => args.duration = time(&flag, &value()?)?,
            "--round" => args.round = Some(time(&flag, &value()?)?),
            "--seed" => {
                let text = value()?;
                args.seed = text
                    .parse()
                    .map_err(|_| format!("--seed needs a whole number, not '{text}'"))?;
            }
            "--only" => args.only = Some(value()?),
            "--lib" => args.lib = Some(value()?.into()),
            "--report" => args.report = Some(value()?.into()),
            "--json" => args.json = Some(value()?.into()),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(Command::Run(args))
}

/// A time with its unit: `250ms`, `90s`, `20m`, `1h`.
fn time(flag: &str, text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let wrong = || format!("{flag} needs a time such as 250ms, 90s, 20m or 1h, not '{text}'");
    let (number, unit) = UNITS
        .iter()
        .find_map(|&(name, ms)| Some((text.strip_suffix(name)?, ms)))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        Some(ms) if ms >= 100 => Ok(Duration::from_millis(ms)),
        Some(_) => Err(format!("{flag} {text}: at least 100ms")),
        None => Err(wrong()),
    }
}
