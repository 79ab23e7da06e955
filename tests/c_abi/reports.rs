//! The latency report of a host that leaves without `signal_destroy`.

use std::fs;
use std::path::Path;

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use support::host::{has_tool, host, run};

use super::scenarios::checks;

/// Signals that are in the log for certain, and those that may be.
const LOGGED: u64 = 200;
const UNDER_WAY: u64 = 50;

/// Intervals in a log of whole lines.
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
            let found = count.is_some_and(|count| (LOGGED..=LOGGED + UNDER_WAY).contains(&count));
            assert!(
                found,
                "{placement}, {end}: {printed}{}",
                String::from_utf8_lossy(&read.stderr)
            );
        }
    }
}
