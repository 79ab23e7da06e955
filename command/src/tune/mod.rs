//! `signal tune`: which settings are fastest on this machine, with the user's own factors, model
//! and pace.
//!
//! | file | what |
//! |---|---|
//! | `feed` | the events to play, and when each is due |
//! | `candidates` | the configurations that are tried |
//! | `host` | plays a stretch of the feed to one of them, with a host's calls |
//! | `figures` | what one repetition was |
//! | `rounds` | repetitions in turn |
//! | `verdict` | the rule that recommends one |
//! | `table` | the figures, for people and programs |
//! | `result` | what is printed and written at the end |
//! | `output` | the recommended configuration as a file |

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use signal::abi::EventKind;
use signal::config::NamedFile;
use signal::engine::Blueprint;
use signal::os::cores::Cores;
use signal::os::machine::{groups_stay_known, hardware_threads};
use signal::replay::{ReadOptions, Reader};
use signal::{Config, Registry};

use crate::cli::expanded;
use crate::config;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::outputs::check_streams;
use crate::plugin::{self, Library};
use crate::source::Source;
use crate::stream;
use crate::synthetic::{Length, Market};
use crate::waiter::Waiter;
use candidates::{Candidate, Maker};
use feed::Feed;
use host::{Calls, Stage};
use output::Output;
use result::{Outcome, Setup};
use rounds::Schedule;

mod candidates;
pub(crate) mod feed;
mod figures;
mod host;
mod output;
mod result;
mod rounds;
mod table;
mod verdict;

/// Depths a second of a synthetic feed.
const USUAL_RATE: f64 = 100.0;
/// Part of the time for placements and delivery, so that each has enough signals for a p99 by default;
/// the rest is for variants.
const FIRST_PART: f64 = 0.6;
/// Seconds of synthetic market data, more than a feed can hold.
const ENDLESS: f64 = 86_400.0;

/// Arguments of `signal tune`.
#[derive(Args)]
pub struct Tune {
    /// The configuration to start from: the file that SIGNAL_CONFIG names for the host.
    #[arg(value_name = "CONFIG", value_parser = expanded())]
    config: PathBuf,
    /// Play this capture instead of a synthetic feed. May be given several times: the files are merged by time.
    #[arg(long, value_name = "FILE", value_parser = expanded())]
    capture: Vec<PathBuf>,
    /// Depths a second, at even intervals [default: a capture's own times; 100 for a synthetic feed].
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure.
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds)]
    seconds: f64,
    /// How the host calls the library: godzilla polls once per Depth, spin polls all the time.
    #[arg(long, value_enum, default_value_t)]
    host: Calls,
    /// Memory that the host's strategy walks over after each Depth, KB: it takes the caches, as a
    /// strategy does [default: 1024; with --host spin 0].
    #[arg(long, value_name = "KB", value_parser = clap::value_parser!(u32).range(0..=262_144))]
    strategy_kb: Option<u32>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Write the recommended configuration to this file.
    #[arg(long, value_name = "FILE", value_parser = expanded())]
    output: Option<PathBuf>,
    /// Overwrite an existing file of --output.
    #[arg(long)]
    force: bool,
    /// The library to load [default: SIGNAL_LIB_PATH, else libsignal.so near this command].
    #[arg(long, value_name = "PATH", value_parser = expanded())]
    lib: Option<PathBuf>,
}

/// Parses `--rate`.
fn rate(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=100_000.0).contains(&value) => Ok(value),
        _ => Err("expected Depths a second, from 0.1 to 100000".into()),
    }
}

/// Parses `--seconds`.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.5..=3_600.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.5 to 3600".into()),
    }
}

/// Measures, prints the figures and the recommendation, and writes it.
///
/// # Errors
///
/// What is wrong with the inputs, that nothing valid was measured, or the signal that ended it.
pub fn run(args: &Tune) -> Result<()> {
    plugin::set_no_config();
    let said = |error: &dyn std::fmt::Display| Failure::said(error.to_string());
    let _groups = groups_stay_known();
    let written = Config::from_file(&args.config).map_err(|error| said(&error))?;
    let mut given = written.clone();
    given.apply_cores_variable().map_err(|error| said(&error))?;
    let library = Library::open(args.lib.as_deref())?;
    let output = args.check_files(&given, &library)?;
    let cores = Cores::detect();
    let given = args.measurable(given, &cores)?;
    let waiter = Waiter::new();
    let interrupt = Interrupt::watch()?;
    stream::stop_when(&interrupt);
    let time = Duration::from_secs_f64(args.seconds);
    let rate = args.rate.or(args.capture.is_empty().then_some(USUAL_RATE));
    let mut source = args.source(&given)?;
    source.stop_when(&interrupt);
    let feed = Feed::read(&mut source, rate, time.mul_f64(FIRST_PART), &given.trigger);
    let feed = feed.map_err(|failure| interrupt.told().unwrap_or(failure))?;
    drop(source);
    let stage = Stage {
        library: &library,
        feed: &feed,
        calls: args.host,
        strategy: vec![1; args.strategy_bytes() / size_of::<u64>()],
        waiter: &waiter,
        interrupt: &interrupt,
    };
    let setup = Setup {
        config: &args.config,
        captures: &args.capture,
        library: &library,
        cores: &cores,
        stage: &stage,
        rate,
        seconds: args.seconds,
    };
    if !args.json {
        setup.print()?;
    }
    let maker = Maker {
        given: &given,
        cores: &cores,
        calls: args.host,
    };
    let outcome = measure(&stage, &maker, time)?;
    outcome.print(args.json.then_some(&setup))?;
    if let Some(signal) = interrupt.told() {
        return Err(signal);
    }
    let (best, _) = outcome.recommended().ok_or_else(|| {
        let why = match outcome.has_signals() {
            true => {
                "other threads had the cores (stop what else runs here, or give the command cores of its \
                 own with taskset)"
            }
            false => "no signal came; expected a configuration with which events make signals (see assets, trigger)",
        };
        Failure::said(format!(
            "nothing valid was measured, so nothing is recommended: {why}"
        ))
    })?;
    if let Some(output) = output {
        output.write(&written, &best.set)?;
        if !args.json {
            crate::print::line(&format!("written to   {output}"))?;
        }
    }
    Ok(())
}

/// Placements first, then variants of the best of them.
fn measure(stage: &Stage, maker: &Maker, time: Duration) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let round = maker.placements().map_err(Failure::said)?;
    // The first handle of a process takes longer.
    let mut overhead = Duration::ZERO;
    for _ in 0..2 {
        let Some(took) = stage.try_once(&round.tried[0].config)? else {
            return Ok(outcome);
        };
        overhead = took;
    }
    let rate = stage.feed.rates().0;
    let schedule = |time: Duration, tried: &[Candidate]| {
        Schedule::new(time, tried.len(), overhead, rate, stage.feed.length())
    };
    let begun = Instant::now();
    let first = schedule(time.mul_f64(FIRST_PART), &round.tried).map_err(|least| {
        Failure::said(format!(
            "--seconds {}: too little to compare {} candidates at {rate:.1} signals a second; \
             expected {:.0} or more, or a higher --rate",
            time.as_secs_f64(),
            round.tried.len(),
            (least.as_secs_f64() / FIRST_PART).ceil()
        ))
    })?;
    outcome.add("placement and delivery", round, first, stage)?;
    let Some((winner, _)) = outcome.recommended() else {
        return Ok(outcome);
    };
    if stage.interrupt.told().is_some() {
        return Ok(outcome);
    }
    let round = maker.variants(winner, hardware_threads);
    let left = time.saturating_sub(begun.elapsed());
    if round.tried.len() > 1 {
        let title = format!("variants of: {}", winner.name());
        match schedule(left, &round.tried) {
            Ok(second) => outcome.add(&title, round, second, stage)?,
            Err(least) => outcome.left_out.push(format!(
                "variants (warm, budget, rings, cores): --seconds {:.0} would be enough",
                (least.as_secs_f64() / (1.0 - FIRST_PART)).ceil()
            )),
        }
    }
    Ok(outcome)
}

impl Tune {
    /// Refuses what would destroy an input.
    fn check_files(&self, given: &Config, library: &Library) -> Result<Option<Output>> {
        output::check_paths(given)?;
        let captures = self.capture.iter();
        let mut inputs: Vec<_> = captures
            .map(|file| NamedFile::new("the capture", file))
            .collect();
        inputs.push(NamedFile::new("the configuration", &self.config));
        inputs.push(NamedFile::new("the library", &library.path));
        inputs.extend(given.inputs());
        inputs.extend(given.besides());
        check_streams(&inputs)?;
        // Nothing of this is written now, but a running host may write it.
        inputs.extend(given.outputs());
        let output = self.output.as_ref();
        output
            .map(|path| Output::check(path, self.force, &inputs, given))
            .transpose()
    }

    /// The configuration as it is measured: checked, and without files that it would write.
    fn measurable(&self, mut given: Config, cores: &Cores) -> Result<Config> {
        let said = |error: &dyn std::fmt::Display| {
            Failure::said(format!("{}: {error}", config::source(&self.config)))
        };
        given.latency.dir = None;
        if given.capture.file.is_some() {
            // The work for it on the way stays.
            given.capture.file = Some("/dev/null".into());
        }
        if self.capture.is_empty() {
            // The synthetic feed has symbols of its own.
            given.assets.clear();
        }
        if given
            .trigger
            .iter()
            .all(|kind| *kind == EventKind::IndexPrice)
        {
            return Err(said(
                &"trigger: index prices have no time by which their signals could be told; \
                  expected another kind beside them",
            ));
        }
        let blueprint =
            Blueprint::new(&given, &Registry::default()).map_err(|error| said(&error))?;
        let plan = config::plan(given.wanted(), cores).map_err(|error| said(&error))?;
        blueprint.check_start(&plan).map_err(|error| said(&error))?;
        Ok(given)
    }

    fn source(&self, given: &Config) -> Result<Source> {
        if self.capture.is_empty() {
            let market = Market::new(1, Length::Seconds(ENDLESS));
            return Ok(Source::Made(Box::new(market)));
        }
        let options = ReadOptions {
            max_price: given.limits.max_price,
            max_size: given.limits.max_size,
            ..ReadOptions::default()
        };
        plugin::open_as_many_files_as_may_be();
        Ok(Source::Recorded(Box::new(Reader::open(
            &self.capture,
            &options,
        )?)))
    }

    fn strategy_bytes(&self) -> usize {
        let usual = match self.host {
            Calls::Godzilla => 1_024,
            Calls::Spin => 0,
        };
        1_024 * self.strategy_kb.unwrap_or(usual) as usize
    }
}
