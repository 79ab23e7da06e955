//! A run never writes to what it reads, and no report is lost.

use super::*;

/// The contents of all files of a folder and below, by name.
pub(super) fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut all: Vec<_> = entries
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => contents(&path),
                false => vec![(path.clone(), std::fs::read(&path).unwrap_or_default())],
            }
        })
        .collect();
    all.sort();
    all
}

#[test]
fn an_output_that_is_an_input_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| path(&dir.path().join(name)).to_owned();
    write(dir.path(), "events.csv", capture(20).as_bytes());
    write(dir.path(), "second.csv", capture(20).as_bytes());
    write(dir.path(), "summary.json", capture(20).as_bytes());
    write(
        dir.path(),
        "m.json",
        br#"{"weights": [1, 2, 3], "bias": 0}"#,
    );
    std::fs::hard_link(at("events.csv"), at("hard.csv")).expect("a link");
    std::os::unix::fs::symlink("events.csv", at("soft.csv")).expect("a link");
    std::os::unix::fs::symlink("new.csv", at("to_new.csv")).expect("a link");
    let captures = |name: &str, file: &str| {
        let json = format!(r#"{{"model": "m.json", "capture": {{"file": "{file}"}}}}"#);
        write(dir.path(), name, json.as_bytes());
    };
    captures("own.json", "./events.csv");
    captures("model.json", "m.json");
    captures("itself.json", "itself.json");
    captures("new.json", "new.csv");
    write(dir.path(), "here.json", br#"{"latency": {"dir": "."}}"#);
    let before = contents(dir.path());
    for (args, parts) in [
        (
            "replay events.csv second.csv ./soft.csv",
            ["the capture", "soft.csv", "events.csv", "played twice"],
        ),
        // The configuration that made the capture names the file that is replayed.
        (
            "replay events.csv --config own.json",
            ["capture.file", "the capture", "events.csv", "--capture"],
        ),
        (
            "replay hard.csv --config own.json",
            ["capture.file", "hard.csv", "events.csv", "--capture"],
        ),
        (
            "replay second.csv soft.csv --config own.json",
            ["capture.file", "soft.csv", "events.csv", "--capture"],
        ),
        (
            "replay second.csv --config model.json",
            ["capture.file", "the model", "m.json", "the same file"],
        ),
        (
            "replay second.csv --config itself.json",
            ["capture.file", "the configuration", "itself.json", "same"],
        ),
        (
            "replay second.csv --config own.json --capture ./second.csv",
            ["capture.file", "the capture", "second.csv", "--capture"],
        ),
        (
            "replay summary.json --config here.json",
            ["latency.dir", "the capture", "summary.json", "same file"],
        ),
        (
            "replay summary.json --report .",
            ["latency.dir", "the capture", "summary.json", "same file"],
        ),
        (
            "replay events.csv second.csv --signals second.csv",
            ["--signals", "the capture", "second.csv", "the same file"],
        ),
        (
            "replay events.csv --signals own.json --config own.json --capture /dev/null",
            ["--signals", "the configuration", "own.json", "same file"],
        ),
        (
            "demo --config own.json --signals m.json --capture other.csv",
            ["--signals", "the model", "m.json", "the same file"],
        ),
        // The file does not exist yet, and a link leads to it.
        (
            "demo --config new.json --signals to_new.csv",
            ["--signals", "capture.file", "to_new.csv", "the same file"],
        ),
        (
            "demo --report out --signals out/summary.json",
            ["--signals", "latency.dir", "summary.json", "the same file"],
        ),
        (
            "demo --config own.json --signals m.json.check.json",
            ["--signals", "the check file", "m.json.check.json", "same"],
        ),
    ] {
        let mut command = signal();
        command.current_dir(dir.path()).args(args.split(' '));
        let err = stderr(command.output().expect("runs"), 1);
        for part in parts {
            assert!(err.contains(part), "{args}: {part:?} is not in {err}");
        }
        assert!(contents(dir.path()) == before, "{args}: it wrote something");
    }
    // A shell's `>>` appends to a file that is read.
    let append = std::fs::File::options().append(true).open(at("events.csv"));
    let mut command = signal();
    command.args(["replay", &at("hard.csv")]);
    command.stdout(append.expect("the file"));
    let err = stderr(command.output().expect("runs"), 1);
    assert!(err.contains("standard output"), "{err}");
    assert!(contents(dir.path()) == before, "it wrote something");
    // In another folder, the same configuration is right.
    let mut command = signal();
    command.current_dir(dir.path());
    command.args("replay events.csv --config own.json --capture again.csv".split(' '));
    counts(&stdout(command.output().expect("runs")), [20; 4]);
    let mut command = signal();
    command.current_dir(dir.path());
    command.args("replay again.csv --config own.json --capture /dev/null".split(' '));
    counts(&stdout(command.output().expect("runs")), [20; 4]);
}

#[test]
fn an_output_is_no_file_that_a_model_names_and_no_file_of_core_claims() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), "events.csv", capture(20).as_bytes());
    let model = support::onnx::with_external_data(&[("location", "summary.json")]);
    write(dir.path(), "m.onnx", &model);
    write(dir.path(), "summary.json", &[0; 8]);
    write(dir.path(), "claims", b"");
    let json = br#"{"model": "m.onnx", "disabled_factors": ["best_bid"]}"#;
    write(dir.path(), "config.json", json);
    let numbers = dir.path().join("summary.json");
    std::fs::hard_link(&numbers, dir.path().join("link")).expect("a link");
    let before = contents(dir.path());
    let run = |args: &str| {
        let mut command = signal();
        command.current_dir(dir.path()).args(args.split(' '));
        command.env("SIGNAL_CORE_CLAIMS", dir.path().join("claims"));
        command
    };
    let refused = |mut command: Command, parts: [&str; 2]| {
        let err = stderr(command.output().expect("runs"), 1);
        for part in parts {
            assert!(err.contains(part), "{part:?} is not in {err}");
        }
        assert!(contents(dir.path()) == before, "it wrote something: {err}");
    };
    let named = "a file of model m ";
    for feed in ["demo --events 100", "replay events.csv"] {
        let run = |args: &str| run(&format!("{feed} --config config.json {args}"));
        refused(run("--signals summary.json"), ["--signals", named]);
        refused(run("--signals link"), ["--signals", named]);
        refused(run("--capture link"), ["capture.file", named]);
        refused(run("--report . --force"), ["latency.dir", named]);
        let claims = "the file of core claims";
        refused(run("--signals claims"), ["--signals", claims]);
        refused(run("--capture claims"), ["capture.file", claims]);
        let mut appends = run("--placement inline");
        let append = std::fs::File::options().append(true).open(&numbers);
        appends.stdout(append.expect("the file"));
        refused(appends, ["standard output", named]);
    }
    let out = run("replay events.csv --config config.json --signals signals.csv");
    counts(&stdout({ out }.output().expect("runs")), [20; 4]);
}

#[test]
fn a_run_that_is_refused_empties_no_output() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let good = write(dir.path(), "good.csv", capture(20).as_bytes());
    let bad = write(dir.path(), "bad.csv", b"type,ts_ns\n");
    let signals = write(dir.path(), "signals.csv", b"of the last run\n");
    let captured = write(dir.path(), "captured.csv", b"of the last run\n");
    let file = write(dir.path(), "file", b"no folder\n");
    let none = dir.path().join("none.csv");
    for args in [
        ["replay", path(&bad), "--placement", "inline"],
        ["replay", path(&none), "--placement", "inline"],
        ["replay", path(&good), "--placement", r#"["nonsense"]"#],
        ["replay", path(&good), "--report", path(&file)],
        ["replay", path(&good), "--signals", path(dir.path())],
    ] {
        let mut args = args.to_vec();
        args.extend(["--capture", path(&captured)]);
        if !args.contains(&"--signals") {
            args.extend(["--signals", path(&signals)]);
        }
        stderr(run(&args), 1);
        for kept in [&signals, &captured] {
            let text = std::fs::read_to_string(kept).expect("a file");
            assert_eq!(text, "of the last run\n", "{args:?}: {}", kept.display());
        }
    }
}

#[test]
fn a_report_that_is_there_is_overwritten_with_force_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = write(
        dir.path(),
        "config.json",
        br#"{"latency": {"dir": "report"}}"#,
    );
    let report = dir.path().join("report");
    // A folder that holds no report may be used.
    std::fs::create_dir(&report).expect("a folder");
    let demo = |more: &[&str]| {
        let mut args = vec!["demo", "--events", "2000"];
        args.extend(more);
        run(&args)
    };
    stdout(demo(&["--report", path(&report)]));
    for flags in [
        ["--report", path(&report)],
        // A host's configuration names the folder, so the report may be the host's.
        ["--config", path(&config)],
    ] {
        let before = contents(&report);
        let err = stderr(demo(&flags), 1);
        for part in [path(&report), "--force", "already"] {
            assert!(err.contains(part), "{part:?} is not in {err}");
        }
        assert!(contents(&report) == before, "it wrote something");
        stdout(demo(&[&flags[..], &["--force"]].concat()));
        assert!(contents(&report) != before, "--force overwrites it");
    }
    let other = dir.path().join("other");
    stdout(demo(&["--config", path(&config), "--report", path(&other)]));
}

#[test]
fn what_a_file_system_says_at_a_close_fails_the_run() {
    use support::host::{compile_with, has_tool};
    if !has_tool("g++") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| path(&dir.path().join(name)).to_owned();
    let disk = dir.path().join("disk.so");
    let source = Path::new(ROOT).join("tests/hosts/disk.cpp");
    compile_with(&["-shared", "-fPIC"], &[source], &disk);
    let demo = |lost: &str, name: &str| {
        let (signals, events) = (at(&format!("{name}.csv")), at("events"));
        let mut command = signal();
        command.args(["demo", "--events", "500", "--speed", "max", "--placement"]);
        command.args(["inline", "--signals", &signals, "--capture", &events]);
        command.env("LD_PRELOAD", &disk);
        command.env("SIGNAL_CHECKS_LOST_AT_CLOSE", lost);
        command.output().expect("the command runs")
    };
    stdout(demo("none", "whole"));
    let err = stderr(demo("lost.csv", "lost"), 1);
    let expected = format!("--signals {}: Disk quota exceeded", at("lost.csv"));
    assert!(err.contains(&expected), "{err}");
}
