//! The bench's flags.

use std::path::PathBuf;

use serde_json::Value;

/// What `--help` prints.
pub const USAGE: &str = "\
tick_to_callback: what a tick costs from signal_on_data to the callback

  --host-core N        core of the calling thread
  --lane-cores N[,M]   cores of the library's lanes; the first also runs the echo thread
  --repetitions N      how often everything is measured in turn (default 7)
  --iterations N       trips a repetition and measurement (default 200000)
  --gap-ns N           pause before each trip, nanoseconds (default 0)
  --placement P        fused, split, inline, auto, or lanes such as [[\"ingest\"],[\"factor\",\"model\"]]
                       (default fused)
  --lib PATH           libsignal.so to measure (else SIGNAL_LIB_PATH, else the one built beside this)
  --json FILE          write the numbers of every repetition there
  --quick              3 repetitions of 20000 trips: does it run, not how fast
  --help               this text";

/// The flags, read.
#[derive(Debug)]
pub struct Args {
    /// Core of the calling thread.
    pub host_core: Option<usize>,
    /// Cores of the lanes, one a lane; empty: chosen.
    pub lane_cores: Vec<usize>,
    /// Repetitions.
    pub repetitions: usize,
    /// Trips a repetition and measurement.
    pub iterations: usize,
    /// Pause before each trip, ns.
    pub gap_ns: u64,
    /// The configuration's `placement`.
    pub placement: Value,
    /// Library to load.
    pub lib: Option<PathBuf>,
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
        host_core: None,
        lane_cores: Vec::new(),
        repetitions: 7,
        iterations: 200_000,
        gap_ns: 0,
        placement: Value::from("fused"),
        lib: None,
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
            // Cargo adds it to every bench.
            ("--bench", None) => continue,
            ("--quick", None) => {
                args.repetitions = 3;
                args.iterations = 20_000;
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
            "--host-core" => args.host_core = Some(number(&flag, &value()?)?),
            "--lane-cores" => {
                args.lane_cores = value()?
                    .split(',')
                    .map(|core| number(&flag, core))
                    .collect::<Result<_, _>>()?;
            }
            "--repetitions" => args.repetitions = at_least(1, &flag, &value()?)?,
            "--iterations" => args.iterations = at_least(1000, &flag, &value()?)?,
            "--gap-ns" => args.gap_ns = number(&flag, &value()?)? as u64,
            "--placement" => args.placement = placement(&value()?)?,
            "--lib" => args.lib = Some(value()?.into()),
            "--json" => args.json = Some(value()?.into()),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(Command::Run(args))
}

fn number(flag: &str, text: &str) -> Result<usize, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{flag} needs a whole number, not '{text}'"))
}

fn at_least(least: usize, flag: &str, text: &str) -> Result<usize, String> {
    match number(flag, text)? {
        value if value >= least => Ok(value),
        value => Err(format!("{flag} {value}: at least {least}")),
    }
}

fn placement(text: &str) -> Result<Value, String> {
    if text.starts_with('[') {
        serde_json::from_str(text).map_err(|error| format!("--placement {text}: {error}"))
    } else {
        Ok(Value::from(text))
    }
}
