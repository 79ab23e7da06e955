//! Looks for the crash that this library replaces: a C++ host whose strategies are created
//! and destroyed all the time while events flow at full speed.
//!
//! 20 seconds; `SIGNAL_CHURN_SECONDS=300` makes it a soak. The same host also runs with a
//! library that calls back from its own thread, which shows that the host detects the
//! crash.

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::ROOT;
use support::host::{Output, compile, compile_with, has_tool, host, run_for};

const SECONDS: u64 = 20;

fn source(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/hosts/churn").join(name)
}

fn churn(folder: &Path) -> PathBuf {
    let program = folder.join("churn");
    compile(&[source("host.cpp")], &program);
    program
}

/// A number from the host's report.
fn figure(output: &Output, name: &str) -> u64 {
    let line = output
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no {name} in:\n{}", output.stdout))
}

#[test]
fn no_callback_reaches_a_foreign_thread_or_a_dead_strategy() {
    if !has_tool("g++") {
        return;
    }
    let seconds = match std::env::var("SIGNAL_CHURN_SECONDS") {
        Ok(text) => text.parse().expect("SIGNAL_CHURN_SECONDS in seconds"),
        Err(_) => SECONDS,
    };
    let folder = tempfile::tempdir().unwrap();
    let output = run_for(
        host(&churn(folder.path())).args(["--seconds", &seconds.to_string()]),
        Duration::from_secs(seconds + 300),
    );
    output.expect_code(0);
    println!("{}", output.stdout);
    for nothing in [
        "foreign-thread callbacks",
        "callbacks outside a poll",
        "calls of dead objects",
    ] {
        assert_eq!(figure(&output, nothing), 0, "{nothing}");
    }
    for something in ["calls of strategies", "strategies destroyed", "delivered"] {
        assert!(figure(&output, something) > 1000, "{something}");
    }
}

#[test]
fn a_scan_thread_is_found_out() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = churn(folder.path());
    let library = folder.path().join("libscan.so");
    let flags = ["-shared", "-fPIC"];
    compile_with(&flags, &[source("scan_thread.cpp")], &library);
    let run = |flags: &[&str]| {
        run_for(
            host(&program).env("SIGNAL_LIB_PATH", &library).args(flags),
            Duration::from_secs(300),
        )
    };
    let output = run(&["--seconds", "2"]);
    output.expect_code(1);
    assert!(figure(&output, "foreign-thread callbacks") > 0);
    assert!(figure(&output, "calls of dead objects") > 0);
    // This is the real crash: a strategy is called while it is being destroyed, and the
    // host dies of it ("pure virtual method called", or whatever the memory holds).
    let crash = run(&["--seconds", "20", "--call-anyway"]);
    assert_eq!(crash.code, None, "{}{}", crash.stdout, crash.stderr);
}
