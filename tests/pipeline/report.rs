//! The latency report, read back by the crate that wrote it and, if it is installed, by the
//! HdrHistogram reader for Python.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use signal::abi::{Depth, HostEvent};
use signal::{Config, Engine};

const DEPTHS: u64 = 3_000;
/// The host pauses once for this long: a latency with more digits than the others.
const PAUSE: Duration = Duration::from_millis(20);

fn depth() -> Depth {
    let mut depth: Depth = bytemuck::Zeroable::zeroed();
    depth.symbol[..8].copy_from_slice(b"btc_usdt");
    depth.bid_price[0] = 100.0.into();
    depth.ask_price[0] = 101.0.into();
    depth
}

/// Runs an engine over several intervals and leaves its report in `dir`.
fn make_report(dir: &Path, placement: &str) {
    let config = format!(
        r#"{{"placement": "{placement}", "latency": {{"dir": {}, "interval_ms": 20, "work_every": 1}}}}"#,
        serde_json::to_string(dir).unwrap()
    );
    let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    let depth = depth();
    let mut received = 0;
    for index in 0..DEPTHS {
        received += engine.poll(|_, _| {}) as u64;
        engine.on_event(HostEvent::Depth(&depth));
        // The events span several intervals, however long the report's low-priority thread
        // waits for a core. The host hands over its latencies as signals come.
        if index >= DEPTHS / 2 && intervals(dir) == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    std::thread::sleep(PAUSE);
    while received < DEPTHS {
        received += engine.poll(|_, _| {}) as u64;
    }
}

/// The number of tick_to_callback lines, which have no tag.
fn intervals(dir: &Path) -> usize {
    let log = std::fs::read_to_string(dir.join("latency.hlog")).unwrap();
    let is_interval = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
    log.lines().filter(is_interval).count()
}

/// Counts by tag, and the number of intervals without a tag.
fn read_log(dir: &Path) -> (std::collections::BTreeMap<String, u64>, usize) {
    let text = std::fs::read(dir.join("latency.hlog")).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    let mut untagged = 0;
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else {
            continue;
        };
        let bytes = base64(interval.encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        let tag = interval.tag().map_or("", |tag| tag.as_str());
        untagged += usize::from(tag.is_empty());
        *counts.entry(tag.to_owned()).or_default() += histogram.len();
    }
    (counts, untagged)
}

/// Decodes standard base64; the text comes from our own writer.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for digit in text.bytes().take_while(|&byte| byte != b'=') {
        let value = DIGITS.iter().position(|&known| known == digit).unwrap();
        bits = (bits << 6) | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[test]
fn every_file_holds_every_message() {
    for placement in ["fused", "inline"] {
        let dir = tempfile::tempdir().unwrap();
        make_report(dir.path(), placement);
        let (counts, untagged) = read_log(dir.path());
        assert!(untagged > 1, "{placement}: several intervals end to end");
        for hop in ["", "ingest.wait", "factor.work", "model.work", "host.wait"] {
            assert_eq!(counts[hop], DEPTHS, "{placement} {hop:?}");
        }
        let text = std::fs::read_to_string(dir.path().join("latency.hlog")).unwrap();
        assert!(text.starts_with("#[Histogram log format version 1.3]\n"));
        assert!(text.contains("#[StartTime: ") && text.contains("#[BaseTime: "));

        let summary = std::fs::read_to_string(dir.path().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["counters"]["delivered"], DEPTHS);
        assert_eq!(summary["configuration"]["placement"], placement);
        let lanes = summary["vitals"].as_array().unwrap();
        assert_eq!(lanes.len(), usize::from(placement == "fused"));
        assert!(lanes.iter().all(|lane| lane["beats"].as_u64() > Some(0)));
        assert_eq!(summary["rings"][0]["name"], "ingest");
        assert!(summary["rings"][0]["high_water"].as_u64().unwrap() > 0);
        assert_eq!(summary["incidents"].as_array().unwrap().len(), 0);
        let ticks = summary["machine"]["tsc_ticks_per_us"].as_f64().unwrap();
        assert!((100.0..20_000.0).contains(&ticks), "{ticks}");
        for row in summary["hops"].as_array().unwrap() {
            let hop = row["hop"].as_str().unwrap();
            let table = std::fs::read_to_string(dir.path().join(format!("{hop}.hgrm"))).unwrap();
            let total = table
                .lines()
                .find(|line| line.contains("Total count"))
                .unwrap();
            let count: u64 = total
                .rsplit('=')
                .next()
                .unwrap()
                .trim_matches([' ', ']'])
                .parse()
                .unwrap();
            assert_eq!(row["count"], count);
            let last = table
                .lines()
                .rfind(|line| !line.starts_with('#'))
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>();
            assert_eq!(last[1], "1.000000000000");
            assert_eq!(last[2].parse::<u64>().unwrap(), count);
        }
    }
}

#[test]
fn a_snapshot_is_whole_while_a_report_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let json = format!(
        r#"{{"placement": "fused", "latency": {{"dir": {}, "interval_ms": 10, "work_every": 1}}}}"#,
        serde_json::to_string(dir.path()).unwrap()
    );
    let mut engine = Engine::start(&Config::from_json(&json).unwrap()).unwrap();
    let depth = depth();
    let mut received = 0;
    for round in 1..=3 {
        // The host's thread answers the report's request only at its next poll.
        std::thread::sleep(Duration::from_millis(35));
        for _ in 0..100 {
            engine.on_event(HostEvent::Depth(&depth));
        }
        while received < round * 100 {
            received += engine.poll(|_, _| {});
        }
        for row in engine.latency() {
            assert_eq!(row.count, received as u64, "{}", row.hop.name());
        }
    }
}

#[test]
fn two_engines_cannot_write_one_report() {
    let dir = tempfile::tempdir().unwrap();
    let json = format!(
        r#"{{"placement": "inline", "latency": {{"dir": {}}}}}"#,
        serde_json::to_string(dir.path()).unwrap()
    );
    let config = Config::from_json(&json).unwrap();
    let first = Engine::start(&config).unwrap();
    let refused = Engine::start(&config).unwrap_err().to_string();
    assert!(refused.contains("no other handle"), "{refused}");
    drop(first);
    Engine::start(&config).unwrap();
}

#[test]
fn the_python_reader_finds_the_same_in_every_file() {
    let Some(mut python) = support::python("hdrh.log") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    make_report(dir.path(), "fused");
    let script = support::script("report.py");
    let output = python.arg(script).arg(dir.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    for hop in ["tick_to_callback", "factor.work", "host.wait"] {
        let row = format!("{hop} {DEPTHS} ");
        let found = printed.lines().any(|line| line.starts_with(&row));
        assert!(found, "{row}: {printed}{said}");
    }
    // The latency spans the whole pause, however late the lane was.
    let waited = printed
        .lines()
        .find(|line| line.starts_with("tick_to_callback "));
    let longest = waited.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    assert!(longest > Some(PAUSE.as_nanos()), "{printed}");
}
