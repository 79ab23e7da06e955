//! Hosts whose process is unusual, and which need their own program or plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::ROOT;
use support::host::{compile_with, has_tool, host, run};

use super::scenarios::{checks, readelf};

/// Compiles a source below `tests/hosts` into `folder`.
pub(super) fn built(folder: &Path, source: &str, flags: &[&str]) -> PathBuf {
    let to = folder.join(source.replace(['/', '.'], "_"));
    compile_with(
        flags,
        &[Path::new(ROOT).join("tests/hosts").join(source)],
        &to,
    );
    to
}

pub(super) const SHARED: [&str; 2] = ["-shared", "-fPIC"];

/// A configuration that writes a report and a capture into `folder`, with a lane for each stage.
fn with_files(folder: &Path) -> String {
    format!(
        r#"{{"placement": "split", "latency": {{"dir": "{0}/report"}}, "capture": {{"file": "{0}/capture.csv"}}}}"#,
        folder.display()
    )
}

fn have_been_written(folder: &Path, events: usize) {
    assert!(folder.join("report/summary.json").is_file());
    let capture = fs::read_to_string(folder.join("capture.csv")).unwrap();
    assert_eq!(capture.lines().count(), events + 1, "{capture}");
}

#[test]
fn a_constructor_under_dlopen_makes_a_handle() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plugin = built(folder.path(), "plugins/in_constructor.cpp", &SHARED);
    let program = built(folder.path(), "odd/loader.cpp", &[]);
    let with_files = with_files(folder.path());
    for config in [
        "{}",
        r#"{"placement": "inline"}"#,
        r#"{"placement": "split"}"#,
        &with_files,
    ] {
        let output = run(host(&program)
            .arg("in")
            .arg(&plugin)
            .env("SIGNAL_TEST_CONFIG", config));
        output.expect_code(0);
        assert!(
            output.stdout.contains("made and ended"),
            "{}",
            output.stdout
        );
    }
    have_been_written(folder.path(), 100);
}

#[test]
fn a_handle_is_made_beside_another_threads_dlopen() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plugin = built(folder.path(), "plugins/slow.cpp", &SHARED);
    let program = built(folder.path(), "odd/loader.cpp", &[]);
    for config in [r#"{"placement": "split"}"#, &with_files(folder.path())] {
        let output = run(host(&program)
            .arg("beside")
            .arg(&plugin)
            .env("SIGNAL_TEST_CONFIG", config));
        output.expect_code(0);
    }
    have_been_written(folder.path(), 10);
}

#[test]
fn a_host_with_much_static_thread_local_storage() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for bytes in ["1900000", "2097152", "9000000"] {
        let flag = format!("-DBYTES={bytes}");
        let program = built(folder.path(), "odd/big_tls.cpp", &[&flag]);
        let output = run(&mut host(&program));
        output.expect_code(0);
        assert!(output.stdout.contains(bytes), "{}", output.stdout);
    }
}

/// Everything after create, up to and including destroy: a report with several intervals, a
/// capture, notes and an asset that never came.
#[test]
fn an_allocator_that_refuses_everything_after_create_is_not_asked() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path(), "odd/refused_memory.cpp", &[]);
    let files = |placement: &str| {
        format!(
            r#"{{"placement": "{placement}", "factors": "market", "model": "none", "callback": "per-model",
                "overload": {{"egress": "conflate"}}, "latency": {{"dir": "{0}/{placement}", "interval_ms": 50}},
                "capture": {{"file": "{0}/{placement}.csv"}}}}"#,
            folder.path().display()
        )
    };
    let [split, inline] = [files("split"), files("inline")];
    let mut left_behind = Vec::new();
    for config in [
        "{}",
        r#"{"placement": "inline"}"#,
        r#"{"placement": "split", "shards": 2}"#,
        r#"{"assets": ["a00_usdt", "never_usdt"]}"#,
        r#"{"placement": "fused", "deliver": "on_data"}"#,
        &split,
        &inline,
    ] {
        let output = run(host(&program).arg(config));
        output.expect_code(0);
        let asked = "asked 2 times";
        assert!(output.stdout.contains(asked), "{}", output.stdout);
        // On a machine that is far too busy, destroy does not wait for all of it.
        if output.stderr.contains("is left behind") {
            println!("SKIP: the files of {config}: {}", output.stderr);
            left_behind.push(config);
        }
    }
    for (placement, config) in [("split", &split), ("inline", &inline)] {
        if left_behind.contains(&config.as_str()) {
            continue;
        }
        let report = folder.path().join(placement);
        let summary = fs::read_to_string(report.join("summary.json")).unwrap();
        assert!(summary.contains("configuration"), "{summary}");
        let log = fs::read_to_string(report.join("latency.hlog")).unwrap();
        // There are several intervals, unless the machine is too busy for more than the last one.
        assert!(log.lines().count() > 8, "{log}");
        assert!(report.join("tick_to_callback.hgrm").is_file());
        let capture = fs::read_to_string(folder.path().join(format!("{placement}.csv"))).unwrap();
        assert!(capture.lines().count() > 100, "{capture}");
    }
}

#[test]
fn a_lane_that_was_ended_from_outside_is_joined_without_memory() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path(), "odd/refused_memory.cpp", &[]);
    for placement in ["fused", "split"] {
        let config = format!(r#"{{"placement": "{placement}", "idle": "yield"}}"#);
        let output = run(host(&program).args([&config, "without lanes"]));
        output.expect_code(0);
        assert_eq!(output.stdout, "asked 0 times\n");
    }
}

/// Creates with files and models, in a host with an allocator of its own.
fn an_allocator_of_its_own(flags: &[&str], bound: &str) {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path(), "odd/own_allocator.cpp", flags);
    let with_files = with_files(folder.path());
    let model = Path::new(ROOT).join("examples/models/move.onnx");
    let with_model = format!(
        r#"{{"factors": "market", "model": {:?}, "capture": {{"file": "{}/more.csv"}}}}"#,
        model.display(),
        folder.path().display()
    );
    let output = run(host(&program).args([bound, "{}", &with_files, &with_model]));
    output.expect_code(0);
    assert_eq!(output.stdout, "3 handles\n");
    have_been_written(folder.path(), 10);
}

#[test]
fn an_allocator_of_its_own_and_a_library_that_is_bound_deep() {
    an_allocator_of_its_own(&[], "deep");
}

#[test]
fn an_allocator_of_its_own_that_makes_no_alignments() {
    for flags in [&[][..], &["-DMINIMAL"], &["-DLARGEST=64"]] {
        an_allocator_of_its_own(flags, "as usual");
    }
}

/// Alignments are made in `src/os/allocator.rs`.
#[test]
fn the_library_takes_memory_by_malloc_alone() {
    let Some(symbols) = readelf("--dyn-syms") else {
        return;
    };
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split(" UND ").nth(1)?.split('@').next())
        .collect();
    assert!(names.contains(&"malloc") && names.contains(&"free"));
    for function in [
        "aligned_alloc",
        "asprintf",
        "getdelim",
        "getline",
        "memalign",
        "posix_memalign",
        "pvalloc",
        "reallocarray",
        "strdup",
        "strndup",
        "valloc",
        "vasprintf",
    ] {
        assert!(
            !names.contains(&function),
            "{function} of another allocator"
        );
    }
}

/// The first exception of each process leaves a callback.
#[test]
fn exceptions_of_a_host_with_an_unwinder_of_its_own() {
    if !has_tool("g++") || !has_static_libstdcxx() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let own = ["-static-libgcc", "-static-libstdc++"];
    let program = built(folder.path(), "odd/own_unwinder.cpp", &own);
    for placement in ["inline", "fused", "split"] {
        for deliver in ["poll", "on_data"] {
            let output = run(host(&program).args([placement, deliver]));
            output.expect_code(0);
            assert!(output.stdout.contains("caught 50"), "{}", output.stdout);
        }
    }
}

/// Where it hides libgcc too, the unwinder does not find itself.
#[test]
fn a_host_whose_unwinders_know_what_was_loaded_at_its_start() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(
        folder.path(),
        "odd/unwinder_of_the_start.cpp",
        &["-rdynamic"],
    );
    for hidden in [&["libsignal"][..], &["libsignal", "libgcc"]] {
        let output = run(host(&program).args(hidden));
        output.expect_code(0);
        assert_eq!(output.stdout, "made and ended\n");
    }
}

/// Whether g++ can link a host as `-static-libstdc++` asks; some distributions have a package of
/// its own for that.
fn has_static_libstdcxx() -> bool {
    let asked = Command::new("g++")
        .arg("-print-file-name=libstdc++.a")
        .output();
    // g++ gives the bare name back if it has none.
    let found = asked.is_ok_and(|output| output.stdout.contains(&b'/'));
    if !found {
        support::skip("libstdc++.a");
    }
    found
}

#[test]
fn the_environment_does_not_say_how_large_our_stacks_are() {
    if !has_tool("g++") {
        return;
    }
    for bytes in ["1", "16384", "99999999999999"] {
        let output = run(host(checks())
            .arg("placements")
            .env("RUST_MIN_STACK", bytes));
        output.expect_code(0);
    }
}

/// What `include/signal.h` promises for the optimised library. Frames of other builds are
/// several times as large.
#[test]
fn stack_of_calls() {
    if !has_tool("g++") {
        return;
    }
    let (create, others) = match cfg!(debug_assertions) {
        true => (128 << 10, 32 << 10),
        false => (16 << 10, 12 << 10),
    };
    let output = run(host(checks())
        .arg("stack_of_calls")
        .env("SIGNAL_STACK_CREATE", create.to_string())
        .env("SIGNAL_STACK_OTHERS", others.to_string())
        .env(
            "SIGNAL_STACK_MODELS",
            Path::new(ROOT).join("examples/models"),
        ));
    output.expect_code(0);
}

#[test]
fn a_host_with_mathematical_functions_of_its_own_changes_no_value() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(
        folder.path(),
        "odd/own_math.cpp",
        &["-rdynamic", "-fno-builtin"],
    );
    let models = Path::new(ROOT).join("examples/models");
    let files = ["move.json", "move.txt", "move.xgb.json", "move.onnx"];
    let output = run(host(&program).args(files.map(|file| models.join(file))));
    output.expect_code(0);
    assert!(output.stdout.contains("4 models"), "{}", output.stdout);
}

/// The functions that it uses go through the trampolines of `src/os/own_functions.rs`.
#[test]
fn the_library_takes_no_further_mathematical_function() {
    let Some(symbols) = readelf("--dyn-syms") else {
        return;
    };
    let undefined = symbols
        .lines()
        .filter_map(|line| line.split(" UND ").nth(1));
    let ours = ["exp", "expf", "log1p", "log2", "logf"];
    let names: Vec<&str> = undefined
        .filter_map(|name| name.split('@').next())
        .filter(|name| !ours.contains(name))
        .collect();
    assert!(names.contains(&"malloc"), "{names:?}");
    for function in [
        "acos",
        "asin",
        "atan",
        "atan2",
        "cbrt",
        "ceil",
        "cos",
        "cosh",
        "erf",
        "exp",
        "exp2",
        "expm1",
        "fma",
        "fmod",
        "floor",
        "hypot",
        "ldexp",
        "lgamma",
        "log",
        "log10",
        "log1p",
        "log2",
        "nearbyint",
        "pow",
        "rint",
        "round",
        "roundeven",
        "sin",
        "sincos",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "tgamma",
        "trunc",
    ] {
        let single = format!("{function}f");
        let taken = |name: &&str| *name == function || *name == single;
        assert!(!names.iter().any(taken), "{function} of the host's");
    }
}
