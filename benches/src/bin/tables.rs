//! Makes tables and charts of the pages from the results in `benches/results`, which are
//! what `--json` writes.

use std::collections::BTreeMap;
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
/// A page has the first table and the goals behind a line `<!-- benches/results/NAME.json -->`.
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
        let before = fs::read_to_string(&path).unwrap_or_default();
        if before != text && is_check {
            wrong.push(path.display().to_string());
        } else if before != text {
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
    let reports = reports(&root.join("benches/results"))?;
    let mut all = vec![(root.join("benches/results/README.md"), page(&reports))];
    let scale = reports.get("scale").ok_or("there is no scale.json")?;
    for (name, title) in SCALE {
        let mut tables = scale.tables.iter();
        let table = tables.find(|table| table.columns[0].starts_with(name));
        let table = table.ok_or_else(|| format!("scale.json has no table of {name}"))?;
        let file = |end: &str| root.join(format!("docs/scale/{name}.{end}"));
        all.push((file("md"), table.markdown()));
        all.push((file("svg"), draw(table, title)?));
    }
    let pace = reports.get("pace").ok_or("there is no pace.json")?;
    let table = pace.tables.first().ok_or("pace.json has no table")?;
    all.push((root.join("docs/scale/pace.svg"), draw_pace(table)?));
    let mut pages = files(&root.join("docs"), "md")?;
    pages.push(root.join("README.md"));
    for path in pages {
        let text = filled(&read(&path)?, &reports);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        all.push((path, text));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|of| of == end))
        .collect())
}

fn reports(folder: &Path) -> Result<BTreeMap<String, Report>, String> {
    let reports = files(folder, "json")?.into_iter().map(|path| {
        let saved: Result<Saved, _> = serde_json::from_str(&read(&path)?);
        let saved = saved.map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), saved.report))
    });
    reports.collect()
}

/// The first of a report's tables and its goals, as a block of text.
fn excerpt(report: &Report) -> String {
    block(&Report {
        tables: report.tables.iter().take(1).cloned().collect(),
        goals: report.goals.clone(),
        ..Report::default()
    })
}

/// What a report shows, as a block of text.
fn block(report: &Report) -> String {
    let lines = |lines: &mut dyn Iterator<Item = String>| -> String {
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    };
    let mut parts: Vec<String> = report.tables.iter().map(Table::to_string).collect();
    parts.push(lines(&mut report.notes.iter().cloned()));
    parts.push(lines(&mut report.goals.iter().map(ToString::to_string)));
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
            let words: Vec<&str> = fact.split_whitespace().collect();
            text += &format!("- {name}: {}\n", words.join(" "));
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
        let (name, rest) = part
            .split_once(".json -->\n")
            .ok_or("a mark does not end in .json -->")?;
        let report = reports
            .get(name)
            .ok_or_else(|| format!("there is no {name}.json"))?;
        let (_, rest) = rest
            .split_once("\n```\n")
            .ok_or("no block of text follows a mark")?;
        text += &format!("{MARK}{name}.json -->\n{}{rest}", excerpt(report));
    }
    Ok(text)
}

/// Median and p99 of the steps that are numbers.
fn draw(table: &Table, title: &str) -> Result<String, String> {
    let number = |cell: &String| cell.split(' ').next().and_then(|word| word.parse().ok());
    let line = |column: &str, name: &str| {
        let at = table.columns.iter().position(|name| name == column);
        let points = table
            .rows
            .iter()
            .filter_map(|row| Some((number(&row[0])?, number(&row[at?])?)));
        Line {
            name: name.to_owned(),
            points: points.collect(),
        }
    };
    let unit = table.rows.last().and_then(|row| row[0].split_once(' '));
    let x = unit.map_or(table.columns[0].as_str(), |(_, unit)| unit);
    chart::draw(title, x, &[line("p99", "p99"), line("median ns", "median")])
}

/// Median and p99 by the gap, with and without staying warm.
fn draw_pace(table: &Table) -> Result<String, String> {
    let at = |name: &str| {
        let at = table.columns.iter().position(|column| column == name);
        at.ok_or_else(|| format!("pace.json has no column {name}"))
    };
    let line = |way: &str, column: &str| {
        let (name, at) = (at("way")?, at(column)?);
        let rows = table.rows.iter().filter(|row| row[name] == way);
        let points = rows.filter_map(|row| Some((ns(&row[0])? / 1e3, ns(&row[at])?)));
        let points: Vec<_> = points.collect();
        if points.is_empty() {
            return Err(format!("pace.json has no {column} of {way}"));
        }
        let warm = if way == "fused" { "warm" } else { "warm off" };
        let name = format!("{warm}, {column}");
        Ok(Line { name, points })
    };
    let title = "Tick to callback, fused, with and without staying warm";
    let lines = [
        line("fused, warm off", "median")?,
        line("fused", "median")?,
        line("fused, warm off", "p99")?,
        line("fused", "p99")?,
    ];
    chart::draw(title, "us between two Depths", &lines)
}

/// A time as `report::time` writes it.
fn ns(cell: &str) -> Option<f64> {
    let (number, unit) = cell.split_once(' ')?;
    let unit = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for time in [7.0, 9_999.0, 10_100.0, 2_500_000.0, 1e9] {
            let read = ns(&signal_bench::report::time(time)).unwrap();
            assert!((read - time).abs() <= time / 1e3, "{time}: {read}");
        }
        assert_eq!([ns("-"), ns("5 s"), ns("five ns")], [None; 3]);
    }

    #[test]
    fn the_pages_are_what_the_results_say() {
        run(Path::new(ROOT), true).unwrap();
    }

    #[test]
    fn a_block_is_replaced_and_nothing_else() {
        let mut table = Table::new("64 B", ["median"]);
        table.row("line", ["120".to_owned()]);
        let second = Table::new("hops", ["p50"]);
        let report = Report {
            tables: vec![table, second],
            notes: vec!["a note".to_owned()],
            ..Report::default()
        };
        let reports = BTreeMap::from([("hop".to_owned(), report)]);
        let mark = "before\n<!-- benches/results/hop.json -->\n";
        let page = format!("{mark}```text\nold\n```\n\nafter\n");
        let made = filled(&page, &reports).unwrap();
        assert_eq!(
            made,
            format!("{mark}```text\n64 B  median\nline     120\n```\n\nafter\n")
        );
        assert_eq!(filled(&made, &reports), Ok(made));
        assert!(filled(&page.replace("hop", "none"), &reports).is_err());
        assert!(filled(mark, &reports).is_err());
    }
}
