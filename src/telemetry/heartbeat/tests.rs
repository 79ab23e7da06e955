//! Bounds come from stamps around what is timed, so that they hold on a busy machine too.

use std::thread::sleep;
use std::time::Duration;

use super::*;

/// Longer than any duty cycle.
const NEVER_US: u64 = 1 << 50;

fn pause() {
    sleep(Duration::from_millis(2));
}

#[test]
fn beats_are_counted_and_the_longest_duty_cycle_is_kept() {
    let clock = Clock::new(true);
    let (mut heartbeat, reader) = heartbeat(&clock, NEVER_US);
    assert_eq!((reader.beats(), reader.longest_ns()), (0, 0));
    heartbeat.beat();
    let began = clock.now();
    pause();
    let least = clock.nanos(began, clock.now());
    heartbeat.beat();
    let longest = reader.longest_ns();
    assert!(longest >= least, "{longest} < {least}");
    // These duty cycles are shorter, or they are the loop's own: neither lowers the longest.
    heartbeat.beat();
    assert!(reader.longest_ns() >= longest);
    assert_eq!((reader.beats(), reader.stalls()), (3, 0));
}

#[test]
fn a_duty_cycle_beyond_the_threshold_is_a_stall() {
    let clock = Clock::new(true);
    let (mut heartbeat, reader) = heartbeat(&clock, 1_000);
    for stalls in 1..=3 {
        pause();
        heartbeat.beat();
        assert_eq!(reader.stalls(), stalls);
    }
}

#[test]
fn time_that_was_given_away_is_no_duty_and_no_silence() {
    let clock = Clock::new(true);
    let (mut heartbeat, reader) = heartbeat(&clock, NEVER_US);
    let made = clock.now();
    pause();
    assert!(reader.silence_ns() >= clock.nanos(made, made + clock.ticks(2_000_000)) - 1);
    let before = clock.now();
    heartbeat.resume();
    let silence = reader.silence_ns();
    assert!(silence <= clock.nanos(before, clock.now()));
    heartbeat.beat();
    assert!(reader.longest_ns() <= clock.nanos(before, clock.now()));
    let before = clock.now();
    heartbeat.beat();
    let silence = reader.silence_ns();
    assert!(silence <= clock.nanos(before, clock.now()));
}

#[test]
fn a_wait_for_room_is_no_duty_and_no_silence() {
    let clock = Clock::new(true);
    let (mut heartbeat, reader) = heartbeat(&clock, NEVER_US);
    let mut patience = reader.patience();
    let start = clock.now();
    heartbeat.resume();
    let mut least = 0;
    for _ in 0..2 {
        let before = clock.now();
        patience.begin();
        let began = clock.now();
        pause();
        // The second look in one wait does not report again what the first reported.
        for _ in 0..2 {
            pause();
            let looked = clock.now();
            patience.wait();
            assert!(reader.silence_ns() <= clock.nanos(looked, clock.now()));
        }
        let most = reader.waited_ns() - least;
        assert!(most <= clock.nanos(before, clock.now()), "{most}");
        least += clock.nanos(began, began + clock.ticks(6_000_000)) - 1;
        assert!(reader.waited_ns() >= least);
        least = reader.waited_ns();
    }
    heartbeat.beat();
    let all = clock.nanos(start, clock.now());
    // Each of the two may be rounded by a nanosecond.
    assert!(reader.longest_ns() + reader.waited_ns() <= all + 2);
    // A wait counts in the duty cycle in which it happened, and in no later one.
    for _ in 0..2 {
        let began = clock.now();
        pause();
        let least = clock.nanos(began, clock.now());
        heartbeat.beat();
        assert!(reader.longest_ns() >= least);
    }
}

#[test]
fn a_long_gap_of_an_idle_lane_alone_is_time_away() {
    let clock = Clock::new(true);
    let made = clock.now();
    let (mut heartbeat, reader) = heartbeat(&clock, NEVER_US);
    // Work takes as long as it takes, and what was given away was not taken.
    pause();
    heartbeat.beat();
    pause();
    heartbeat.resume();
    heartbeat.beat();
    assert_eq!(reader.away(), Away::default());
    let mut least = 0;
    for times in 1..=3 {
        let began = clock.now();
        pause();
        least += clock.nanos(began, clock.now()) - 1;
        heartbeat.beat_idle();
        let away = reader.away();
        assert_eq!(away.times, times);
        assert!(away.ns >= least, "{away:?}: {least}");
        assert!(away.ns + away.first_ns <= clock.nanos(made, clock.now()) + 2);
        // Two pauses came before.
        assert!(away.first_ns >= 3_999_000, "{away:?}");
    }
    assert!(reader.age_ns() >= reader.away().ns);
    assert_eq!(reader.beats(), 5);
}

#[test]
fn a_spinning_lane_that_keeps_its_core_is_not_away() {
    let clock = Clock::new(true);
    let (mut heartbeat, reader) = heartbeat(&clock, NEVER_US);
    // As long as it may be away and twenty times that: on a busy machine it is, at times.
    let mut own = 0;
    for _ in 0..1_000 {
        let began = clock.now();
        heartbeat.resume();
        heartbeat.beat_idle();
        own += u64::from(clock.nanos(began, clock.now()) > AWAY_NS / 2);
    }
    assert!(reader.away().times <= own, "{:?}: {own}", reader.away());
}
