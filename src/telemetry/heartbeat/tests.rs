//! Bounds come from stamps around what is timed, so that a busy machine breaks none.

use std::thread::sleep;
use std::time::Duration;

use super::*;

/// No duty cycle is that long.
const NEVER_US: u64 = 1 << 50;

fn pause() {
    sleep(Duration::from_millis(2));
}

#[test]
fn beats_are_counted_and_the_longest_duty_cycle_is_kept() {
    let clock = Clock::new(true);
    let (mut pulse, vitals) = pulse(&clock, NEVER_US);
    assert_eq!((vitals.beats(), vitals.longest_ns()), (0, 0));
    pulse.beat();
    let began = clock.now();
    pause();
    let least = clock.nanos(began, clock.now());
    pulse.beat();
    let longest = vitals.longest_ns();
    assert!(longest >= least, "{longest} < {least}");
    // One that is certainly shorter, or the loop's own: neither lowers it.
    pulse.beat();
    assert!(vitals.longest_ns() >= longest);
    assert_eq!((vitals.beats(), vitals.stalls()), (3, 0));
}

#[test]
fn a_duty_cycle_beyond_the_threshold_is_a_stall() {
    let clock = Clock::new(true);
    let (mut pulse, vitals) = pulse(&clock, 1_000);
    for stalls in 1..=3 {
        pause();
        pulse.beat();
        assert_eq!(vitals.stalls(), stalls);
    }
}

#[test]
fn time_that_was_given_away_is_no_duty_and_no_silence() {
    let clock = Clock::new(true);
    let (mut pulse, vitals) = pulse(&clock, NEVER_US);
    let made = clock.now();
    pause();
    assert!(vitals.silence_ns() >= clock.nanos(made, made + clock.ticks(2_000_000)) - 1);
    let before = clock.now();
    pulse.resume();
    let silence = vitals.silence_ns();
    assert!(silence <= clock.nanos(before, clock.now()));
    pulse.beat();
    assert!(vitals.longest_ns() <= clock.nanos(before, clock.now()));
    let before = clock.now();
    pulse.beat();
    let silence = vitals.silence_ns();
    assert!(silence <= clock.nanos(before, clock.now()));
}

#[test]
fn a_wait_for_room_is_no_duty_and_no_silence() {
    let clock = Clock::new(true);
    let (mut pulse, vitals) = pulse(&clock, NEVER_US);
    let mut patience = vitals.patience();
    let start = clock.now();
    pulse.resume();
    let mut least = 0;
    for _ in 0..2 {
        let before = clock.now();
        patience.begin();
        let began = clock.now();
        pause();
        // Looks twice in one wait: what the first has told is not told again.
        for _ in 0..2 {
            pause();
            let looked = clock.now();
            patience.wait();
            assert!(vitals.silence_ns() <= clock.nanos(looked, clock.now()));
        }
        let most = vitals.waited_ns() - least;
        assert!(most <= clock.nanos(before, clock.now()), "{most}");
        least += clock.nanos(began, began + clock.ticks(6_000_000)) - 1;
        assert!(vitals.waited_ns() >= least);
        least = vitals.waited_ns();
    }
    pulse.beat();
    let all = clock.nanos(start, clock.now());
    // Rounding to a nanosecond, once for each.
    assert!(vitals.longest_ns() + vitals.waited_ns() <= all + 2);
    // A wait counts in the duty cycle in which it was, and in no later one.
    for _ in 0..2 {
        let began = clock.now();
        pause();
        let least = clock.nanos(began, clock.now());
        pulse.beat();
        assert!(vitals.longest_ns() >= least);
    }
}
