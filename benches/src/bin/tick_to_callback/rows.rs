//! What is measured, one repetition of it, and the goals.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use signal_bench::drive::hop;
use signal_bench::report::Goal;
use signal_bench::series::{Figures, median};

/// The row that ratios are formed with.
pub const LINE: &str = "line_round_trip";
pub const TICK: &str = "tick_to_callback";
pub const MARKET: &str = "tick_to_callback_market_linear";

/// Names in the JSON and in the table, in its order.
pub const ROWS: [(&str, &str); 13] = [
    ("clock_read", "clock read"),
    (LINE, "line round trip"),
    ("rtrb_64", "rtrb there and back, 64 B"),
    ("rtrb_448", "rtrb there and back, 448 B"),
    ("on_data", "signal_on_data, the call"),
    ("empty_poll_function", "empty poll, function"),
    ("empty_poll_inlined", "empty poll, inlined"),
    (TICK, "tick to callback"),
    (TICK_OFF, "tick to callback, timing off"),
    (MARKET, "tick to callback, market+linear"),
    (MARKET_OFF, "  market+linear, timing off"),
    (INLINE, "inline: no hop"),
    (INLINE_MARKET, "inline: no hop, market+linear"),
];
const TICK_OFF: &str = "tick_to_callback_timing_off";
const INLINE: &str = "inline";
const INLINE_MARKET: &str = "inline_market_linear";
const MARKET_OFF: &str = "tick_to_callback_market_linear_timing_off";

/// A configuration, by the row of its trips: `inline` or with lanes, the factor set `market`,
/// timing.
pub const CASES: [(&str, bool, bool, bool); 6] = [
    (TICK, false, false, true),
    (TICK_OFF, false, false, false),
    (MARKET, false, true, true),
    (MARKET_OFF, false, true, false),
    (INLINE, true, false, true),
    (INLINE_MARKET, true, true, true),
];

/// Figures by the name of the row.
pub type Rows = HashMap<&'static str, Figures>;

/// One repetition.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    pub rows: Rows,
    /// Of the library that it is measured against.
    pub against: Rows,
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

    fn p50(&self, row: &str) -> Option<f64> {
        self.rows.get(row).map(|figures| figures.p50)
    }

    /// A median in line round trips of this repetition.
    pub fn to_line(&self, row: &str) -> Option<f64> {
        Some(self.p50(row)? / self.p50(LINE)?)
    }

    /// The other library's median as a multiple of the library's.
    pub fn to_library(&self, row: &str) -> Option<f64> {
        Some(self.against.get(row)?.p50 / self.p50(row)?)
    }

    /// A median in that of the same work without a hop, and a line round trip.
    fn to_inline(&self, row: &str, inline: &str) -> Option<f64> {
        Some(self.p50(row)? / (self.p50(inline)? + self.p50(LINE)?))
    }

    /// A median in the other library's.
    fn to_against(&self, row: &str) -> Option<f64> {
        self.to_library(row).map(f64::recip)
    }

    fn tail(&self, row: &str) -> Option<f64> {
        Some(self.rows.get(row)?.p99? / self.p50(row)?)
    }

    /// What timing adds, in percent.
    fn timing(&self, on: &str, off: &str) -> Option<f64> {
        Some(100.0 * (self.p50(on)? / self.p50(off)? - 1.0))
    }

    pub fn to_json(&self) -> Value {
        let with = |rows: &Rows, row: &str, name: &str, ratio: Option<f64>| {
            let mut value = json!(rows.get(row)?);
            value[name] = json!(ratio);
            Some(value)
        };
        let mut all = by_row(|row| with(&self.rows, row, "ratio_to_line", self.to_line(row)));
        if !self.against.is_empty() {
            let ratio = |row: &str| self.to_library(row);
            all["against"] = by_row(|row| with(&self.against, row, "ratio_to_library", ratio(row)));
        }
        all
    }
}

/// An object of the rows that have a value.
pub fn by_row<V: Into<Value>>(value: impl Fn(&str) -> Option<V>) -> Value {
    let rows = ROWS.iter();
    let rows = rows.filter_map(|(key, _)| Some(((*key).to_owned(), value(key)?.into())));
    rows.collect::<Map<_, _>>().into()
}

type Read = fn(&Repetition) -> Option<f64>;

/// Figures, how high they may be, and their units: ratios of one repetition's figures where they
/// can be.
const GOALS: [(&str, f64, &str, Read); 13] = [
    ("tick to callback / line", 1.8, "", |of| of.to_line(TICK)),
    ("tick to callback, market+linear / line", 2.5, "", |of| {
        of.to_line(MARKET)
    }),
    ("tick to callback / (inline + line)", 1.05, "", |of| {
        of.to_inline(TICK, INLINE)
    }),
    ("market+linear / (inline + line)", 1.05, "", |of| {
        of.to_inline(MARKET, INLINE_MARKET)
    }),
    ("inline / against", 0.75, "", |of| of.to_against(INLINE)),
    ("inline, market+linear / against", 0.75, "", |of| {
        of.to_against(INLINE_MARKET)
    }),
    ("p99 / median, tick to callback", 1.5, "", |of| {
        of.tail(TICK)
    }),
    ("p99 / median, market+linear", 1.5, "", |of| of.tail(MARKET)),
    ("signal_on_data / line", 0.3, "", |of| of.to_line("on_data")),
    ("empty poll, inlined", 2.0, " ns", |of| {
        of.p50("empty_poll_inlined")
    }),
    ("timing on against off", 8.0, " %", |of| {
        of.timing(TICK, TICK_OFF)
    }),
    ("timing on against off, market+linear", 8.0, " %", |of| {
        of.timing(MARKET, MARKET_OFF)
    }),
    ("market's factor.work, p50", 150.0, " ns", |of| {
        Some(hop(of.hops.get(MARKET)?, "factor.work"))
    }),
];

/// All but those without a figure.
pub fn goals(shown: &[&Repetition]) -> Vec<Goal> {
    let goals = GOALS.iter().filter_map(|(what, most, unit, read)| {
        let values: Vec<f64> = shown.iter().filter_map(|of| read(of)).collect();
        (!values.is_empty()).then(|| Goal::at_most(what, Some(median(values)), *most, unit))
    });
    goals.collect()
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
                rows: [(LINE, Figures::mean(line, 1)), (TICK, tick)].into(),
                lines: vec![line, line * 1.2],
                ..Repetition::default()
            }
        };
        let [first, second, third] = [
            (100.0, 170.0, 200.0),
            (400.0, 720.0, 1440.0),
            (100.0, 190.0, 209.0),
        ]
        .map(of);
        let judged = goals(&[&first, &second, &third]);
        let values: Vec<_> = judged.iter().filter_map(|goal| goal.value).collect();
        assert_eq!(values, [1.8, 200.0 / 170.0]);
        assert!(judged.iter().all(|goal| goal.met == Some(true)));
        let mut both = of((100.0, 180.0, 200.0));
        both.rows.insert(INLINE, Figures::mean(80.0, 1));
        both.against.insert(INLINE, Figures::mean(160.0, 1));
        let judged = goals(&[&both]);
        let value = |what: &str| {
            let mut judged = judged.iter();
            judged.find(|goal| goal.goal.starts_with(what))?.value
        };
        assert_eq!(value("tick to callback / (inline + line)"), Some(1.0));
        assert_eq!(value("inline / against"), Some(0.5));
        let mut slow = of((100.0, 180.1, 300.0));
        assert_eq!(goals(&[&slow])[0].met, Some(false));
        assert!(!slow.moved());
        slow.lines.push(131.0);
        assert!(slow.moved());
    }
}
