//! The figures as a table, and as JSON.

use serde_json::{Value, json};

use super::figures::{Figures, Percentiles};
use super::verdict::Measured;
use crate::print::number;

/// A row's cells; the first is aligned to the left.
type Row = Vec<String>;

/// A time with three digits and its unit.
pub fn time(ns: f64) -> String {
    const UNITS: [&str; 4] = ["ns", "us", "ms", "s"];
    let (mut value, mut unit) = (ns, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let digits = match (unit, value) {
        (0, _) => 0,
        (_, ..9.995) => 2,
        (_, ..99.95) => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// The candidates of one round.
pub fn table(all: &[Measured]) -> String {
    let titles = [
        "candidate",
        "lanes",
        "p50",
        "p99",
        "max",
        "on_data p50",
        "p99",
        "poll p50",
        "p99",
        "signals",
        "late",
        "valid runs",
        "",
    ];
    let mut rows: Vec<Row> = vec![titles.map(str::to_owned).into()];
    rows.extend(all.iter().map(row));
    let mut text = aligned(&rows);
    for one in all {
        let name = one.candidate.name();
        if let Some(why) = &one.refused {
            text += &format!("{name}: refused: {why}\n");
        } else if !one.is_valid() && !one.runs.is_empty() {
            let invalid = one.runs.iter().find_map(|run| run.invalid.as_ref());
            let why = invalid.map_or("too few repetitions", String::as_str);
            text += &format!("{name}: {why}\n");
        }
    }
    if all.iter().any(|one| !one.runs.is_empty() && !one.has_p99()) {
        text += "no p99 where fewer than 1,000 signals came\n";
    }
    text
}

fn row(one: &Measured) -> Row {
    let candidate = &one.candidate;
    let mut cells = vec![candidate.name(), candidate.lanes()];
    if one.runs.is_empty() {
        cells.resize(12, "-".to_owned());
        cells.push(match one.refused {
            Some(_) => "refused".to_owned(),
            None => "not measured".to_owned(),
        });
        return cells;
    }
    let mut both = |of: fn(&Figures) -> Percentiles, max: Option<fn(&Figures) -> f64>| {
        cells.push(time(one.middle(|run| of(run).p50_ns)));
        cells.push(match one.has_p99() {
            true => time(one.middle(|run| of(run).p99_ns)),
            false => "-".to_owned(),
        });
        cells.extend(max.map(|max| time(one.shown().into_iter().map(max).fold(0.0, f64::max))));
    };
    both(|run| run.tick_to_callback, Some(|run| run.max_ns));
    both(|run| run.on_data, None);
    both(|run| run.poll, None);
    cells.push(number(one.signals() as u64));
    let late: usize = one.shown().iter().map(|run| run.late).sum();
    cells.push(match candidate.delivers() {
        true => number(late as u64),
        false => "-".to_owned(),
    });
    let valid = one.runs.iter().filter(|run| run.invalid.is_none()).count();
    cells.push(format!("{valid} of {}", one.runs.len()));
    cells.push(match one.is_valid() {
        true => String::new(),
        false => "INVALID".to_owned(),
    });
    cells
}

/// Cells under each other, each column as wide as it must be.
fn aligned(rows: &[Row]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        let line: String = cells.collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The candidates of one round, for programs.
pub fn json(all: &[Measured]) -> Value {
    let each = all.iter().map(|one| {
        let candidate = &one.candidate;
        let percentiles = |of: fn(&Figures) -> Percentiles| {
            let at = |which: fn(Percentiles) -> f64| one.middle(|run| which(of(run)));
            json!({
                "p50_ns": at(|both| both.p50_ns),
                "p99_ns": one.has_p99().then(|| at(|both| both.p99_ns)),
            })
        };
        let late: usize = one.shown().iter().map(|run| run.late).sum();
        json!({
            "name": candidate.name(),
            "set": candidate.set,
            "host_core": candidate.host_core,
            "lanes": candidate.plan.to_string(),
            "valid": one.is_valid(),
            "refused": one.refused,
            "signals": one.signals(),
            "tick_to_callback": percentiles(|run| run.tick_to_callback),
            "on_data": percentiles(|run| run.on_data),
            "poll": percentiles(|run| run.poll),
            "late": candidate.delivers().then_some(late),
            "lost": one.shown().iter().map(|run| run.lost).sum::<u64>(),
            "repetitions": one.runs,
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (ns, text) in [
            (0.0, "0 ns"),
            (42.4, "42 ns"),
            (999.0, "999 ns"),
            (999.9, "1.00 us"),
            (5_123.0, "5.12 us"),
            (51_230.0, "51.2 us"),
            (512_300.0, "512 us"),
            (9_996_000.0, "10.0 ms"),
            (2.5e9, "2.50 s"),
            (5e12, "5000 s"),
        ] {
            assert_eq!(time(ns), text, "{ns}");
        }
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "p50", ""]), row(["longer", "1", "INVALID"])];
        assert_eq!(aligned(&rows), "a       p50\nlonger    1  INVALID\n");
    }
}
