//! Delivery from `on_data`, through the crate's API: what a call waits for and what it does
//! not. C++ hosts (`tests/c_abi/`) show what callbacks may do.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use signal::abi::HostEvent;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine, HealthState, Registry, Signal};
use support::bomb::{Bomb, FATAL};
use support::events::{LIMIT, PLACEMENTS, depth};
use support::feeds::Feeds;
use support::lanes::{Busy, let_lanes_run, may_be_scheduled};
use support::models::model;

/// The longest budget that can be configured.
const BUDGET: Duration = Duration::from_millis(10);
/// Enough tries that the system does not delay all of them, even on a busy machine.
const TRIES: usize = 500;

/// Engines that run at the same time would take each other's cores.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a lane can have a core other than this thread's. This thread then stays on its own:
/// while another program has the other core, the kernel would let it spin where the lane is
/// pinned, and the lane would never answer in time.
fn lane_has_a_core() -> bool {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    match cores[..] {
        [mine, _, ..] => core_affinity::set_for_current(mine),
        _ => {
            support::skip("a second core");
            false
        }
    }
}

/// An engine with the longest possible wait.
fn start(placement: &str, more: &str) -> Engine {
    let mut registry = Registry::default();
    registry.factors.add::<Bomb, _>();
    registry.models.add("gate", |_| model(gate));
    registry.models.add("lane gate", |_| model(lane_gate));
    registry.models.add("picky", |_| model(picky));
    let config = Config::from_json(&format!(
        r#"{{"placement": {placement}, "deliver_budget_us": 10000{more}}}"#
    ));
    Engine::start_with(&config.unwrap(), &registry).unwrap()
}

const FUSED: &str = r#""fused", "idle": "spin""#;

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Does not answer while the gate is closed.
fn gate(factors: &[f64]) -> f64 {
    let start = Instant::now();
    while CLOSED.load(Ordering::Acquire) && start.elapsed() < LIMIT {
        std::hint::spin_loop();
    }
    factors[2]
}

thread_local! {
    static IS_HOST: Cell<bool> = const { Cell::new(false) };
}

/// As `gate`, but the host's thread goes through.
fn lane_gate(factors: &[f64]) -> f64 {
    match IS_HOST.get() {
        true => factors[2],
        false => gate(factors),
    }
}

/// Panics at a bid.
fn picky(factors: &[f64]) -> f64 {
    assert!(factors[2] != FATAL as f64, "a bid of {FATAL}");
    factors[2]
}

/// Gives an event. Returns how many signals came, and how long it took.
fn give(engine: &mut Engine, event: HostEvent<'_>, seen: &mut Vec<u64>) -> (usize, Duration) {
    let start = Instant::now();
    let count = engine.on_event_and_deliver(event, |_, signal| seen.push(signal.sequence));
    (count, start.elapsed())
}

/// Repeats `run` until one try ends long before the budget. Returns the number of tries.
fn tries_until_short(mut run: impl FnMut() -> Duration) -> u64 {
    let tries: Vec<_> = (0..TRIES)
        .map(|_| run())
        .take_while(|took| *took >= BUDGET / 2)
        .collect();
    assert!(tries.len() < TRIES, "always waited for: {tries:?}");
    tries.len() as u64 + 1
}

/// As above, where no try may bring a signal.
fn tries_without_a_signal(engine: &mut Engine, event: HostEvent<'_>) -> u64 {
    tries_until_short(|| {
        let (count, took) = give(engine, event, &mut Vec::new());
        assert_eq!(count, 0);
        took
    })
}

fn settle(engine: &Engine) {
    let limit = Instant::now() + LIMIT;
    while engine.counters().in_flight() > 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        std::thread::yield_now();
    }
}

#[test]
fn every_signal_is_delivered_once_and_in_order() {
    let _alone = alone();
    for placement in PLACEMENTS {
        let mut engine = start(placement, "");
        let mut seen = Vec::new();
        for time in 0..500 {
            let (count, _) = give(
                &mut engine,
                depth("btc_usdt", time, 10.0).event(),
                &mut seen,
            );
            assert!(count == 1 || !placement.contains("inline"));
        }
        settle(&engine);
        engine.poll(|_, signal| seen.push(signal.sequence));
        assert_eq!(seen, (1..=500).collect::<Vec<_>>(), "{placement}");
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Delivered), 500);
        assert_eq!(counters.get(Counter::EgressGap), 0);
        let hops = engine.latency();
        for hop in ["host.wait", "tick_to_callback"] {
            let row = hops.iter().find(|row| row.hop.name() == hop);
            assert_eq!(row.map(|row| row.count), Some(500), "{placement} {hop}");
        }
    }
}

#[test]
fn a_slow_model_is_waited_for_no_longer_than_the_budget() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    let mut engine = start(FUSED, r#", "model": "gate""#);
    let mut seen = Vec::new();
    CLOSED.store(true, Ordering::Release);
    // The call returns although the model does not answer. Later calls need not wait for
    // the ring then, but each still waits for a signal.
    for time in 0..3 {
        let (count, took) = give(
            &mut engine,
            depth("btc_usdt", time, 10.0).event(),
            &mut seen,
        );
        assert_eq!(count, 0);
        assert!(took >= BUDGET / 2, "it waited {took:?} only");
    }
    CLOSED.store(false, Ordering::Release);
    settle(&engine);
    // Poll delivers the late signals.
    assert_eq!(engine.poll(|_, signal| seen.push(signal.sequence)), 3);
    let (count, _) = give(&mut engine, depth("btc_usdt", 3, 10.0).event(), &mut seen);
    settle(&engine);
    assert_eq!(
        count + engine.poll(|_, signal| seen.push(signal.sequence)),
        1
    );
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[test]
fn what_cannot_bring_a_signal_is_not_waited_for() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    let mut engine = start(FUSED, r#", "model": "gate", "rings": {"ingest": 64}"#);
    let mut feeds = Feeds::new();
    feeds.at(0);
    CLOSED.store(true, Ordering::Release);
    engine.on_event(HostEvent::Depth(&feeds.depth));
    // The lane is stuck, so only the host itself can tell.
    tries_without_a_signal(&mut engine, HostEvent::Trade(&feeds.trade));
    while engine.on_event(HostEvent::Trade(&feeds.trade)) {}
    let dropped = tries_without_a_signal(&mut engine, HostEvent::Depth(&feeds.depth));
    CLOSED.store(false, Ordering::Release);
    settle(&engine);
    let counters = engine.counters();
    assert_eq!(counters.get(Counter::DroppedIngestRingFull), dropped + 1);
    assert_eq!(engine.poll(|_, _| ()), 1);
}

#[test]
fn an_event_that_ends_without_a_signal_is_noticed() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    // Ingest refuses the event.
    let mut engine = start(FUSED, r#", "assets": "eth_usdt""#);
    let good = depth("btc_usdt", 1, 10.0);
    let tries = tries_without_a_signal(&mut engine, good.event());
    settle(&engine);
    assert_eq!(engine.counters().get(Counter::RefusedNotAnAsset), tries);
    // Its instrument is in quarantine.
    let mut engine = start(FUSED, r#", "factors": "bomb", "model": "none""#);
    let bomb = depth("btc_usdt", FATAL, 10.0);
    engine.on_event(bomb.event());
    settle(&engine);
    let tries = tries_without_a_signal(&mut engine, bomb.event());
    settle(&engine);
    let quarantined = engine.counters().get(Counter::RefusedQuarantined);
    assert_eq!(quarantined, tries + 1);
    // One of two models is in quarantine: the other's signal comes, and none after it.
    let models = r#", "models": ["picky", "test0000"], "callback": "per-model""#;
    let mut engine = start(FUSED, models);
    engine.on_event(depth("btc_usdt", 1, FATAL as f64).event());
    settle(&engine);
    let mut seen = Vec::new();
    let tries = tries_until_short(|| give(&mut engine, good.event(), &mut seen).1);
    settle(&engine);
    engine.poll(|_, signal| seen.push(signal.sequence));
    assert_eq!(seen, (1..=tries + 1).collect::<Vec<_>>());
    // The engine has failed.
    let mut engine = start(FUSED, "");
    engine.ends().0.break_lane();
    let limit = Instant::now() + LIMIT;
    while engine.failure().is_none() {
        assert!(Instant::now() < limit);
        std::thread::yield_now();
    }
    tries_without_a_signal(&mut engine, good.event());
}

#[test]
fn all_signals_of_an_event_are_waited_for() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    // Three models make a signal each; an index price triggers both instruments.
    let more = r#", "models": ["none", "test0000", {"name": "again", "kind": "test0000"}],
        "callback": "per-model", "trigger": ["depth", "index_price"]"#;
    let mut engine = start(FUSED, more);
    let mut feeds = Feeds::new();
    feeds.at(0);
    let mut whole = [0, 0];
    for round in 0..TRIES {
        if whole[0] > 0 && whole[1] > 1 {
            return;
        }
        for (kind, whole) in whole.iter_mut().enumerate() {
            feeds.depth.instrument_type = (round % 2) as i8;
            let event = match kind {
                0 => HostEvent::Depth(&feeds.depth),
                _ => HostEvent::IndexPrice(&feeds.index),
            };
            let expected = if kind == 0 || round == 0 { 3 } else { 6 };
            let mut seen = Vec::new();
            give(&mut engine, event, &mut seen);
            *whole += usize::from(seen.len() == expected);
            settle(&engine);
            engine.poll(|_, signal| seen.push(signal.sequence));
            assert_eq!(seen.len(), expected);
            assert!(seen.is_sorted());
        }
    }
    panic!("an event's signals were never waited for: {whole:?}");
}

#[test]
fn an_event_that_is_not_waited_for_to_its_end_is_counted_and_named() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    let mut engine = start(FUSED, r#", "model": "gate""#);
    let late = |engine: &Engine| engine.counters().get(Counter::DeliverLate);
    CLOSED.store(true, Ordering::Release);
    for time in 0..20 {
        let event = depth("btc_usdt", time, 10.0);
        let (count, _) = give(&mut engine, event.event(), &mut Vec::new());
        assert_eq!((count, late(&engine)), (0, time as u64 + 1));
    }
    let trade = Feeds::new().trade;
    give(&mut engine, HostEvent::Trade(&trade), &mut Vec::new());
    assert_eq!(late(&engine), 20, "a Trade triggers nothing");
    CLOSED.store(false, Ordering::Release);
    settle(&engine);
    engine.poll(|_, _| {});
    let health = engine.health();
    assert_eq!(health.state, HealthState::Degraded, "{health}");
    assert!(
        health.why.contains("signals of 20 events") && health.why.contains("deliver_budget_us"),
        "{health}"
    );
    // One late event in a while is no news.
    assert_eq!(engine.health().state, HealthState::Ok);
}

#[test]
fn a_lane_that_sleeps_is_not_waited_for() {
    let _alone = alone();
    let about = |config: &str| {
        let config = Config::from_json(config).unwrap();
        Engine::start(&config).unwrap().about().to_owned()
    };
    let sleeps = r#"{"deliver": "on_data", "placement": "fused", "idle": "park"}"#;
    assert!(about(sleeps).contains("deliver=on_data(never waits"));
    let inline = about(r#"{"deliver": "on_data", "placement": "inline"}"#);
    assert!(inline.contains("deliver=on_data") && !inline.contains("on_data("));
    // A note may name another program that has a core, so only the key is checked.
    assert!(!about(r#"{"deliver_budget_us": 10}"#).contains("deliver="));
    if lane_has_a_core() {
        let spins = r#"{"deliver": "on_data", "deliver_budget_us": 7, "placement": "fused", "idle": "spin"}"#;
        assert!(about(spins).contains("deliver=on_data(waits up to 7 us, stands in after 5 us)"));
    }
    let mut engine = start(r#""fused", "idle": "park""#, r#", "model": "gate""#);
    CLOSED.store(true, Ordering::Release);
    let tries = tries_without_a_signal(&mut engine, depth("btc_usdt", 1, 10.0).event());
    CLOSED.store(false, Ordering::Release);
    settle(&engine);
    // The next event of any kind delivers them all.
    let (feeds, mut seen) = (Feeds::new(), Vec::new());
    let (count, _) = give(&mut engine, HostEvent::Trade(&feeds.trade), &mut seen);
    assert_eq!((count as u64, seen.len() as u64), (tries, tries));
}

/// A signal's number, and its values bit by bit.
fn bits(signal: &Signal<'_>) -> (u64, Vec<u64>) {
    let values = signal.values.iter().map(|value| value.to_bits());
    (signal.sequence, values.collect())
}

/// The signals of a lane whose core something else takes, every now and then: the same as of an
/// `inline` engine, and this thread has made some of them.
#[test]
fn a_lane_that_is_away_is_stood_in_for() {
    let _alone = alone();
    let cores = core_affinity::get_core_ids().unwrap();
    if !lane_has_a_core() {
        return;
    }
    if !may_be_scheduled() {
        support::skip("the right to change how lanes are scheduled");
        return;
    }
    let on_data = r#", "deliver": "on_data", "factors": "market", "model": "none""#;
    let mut fused = start(FUSED, &format!(r#"{on_data}, "cores": [{}]"#, cores[1].id));
    let about = fused.about();
    assert!(about.contains("stands in after 5 us"), "{about}");
    let mut inline = start(r#""inline""#, on_data);
    let _busy = Busy::on(cores[1]);
    let (mut feeds, limit) = (Feeds::new(), Instant::now() + LIMIT);
    let (mut is_named, mut round) = (false, 0);
    while round < 8 || !is_named {
        assert!(Instant::now() < limit, "{:?}", fused.counters());
        let_lanes_run(round % 4 == 0);
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        for number in 0..100 {
            feeds.at(round * 100 + number);
            feeds.rename(number as usize % 3);
            for engine in [&mut fused, &mut inline] {
                engine.on_event(HostEvent::Trade(&feeds.trade));
            }
            let depth = HostEvent::Depth(&feeds.depth);
            inline.on_event_and_deliver(depth, |_, signal| expected.push(bits(&signal)));
            fused.on_event_and_deliver(depth, |_, signal| seen.push(bits(&signal)));
        }
        let_lanes_run(true);
        while seen.len() < expected.len() {
            assert!(Instant::now() < limit, "{:?}", fused.counters());
            fused.poll(|_, signal| seen.push(bits(&signal)));
        }
        assert!(seen == expected, "round {round}");
        is_named |= fused.health().why.contains("signal_on_data handled");
        round += 1;
    }
    assert!(fused.counters().get(Counter::StoodIn) > 0);
    assert_eq!(fused.counters().get(Counter::EgressGap), 0);
}

#[test]
fn an_event_that_the_lane_has_begun_is_late_and_counted_apart() {
    let _alone = alone();
    if !lane_has_a_core() {
        return;
    }
    IS_HOST.set(true);
    let mut engine = start(FUSED, r#", "deliver": "on_data", "model": "lane gate""#);
    let count = |engine: &Engine, counter| engine.counters().get(counter);
    CLOSED.store(true, Ordering::Release);
    let (limit, mut time) = (Instant::now() + LIMIT, 0);
    for begun in [1, 21] {
        // While the lane is away, this thread works for it, and is not held up.
        while count(&engine, Counter::DeliverLateBegun) < begun {
            assert!(Instant::now() < limit, "{:?}", engine.counters());
            time += 1;
            let event = depth("btc_usdt", time, 10.0);
            give(&mut engine, event.event(), &mut Vec::new());
        }
        let late = count(&engine, Counter::DeliverLate);
        assert!(late >= begun, "{late}");
        let why = engine.health().why.to_string();
        let named = "in 20 of them the lane was in the middle of its work";
        assert_eq!(why.contains(named), begun == 21, "{why}");
    }
    CLOSED.store(false, Ordering::Release);
    settle(&engine);
    engine.poll(|_, _| {});
}

#[test]
fn only_a_single_lane_that_spins_is_stood_in_for() {
    let _alone = alone();
    let stands_in = |more: &str| {
        let config = format!(r#"{{"deliver": "on_data", "idle": "spin"{more}}}"#);
        let engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
        engine.about().contains("stands in")
    };
    if !lane_has_a_core() {
        return;
    }
    assert!(stands_in(r#", "placement": "fused""#));
    for not in [
        r#", "placement": "fused", "stand_in_us": 0"#,
        r#", "placement": "fused", "stand_in_us": 50"#,
        r#", "placement": "fused", "overload": {"egress": "block"}"#,
        r#", "placement": "split""#,
        r#", "placement": "inline""#,
    ] {
        assert!(!stands_in(not), "{not}");
    }
}
