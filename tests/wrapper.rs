//! `include/signal.hpp`, as C++17 and as C++20 hosts use it: loaded and linked.

mod support;

use std::path::{Path, PathBuf};

use support::host::{ROOT, compile_with, has_tool, host, library, run};

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
