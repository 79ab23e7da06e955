//! `signal report`: what latency reports say, as a page, tables or data.
//!
//! | file | what |
//! |---|---|
//! | `log` | reads the interval log |
//! | `summary` | reads `summary.json` |
//! | `distribution` | counted latencies without the empty places of a histogram |
//! | `run` | the reports of one run, added up and cut into slices of time |
//! | `figures` | the figures of a hop, with their confidence intervals |
//! | `compare` | a run against a baseline |
//! | `objective` | what a run must keep |
//! | `document` | all of it as data: `--json`, and what the page is drawn from |
//! | `table`, `csv`, `openmetrics` | the forms for terminal, spreadsheet and Prometheus |
//! | `page` | the HTML page |
//! | `merge` | several reports as one |

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use signal::config::{Latency, NamedFile, check_apart};

use crate::cli::expanded;
use crate::failure::{Failure, Result, warn};
use crate::print;

mod compare;
mod csv;
mod distribution;
mod document;
mod figures;
mod log;
mod merge;
mod objective;
mod openmetrics;
mod page;
mod run;
mod summary;
mod table;

use compare::Verdict;
use document::Document;
use objective::Objective;
use run::Run;

/// The page's name, in the folder where the command runs.
const PAGE: &str = "signal-report.html";

/// What `signal report` is asked.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct ReportArgs {
    #[command(subcommand)]
    merge: Option<ReportCommand>,
    /// Folders of latency reports. A folder of several reports is one run: its handles, or its
    /// repetitions.
    #[arg(required = true, value_name = "RUN", value_parser = expanded())]
    runs: Vec<PathBuf>,
    /// Compare each run with this one.
    #[arg(long, value_name = "RUN", value_parser = expanded())]
    baseline: Option<PathBuf>,
    /// What each run must keep, such as 'tick_to_callback p99 < 5us' or 'losses <= 0'.
    #[arg(long, value_name = "OBJECTIVE")]
    slo: Vec<Objective>,
    /// Write the page to this file [default: signal-report.html, unless another form is asked for].
    #[arg(long, short, value_name = "FILE", value_parser = expanded())]
    output: Option<PathBuf>,
    /// Overwrite a file that is not a page of this command.
    #[arg(long)]
    force: bool,
    /// Print all figures as JSON instead of tables.
    #[arg(long, group = "form")]
    json: bool,
    /// Print a row for each hop of each run as CSV instead of tables.
    #[arg(long, group = "form")]
    csv: bool,
    /// Print the figures in the OpenMetrics text format instead of tables.
    #[arg(long, group = "form")]
    prom: bool,
}

#[derive(Subcommand)]
enum ReportCommand {
    /// Make one report of several, without loss: of several processes or machines.
    Merge {
        /// Folders of latency reports.
        #[arg(required = true, num_args = 2.., value_name = "RUN", value_parser = expanded())]
        runs: Vec<PathBuf>,
        /// The new folder of the merged report.
        #[arg(long, short, value_name = "DIR", value_parser = expanded())]
        output: PathBuf,
    },
}

const EXIT_CODES: &str = "\
Exit code: 0 all is well; 1 a report cannot be read; 2 a mistake on the command line; 3 a run is slower \
than the baseline, or misses an objective; 4 that cannot be judged: other threads had the cores, or there \
are too few latencies.";

/// The exit code where something got worse.
const WORSE: u8 = 3;
/// The exit code where nothing can be judged.
const UNKNOWN: u8 = 4;

/// Does what was asked.
///
/// # Errors
///
/// A report that cannot be read, a file that cannot be written, or a verdict that is not good.
pub fn run(args: &ReportArgs) -> Result<()> {
    if let Some(ReportCommand::Merge { runs, output }) = &args.merge {
        return merge(runs, output);
    }
    let paths: Vec<&PathBuf> = args.baseline.iter().chain(&args.runs).collect();
    let runs = read(&paths)?;
    let judged = &runs[usize::from(args.baseline.is_some())..];
    let objectives = args.slo.iter();
    let objectives = objectives.flat_map(|of| judged.iter().map(|run| of.judge(run)));
    let document = Document::new(&runs, args.baseline.is_some(), objectives.collect());
    let other_form = args.json || args.csv || args.prom;
    let file = match &args.output {
        Some(file) => Some(file.as_path()),
        None if other_form => None,
        None => Some(Path::new(PAGE)),
    };
    if let Some(file) = file {
        check_apart(&inputs(&runs), &[NamedFile::new("--output", file)]).map_err(Failure::said)?;
        page::write(&document, file, args.force)?;
    }
    match (args.json, args.csv, args.prom) {
        (true, ..) => print::line(&json(&document)?)?,
        (_, true, _) => print::line(csv::text(&document)?.trim_end())?,
        (.., true) => print::line(openmetrics::text(&runs, &document)?.trim_end())?,
        _ => {
            print::line(table::text(&document).trim_end())?;
            if let Some(file) = file {
                print::line(&format!("\npage in {}", file.display()))?;
            }
        }
    }
    judge(&document)
}

/// Reads the runs, each with a label of its own.
fn read(paths: &[&PathBuf]) -> Result<Vec<Run>> {
    let labels = labels(paths);
    let both = paths.iter().zip(labels);
    both.map(|(path, label)| Run::read(path, label)).collect()
}

/// As much of each path's end as tells it from the others.
fn labels(paths: &[&PathBuf]) -> Vec<String> {
    let end = |path: &Path, parts: usize| -> String {
        let all: Vec<_> = path
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        all[all.len().saturating_sub(parts)..].join("/")
    };
    let most = paths
        .iter()
        .map(|path| path.components().count())
        .max()
        .unwrap_or(1);
    for parts in 1..=most {
        let labels: Vec<_> = paths.iter().map(|path| end(path, parts)).collect();
        let mut distinct = labels.clone();
        distinct.sort();
        distinct.dedup();
        if distinct.len() == paths.len() {
            return labels;
        }
    }
    // The same folder twice.
    let numbered = paths.iter().enumerate();
    numbered
        .map(|(index, path)| format!("{} ({})", end(path, 1), index + 1))
        .collect()
}

/// The files of all reports.
fn inputs(runs: &[Run]) -> Vec<NamedFile> {
    let reports = runs.iter().flat_map(|run| &run.reports);
    let files = |report: &run::Report| {
        let at = |name, file| NamedFile::new(name, report.folder.join(file));
        [
            at("the log", Latency::LOG),
            at("the summary", Latency::SUMMARY),
        ]
    };
    reports.flat_map(files).collect()
}

fn json(document: &Document) -> Result<String> {
    serde_json::to_string_pretty(document)
        .map_err(|error| Failure::said(format!("cannot make JSON: {error}")))
}

/// The verdict as an exit code.
fn judge(document: &Document) -> Result<()> {
    let verdicts: Vec<_> = document
        .comparisons
        .iter()
        .map(|comparison| comparison.verdict)
        .collect();
    let kept: Vec<_> = document
        .objectives
        .iter()
        .map(|objective| objective.kept)
        .collect();
    if verdicts.contains(&Verdict::Slower) || kept.contains(&Some(false)) {
        return Err(Failure::Verdict(WORSE));
    }
    let unknown = verdicts
        .iter()
        .any(|of| matches!(of, Verdict::Invalid | Verdict::TooFew));
    if unknown || kept.contains(&None) {
        return Err(Failure::Verdict(UNKNOWN));
    }
    Ok(())
}

fn merge(paths: &[PathBuf], output: &Path) -> Result<()> {
    let paths: Vec<&PathBuf> = paths.iter().collect();
    let runs = read(&paths)?;
    merge::write(&runs, output)?;
    let reports: usize = runs.iter().map(|run| run.reports.len()).sum();
    for warning in runs
        .iter()
        .flat_map(|run| &run.reports)
        .flat_map(|report| &report.warnings)
    {
        warn(warning);
    }
    print::line(&format!("{reports} reports merged in {}", output.display()))
}
