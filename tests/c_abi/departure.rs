//! Hosts that leave by the end of their threads.

use std::fs;
use std::path::Path;

use support::host::{Output, has_tool, host, run};

use super::processes::built;
use super::scenarios::checks;

/// Runs a scenario with this configuration.
fn departs(name: &str, config: &str, code: i32) -> Output {
    let output = run(host(checks()).arg(name).env("SIGNAL_TEST_CONFIG", config));
    output.expect_code(code);
    output
}

/// With lanes of each kind, and with files.
fn configurations(folder: &Path) -> Vec<String> {
    let files = |name: &str| {
        format!(
            r#""latency": {{"dir": "{0}/{name}"}}, "capture": {{"file": "{0}/{name}.csv"}}"#,
            folder.display()
        )
    };
    vec![
        r#"{"placement": "fused", "idle": "spin"}"#.to_owned(),
        r#"{"placement": "split", "idle": "park"}"#.to_owned(),
        format!(
            r#"{{"placement": "fused", "idle": "spin", {}}}"#,
            files("fused")
        ),
        format!(r#"{{"placement": "inline", {}}}"#, files("inline")),
    ]
}

fn files_are_whole(folder: &Path) {
    for name in ["fused", "inline"] {
        assert!(folder.join(name).join("summary.json").is_file());
        let capture = fs::read_to_string(folder.join(format!("{name}.csv"))).unwrap();
        assert_eq!(capture.lines().count(), 101, "{capture}");
    }
}

fn all_end(name: &str) {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for config in configurations(folder.path()) {
        let output = departs(name, &config, 0);
        assert_eq!(output.stdout, "at exit\n");
    }
    files_are_whole(folder.path());
}

#[test]
fn all_threads_end() {
    if !has_tool("g++") {
        return;
    }
    all_end("all_threads_end");
    // Nothing of ours is in the way.
    departs("all_threads_end", r#"{"placement": "inline"}"#, 0);
}

#[test]
fn all_threads_end_the_maker_first() {
    all_end("all_threads_end_the_maker_first");
}

#[test]
fn all_threads_end_but_the_kernels() {
    all_end("all_threads_end_but_the_kernels");
}

#[test]
fn all_threads_end_in_a_namespace() {
    if !has_tool("g++") {
        return;
    }
    for placement in ["fused", "split"] {
        let config = format!(r#"{{"placement": "{placement}"}}"#);
        let output = departs("all_threads_end_in_a_namespace", &config, 0);
        if !output.stdout.contains("SKIP: ") {
            assert_eq!(output.stdout, "at exit\n");
        }
    }
}

#[test]
fn the_watcher_takes_no_memory() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path(), "odd/watcher_without_memory.cpp", &[]);
    for config in configurations(folder.path()) {
        let output = run(host(&program).arg(&config));
        output.expect_code(0);
        assert_eq!(output.stdout, "asked 0 times\n");
    }
    files_are_whole(folder.path());
}

#[test]
fn all_threads_end_but_one() {
    if !has_tool("g++") {
        return;
    }
    for placement in ["fused", "split"] {
        let config = format!(r#"{{"placement": "{placement}"}}"#);
        departs("all_threads_end_but_one", &config, 42);
    }
}

#[test]
fn makers_of_handles_end() {
    if !has_tool("g++") {
        return;
    }
    departs("makers_of_handles_end", r#"{"placement": "fused"}"#, 0);
}
