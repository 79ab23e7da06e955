//! What a bench found out, in one form: tables, notes and goals. It is shown as text or
//! Markdown and is a part of the JSON, from which `tables` makes the tables of the pages.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::series::{Figures, median};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// What is timed, and where: names and texts.
    pub header: Vec<(String, String)>,
    pub tables: Vec<Table>,
    pub notes: Vec<String>,
    pub goals: Vec<Goal>,
}

/// Rows of cells as they are shown; every repetition's own figures are in the JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Table {
    /// The first names the rows.
    pub columns: Vec<String>,
    /// A row with a name alone is a heading.
    pub rows: Vec<Vec<String>>,
}

pub const FIGURES: [&str; 7] = [
    "median ns",
    "min .. max",
    "x line",
    "p99",
    "p99.9",
    "max",
    "count",
];

impl Table {
    /// Without a row. `columns` are those behind the first.
    pub fn new<'a>(title: &'a str, columns: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = [title].into_iter().chain(columns);
        Self {
            columns: columns.map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let name = [name.to_owned()].into_iter();
        self.rows.push(name.chain(cells).collect());
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.columns.len()));
        let rows = self.rows.iter().map(|row| line(row));
        line(&self.columns) + &rule + &rows.collect::<String>()
    }
}

impl fmt::Display for Table {
    /// Numbers to the right, words to the left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = || self.rows.iter().filter(|row| row.len() > 1);
        let columns: Vec<(usize, bool)> = (0..self.columns.len())
            .map(|at| {
                let cells = || full().filter_map(move |row| row.get(at));
                let widths = cells().chain([&self.columns[at]]);
                let is_number = |cell: &String| {
                    cell.is_empty()
                        || cell.starts_with(|c: char| "+-".contains(c) || c.is_ascii_digit())
                };
                let width = widths.map(|cell| cell.chars().count()).max();
                (width.unwrap_or(0), at > 0 && cells().all(is_number))
            })
            .collect();
        for row in [&self.columns].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (cell, &(width, to_the_right)) in row.iter().zip(&columns) {
                let gap = if line.is_empty() { "" } else { "  " };
                if to_the_right {
                    write!(line, "{gap}{cell:>width$}")?;
                } else {
                    write!(line, "{gap}{cell:<width$}")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The median of the repetitions, the least and the greatest.
pub fn spread(values: impl IntoIterator<Item = f64>, digits: usize) -> [String; 2] {
    let values: Vec<f64> = values.into_iter().collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        return ["-".to_owned(), String::new()];
    }
    [
        format!("{:.digits$}", median(values)),
        format!("{least:.digits$} .. {most:.digits$}"),
    ]
}

/// The cells under [`FIGURES`]: medians over the repetitions, the longest of all, the count
/// of all. `line` is the line round trip in the same repetitions.
pub fn figures(all: &[Figures], line: &[Figures]) -> Vec<String> {
    let tail = |read: fn(&Figures) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(read).collect();
        spread(values, 0)[0].clone()
    };
    let max = all.iter().filter_map(|of| of.max).reduce(f64::max);
    let count: u64 = all.iter().map(|of| of.count).sum();
    let [middle, range] = spread(all.iter().map(|of| of.p50), 1);
    vec![
        middle,
        range,
        format!("{:.2}", ratio(all, line)),
        tail(|of| of.p99),
        tail(|of| of.p999),
        max.map_or("-".to_owned(), |max| format!("{max:.0}")),
        count.to_string(),
    ]
}

/// A time with a unit that suits it.
pub fn time(ns: f64) -> String {
    match ns {
        0.0..10_000.0 => format!("{ns:.0} ns"),
        10_000.0..10_000_000.0 => format!("{:.1} us", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

/// The last cell of a row that may have no valid run.
pub fn mark(valid: bool) -> String {
    if valid { "" } else { "INVALID" }.to_owned()
}

/// The median of each repetition's ratio of two medians.
pub fn ratio(all: &[Figures], to: &[Figures]) -> f64 {
    median(all.iter().zip(to).map(|(of, to)| of.p50 / to.p50))
}

/// What a figure should be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Goal {
    pub goal: String,
    /// `None` where it cannot be judged.
    pub met: Option<bool>,
    /// Percent of the limit that is to spare; below 0 it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spare: Option<f64>,
    /// What the limit is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

impl Goal {
    /// In words, judged elsewhere.
    pub fn new(goal: impl Into<String>, met: Option<bool>) -> Self {
        Self {
            goal: goal.into(),
            met,
            spare: None,
            value: None,
        }
    }

    /// At most so much; `value` is none where it was not measured or may not be judged.
    pub fn at_most(what: &str, value: Option<f64>, most: f64, unit: &str) -> Self {
        let spare = value.map(|value| 1.0 - value / most);
        Self::limited(what, value, format!("<= {most}"), unit, spare)
    }

    /// At least so much.
    pub fn at_least(what: &str, value: Option<f64>, least: f64, unit: &str) -> Self {
        let spare = value.map(|value| value / least - 1.0);
        Self::limited(what, value, format!(">= {least}"), unit, spare)
    }

    fn limited(
        what: &str,
        value: Option<f64>,
        limit: String,
        unit: &str,
        spare: Option<f64>,
    ) -> Self {
        let shown = value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        Self {
            goal: format!("{what}: {shown}{unit} (goal {limit}{unit})"),
            met: spare.map(|spare| spare >= 0.0),
            spare: spare.map(|spare| (100.0 * spare).round()),
            value,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match (self.met, self.spare) {
            (Some(true), Some(spare)) => format!("met, {spare:.0} % to spare"),
            (Some(false), Some(spare)) => format!("MISSED by {:.0} %", -spare),
            (Some(true), None) => "met".to_owned(),
            (Some(false), None) => "MISSED".to_owned(),
            (None, _) => "not judged".to_owned(),
        };
        write!(f, "{}: {by}", self.goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_its_columns_up_as_text_and_in_markdown() {
        let mut table = Table::new("64 B", ["median", "x line", "verdict"]);
        table.row("rings", []);
        table.row("line", ["120.5", "1.00", "ok"].map(str::to_owned));
        table.row("a long name", ["-", "10.25", "FAIL"].map(str::to_owned));
        let text = "64 B         median  x line  verdict\nrings\n\
                    line          120.5    1.00  ok\na long name       -   10.25  FAIL\n";
        assert_eq!(table.to_string(), text);
        assert!(table.markdown().starts_with("| 64 B | median |"));
        assert!(
            table
                .markdown()
                .contains("\n|---|---|---|---|\n| rings |\n| line | 120.5 |")
        );
    }

    #[test]
    fn figures_are_medians_and_ratios_those_of_one_repetition() {
        let of = |p50| Figures {
            p99: Some(2.0 * p50),
            max: Some(9.0 * p50),
            ..Figures::mean(p50, 10)
        };
        // The line of the second repetition is slow, and so is the row.
        let (line, all) = ([100.0, 400.0, 100.0].map(of), [170.0, 720.0, 190.0].map(of));
        let cells = figures(&all, &line);
        let expected = ["190.0", "170.0 .. 720.0", "1.80", "380", "-", "6480", "30"];
        assert_eq!(cells, expected);
        assert_eq!(spread([], 1), ["-", ""]);
    }

    #[test]
    fn a_goal_says_by_how_much_it_is_met_or_missed() {
        let met = Goal::at_most("poll", Some(1.0), 2.0, " ns");
        assert_eq!(
            met.to_string(),
            "poll: 1.00 ns (goal <= 2 ns): met, 50 % to spare"
        );
        let edge = Goal::at_least("times", Some(5.0), 5.0, "");
        assert_eq!(edge.met, Some(true));
        let missed = Goal::at_least("times", Some(4.5), 5.0, "");
        assert_eq!(
            missed.to_string(),
            "times: 4.50 (goal >= 5): MISSED by 10 %"
        );
        let unknown = Goal::at_most("poll", None, 2.0, "");
        assert!(unknown.met.is_none() && unknown.to_string().ends_with("not judged"));
    }
}
