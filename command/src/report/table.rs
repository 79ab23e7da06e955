//! A report for the terminal: tables, and small charts of one line.

use super::compare::{Change, Verdict};
use super::document::{Document, Shown};
use super::figures::{Figures, Percentile};
use crate::print::number;

/// How many slow signals are shown.
const SLOWEST: usize = 5;
/// Columns of a small chart over time.
const WIDTH: usize = 48;
/// Heights of a column.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The whole report as text.
pub fn text(document: &Document) -> String {
    let runs = document.runs.iter().enumerate();
    let mut parts: Vec<String> = runs
        .map(|(index, run)| one(run, document.has_baseline && index == 0))
        .collect();
    parts.extend(document.comparisons.iter().map(|comparison| {
        let judged = comparison.changes.iter();
        let told: Vec<_> = judged
            .filter(|change| change.verdict != Verdict::TooFew)
            .collect();
        let mut text = format!("{} against {}\n", comparison.run, comparison.baseline);
        if comparison.verdict != Verdict::Invalid && !told.is_empty() {
            text.push_str(&changes(&told));
        }
        if !comparison.facts.is_empty() {
            text.push_str("facts that differ\n");
            let rows = comparison.facts.iter();
            let rows =
                rows.map(|fact| vec![fact.fact.clone(), fact.before.clone(), fact.after.clone()]);
            text.push_str(&aligned(&[&["fact", "before", "after"]], rows.collect(), 3));
        }
        text.push_str(&format!("verdict  {}\n", comparison.says));
        text
    }));
    if !document.objectives.is_empty() {
        let rows = document.objectives.iter().map(|kept| {
            let word = match kept.kept {
                Some(true) => "kept",
                Some(false) => "MISSED",
                None => "unknown",
            };
            vec![
                kept.objective.clone(),
                kept.run.clone(),
                word.to_owned(),
                kept.found.clone(),
            ]
        });
        parts.push(aligned(
            &[&["objective", "run", "kept", "found"]],
            rows.collect(),
            4,
        ));
    }
    parts.join("\n")
}

/// One run.
fn one(run: &Shown, is_baseline: bool) -> String {
    let role = if is_baseline { "baseline" } else { "run" };
    let reports = match run.reports {
        1 => String::new(),
        several => format!(", {several} reports"),
    };
    let mut text = format!("{role}  {}: {:.1} s{reports}\n", run.label, run.seconds);
    if let Some(why) = &run.invalid {
        text.push_str(&format!("INVALID as latencies of the library: {why}\n"));
    }
    if run.figures.is_empty() {
        text.push_str("no latency was timed\n");
    } else {
        text.push_str(&figures(&run.figures));
    }
    if let Some(all) = run.end_to_end() {
        let over = run.over_time(all.hop);
        // Latencies by their logarithm: one outlier would flatten all others.
        let chart = |name: &str, values: Vec<Option<f64>>, unit: &str, by: fn(f64) -> f64| {
            let known: Vec<f64> = values.iter().flatten().copied().collect();
            let (low, high) = known
                .iter()
                .fold((f64::MAX, f64::MIN), |(low, high), value| {
                    (low.min(*value), high.max(*value))
                });
            if known.len() < 2 {
                return String::new();
            }
            format!(
                "{name:<7} {}  {} to {} {unit}\n",
                small_chart(&values.iter().map(|value| value.map(by)).collect::<Vec<_>>()),
                number(low as u64),
                number(high as u64),
            )
        };
        let (medians, longest): (Vec<_>, Vec<_>) = over.into_iter().unzip();
        text.push_str("over time\n");
        text.push_str(&chart("events", run.activity(), "a second", |rate| rate));
        text.push_str(&chart("p50", medians, "ns", f64::ln));
        text.push_str(&chart("max", longest, "ns", f64::ln));
    }
    if run.slow_count.all > 0 {
        text.push_str(&format!(
            "slow    {} signals of 10 times the median and more, {} of them with a cause; the slowest:\n",
            number(run.slow_count.all as u64),
            number(run.slow_count.explained as u64)
        ));
        let rows = run.slow.iter().take(SLOWEST).map(|slow| {
            let part = format!("{} + {}", number(slow.publish_ns), number(slow.poll_ns));
            vec![
                format!("{:.3} s", slow.at),
                number(slow.ns),
                part,
                slow.instrument.clone(),
                slow.cause.clone(),
            ]
        });
        let titles = ["  at", "ns", "to publish + to poll", "instrument", "cause"];
        text.push_str(&aligned(&[&titles], rows.collect(), 0));
    }
    if run.losses.is_empty() && !run.counters.is_empty() {
        text.push_str("lost     nothing\n");
    }
    for (name, count) in &run.losses {
        text.push_str(&format!("lost     {name} {}\n", number(*count)));
    }
    for note in &run.notes {
        text.push_str(&format!("note     {note}\n"));
    }
    text
}

fn figures(all: &[Figures]) -> String {
    let titles: Vec<&str> = ["latency, ns", "count", "min"]
        .into_iter()
        .chain(all[0].percentiles.iter().map(|percentile| percentile.name))
        .chain(["max", "mean", "deviation"])
        .collect();
    let row = |figures: &Figures| {
        let max = match figures.beyond {
            0 => number(figures.max_ns),
            _ => format!(">={}", number(figures.max_ns)),
        };
        let mut row = vec![
            figures.hop.to_owned(),
            number(figures.count),
            number(figures.min_ns),
        ];
        row.extend(figures.percentiles.iter().map(shown));
        row.extend([
            max,
            number(figures.mean_ns as u64),
            number(figures.deviation_ns as u64),
        ]);
        row
    };
    aligned(&[&titles], all.iter().map(row).collect(), 1)
}

/// A percentile, if there are enough latencies to tell it.
fn shown(percentile: &Percentile) -> String {
    match percentile.told {
        true => number(percentile.ns),
        false => "-".to_owned(),
    }
}

fn changes(all: &[&Change]) -> String {
    let row = |change: &&Change| {
        let percent = 100.0 * change.by_ns() / change.before_ns.max(1.0);
        vec![
            format!("{} {}", change.hop, change.percentile),
            format!("{:.0}", change.before_ns),
            format!("{:.0}", change.after_ns),
            format!("{:+.0}", change.by_ns()),
            format!("{percent:+.1} %"),
            format!("{:.0}", change.least_ns),
            change.verdict.words().to_owned(),
        ]
    };
    let titles = [
        "ns",
        "before",
        "after",
        "by",
        "%",
        "least that counts",
        "verdict",
    ];
    aligned(&[&titles], all.iter().map(row).collect(), 1)
}

/// Rows in columns; the first `left` columns begin at the left, the others end at the right.
fn aligned(titles: &[&[&str]], rows: Vec<Vec<String>>, left: usize) -> String {
    let heads = titles
        .iter()
        .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
    let all: Vec<Vec<String>> = heads.chain(rows).collect();
    let columns = all.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &all {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column < left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Values over time as columns of one line; the highest of those that share a column. A blank where
/// nothing is known.
fn small_chart(values: &[Option<f64>]) -> String {
    let each = values.len().div_ceil(WIDTH).max(1);
    let shared = values
        .chunks(each)
        .map(|those| those.iter().flatten().copied().reduce(f64::max));
    let shared: Vec<_> = shared.collect();
    let known = shared.iter().flatten();
    let (low, high) = known.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(*value), high.max(*value))
    });
    let bar = |value: f64| {
        let part = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        BARS[((part * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    shared.iter().map(|value| value.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart_has_a_column_for_each_value_up_to_its_width() {
        assert_eq!(
            small_chart(&[Some(1.0), None, Some(3.0), Some(8.0)]),
            "▁ ▃█"
        );
        let many: Vec<_> = (0..WIDTH * 3).map(|value| Some(value as f64)).collect();
        let chart = small_chart(&many);
        assert_eq!(chart.chars().count(), WIDTH);
        assert!(chart.starts_with('▁') && chart.ends_with('█'));
        assert_eq!(small_chart(&[Some(2.0), Some(2.0)]), "▁▁");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["a".into(), "1".into()],
            vec!["long".into(), "100".into()],
        ];
        assert_eq!(
            aligned(&[&["name", "n"]], rows, 1),
            "name    n\na       1\nlong  100\n"
        );
    }
}
