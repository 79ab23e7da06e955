//! Reports of latencies too long for a test to wait for, read back from every file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::latency::Interval;
use super::{Exporter, Facts, HeldUp, Latency, Monitor, ReportFiles};
use crate::config::Config;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::os::threads::nice_of;
use crate::pipeline::control::Control;
use crate::pipeline::plan::Plan;
use crate::stages::Rules;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{self, Hop, MAX_NS, Recorder};

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * S;

/// A monitor of an engine without lanes, whose host's thread counts here.
pub(super) fn monitor_of(counters: Arc<Counters>) -> Monitor {
    monitor(Config::default(), counters, None)
}

fn monitor(config: Config, counts: Arc<Counters>, exporter: Option<Arc<Counters>>) -> Monitor {
    let control = Arc::new(Control::new(0));
    let (health, rules) = (config.health, Rules::default());
    let (lanes, rings) = (Vec::new(), Vec::new());
    Monitor::new(health, vec![counts], exporter, control, lanes, rings, rules)
}

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
    /// A report with a single interval, which ends with the report.
    fn start() -> Self {
        Self::with_intervals(Duration::from_secs(3_600))
    }

    fn with_intervals(length: Duration) -> Self {
        Self::on(Path::new("/"), length)
    }

    /// On a machine whose system files are below `system`.
    fn on(system: &Path, length: Duration) -> Self {
        let mut report = Self::waiting(system, length);
        report.exporter.begin().unwrap();
        report
    }

    /// The same, whose thread may not write yet.
    fn waiting(system: &Path, length: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(true);
        let config = Config::from_json(r#"{"placement": "inline"}"#).unwrap();
        let cores = Cores::detect();
        let plan = Plan::new(config.wanted(), &cores).unwrap();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        let counters = Counters::new();
        let monitor = monitor(config.clone(), Counters::new(), Some(counters.clone()));
        monitor.watched.quota(HeldUp::on(system, true));
        let monitor = Arc::new(monitor);
        let latency = Arc::new(Mutex::new(Latency::new(
            vec![feed],
            counters,
            Arc::new(Names::new(1)),
        )));
        let exporter = Exporter::start(
            ReportFiles::open(dir.path()).unwrap(),
            length.as_millis() as u64,
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

    /// Collects what was recorded so far, as `signal_latency` does.
    fn look(&mut self) {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
        self.recorder.hand_over();
        latency.wait_for_lanes();
    }

    /// Ends the report.
    fn finish(mut self) -> (tempfile::TempDir, Arc<Monitor>) {
        self.recorder.finish();
        self.exporter.end();
        let mut far = crate::os::limit::Limit::of(Duration::from_secs(60));
        self.exporter.finish(&mut far);
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
fn the_thread_gives_way_once_nobody_waits_for_its_start() {
    let mut report = Report::waiting(Path::new("/"), Duration::from_secs(3_600));
    let id = report.exporter.life().id();
    assert_eq!(nice_of(id), nice_of(0));
    report.exporter.begin().unwrap();
    assert_eq!(nice_of(id), Some(19));
    report.finish();
}

#[test]
fn what_is_in_the_way_says_once_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let expected = |why: &str| why.matches("expected ").count();
    let first = ReportFiles::open(dir.path()).unwrap();
    let why = ReportFiles::open(dir.path()).map(drop).unwrap_err();
    assert!(
        why.contains("no other handle") && expected(&why) == 1,
        "{why}"
    );
    drop(first);
    let of_the_kernel = Path::new("/proc/report");
    for why in [
        ReportFiles::open(of_the_kernel).map(drop).unwrap_err(),
        ReportFiles::check(of_the_kernel).unwrap_err(),
    ] {
        let right = "; expected a folder that this process may write in";
        assert!(why.ends_with(right) && expected(&why) == 1, "{why}");
    }
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
    let live = Latency::lock(&report.latency).summaries().next().unwrap();
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

#[test]
fn many_looks_between_two_intervals_keep_one_histogram_a_hop_and_lose_nothing() {
    let mut report = Report::start();
    for look in 0..200 {
        report.record(Hop::HostWait, US + look, 1);
        report.record(Hop::TickToCallback, MS + look, 2);
        report.look();
    }
    let mut kept = Interval::of_each_hop();
    Latency::lock(&report.latency).take_intervals(&mut kept);
    let kept: BTreeMap<_, _> = kept
        .iter()
        .filter(|interval| !interval.histogram.is_empty())
        .map(|interval| (interval.hop.name(), interval.histogram.len()))
        .collect();
    assert_eq!(
        kept,
        BTreeMap::from([("host.wait", 200), ("tick_to_callback", 400)])
    );
    let (dir, _) = report.finish();
    assert_eq!(rows(&summary(dir.path()))["host.wait"]["count"], 200);
}

#[test]
fn a_late_answer_is_in_the_log_before_the_next_interval_ends() {
    // A busy machine may keep the report's thread off its core for seconds. A longer
    // interval gives it more time.
    let in_time = [2, 4, 8, 16]
        .map(Duration::from_secs)
        .into_iter()
        .any(|interval| {
            let begin = Instant::now();
            let mut report = Report::with_intervals(interval);
            report.record(Hop::HostWait, 20 * MS, 3);
            // Lanes would have answered long before this.
            std::thread::sleep(interval + Duration::from_millis(100));
            let log = report.dir.path().join("latency.hlog");
            let lines = || std::fs::read_to_string(&log).unwrap();
            let mut is_there = false;
            while !is_there && begin.elapsed() < 2 * interval {
                report.recorder.hand_over();
                std::thread::sleep(Duration::from_millis(5));
                is_there = lines().contains("Tag=host.wait,");
            }
            let in_time = is_there && begin.elapsed() < 2 * interval;
            report.finish();
            in_time
        });
    assert!(in_time, "the answer waits for the next interval");
}

/// Latencies of several sizes: about a microsecond, as a strategy sees it, then those of a
/// slow market, and some that should never occur.
fn make_report() -> tempfile::TempDir {
    let mut report = Report::start();
    for (hop, sizes) in [
        (Hop::HostWait, [US, 20 * MS, 10 * S]),
        (Hop::TickToCallback, [2 * US, 95 * S, 2 * 60 * MINUTE]),
    ] {
        for (nanos, times) in sizes.into_iter().zip([1_900u64, 90, 10]) {
            for step in 0..times {
                report.record(hop, nanos + nanos / 100 * (step % 7), 1);
            }
        }
    }
    report.finish().0
}

/// The four columns of a row, if hdr-plot 0.6.2 finds them:
/// `\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)` from the line's start.
fn as_hdr_plot(line: &str) -> Option<[f64; 4]> {
    line.starts_with(' ').then_some(())?;
    let mut words = line.split_whitespace().map(|word| word.parse().ok());
    let [value, quantile, count, inverse] = std::array::from_fn(|_| words.next().flatten());
    Some([value?, quantile?, count?, inverse?])
}

#[test]
fn columns_of_a_table_never_touch() {
    for longest in [
        US,
        999 * US,
        10 * MS,
        20 * MS,
        10 * S,
        95 * S,
        60 * MINUTE,
        90 * MINUTE,
    ] {
        let mut histogram = hops::histogram();
        for step in 1..=1_000 {
            histogram.saturating_record(longest / 1_000 * step);
        }
        // The count has more than the column's ten digits.
        histogram.record_n(1, 20_000_000_000).unwrap();
        let mut table = Vec::new();
        super::hgrm::write_hgrm(&mut table, &histogram).unwrap();
        let table = String::from_utf8(table).unwrap();
        let rows = table.lines().skip(2).filter(|line| !line.starts_with('#'));
        let rows: Vec<_> = rows.collect();
        let read: Vec<_> = rows.iter().filter_map(|row| as_hdr_plot(row)).collect();
        // At 100 % the last column is omitted, as in HdrHistogram's own tools.
        assert_eq!(read.len(), rows.len() - 1, "{table}");
        let most = read.iter().map(|row| row[0]).fold(0.0, f64::max);
        assert_eq!(most as u64, histogram.max(), "{table}");
        let widths = rows[..rows.len() - 1].iter().map(|row| row.len());
        assert!(
            widths
                .clone()
                .all(|width| Some(width) == widths.clone().next()),
            "{table}"
        );
    }
}

#[test]
fn python_reads_the_same_from_every_file() {
    let Some(mut python) = tool("python3", &["-c", "import hdrh.log"]) else {
        return;
    };
    let dir = make_report();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/report.py");
    let output = python.arg(script).arg(dir.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let rows = rows(&summary(dir.path()));
    let right = rows
        .iter()
        .map(|(hop, row)| format!("{hop} 2000 {}\n", row["max_ns"]));
    assert_eq!(printed, right.collect::<String>(), "{said}");
    assert_near(&rows["host.wait"]["max_ns"], 10 * S + 600 * MS);
    assert_near(&rows["host.wait"]["p99_ns"], 20 * MS + 1_200 * US);
    assert_near(&rows["tick_to_callback"]["p99_ns"], 95 * S + 5_700 * MS);
    assert_eq!(rows["tick_to_callback"]["beyond"], 10);
}

#[test]
fn java_reads_the_same_from_the_log() {
    const READER: &str = "org.HdrHistogram.HistogramLogProcessor";
    let jar = std::env::var("HDRHISTOGRAM_JAR");
    let jar = jar.unwrap_or_else(|_| "/usr/share/java/hdrhistogram.jar".into());
    // Debian's package libhdrhistogram-java has it.
    if tool("java", &["-version"]).is_none() || tool("ls", &[&jar]).is_none() {
        return;
    }
    let dir = make_report();
    let log = dir.path().join("latency.hlog");
    for (hop, row) in rows(&summary(dir.path())) {
        let mut java = Command::new("java");
        java.args(["-cp", &jar, READER, "-outputValueUnitRatio", "1"]);
        if hop != Hop::TickToCallback.name() {
            java.args(["-tag", &hop]);
        }
        let output = java.arg("-i").arg(&log).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let most = printed.lines().find(|line| line.starts_with("#[Max"));
        let numbers = most
            .unwrap_or_else(|| panic!("{output:?}"))
            .split(['=', ',', ']']);
        let numbers: Vec<f64> = numbers
            .filter_map(|word| word.trim().parse().ok())
            .collect();
        let right = ["max_ns", "count"].map(|key| row[key].as_f64().unwrap());
        assert_eq!(numbers, right, "{hop}: {printed}");
        // Each value, and how many recorded values are not above it. A level between two
        // values may belong to either, because of floating-point rounding.
        let table = std::fs::read_to_string(dir.path().join(format!("{hop}.hgrm"))).unwrap();
        let cells = |text: &str| {
            let rows = text.lines().filter_map(|line| {
                let words = line.split_whitespace().map(str::parse::<f64>);
                let words: Vec<_> = words.collect::<Result<_, _>>().ok()?;
                (words.len() >= 3).then(|| [words[0] as u64, words[2] as u64])
            });
            let mut rows: Vec<_> = rows.collect();
            rows.dedup();
            rows
        };
        let java_rows = cells(&printed);
        assert!(java_rows.len() > 10, "{printed}");
        assert_eq!(java_rows, cells(&table), "{hop}: {printed}");
    }
}

/// A program, if it runs with these arguments. Otherwise the reason was printed, and the test
/// should return.
fn tool(program: &str, probe: &[&str]) -> Option<Command> {
    let ready = Command::new(program).args(probe).output();
    if ready.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(program));
    }
    let required = std::env::var_os("SIGNAL_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    assert!(!required, "there is no {program} {probe:?}");
    println!("SKIP: there is no {program} {probe:?}");
    None
}

#[test]
fn the_summary_says_how_the_quota_held_this_process_up_since_the_report_began() {
    let system = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = system.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let stat = |periods: u64, throttled: u64, us: u64| {
        let text = format!("nr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec {us}\n");
        write("sys/fs/cgroup/app/cpu.stat", &text);
    };
    write("proc/thread-self/cgroup", "0::/app\n");
    write(
        "proc/thread-self/mountinfo",
        "30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
    );
    write("sys/fs/cgroup/app/cpu.max", "50000 100000\n");
    stat(100, 40, 9_000);
    let report = Report::on(system.path(), Duration::from_secs(3_600));
    stat(123, 61, 9_750);
    let (dir, _) = report.finish();
    let said = summary(dir.path())["throttling"].clone();
    let right = serde_json::json!({"nr_periods": 23, "nr_throttled": 21, "throttled_us": 750});
    assert_eq!(said, right);
    // Without a quota there is nothing to report.
    write("sys/fs/cgroup/app/cpu.max", "max 100000\n");
    let report = Report::on(system.path(), Duration::from_secs(3_600));
    assert_eq!(report.monitor.health().to_string(), "ok");
    // It is set while the report runs, whose thread looks about once a second.
    write("sys/fs/cgroup/app/cpu.max", "25000 100000\n");
    stat(130, 67, 10_000);
    let begin = Instant::now();
    let mut health = String::new();
    while !health.starts_with(
        "degraded: throttled: a CPU quota of 0.25 cores of the control group has stopped this \
                               process in 6 of 7 periods so far, for 0.000 s, ",
    ) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{health}");
        std::thread::sleep(Duration::from_millis(20));
        health = report.monitor.health().to_string();
    }
    let (dir, _) = report.finish();
    let summary = summary(dir.path());
    let right = serde_json::json!({"nr_periods": 7, "nr_throttled": 6, "throttled_us": 250});
    assert_eq!(summary["throttling"], right);
    let notes = summary["notes"].to_string();
    assert!(
        notes.contains("throttled: a CPU quota of 0.25 cores"),
        "{notes}"
    );
    // One that never came.
    write("sys/fs/cgroup/app/cpu.max", "max 100000\n");
    let report = Report::on(system.path(), Duration::from_secs(3_600));
    let (dir, _) = report.finish();
    assert_eq!(self::summary(dir.path())["throttling"], Value::Null);
}
