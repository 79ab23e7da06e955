//! The latency report of a host that leaves without `signal_destroy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
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
        // A lane that had to share its core is told of in lines of their own.
        let mut lines = text.lines().rev();
        let last = lines.find(|line| !line.starts_with("#[core shared"));
        assert!(
            last.is_some_and(|line| line.ends_with("Interval_Compressed_Histogram\"")),
            "{text}"
        );
        assert!(text.ends_with('\n'), "{text}");
    }
}

/// A control group of CPU time. Dropping it removes it.
struct Group(PathBuf);

/// What sets a quota of a fifth of a core: files of the group, each with its text.
const QUOTA: [&[(&str, &str)]; 2] = [
    &[("cpu.max", "20000 100000")],
    &[
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "20000"),
    ],
];

impl Group {
    /// One without a quota, and what would set one. `None` if this user may not make one.
    fn new() -> Option<(Self, &'static [(&'static str, &'static str)])> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "signal-test-{}-{}",
            std::process::id(),
            MADE.fetch_add(1, Ordering::Relaxed)
        );
        // Hierarchies of version 1, then of version 2.
        let hierarchies = ["cpu", "cpu,cpuacct", ""];
        let made = hierarchies.into_iter().find_map(|hierarchy| {
            let group = Self(Path::new("/sys/fs/cgroup").join(hierarchy).join(&name));
            fs::create_dir(&group.0).ok()?;
            let has_files = |quota: &&&[(&str, &str)]| {
                let mut files = quota.iter().map(|(file, _)| group.0.join(file));
                files.all(|file| fs::OpenOptions::new().write(true).open(file).is_ok())
            };
            let quota = QUOTA.iter().find(has_files)?;
            Some((group, *quota))
        });
        if made.is_none() {
            println!("SKIP: no control group can be made here");
        }
        made
    }

    fn limit(&self, quota: &[(&str, &str)]) {
        for (file, text) in quota {
            fs::write(self.0.join(file), text).unwrap();
        }
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
    let Some((group, quota)) = Group::new() else {
        return;
    };
    group.limit(quota);
    let folder = tempfile::tempdir().unwrap();
    let mut command = host(Path::new("sh"));
    command
        .args(["-c", r#"echo $$ >"$0/cgroup.procs" && exec "$@""#])
        .arg(&group.0)
        .arg(checks())
        .arg("report_under_a_quota")
        .env("SIGNAL_CHECKS_FOLDER", folder.path());
    run(&mut command).expect_code(0);
    let summary = summary_of_one_held_up(folder.path());
    assert_eq!(summary["machine"]["cpu_quota_cores"], 0.2);
}

fn summary_of_one_held_up(report: &Path) -> serde_json::Value {
    let text = fs::read_to_string(report.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let throttling = &summary["throttling"];
    let count = |name: &str| throttling[name].as_u64().unwrap_or_default();
    assert!(count("nr_throttled") >= 1, "{throttling}");
    assert!(count("nr_throttled") <= count("nr_periods"), "{throttling}");
    assert!(count("throttled_us") > 0, "{throttling}");
    let notes = summary["notes"].to_string();
    assert!(
        notes.contains("throttled: a CPU quota of 0.2 cores"),
        "{notes}"
    );
    summary
}

#[test]
fn a_quota_that_is_set_later() {
    if !has_tool("g++") {
        return;
    }
    for (is_moved, has_report) in [(false, true), (true, true), (false, false)] {
        let Some((group, quota)) = Group::new() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut command = host(Path::new("sh"));
        let writes = match is_moved {
            true => {
                group.limit(quota);
                command.args(["-c", r#""$@""#]);
                "cgroup.procs self\n".to_owned()
            }
            false => {
                command.args(["-c", r#"echo $$ >"$0/cgroup.procs" && exec "$@""#]);
                let lines = quota.iter().map(|(file, text)| format!("{file} {text}\n"));
                lines.collect()
            }
        };
        command
            .arg(&group.0)
            .arg(checks())
            .arg("a_quota_that_is_set_later")
            .env("SIGNAL_CHECKS_GROUP", &group.0)
            .env("SIGNAL_CHECKS_WRITES", writes);
        if has_report {
            command.env("SIGNAL_CHECKS_FOLDER", folder.path());
        }
        run(&mut command).expect_code(0);
        if !has_report {
            continue;
        }
        let summary = summary_of_one_held_up(folder.path());
        let at_first = &summary["machine"]["cpu_quota_cores"];
        assert!(at_first.is_null(), "{at_first}");
    }
}
