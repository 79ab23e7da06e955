//! Tests of the rule.

use serde_json::{Map, Value, json};
use signal::Config;
use signal::os::cores::Cores;
use signal::pipeline::plan::Plan;

use super::*;
use crate::tune::figures::Percentiles;

/// A candidate with a p99 in each repetition, in us, and 400 signals.
fn measured(set: Value, p99_us: &[f64]) -> Measured {
    let Value::Object(set) = set else {
        panic!("not an object");
    };
    let config = Value::Object(set.clone());
    let config = Config::from_json(&config.to_string()).expect("a configuration");
    let plan = Plan::new(config.wanted(), &Cores::detect()).expect("a plan");
    let run = |us: &f64| Figures {
        signals: 400,
        tick_to_callback: Percentiles {
            p50_ns: 500.0 * us,
            p99_ns: 1_000.0 * us,
        },
        on_data: Percentiles {
            p50_ns: 1_000.0,
            p99_ns: 2_000.0,
        },
        ..Figures::default()
    };
    Measured {
        candidate: Candidate {
            set,
            host_core: None,
            config,
            plan,
        },
        runs: p99_us.iter().map(run).collect(),
        refused: None,
    }
}

fn given(p99_us: &[f64]) -> Measured {
    measured(Value::Object(Map::new()), p99_us)
}

fn inline(p99_us: &[f64]) -> Measured {
    measured(json!({"placement": "inline"}), p99_us)
}

fn on_data(p99_us: &[f64]) -> Measured {
    measured(json!({"deliver": "on_data", "warm": 30}), p99_us)
}

fn invalid(mut one: Measured, which: &[usize]) -> Measured {
    for &place in which {
        one.runs[place].invalid = Some("INVALID: lane 0 waited".to_owned());
    }
    one
}

#[track_caller]
fn decided(all: &[Measured], place: usize, parts: &[&str]) {
    let verdict = decide(all).expect("a verdict");
    assert_eq!(verdict.place, place, "{}", verdict.reason);
    for part in parts {
        assert!(
            verdict.reason.contains(part),
            "{part:?}: {}",
            verdict.reason
        );
    }
}

const TEN: [f64; 5] = [10.0, 10.1, 9.9, 10.2, 10.0];

#[test]
fn the_lowest_p99_is_recommended_with_both_figures() {
    let all = [
        given(&TEN),
        inline(&[5.0; 5]),
        on_data(&[3.0, 3.1, 3.0, 2.9, 3.0]),
    ];
    decided(
        &all,
        2,
        &[
            "p99 of tick to callback is 3.00 us",
            "against 10.0 us as given",
        ],
    );
}

#[test]
fn a_difference_within_the_noise_changes_nothing() {
    let told = [
        "p99 of tick to callback is 10.0 us",
        "9.70 us",
        "no different beyond the noise",
    ];
    // Always lower, but by less than 5 %.
    decided(&[given(&TEN), inline(&[9.7; 5])], 0, &told);
    // Much lower in three of five.
    let sometimes = inline(&[3.0, 30.0, 3.0, 30.0, 3.0]);
    decided(
        &[given(&TEN), sometimes],
        0,
        &["no different beyond the noise"],
    );
    // In four of five it counts.
    decided(&[given(&TEN), inline(&[3.0, 3.0, 30.0, 3.0, 3.0])], 1, &[]);
    // What is there stays where it is the fastest.
    decided(
        &[given(&TEN), inline(&[20.0; 5])],
        0,
        &["nothing else that was tried"],
    );
}

#[test]
fn equals_are_told_apart_by_the_hosts_time_and_then_by_what_they_change() {
    let mut light = on_data(&TEN);
    for run in &mut light.runs {
        run.on_data.p50_ns = 100.0;
    }
    let told = ["holds the host's thread for 100 ns a Depth instead of 1.00 us"];
    decided(&[given(&TEN), inline(&TEN), light], 2, &told);
    // `inline` is one key, the other two.
    let slow = given(&[50.0; 5]);
    decided(&[slow.clone(), on_data(&TEN), inline(&TEN)], 2, &[]);
    decided(&[slow, inline(&TEN), on_data(&TEN)], 1, &[]);
}

#[test]
fn runs_that_had_not_their_cores_decide_nothing() {
    // Two valid repetitions are too few.
    let fast = invalid(inline(&[1.0; 5]), &[0, 1, 2]);
    assert!(!fast.is_valid());
    decided(&[given(&TEN), fast], 0, &[]);
    // One of five does no harm; its figure is in no median.
    let fast = invalid(inline(&[900.0, 1.0, 1.0, 1.0, 1.0]), &[0]);
    decided(&[given(&TEN), fast], 1, &["1.00 us against 10.0 us"]);
    let lost = invalid(given(&TEN), &[0, 1, 2, 3, 4]);
    decided(
        &[lost.clone(), inline(&TEN)],
        1,
        &["as given could not be judged"],
    );
    assert_eq!(decide(&[lost.clone(), lost]), None);
    assert_eq!(decide(&[]), None);
    let mut refused = inline(&[]);
    refused.refused = Some("no memory".to_owned());
    decided(&[given(&TEN), refused], 0, &[]);
}

#[test]
fn what_comes_late_or_is_lost_is_not_recommended() {
    let mut late = on_data(&[1.0; 5]);
    // 20 in 2,000 are one in a hundred.
    late.runs[0].late = 20;
    decided(&[given(&TEN), late.clone()], 1, &[]);
    late.runs[1].late = 1;
    decided(&[given(&TEN), late.clone()], 0, &[]);
    let mut lossy = inline(&[1.0; 5]);
    lossy.runs[4].lost = 1;
    decided(&[given(&TEN), lossy.clone()], 0, &[]);
    // If all are like that, the fastest is the least evil.
    let mut given = given(&TEN);
    given.runs[0].lost = 1;
    let told = ["too many signals are late or lost"];
    decided(&[given, late, lossy], 2, &told);
}

#[test]
fn without_a_thousand_signals_the_median_decides() {
    let few = |mut one: Measured| {
        for run in &mut one.runs {
            run.signals = 199;
        }
        one
    };
    let mut fast = few(inline(&TEN));
    for run in &mut fast.runs {
        run.tick_to_callback.p50_ns = 100.0;
    }
    decided(
        &[few(given(&TEN)), fast],
        1,
        &["its median of tick to callback is 100 ns"],
    );
}
