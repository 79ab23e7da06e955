//! The goals, as ratios of one repetition's figures.

use serde_json::{Value, json};
use signal_bench::series::median;

use crate::rows::{Repetition, What};

/// A figure and what it should be at most.
pub struct Goal {
    name: &'static str,
    key: &'static str,
    /// The median over the repetitions.
    value: f64,
    at_most: f64,
    unit: &'static str,
}

impl Goal {
    fn met(&self) -> bool {
        self.value <= self.at_most
    }

    /// In a line, with by how much it is met or missed.
    pub fn print(&self) {
        let off = 100.0 * (self.value / self.at_most - 1.0);
        let verdict = if self.met() {
            format!("met, {:.0} % to spare", -off)
        } else {
            format!("MISSED by {off:.0} %")
        };
        println!(
            "  {:<46} {:>6.2}{} (goal <= {}{}): {verdict}",
            self.name, self.value, self.unit, self.at_most, self.unit
        );
    }

    /// For the result.
    pub fn to_json(&self) -> (String, Value) {
        let goal = json!({ "value": self.value, "at_most": self.at_most, "met": self.met() });
        (self.key.to_owned(), goal)
    }
}

/// All goals that were measured.
pub fn goals(repetitions: &[Repetition]) -> Vec<Goal> {
    let over = |read: &dyn Fn(&Repetition) -> Option<f64>| {
        let mut values: Vec<f64> = repetitions.iter().filter_map(read).collect();
        (!values.is_empty()).then(|| median(&mut values))
    };
    let to_line = |what| over(&|repetition: &Repetition| repetition.to_line(what));
    let tail = |what| {
        over(&|repetition: &Repetition| {
            let figures = repetition.rows.get(&what)?;
            Some(figures.p99? / figures.p50)
        })
    };
    let timing = |on, off| over(&|repetition: &Repetition| repetition.median_to(on, off));
    let poll =
        over(&|repetition: &Repetition| Some(repetition.rows.get(&What::EmptyPollInlined)?.p50));
    let percent = |ratio: Option<f64>| ratio.map(|ratio| 100.0 * (ratio - 1.0));
    let goal = |name, key, value: Option<f64>, at_most, unit| {
        value.map(|value| Goal {
            name,
            key,
            value,
            at_most,
            unit,
        })
    };
    use What::*;
    [
        goal(
            "tick to callback / line",
            "tick_to_line",
            to_line(Tick),
            1.8,
            "",
        ),
        goal(
            "tick to callback, market+linear / line",
            "market_to_line",
            to_line(TickMarket),
            2.5,
            "",
        ),
        goal(
            "p99 / median, tick to callback",
            "p99_to_median",
            tail(Tick),
            1.5,
            "",
        ),
        goal(
            "p99 / median, market+linear",
            "market_p99_to_median",
            tail(TickMarket),
            1.5,
            "",
        ),
        goal(
            "signal_on_data / line",
            "on_data_to_line",
            to_line(OnData),
            0.3,
            "",
        ),
        goal(
            "empty poll, inlined",
            "empty_poll_inlined_ns",
            poll,
            2.0,
            " ns",
        ),
        goal(
            "timing on against off",
            "timing_percent",
            percent(timing(Tick, TickUntimed)),
            8.0,
            " %",
        ),
        goal(
            "timing on against off, market+linear",
            "market_timing_percent",
            percent(timing(TickMarket, TickMarketUntimed)),
            8.0,
            " %",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use signal_bench::series::Figures;

    use super::*;

    fn repetition(line: f64, tick: f64, p99: f64) -> Repetition {
        let figures = |p50, p99| Figures {
            p50,
            p99: Some(p99),
            p999: None,
            max: None,
            count: 1,
        };
        let rows = [
            (What::Line, figures(line, line)),
            (What::Tick, figures(tick, p99)),
        ];
        Repetition {
            rows: rows.into(),
            ..Repetition::default()
        }
    }

    #[test]
    fn ratios_are_of_one_repetition_and_absent_rows_have_no_goal() {
        // The line of the second repetition is slow, and so is its tick.
        let repetitions = [
            repetition(100.0, 170.0, 200.0),
            repetition(400.0, 720.0, 1440.0),
            repetition(100.0, 190.0, 209.0),
        ];
        let goals = goals(&repetitions);
        assert_eq!(goals.len(), 2);
        assert_eq!((goals[0].key, goals[0].value), ("tick_to_line", 1.8));
        assert!(goals[0].met());
        assert_eq!(goals[1].key, "p99_to_median");
        assert!((goals[1].value - 200.0 / 170.0).abs() < 1e-12);
        let (key, json) = goals[1].to_json();
        assert_eq!(
            (key.as_str(), &json["met"]),
            ("p99_to_median", &json!(true))
        );
    }

    #[test]
    fn a_goal_is_missed_just_above_its_limit() {
        let goals = goals(&[repetition(100.0, 180.1, 300.0)]);
        assert!(!goals[0].met());
        assert!(!goals[1].met());
    }
}
