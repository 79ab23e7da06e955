//! What the pace is to cost: ratios of rows, repetition by repetition.

use std::time::Duration;

use signal_bench::report::{Goal, time};
use signal_bench::series::median;

use crate::Row;
use crate::case::{Between, Pace};

/// A Depth every so often, the host silent. The first is as warm as back to back, and queues where
/// a core is away: its p99 is of those waits.
const OFTEN: Pace = Pace::every(Duration::from_micros(10));
const SELDOM: Pace = Pace::every(Duration::from_micros(100));
const TEN: Pace = Pace::every(Duration::from_millis(10));
const HUNDRED: Pace = Pace::every(Duration::from_millis(100));
/// Something else every 300 us.
const TEN_MIXED: Pace = Pace { others: 32, ..TEN };
const HUNDRED_MIXED: Pace = Pace {
    others: 332,
    ..HUNDRED
};
const TEN_POLLED: Pace = Pace {
    host: Between::Polls,
    ..TEN
};
const HUNDRED_POLLED: Pace = Pace {
    host: Between::Polls,
    ..HUNDRED
};
/// A strategy that walks over a megabyte between two events.
const TEN_WALKED: Pace = Pace {
    pollute_kb: 1024,
    ..TEN
};

/// What `--goals` measures.
pub const CASES: [(Pace, &[&str]); 10] = [
    (OFTEN, &["fused", "inline"]),
    (SELDOM, &["fused", "inline"]),
    (
        TEN,
        &["fused", "fused, against", "inline", "inline, against"],
    ),
    (
        HUNDRED,
        &["fused", "fused, against", "inline", "inline, against"],
    ),
    (TEN_MIXED, &["fused", "inline"]),
    (TEN_POLLED, &["fused", "inline"]),
    (HUNDRED_MIXED, &["fused"]),
    (HUNDRED_POLLED, &["fused"]),
    (TEN_WALKED, &["fused", "fused, against"]),
    (Pace::SESSION, &["fused", "fused, against"]),
];

#[derive(Clone, Copy)]
enum Of {
    Median,
    P99,
    /// The stages' own.
    Work,
}

type Side = (Pace, &'static str);

/// A row in the time of another, and how much it may be.
const GOALS: [(Of, Side, Side, f64); 19] = {
    use Of::{Median, P99, Work};
    const FUSED: Side = (OFTEN, "fused");
    const INLINE: Side = (OFTEN, "inline");
    const SELDOM_FUSED: Side = (SELDOM, "fused");
    const SELDOM_INLINE: Side = (SELDOM, "inline");
    [
        (Work, (TEN, "fused"), FUSED, 1.5),
        (Median, (TEN, "fused"), (TEN, "fused, against"), 0.2),
        (P99, (TEN, "fused"), (TEN, "fused, against"), 0.2),
        (Median, (TEN, "fused"), FUSED, 2.0),
        (Median, (TEN_MIXED, "fused"), FUSED, 1.5),
        (P99, (TEN_MIXED, "fused"), SELDOM_FUSED, 3.0),
        (Median, (TEN_MIXED, "inline"), INLINE, 1.5),
        (P99, (TEN_MIXED, "inline"), SELDOM_INLINE, 3.0),
        (Median, (TEN_POLLED, "fused"), FUSED, 1.5),
        (P99, (TEN_POLLED, "fused"), SELDOM_FUSED, 3.0),
        (Median, (TEN_POLLED, "inline"), INLINE, 1.5),
        (P99, (TEN_POLLED, "inline"), SELDOM_INLINE, 3.0),
        (Median, (HUNDRED, "fused"), (HUNDRED, "fused, against"), 0.2),
        (Median, (HUNDRED_MIXED, "fused"), FUSED, 2.0),
        (Median, (HUNDRED_POLLED, "fused"), FUSED, 2.0),
        (
            Median,
            (TEN_WALKED, "fused"),
            (TEN_WALKED, "fused, against"),
            0.3,
        ),
        (
            P99,
            (TEN_WALKED, "fused"),
            (TEN_WALKED, "fused, against"),
            0.3,
        ),
        (
            Median,
            (Pace::SESSION, "fused"),
            (Pace::SESSION, "fused, against"),
            0.3,
        ),
        (
            P99,
            (Pace::SESSION, "fused"),
            (Pace::SESSION, "fused, against"),
            0.3,
        ),
    ]
};

/// Beside a busy loop on the lane's core: p99, fused, in that of inline.
const MOST_BESIDE_BUSY: f64 = 1.5;

/// Those whose rows were measured. Beside a busy loop: whether the host's thread stands in for
/// the lane as fast as it works inline.
pub fn goals(is_busy: bool, rows: &[Row]) -> Vec<Goal> {
    let row = |(pace, way): (Pace, &str)| {
        let mut rows = rows.iter();
        rows.find(|row| row.case.pace == pace && row.case.way.name == way)
    };
    if is_busy {
        let fused = rows.iter().filter(|row| row.case.way.name == "fused");
        let goal = |fused: &Row| {
            let p99 = |row: &Row| row.p99().filter(|_| row.valid);
            let inline = row((fused.case.pace, "inline")).and_then(p99);
            let ratio = p99(fused).zip(inline).map(|(fused, inline)| fused / inline);
            let gap = fused.case.pace.gap.unwrap_or_default();
            let what = format!(
                "p99, fused beside a busy loop / inline, every {}",
                time(gap.as_nanos() as f64)
            );
            Goal::at_most(&what, ratio, MOST_BESIDE_BUSY, "")
        };
        return fused.map(goal).collect();
    }
    let goal = |(of, what, to, most): &(Of, Side, Side, f64)| {
        let (what, to) = (row(*what)?, row(*to)?);
        let valid = what.valid && to.valid;
        let ratio = ratio(*of, what, to).filter(|_| valid);
        let words = match of {
            Of::Median => "",
            Of::P99 => "p99, ",
            Of::Work => "the stages' work, ",
        };
        let name = |row: &Row| format!("{} {}", row.case.way.name, row.case.pace.name(&TEN));
        let what = format!("{words}{} / {}", name(what), name(to));
        Some(Goal::at_most(&what, ratio, *most, ""))
    };
    GOALS.iter().filter_map(goal).collect()
}

/// The median over the repetitions of one's figure in the other's, or of the medians where some of
/// them are INVALID. A p99 is that of all repetitions together; `None` of too few events.
fn ratio(of: Of, what: &Row, to: &Row) -> Option<f64> {
    let figures = |row: &Row| -> Vec<f64> {
        let all = row.tick_to_callback.iter();
        match of {
            Of::Median => all.map(|of| of.p50).collect(),
            Of::P99 => row.p99().into_iter().collect(),
            Of::Work => row.work_ns.clone(),
        }
    };
    let are_whole = what.is_whole && to.is_whole;
    let (what, to) = (figures(what), figures(to));
    let ratio = match are_whole && what.len() == to.len() {
        true => median(what.iter().zip(&to).map(|(what, to)| what / to)),
        false => median(what) / median(to),
    };
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use signal_bench::series::Figures;

    use super::*;
    use crate::case::{Case, ways};

    fn row(pace: Pace, way: &str, p50: f64, p99: f64, count: u64) -> Row {
        let of = |factor: f64| Figures {
            p50: p50 * factor,
            count,
            ..Figures::default()
        };
        let together = Figures {
            p99: Some(p99).filter(|_| 3 * count >= crate::FEWEST),
            ..of(2.0)
        };
        let way = ways().into_iter().find(|of| of.name == way).unwrap();
        Row {
            case: Case { pace, way },
            valid: true,
            tick_to_callback: [1.0, 2.0, 3.0].map(of).into(),
            together,
            work_ns: Vec::new(),
            is_whole: true,
            late: 0,
            left_behind: 0,
        }
    }

    #[test]
    fn fused_beside_a_busy_loop_is_judged_by_the_p99_of_inline() {
        let judged = |is_busy, fused: Row| -> Vec<_> {
            let goals = goals(is_busy, &[fused, row(TEN, "inline", 1.0, 20.0, 400)]);
            goals.iter().map(|goal| (goal.value, goal.met)).collect()
        };
        let fused = |p99, count| row(TEN, "fused", 1.0, p99, count);
        assert_eq!(judged(true, fused(30.0, 400)), [(Some(1.5), Some(true))]);
        assert_eq!(judged(true, fused(32.0, 400)), [(Some(1.6), Some(false))]);
        // Together fewer than 1,000 events.
        assert_eq!(judged(true, fused(30.0, 333)), [(None, None)]);
        let off = row(TEN, "fused, warm off", 1.0, 30.0, 400);
        assert_eq!(judged(true, off), []);
        // Back to back was not measured, nor another library.
        assert_eq!(judged(false, fused(30.0, 400)), []);
    }

    #[test]
    fn ratios_are_of_one_repetition_unless_one_is_invalid() {
        let before = || row(TEN, "fused, against", 10.0, 300.0, 400);
        let judged = |now: Row| -> Vec<_> {
            let goals = goals(false, &[now, before()]);
            goals.iter().map(|goal| (goal.value, goal.met)).collect()
        };
        let mut now = row(TEN, "fused", 2.0, 60.0, 400);
        now.tick_to_callback[0].p50 = 1.0;
        let fine = [(Some(0.2), Some(true)), (Some(0.2), Some(true))];
        assert_eq!(judged(now), fine);
        // Both have two figures, of other repetitions.
        let mut now = row(TEN, "fused", 2.0, 60.0, 400);
        now.tick_to_callback[0].p50 = 1.0;
        now.tick_to_callback[1].p50 = 5.0;
        now.is_whole = false;
        assert_eq!(judged(now)[0], (Some(0.25), Some(false)));
        let mut now = row(TEN, "fused", 2.0, 60.0, 600);
        now.tick_to_callback.pop();
        now.is_whole = false;
        assert_eq!(
            judged(now),
            [(Some(0.15), Some(true)), (Some(0.2), Some(true))]
        );
        let mut now = row(TEN, "fused", 2.0, 60.0, 400);
        now.valid = false;
        assert_eq!(judged(now), [(None, None), (None, None)]);
        let few = row(TEN, "fused", 2.0, 60.0, 3);
        assert_eq!(judged(few)[1], (None, None));
    }

    #[test]
    fn every_goal_is_of_rows_that_are_measured() {
        let is_measured = |(pace, way): &Side| {
            let mut cases = CASES.iter();
            cases.any(|(of, ways)| of == pace && ways.contains(way))
        };
        for (_, what, to, _) in &GOALS {
            assert!(is_measured(what) && is_measured(to), "{what:?} {to:?}");
        }
        let known = ways();
        let all = CASES.iter().flat_map(|(_, ways)| *ways);
        for way in all {
            assert!(known.iter().any(|of| of.name == *way), "{way}");
        }
    }
}
