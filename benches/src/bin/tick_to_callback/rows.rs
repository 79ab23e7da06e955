//! What is measured, one repetition of it, and the goals.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use signal_bench::drive::hop;
use signal_bench::report::Goal;
use signal_bench::series::{Figures, median};

/// The row that ratios are formed with.
pub const LINE: &str = "line_round_trip";

/// Names in the JSON and in the table, in its order.
pub const ROWS: [(&str, &str); 13] = [
    ("clock_read", "clock read"),
    (LINE, "line round trip"),
    ("rtrb_64", "rtrb there and back, 64 B"),
    ("rtrb_448", "rtrb there and back, 448 B"),
    ("on_data", "signal_on_data, the call"),
    ("empty_poll_function", "empty poll, function"),
    ("empty_poll_inlined", "empty poll, inlined"),
    ("tick_to_callback", "tick to callback"),
    (
        "tick_to_callback_timing_off",
        "tick to callback, timing off",
    ),
    (
        "tick_to_callback_market_linear",
        "tick to callback, market+linear",
    ),
    (
        "tick_to_callback_market_linear_timing_off",
        "  market+linear, timing off",
    ),
    ("inline", "inline: no hop"),
    ("inline_market_linear", "inline: no hop, market+linear"),
];

/// One repetition's figures, by the name of the row.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    pub rows: HashMap<&'static str, Figures>,
    /// Of the library that it is measured against.
    pub against: HashMap<&'static str, Figures>,
    /// Medians of the line before, between and after the library's rows, ns.
    pub lines: Vec<f64>,
    pub hops: HashMap<&'static str, Vec<Value>>,
}

/// A line that changes by more than this while a repetition runs, its longest by its
/// shortest, is another line: the hypervisor has moved the cores.
const MOVED: f64 = 1.3;

impl Repetition {
    /// Whether the cores were moved while it ran.
    pub fn moved(&self) -> bool {
        let longest = self.lines.iter().copied().fold(0.0, f64::max);
        let shortest = self.lines.iter().copied().fold(f64::INFINITY, f64::min);
        longest > MOVED * shortest
    }

    /// A median in line round trips of this repetition.
    pub fn to_line(&self, row: &str) -> Option<f64> {
        self.ratio(row, LINE)
    }

    fn ratio(&self, row: &str, other: &str) -> Option<f64> {
        Some(self.rows.get(row)?.p50 / self.rows.get(other)?.p50)
    }

    /// The other library's median as a multiple of the library's.
    pub fn to_library(&self, row: &str) -> Option<f64> {
        Some(self.against.get(row)?.p50 / self.rows.get(row)?.p50)
    }

    pub fn to_json(&self) -> Value {
        let rows = |of: &HashMap<_, Figures>, name: &str, ratio: &dyn Fn(&str) -> Option<f64>| {
            let rows = ROWS.iter().filter_map(|(key, _)| {
                let mut row = json!(of.get(key)?);
                row[name] = json!(ratio(key));
                Some(((*key).to_owned(), row))
            });
            rows.collect::<Map<_, _>>()
        };
        let mut all = rows(&self.rows, "ratio_to_line", &|row| self.to_line(row));
        if !self.against.is_empty() {
            let against = rows(&self.against, "ratio_to_library", &|row| {
                self.to_library(row)
            });
            all.insert("against".to_owned(), against.into());
        }
        all.into()
    }
}

/// The goals, as ratios of one repetition's figures where they can be: a name in the JSON,
/// the limit, the goal. All but those without a figure.
pub fn goals(shown: &[&Repetition]) -> Vec<(&'static str, f64, Goal)> {
    let mut goals = Vec::new();
    let mut goal =
        |key, what: &str, read: &dyn Fn(&Repetition) -> Option<f64>, most, unit: &str| {
            let values: Vec<f64> = shown.iter().filter_map(|of| read(of)).collect();
            if !values.is_empty() {
                goals.push((
                    key,
                    most,
                    Goal::at_most(what, Some(median(values)), most, unit),
                ));
            }
        };
    let (tick, market) = ("tick_to_callback", "tick_to_callback_market_linear");
    let tail = |row| {
        move |of: &Repetition| {
            let figures = of.rows.get(row)?;
            Some(figures.p99? / figures.p50)
        }
    };
    let timing = |row: &'static str| {
        move |of: &Repetition| Some(100.0 * (of.ratio(row, &format!("{row}_timing_off"))? - 1.0))
    };
    let poll = |of: &Repetition| Some(of.rows.get("empty_poll_inlined")?.p50);
    goal(
        "tick_to_line",
        "tick to callback / line",
        &|of| of.to_line(tick),
        1.8,
        "",
    );
    let what = "tick to callback, market+linear / line";
    goal("market_to_line", what, &|of| of.to_line(market), 2.5, "");
    goal(
        "p99_to_median",
        "p99 / median, tick to callback",
        &tail(tick),
        1.5,
        "",
    );
    goal(
        "market_p99_to_median",
        "p99 / median, market+linear",
        &tail(market),
        1.5,
        "",
    );
    goal(
        "on_data_to_line",
        "signal_on_data / line",
        &|of| of.to_line("on_data"),
        0.3,
        "",
    );
    goal(
        "empty_poll_inlined_ns",
        "empty poll, inlined",
        &poll,
        2.0,
        " ns",
    );
    goal(
        "timing_percent",
        "timing on against off",
        &timing(tick),
        8.0,
        " %",
    );
    let what = "timing on against off, market+linear";
    goal("market_timing_percent", what, &timing(market), 8.0, " %");
    let work = |of: &Repetition| Some(hop(of.hops.get(market)?, "factor.work"));
    goal(
        "market_factor_work_ns",
        "market's factor.work, p50",
        &work,
        150.0,
        " ns",
    );
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_one_repetition_and_absent_rows_have_no_goal() {
        // The line of the second repetition is slow, and so is its tick.
        let of = |(line, tick, p99)| {
            let tick = Figures {
                p99: Some(p99),
                ..Figures::mean(tick, 1)
            };
            Repetition {
                rows: [(LINE, Figures::mean(line, 1)), ("tick_to_callback", tick)].into(),
                lines: vec![line, line * 1.2],
                ..Repetition::default()
            }
        };
        let three = [
            (100.0, 170.0, 200.0),
            (400.0, 720.0, 1440.0),
            (100.0, 190.0, 209.0),
        ]
        .map(of);
        let judged = goals(&three.each_ref());
        let found: Vec<_> = judged
            .iter()
            .map(|(key, _, goal)| (*key, goal.value, goal.met))
            .collect();
        let (line, tail) = (
            ("tick_to_line", 1.8, Some(true)),
            ("p99_to_median", 200.0 / 170.0, Some(true)),
        );
        assert_eq!(found, [line, tail]);
        let mut slow = of((100.0, 180.1, 300.0));
        assert_eq!(goals(&[&slow])[0].2.met, Some(false));
        assert!(!slow.moved());
        slow.lines.push(131.0);
        assert!(slow.moved());
    }
}
