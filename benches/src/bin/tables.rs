//! Makes tables and charts of the pages from the results in `benches/results`, which are
//! what `--json` writes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;
use signal_bench::bench::write;
use signal_bench::chart::{self, Line, SCALE};
use signal_bench::report::{Report, Table};

/// Makes tables and charts of the pages from the results in benches/results.
///
/// A page has a table behind a line `<!-- benches/results/NAME.json -->`.
#[derive(Parser)]
#[command(name = "tables")]
struct Args {
    /// Writes nothing, and fails where a page or chart is not what its data file says
    #[arg(long)]
    check: bool,
}

#[derive(Deserialize)]
struct Saved {
    report: Report,
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> ExitCode {
    match run(Path::new(ROOT), Args::parse().check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tables: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, is_check: bool) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (path, text) in made(root)? {
        let is_same = fs::read_to_string(&path).is_ok_and(|before| before == text);
        if !is_same && is_check {
            wrong.push(path.display().to_string());
        } else if !is_same {
            write(&path, &text)?;
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "not as benches/results says, run it without --check: {}",
            wrong.join(", ")
        )),
    }
}

/// All files that are made or have something made in them, with their texts.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut reports = BTreeMap::new();
    for path in files(&root.join("benches/results"), "json")? {
        let saved = serde_json::from_str(&read(&path)?);
        let Saved { report } = saved.map_err(|error| named(&path, error))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        reports.insert(name.into_owned(), report);
    }
    let mut all = vec![(root.join("benches/results/README.md"), page(&reports))];
    let scale = reports.get("scale").ok_or("there is no scale.json")?;
    for (name, title) in SCALE {
        let is_it = |table: &&Table| table.columns[0].starts_with(name);
        let table = scale.tables.iter().find(is_it);
        let table = table.ok_or_else(|| format!("scale.json has no table of {name}"))?;
        let file = |end: &str| root.join(format!("docs/scale/{name}.{end}"));
        all.push((file("md"), table.markdown()));
        all.push((file("svg"), draw(table, title)?));
    }
    let docs = files(&root.join("docs"), "md")?;
    for path in docs.into_iter().chain([root.join("README.md")]) {
        let text = filled(&read(&path)?, &reports).map_err(|error| named(&path, error))?;
        all.push((path, text));
    }
    Ok(all)
}

fn named(path: &Path, error: impl Display) -> String {
    format!("{}: {error}", path.display())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| named(path, error))
}

/// The files of a folder whose names end so.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| named(folder, error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let paths = paths.filter(|path| path.extension().is_some_and(|found| found == end));
    Ok(paths.collect())
}

/// What a report shows, as a block of text.
fn block(report: &Report) -> String {
    let mut parts: Vec<String> = report.tables.iter().map(Table::to_string).collect();
    let line = |line: String| format!("{}\n", line.trim_end());
    parts.push(report.notes.iter().cloned().map(line).collect());
    let goals = report.goals.iter().map(ToString::to_string);
    parts.push(goals.map(line).collect());
    parts.retain(|part| !part.is_empty());
    format!("```text\n{}```\n", parts.join("\n"))
}

fn page(reports: &BTreeMap<String, Report>) -> String {
    let mut text = "# Results\n\nOne run of each bench, made from the data files in this folder (`tables`). What is timed: \
         [`benches/README.md`](../README.md).\n"
        .to_owned();
    for (name, report) in reports {
        text += &format!("\n## {name}\n\n");
        for (name, fact) in &report.header {
            text += &format!("- {name}: {}\n", fact.replace('\n', " "));
        }
        text += &format!("\n{}", block(report));
    }
    text
}

/// A page whose blocks behind their marks are those of the reports.
fn filled(page: &str, reports: &BTreeMap<String, Report>) -> Result<String, String> {
    const MARK: &str = "<!-- benches/results/";
    let mut parts = page.split(MARK);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once(".json -->\n");
        let (name, rest) = named.ok_or("a mark does not end in .json -->")?;
        let report = reports.get(name);
        let report = report.ok_or_else(|| format!("there is no {name}.json"))?;
        let rest = rest.split_once("\n```\n");
        let (_, rest) = rest.ok_or("no block of text follows a mark")?;
        text += &format!("{MARK}{name}.json -->\n{}{rest}", block(report));
    }
    Ok(text)
}

/// Median and p99 of the steps that are numbers.
fn draw(table: &Table, title: &str) -> Result<String, String> {
    let number = |cell: &String| cell.split(' ').next().and_then(|word| word.parse().ok());
    let line = |column: &str, name: &str| {
        let at = table.columns.iter().position(|name| name == column);
        let rows = table.rows.iter();
        let points = rows.filter_map(|row| Some((number(&row[0])?, number(&row[at?])?)));
        let (name, points) = (name.to_owned(), points.collect());
        Line { name, points }
    };
    let unit = table.rows.last().and_then(|row| row[0].split_once(' '));
    let x = unit.map_or(table.columns[0].as_str(), |(_, unit)| unit);
    chart::draw(title, x, &[line("p99", "p99"), line("median ns", "median")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_what_the_results_say() {
        run(Path::new(ROOT), true).unwrap();
    }

    #[test]
    fn a_block_is_replaced_and_nothing_else() {
        let mut table = Table::new("64 B", ["median"]);
        table.row("line", ["120".to_owned()]);
        let mut report = Report::default();
        report.tables.push(table);
        let reports = BTreeMap::from([("hop".to_owned(), report)]);
        let mark = "before\n<!-- benches/results/hop.json -->\n";
        let page = format!("{mark}```text\nold\n```\n\nafter\n");
        let made = filled(&page, &reports).unwrap();
        let block = "```text\n64 B  median\nline     120\n```\n";
        assert_eq!(made, format!("{mark}{block}\nafter\n"));
        assert_eq!(filled(&made, &reports), Ok(made));
        assert!(filled(&page.replace("hop", "none"), &reports).is_err());
        assert!(filled(mark, &reports).is_err());
    }
}
