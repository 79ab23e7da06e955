//! Reports of latencies that no test can wait for, read back from every file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Exporter, Facts, Latency, Monitor};
use crate::config::Config;
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::pipeline::control::Control;
use crate::pipeline::plan::Plan;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{self, Hop, MAX_NS, Recorder};

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * S;

/// An exporter with a recorder that no engine feeds.
struct Report {
    exporter: Exporter,
    recorder: Recorder,
    latency: Arc<Mutex<Latency>>,
    monitor: Arc<Monitor>,
    clock: Clock,
    dir: tempfile::TempDir,
}

impl Report {
    /// Intervals end when the test says so, and at the end.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(true);
        let config = Config::from_json(r#"{"placement": "inline"}"#).unwrap();
        let cores = Cores::detect().unwrap();
        let plan = Plan::new(&config.placement, 1, None, config.idle, &cores).unwrap();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        let counters = Counters::new();
        let control = Arc::new(Control::new(0));
        let monitor = Monitor::new(
            config.health,
            vec![Counters::new()],
            [counters.clone()],
            control,
            Vec::new(),
            Vec::new(),
        );
        let monitor = Arc::new(monitor);
        let latency = Arc::new(Mutex::new(Latency::new(vec![feed], counters)));
        let exporter = Exporter::start(
            dir.path(),
            3_600_000,
            latency.clone(),
            clock.clone(),
            monitor.clone(),
            Facts::new(&config, &plan, &cores, &clock),
            Vec::new(),
        );
        Self {
            exporter: exporter.unwrap(),
            recorder,
            latency,
            monitor,
            clock,
            dir,
        }
    }

    fn record(&mut self, hop: Hop, nanos: u64, times: u32) {
        for _ in 0..times {
            self.recorder.record(hop, 0, self.clock.ticks(nanos));
        }
    }

    /// Collects what has been recorded, as `signal_latency` does.
    fn look(&mut self) {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
        self.recorder.hand_over();
        latency.wait_for_lanes();
    }

    /// Ends the report.
    fn finish(self) -> (tempfile::TempDir, Arc<Monitor>) {
        self.recorder.finish();
        self.exporter.finish();
        (self.dir, self.monitor)
    }
}

fn summary(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("summary.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The rows of the summary by hop.
fn rows(summary: &Value) -> BTreeMap<String, Value> {
    let rows = summary["hops"].as_array().unwrap().iter();
    rows.map(|row| (row["hop"].as_str().unwrap().to_owned(), row.clone()))
        .collect()
}

fn assert_near(value: &Value, right: u64) {
    let value = value.as_u64().unwrap();
    assert!(value.abs_diff(right) <= right / 100, "{value} for {right}");
}

#[test]
fn latencies_up_to_an_hour_are_exact_to_one_percent() {
    for longest in [61 * S, 95 * S, 30 * MINUTE, 60 * MINUTE, 72 * MINUTE] {
        let mut report = Report::start();
        report.record(Hop::HostWait, longest / 2, 1);
        report.record(Hop::HostWait, longest, 1);
        let (dir, monitor) = report.finish();
        let summary = summary(dir.path());
        let row = &rows(&summary)["host.wait"];
        assert_near(&row["max_ns"], longest);
        assert_near(&row["p50_ns"], longest / 2);
        assert_eq!(row["beyond"], 0);
        assert_eq!(monitor.counters().get(Counter::LatencyBeyond), 0);
        for file in ["host.wait.hgrm", "latency.hlog"] {
            let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(!text.contains("Beyond"), "{text}");
        }
        let table = std::fs::read_to_string(dir.path().join("host.wait.hgrm")).unwrap();
        let mean = table
            .lines()
            .find(|line| line.starts_with("#[Mean"))
            .unwrap();
        let mean = mean.split(['=', ',']).nth(1).unwrap().trim();
        let mean = mean.parse::<f64>().unwrap() as u64;
        assert_near(&mean.into(), longest / 4 * 3);
    }
}

#[test]
fn what_is_beyond_the_histograms_is_counted_and_marked_in_every_file() {
    let mut report = Report::start();
    report.record(Hop::HostWait, 20 * MS, 10);
    report.record(Hop::HostWait, 75 * MINUTE, 2);
    report.look();
    assert_eq!(report.monitor.counters().get(Counter::LatencyBeyond), 2);
    let live = Latency::lock(&report.latency).summaries()[0];
    assert_eq!((live.max_ns, live.beyond), (MAX_NS, 2));
    report.record(Hop::HostWait, 1_000 * 60 * MINUTE, 1);
    report.record(Hop::TickToCallback, 2 * 60 * MINUTE, 1);
    let (dir, _) = report.finish();
    let summary = summary(dir.path());
    assert_eq!(summary["counters"]["latency_beyond"], 4);
    assert_eq!(summary["latency_bound_ns"], MAX_NS);
    let rows = rows(&summary);
    for (hop, count, beyond) in [("host.wait", 13, 3), ("tick_to_callback", 1, 1)] {
        let row = &rows[hop];
        assert_eq!(
            (&row["count"], &row["beyond"]),
            (&count.into(), &beyond.into())
        );
        assert_eq!(row["max_ns"], MAX_NS);
        let table = std::fs::read_to_string(dir.path().join(format!("{hop}.hgrm"))).unwrap();
        let last = table.lines().last().unwrap();
        let words: Vec<_> = last.split_whitespace().collect();
        assert_eq!(
            words[..3],
            ["#[Beyond", "=", &format!("{beyond},")],
            "{last}"
        );
        assert!(last.contains(&MAX_NS.to_string()), "{last}");
        let log = std::fs::read_to_string(dir.path().join("latency.hlog")).unwrap();
        let noted = log.lines().filter(|line| line.starts_with("#[Beyond: "));
        let noted: u64 = noted
            .filter(|line| line.contains(&format!(" of {hop} ")))
            .map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(noted, beyond, "{log}");
    }
}
