//! The latency report of a host that leaves without `signal_destroy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use support::host::{has_tool, host, run};

use super::scenarios::checks;

/// The number of signals that are certainly in the log, and of those that may be.
const LOGGED: u64 = 200;
const UNDER_WAY: u64 = 50;

/// The number of intervals in a log, in which every line must be complete.
fn intervals(log: &Path) -> usize {
    let text = fs::read(log).unwrap();
    assert_eq!(text.last(), Some(&b'\n'), "{}", log.display());
    let entries = IntervalLogIterator::new(&text).map(|entry| entry.expect("a line that is whole"));
    entries
        .filter(|entry| matches!(entry, LogEntry::Interval(_)))
        .count()
}

#[test]
fn report_left_behind() {
    if !has_tool("g++") {
        return;
    }
    for placement in ["fused", "inline"] {
        for (end, code) in [
            ("exit", Some(42)),
            ("_exit", Some(42)),
            ("hup", Some(42)),
            ("abort", Some(42)),
            ("segv", Some(42)),
            ("kill", None),
            ("hup without a handler", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let output = run(host(checks())
                .arg("report_left_behind")
                .env("SIGNAL_CHECKS_FOLDER", folder.path())
                .env("SIGNAL_CHECKS_PLACEMENT", placement)
                .env("SIGNAL_CHECKS_END", end));
            assert_eq!(output.code, code, "{end}: {}", output.stderr);
            let log = folder.path().join("latency.hlog");
            assert!(intervals(&log) > 1, "{placement}, {end}");
            let Some(mut python) = support::python("hdrh.log") else {
                continue;
            };
            let read = python
                .arg(support::script("report.py"))
                .arg(&log)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&read.stdout);
            let count = printed.lines().find_map(|line| {
                let rest = line.strip_prefix("tick_to_callback ")?;
                rest.split(' ').next()?.parse::<u64>().ok()
            });
            let given = output
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix("given "));
            let given: u64 = given.unwrap().parse().unwrap();
            let found = count.is_some_and(|count| (LOGGED..=given + UNDER_WAY).contains(&count));
            assert!(
                found,
                "{placement}, {end}, {given}: {printed}{}",
                String::from_utf8_lossy(&read.stderr)
            );
        }
    }
}

#[test]
fn report_left_at_once() {
    if !has_tool("g++") {
        return;
    }
    for placement in ["fused", "inline"] {
        let folder = tempfile::tempdir().unwrap();
        let output = run(host(checks())
            .arg("report_left_at_once")
            .env("SIGNAL_CHECKS_FOLDER", folder.path())
            .env("SIGNAL_CHECKS_PLACEMENT", placement));
        assert_eq!(output.code, Some(42), "{}", output.stderr);
        let text = fs::read_to_string(folder.path().join("latency.hlog")).unwrap();
        assert!(text.starts_with("#[Histogram log format"), "{text}");
        assert!(
            text.ends_with("Interval_Compressed_Histogram\"\n"),
            "{text}"
        );
    }
}

/// A control group with a quota of a fifth of a core. Dropping it removes it.
struct Group(PathBuf);

impl Group {
    /// `None` if this user may not make one.
    fn new() -> Option<Self> {
        // Hierarchies of version 1, then of version 2.
        let hierarchies = ["cpu", "cpu,cpuacct", ""];
        hierarchies.into_iter().find_map(|hierarchy| {
            let folder = Path::new("/sys/fs/cgroup").join(hierarchy);
            let group = Self(folder.join(format!("signal-test-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            let write = |name: &str, text: &str| {
                let file = group.0.join(name);
                file.exists() && fs::write(file, text).is_ok()
            };
            let is_limited = write("cpu.max", "20000 100000")
                || write("cpu.cfs_period_us", "100000") && write("cpu.cfs_quota_us", "20000");
            is_limited.then_some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended, but the kernel may need a moment to notice.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn report_under_a_quota() {
    if !has_tool("g++") {
        return;
    }
    let Some(group) = Group::new() else {
        println!("SKIP: no control group can be made here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = host(Path::new("sh"));
    command
        .args(["-c", r#"echo $$ >"$0/cgroup.procs" && exec "$@""#])
        .arg(&group.0)
        .arg(checks())
        .arg("report_under_a_quota")
        .env("SIGNAL_CHECKS_FOLDER", folder.path());
    run(&mut command).expect_code(0);
    let text = fs::read_to_string(folder.path().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let throttling = &summary["throttling"];
    let count = |name: &str| throttling[name].as_u64().unwrap_or_default();
    assert!(count("nr_throttled") >= 1, "{throttling}");
    assert!(count("nr_throttled") <= count("nr_periods"), "{throttling}");
    assert!(count("throttled_us") > 0, "{throttling}");
    assert_eq!(summary["machine"]["cpu_quota_cores"], 0.2);
}
