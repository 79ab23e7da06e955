//! Refused calls never call the allocator, on any thread and in any process:
//! `tests/hosts/refused/host.cpp` counts its calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::ROOT;
use support::host::{compile, has_tool, host, run};

/// Compiles the host; `None` if that is impossible.
fn program(folder: &Path) -> Option<PathBuf> {
    // A sanitizer has its own allocator.
    if !has_tool("g++") || std::env::var_os("SIGNAL_HOST_FLAGS").is_some() {
        return None;
    }
    let program = folder.join("refused");
    compile(
        &[Path::new(ROOT).join("tests/hosts/refused/host.cpp")],
        &program,
    );
    Some(program)
}

#[test]
fn a_refused_call_on_a_fresh_thread_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else {
        return;
    };
    for mode in ["plain", "keys"] {
        let output = run(host(&program).arg(mode));
        output.expect_code(0);
        println!("{mode}: {}", output.stdout);
        // Without the system's thread-specific keys the library uses its own table, which can be
        // full.
        assert_eq!(output.stdout.contains("without 0"), mode == "plain");
    }
}

#[test]
fn the_library_loads_where_static_thread_local_storage_is_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else {
        return;
    };
    // Large blocks come first, then small ones use up the rest. Each copy counts as another
    // library.
    let mut libraries = Vec::new();
    for (size, copies) in [(512, 5), (64, 9), (8, 9)] {
        let source = folder.path().join(format!("taker{size}.c"));
        let text = format!(
            "static __thread __attribute__((tls_model(\"initial-exec\"))) char taken[{size}];\n\
             char *take{size}(void) {{ return taken; }}\n"
        );
        std::fs::write(&source, text).unwrap();
        let first = source.with_extension("so");
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-fPIC", "-o"]);
        run(compiler.arg(&first).arg(&source)).expect_code(0);
        for copy in 0..copies {
            let library = folder.path().join(format!("taker{size}-{copy}.so"));
            std::fs::copy(&first, &library).unwrap();
            libraries.push(library);
        }
    }
    for optional in ["0", "512"] {
        let output = run(host(&program).arg("static_tls").args(&libraries).env(
            "GLIBC_TUNABLES",
            format!("glibc.rtld.optional_static_tls={optional}"),
        ));
        output.expect_code(0);
        println!("{}", output.stdout);
    }
}
