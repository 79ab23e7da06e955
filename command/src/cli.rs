//! The command line, and what each of its commands does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use signal::Config;
use signal::config::check_expanded;
use signal::os::machine::parse_list;
use signal::replay::{ReadOptions, Reader};

use crate::contention::Watch;
use crate::drive::{self, Limits, Speed};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::outputs::Files;
use crate::plugin::{self, Library, Plugin};
use crate::received::Output;
use crate::report::{self, ReportArgs};
use crate::source::Source;
use crate::stream;
use crate::synthetic::{Length, Market};
use crate::tune::{self, Tune};
use crate::waiter::Waiter;
use crate::{config, print};

/// Plays market data to libsignal.so in the Godzilla host's order of calls.
#[derive(Parser)]
#[command(name = "signal", version = signal::VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replay recorded market data (CSV, plain or gzip; several files are merged by time).
    Replay {
        /// Capture files.
        #[arg(required = true, value_name = "FILE", value_parser = expanded())]
        files: Vec<PathBuf>,
        /// How many rows late a row may be in its file and still be played in the order of seq.
        #[arg(long, value_name = "ROWS", default_value_t = ReadOptions::default().window, value_parser = reorder)]
        reorder: usize,
        /// Stop at a row with a price or size that the library would refuse: one that is absent, not
        /// finite, or beyond the configuration's limits. Without this flag, the library refuses and
        /// counts that event, as it would live.
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Explain a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure which settings are fastest on this machine, with your factors, model and pace.
    Tune(Tune),
    /// Show what latency reports say: a page with charts, tables, a comparison with a baseline.
    Report(ReportArgs),
    /// Play a synthetic feed of a few instruments; needs no file.
    Demo {
        /// Seed of the random numbers: the same seed makes the same feed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Seconds of market data to make.
        #[arg(long, default_value_t = 120.0, value_parser = seconds)]
        seconds: f64,
        /// Make this many events instead.
        #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
        events: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
}

/// What can be asked about a configuration.
#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a file as signal_create would, and say what it means on this machine.
    Check {
        /// The file that SIGNAL_CONFIG would name.
        #[arg(value_parser = expanded())]
        file: PathBuf,
    },
    /// Print the defaults, as a file to start from.
    Default,
    /// Print the JSON Schema of a file, for editors.
    Schema,
}

/// Maximum number of rows that wait for earlier ones; this many take some 30 GB.
const MOST_REORDERED: usize = 1 << 26;

/// Arguments of both ways of playing.
#[derive(Args)]
struct Common {
    /// How fast to play: `max` (lossless, as fast as the library takes it), or a multiple of real time such as `1x` or `0.5x`. No time passes in a gap of over an hour, or where recv_ns goes back: what follows comes at once, and one line names the first such row [default: max; demo: a few seconds at 10x for the latency, then max for the throughput; with --report all at 10x].
    #[arg(long, value_name = "max|Nx")]
    speed: Option<Speed>,
    /// Which stages share a lane: auto, inline, fused, split, or lanes as JSON, e.g. '[["ingest","factor"],["model"]]'.
    #[arg(long, value_parser = placement, value_name = "NAME|JSON")]
    placement: Option<Value>,
    /// Cores for the lanes, in order, e.g. 1,2 or 1-2; this command itself stays off them if it can.
    #[arg(long, value_parser = cores, value_name = "N,N-N")]
    cores: Option<CoreList>,
    /// Configuration file of the library (what SIGNAL_CONFIG names for a real host); flags override
    /// it.
    #[arg(long, value_name = "FILE", value_parser = expanded())]
    config: Option<PathBuf>,
    /// Write the latency report into this directory.
    #[arg(long, value_name = "DIR", value_parser = expanded())]
    report: Option<PathBuf>,
    /// Overwrite an existing latency report.
    #[arg(long)]
    force: bool,
    /// Capture the events to this file instead of the configuration's capture.file (/dev/null: to none).
    #[arg(long, value_name = "FILE", value_parser = expanded())]
    capture: Option<PathBuf>,
    /// Write every signal to this file, as CSV: symbol, time, model, values.
    #[arg(long, value_name = "FILE", value_parser = expanded())]
    signals: Option<PathBuf>,
    /// The library to load [default: SIGNAL_LIB_PATH, else libsignal.so near this command].
    #[arg(long, value_name = "PATH", value_parser = expanded())]
    lib: Option<PathBuf>,
}

impl Common {
    /// The string for `signal_create`: only the flags that were given.
    fn create_json(&self) -> Result<Value> {
        let mut config = json!({});
        if let Some(placement) = &self.placement {
            config["placement"] = placement.clone();
        }
        if let Some(CoreList(cores)) = &self.cores {
            config["cores"] = json!(cores);
        }
        if let Some(dir) = &self.report {
            config["latency"] = json!({ "dir": absolute("--report", dir)? });
        }
        if let Some(file) = &self.capture {
            config["capture"] = json!({ "file": absolute("--capture", file)? });
        }
        Ok(config)
    }
}

/// The absolute path, which means the same to the library.
fn absolute(flag: &str, path: &Path) -> Result<String> {
    let path = std::path::absolute(path)
        .map_err(|error| Failure::said(format!("{flag} {}: {error}", path.display())))?;
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(Failure::said(format!("{flag}: the path is not UTF-8"))),
    }
}

/// Parses a path. A shell leaves `~` as it is behind `=`.
pub fn expanded() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| check_expanded(&path).map(|()| path))
}

/// Parses `--placement`.
fn placement(text: &str) -> std::result::Result<Value, String> {
    match text {
        "auto" | "inline" | "fused" | "split" => Ok(Value::from(text)),
        _ if text.trim_start().starts_with(['[', '{']) => {
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
        }
        _ => Err("expected auto, inline, fused, split or JSON lanes".into()),
    }
}

/// The cores that `--cores` names: one value to clap, which would take a list for several.
#[derive(Clone, Debug)]
struct CoreList(Vec<usize>);

/// Parses `--cores`, which is written as `SIGNAL_CORES` is.
fn cores(text: &str) -> std::result::Result<CoreList, String> {
    let cores = parse_list(text).filter(|cores| !cores.is_empty());
    cores
        .map(CoreList)
        .ok_or_else(|| "expected the numbers of cores, one per lane, such as 1,2 or 1-2".to_owned())
}

/// Parses `--reorder`.
fn reorder(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(rows) if rows <= MOST_REORDERED => Ok(rows),
        _ => Err(format!("expected a number of rows up to {MOST_REORDERED}")),
    }
}

/// Parses `--seconds`.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected a number above 0 and up to 86400".into()),
    }
}

/// How much faster than its own pace the demo's feed is played; this gives 6,000 events a second.
const DEMO_PACE: f64 = 10.0;
/// Number of the demo's events that are played at this pace: three seconds.
const DEMO_EVENTS: u64 = 18_000;

/// Minimum size of a capture's buffer here: whenever it is full, this command waits for the disk.
const LEAST_BUFFER: usize = 16_384;

/// The configuration that a library gets from this string and the environment, if it is valid.
fn meant(create: &Value) -> Option<Config> {
    let made = Config::for_host(Some(&create.to_string()));
    made.ok().map(|(config, _)| config)
}

/// Loads the library, plays the feed and prints the results.
fn play(
    title: &str,
    source: &mut Source,
    captures: &[PathBuf],
    common: &Common,
    config_file: Option<&Path>,
) -> Result<()> {
    let mut config = common.create_json()?;
    let library = Library::open(common.lib.as_deref())?;
    let files = Files {
        captures,
        config: config_file,
        signals: common.signals.as_deref(),
        report: common.report.as_deref(),
        library: &library.path,
        force: common.force,
    };
    let as_given = meant(&config);
    files.check(as_given.as_ref())?;
    if let Some(meant) = as_given
        && meant.capture.file.is_some()
        && meant.capture.buffer < LEAST_BUFFER
    {
        config["capture"]["buffer"] = json!(LEAST_BUFFER);
    }
    let (speed, most) = match (common.speed, &source, &common.report) {
        (Some(speed), ..) => (speed, u64::MAX),
        (None, Source::Recorded(_), _) => (Speed::Max, u64::MAX),
        // A report cannot keep queued events apart from others, so it gets one speed only.
        (None, Source::Made(_), Some(_)) => (Speed::Alone(DEMO_PACE), u64::MAX),
        (None, Source::Made(_), None) => (Speed::Alone(DEMO_PACE), DEMO_EVENTS),
    };
    print::header(title, &speed, &library, &config, config_file)?;
    // Created before this thread is kept off the lanes' cores: if one core is left after that, it
    // is this thread's own.
    let waiter = Waiter::new();
    plugin::keep_off(common.cores.as_ref().map_or(&[], |CoreList(cores)| cores));
    let interrupt = Interrupt::watch()?;
    source.stop_when(&interrupt);
    stream::stop_when(&interrupt);
    let signals = common.signals.as_deref().map(Output::open).transpose()?;
    if let Some(signals) = &signals {
        signals.stop_when(&interrupt);
    }
    let plugin = Plugin::create(&library, &config.to_string(), signals)?;
    let limits = Limits::new(&meant(&config).unwrap_or_default(), plugin.models().len());
    let run = |source: &mut Source, speed, most| {
        drive::run(&plugin, source, (speed, most), limits, &waiter, &interrupt)
    };
    let watch = Watch::begin();
    let mut outcome = run(source, speed, most)?;
    let taken = watch.complaint();
    let (hops, stamp_ns) = (plugin.latency(), plugin.stamp_ns());
    // Read after the hop table, which updates this counter.
    let beyond = plugin.stats()?.latency_beyond;
    let mut throughput = None;
    if most < u64::MAX && outcome.stopped.is_none() {
        let rest = run(source, Speed::Max, u64::MAX)?;
        throughput = Some((rest.played.events(), rest.took));
        outcome.goes_on(rest);
    }
    let complaint = plugin.complaint();
    let mut received = plugin.destroy();
    let written = received.finish();
    let told = || -> Result<()> {
        print::outcome(&outcome, speed, &received)?;
        if let Some(complaint) = complaint {
            print::line(&format!("health  {complaint}\n"))?;
        }
        print::latency(&hops, beyond, (stamp_ns, speed), taken.as_deref())?;
        if let Some((events, took)) = throughput.filter(|(events, _)| *events > 0) {
            print::throughput(events, took)?;
        }
        told_files(common)
    };
    match &outcome.stopped {
        Some(Failure::Interrupted(signal)) => {
            let lost = written.and(told()).err();
            Err(lost.map_or(Failure::Interrupted(*signal), |lost| {
                Failure::Cut(*signal, lost.to_string())
            }))
        }
        _ => {
            written.and_then(|()| told())?;
            outcome.verdict(received.calls)
        }
    }
}

/// Says where the files of the run are.
fn told_files(common: &Common) -> Result<()> {
    if let Some(dir) = &common.report {
        let summary = dir.join("summary.json");
        if !summary.is_file() {
            return Err(Failure::said(format!(
                "the library wrote no {}",
                summary.display()
            )));
        }
        print::line(&format!("\nlatency report in {}", dir.display()))?;
    }
    if let Some(file) = &common.signals {
        print::line(&format!("\nsignals in {}", file.display()))?;
    }
    Ok(())
}

/// Runs the command.
fn run(cli: Cli) -> Result<()> {
    let (title, mut source, captures, common, config_file) = match cli.command {
        Command::Config(ConfigCommand::Check { file }) => return config::check(&file),
        Command::Config(ConfigCommand::Default) => return config::default(),
        Command::Config(ConfigCommand::Schema) => return config::print_schema(),
        Command::Tune(tune) => return tune::run(&tune),
        Command::Report(args) => return report::run(&args),
        Command::Replay {
            files,
            reorder,
            strict,
            common,
        } => {
            let names = files.iter().map(|file| file.display().to_string());
            let names: Vec<_> = names.collect();
            let title = format!("replay {}", names.join(" "));
            let config_file = plugin::set_config(common.config.as_deref())?;
            let limits = meant(&common.create_json()?).unwrap_or_default().limits;
            let options = ReadOptions {
                window: reorder,
                strict,
                max_price: limits.max_price,
                max_size: limits.max_size,
            };
            plugin::open_as_many_files_as_may_be();
            let reader = Box::new(Reader::open(&files, &options)?);
            (title, Source::Recorded(reader), files, common, config_file)
        }
        Command::Demo {
            seed,
            seconds,
            events,
            common,
        } => {
            let length = match events {
                Some(events) => Length::Events(events),
                None => Length::Seconds(seconds),
            };
            let market = Box::new(Market::new(seed, length));
            let config_file = plugin::set_config(common.config.as_deref())?;
            let title = format!("demo: a synthetic feed, random walks from seed {seed}");
            (title, Source::Made(market), Vec::new(), common, config_file)
        }
    };
    play(
        &title,
        &mut source,
        &captures,
        &common,
        config_file.as_deref(),
    )
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed it, which is not an error.
        Err(Failure::Pipe) => ExitCode::SUCCESS,
        // It has been said on standard output.
        Err(Failure::Verdict(code)) => ExitCode::from(code),
        Err(failure) => {
            failure::warn(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}
