//! A slow signal is in the report's log, with its stamps and with what explains them.

use std::time::Duration;

use signal::{Config, Engine};
use support::events::depth;

/// What the log of an engine says of slow signals, once it has ended.
fn told(folder: &std::path::Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("latency.hlog")).unwrap();
    let slow = log.lines().filter_map(|line| line.strip_prefix("#[Slow: "));
    slow.map(str::to_owned).collect()
}

/// Plays Depths one at a time and polls at once, but after Depth `late` only when a while has passed.
fn play(config: &str, late: u32) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"placement": "inline", "latency": {{"dir": {:?}, "interval_ms": 60000}}, {config}}}"#,
        folder.path()
    );
    let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    for number in 1..=200 {
        let event = depth("btc_usdt", i64::from(number), 100.0);
        engine.on_event(event.event());
        if number == late {
            std::thread::sleep(Duration::from_millis(200));
        }
        engine.poll(|_, _| ());
    }
    drop(engine);
    told(folder.path())
}

#[test]
fn a_host_that_polls_late_is_named() {
    let slow = play(r#""model": "none""#, 150);
    let line = slow
        .iter()
        .find(|line| line.contains(", signal 150 of BTCUSDT, "));
    let line = line.unwrap_or_else(|| panic!("not in {slow:?}"));
    let took: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(took >= 200_000_000, "{line}");
    let (_, cause) = line
        .split_once(" ns to poll: the host did not poll for ")
        .unwrap();
    let host: u64 = cause.trim_end_matches(" ns]").parse().unwrap();
    assert!((took / 2..=took).contains(&host), "{line}");
}

#[test]
fn a_signal_of_the_same_event_is_no_earlier_work() {
    let two = r#""models": ["none", "test0000"], "callback": "per-model", "factors": "test0000""#;
    for line in play(two, 0) {
        assert!(!line.contains("earlier events"), "{line}");
    }
}

#[test]
fn an_interval_keeps_the_slowest_alone() {
    // All 200 come late: none takes ten times the median.
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"placement": "inline", "latency": {{"dir": {:?}}}}}"#,
        folder.path()
    );
    let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    for number in 1..=200 {
        engine.on_event(depth("btc_usdt", number, 100.0).event());
    }
    std::thread::sleep(Duration::from_millis(50));
    engine.poll(|_, _| ());
    drop(engine);
    assert_eq!(told(folder.path()), [] as [String; 0]);
}
