//! `include/signal.hpp`, as C++17 and C++20 hosts use it: loaded and linked.

use std::path::{Path, PathBuf};

use support::ROOT;
use support::host::{compile_with, has_tool, host, library, run};

const STRICT: [&str; 3] = ["-O2", "-pedantic", "-Wshadow"];

fn source() -> PathBuf {
    Path::new(ROOT).join("tests/hosts/wrapper/wrapper.cpp")
}

/// Compiles the host with these flags and runs it.
fn holds(flags: &[&str], sources: &[PathBuf]) {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("wrapper");
    compile_with(&[&STRICT, flags].concat(), sources, &program);
    let output = run(&mut host(&program));
    output.expect_code(0);
    assert!(output.stdout.contains("the wrapper holds"));
}

#[test]
fn a_host_that_loads_the_library() {
    holds(&["-std=c++17"], &[source()]);
}

#[test]
fn a_host_that_loads_the_library_in_cpp20() {
    holds(&["-std=c++20"], &[source()]);
}

#[test]
fn a_host_that_is_linked_with_the_library() {
    holds(&["-std=c++17", "-DLINKED"], &[source(), library()]);
    holds(&["-std=c++20", "-DLINKED"], &[source(), library()]);
}

#[test]
fn the_example_host_runs() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("host");
    let example = Path::new(ROOT).join("examples/host_hpp.cpp");
    compile_with(&STRICT, &[example], &program);
    let output = run(&mut host(&program));
    output.expect_code(0);
    for expected in [
        "BTCUSDT at 1720000000000000002: 0.5 62000.25 62000",
        "ETHUSDT at 1720000000000000002: 0.25 3400.125 3400",
        "3 callbacks, 3 in a batch",
    ] {
        assert!(output.stdout.contains(expected), "{}", output.stdout);
    }
    let missing = run(host(&program).env("SIGNAL_LIB_PATH", "/nowhere"));
    missing.expect_code(1);
    assert!(missing.stderr.contains("/nowhere"), "{}", missing.stderr);
}
