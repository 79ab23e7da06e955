//! `signal tune`: what holds whatever else runs on the machine. No figure is looked at.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

const NOTHING_VALID: &str = "nothing valid was measured, so nothing is recommended";

/// A short run, or a longer one where this machine is too busy for that.
#[track_caller]
fn tune(args: &[&str]) -> Output {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let run = |seconds: &str| {
        let mut command = signal();
        command.args(["tune", "--seconds", seconds]).args(args);
        // The host's own settings are not those that are compared.
        command.env("SIGNAL_CONFIG", elsewhere.path().join("none.json"));
        command.env("SIGNAL_LATENCY_DIR", elsewhere.path().join("reports"));
        command.output().expect("it runs")
    };
    let mut output = run("3");
    if String::from_utf8_lossy(&output.stderr).contains("too little to compare") {
        output = run("60");
    }
    assert!(!elsewhere.path().join("reports").exists());
    output
}

/// The JSON of a run that recommends something, or found nothing valid.
#[track_caller]
fn tuned(args: &[&str]) -> (Value, bool) {
    let output = tune(&[&["--json"], args].concat());
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let json: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"));
    let recommends = json["recommended"].is_object();
    match output.status.code() {
        Some(0) => assert!(recommends && err.is_empty(), "{json:#} {err}"),
        Some(1) => assert!(!recommends && err.contains(NOTHING_VALID), "{json:#} {err}"),
        code => panic!("{code:?}: {out}{err}"),
    }
    (json, recommends)
}

#[test]
fn measures_candidates_in_turn_and_recommends_one_or_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(
        dir.path(),
        "sum.json",
        br#"{"weights": [1, 2, 3], "bias": 0}"#,
    );
    // Nothing of this may be written.
    let json = br#"{"models": "sum.json", "assets": "no_such", "latency": {"dir": "report"},
                    "capture": {"file": "events.csv"}}"#;
    let config = write(dir.path(), "config.json", json);
    let output = dir.path().join("tuned.json");
    let args = [path(&config), "--rate", "2000"];
    let args = [&args[..], &["--output", path(&output)]].concat();
    let (json, recommends) = tuned(&args);
    let candidates = json["rounds"][0]["candidates"].as_array().expect("a list");
    assert!(candidates.len() >= 2, "{json:#}");
    assert_eq!(candidates[0]["name"], "as given");
    for candidate in candidates {
        let runs = candidate["repetitions"].as_array().expect("a list");
        assert!([3, 5].contains(&runs.len()), "{candidate:#}");
        let signals = runs
            .iter()
            .map(|run| run["signals"].as_u64().expect("a number"));
        assert!(signals.sum::<u64>() > 0, "{candidate:#}");
        let valid = runs.iter().filter(|run| run["invalid"].is_null());
        assert_eq!(candidate["valid"], valid.count() >= 3, "{candidate:#}");
        let has_p99 = candidate["tick_to_callback"]["p99_ns"].is_number();
        let signals = candidate["signals"].as_u64().expect("a number");
        assert_eq!(has_p99, signals >= 1_000, "{candidate:#}");
    }
    assert_eq!(output.exists(), recommends);
    if recommends {
        let written = std::fs::read(&output).expect("a file");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        assert_eq!(written["models"][0]["file"], "sum.json");
        assert_eq!(written["assets"][0], "no_such");
        assert_eq!(written["capture"]["file"], "events.csv");
        let set = json["recommended"]["set"].as_object().expect("an object");
        for (key, value) in set.iter().filter(|(key, _)| *key != "rings") {
            assert!(written[key] == *value, "{key}: {written:#}");
        }
        stdout(run(&["config", "check", path(&output)]));
        // What is there is kept, unless it is told to go.
        let err = stderr(run(&[&["tune"], &args[..]].concat()), 1);
        assert!(
            err.contains("the file exists; nothing was measured"),
            "{err}"
        );
    }
    for name in ["report", "events.csv"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
}

#[test]
fn plays_a_capture_at_its_own_times_again_and_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "events.csv", capture(200).as_bytes());
    let config = write(dir.path(), "config.json", br#"{"placement": "inline"}"#);
    let captured = ["--capture", path(&file)];
    let (json, _) = tuned(&[&[path(&config)], &captured[..]].concat());
    assert_eq!(json["setup"]["rate"], Value::Null);
    // A Depth a millisecond, 200 of them.
    let depths = json["setup"]["depths_a_second"].as_f64().expect("a number");
    assert!((600.0..=1_000.0).contains(&depths), "{json:#}");
    assert!(json["setup"]["repeats"].as_u64() > Some(2), "{json:#}");
    // What is invalid does not count, so each repetition is looked at.
    let first = &json["rounds"][0]["candidates"][0];
    let runs = first["repetitions"].as_array().expect("a list");
    assert!(
        runs.iter().any(|run| run["signals"].as_u64() > Some(0)),
        "{first:#}"
    );
    let args = [&[path(&config), "--rate", "500"], &captured[..]].concat();
    let (json, _) = tuned(&args);
    let depths = json["setup"]["depths_a_second"].as_f64().expect("a number");
    assert!((480.0..=520.0).contains(&depths), "{json:#}");
}

#[test]
fn shows_a_table_with_the_rule_and_what_was_not_tried() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let json = br#"{"deliver": "on_data", "placement": "inline"}"#;
    let config = write(dir.path(), "config.json", json);
    let args = [path(&config), "--rate", "2000"];
    let output = tune(&[&args[..], &["--host", "godzilla", "--strategy-kb", "0"]].concat());
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    // The library's line of each start is not shown.
    assert!(!err.contains("factors="), "{err}");
    for part in [
        "host       Godzilla: polls once per Depth",
        "feed       synthetic, at even intervals: ",
        "candidate",
        "as given",
        "not tried  deliver poll: Godzilla polls once per Depth",
        "recommended  ",
    ] {
        assert!(out.contains(part), "{part:?}: {out}{err}");
    }
    match output.status.code() {
        Some(0) => {
            assert!(
                out.contains("\nreason ") && out.contains("\nrule "),
                "{out}"
            );
            assert_eq!(err, "");
        }
        Some(1) => assert!(err.contains(NOTHING_VALID), "{err}"),
        code => panic!("{code:?}: {out}{err}"),
    }
}

#[test]
fn says_what_is_wrong_before_it_measures() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| path(&dir.path().join(name)).to_owned();
    write(dir.path(), "good.json", b"{}");
    write(dir.path(), "bad.json", br#"{"factors": "markett"}"#);
    write(dir.path(), "index.json", br#"{"trigger": "index_price"}"#);
    write(dir.path(), "other.json", br#"{"assets": "no_such"}"#);
    write(
        dir.path(),
        "live.json",
        br#"{"capture": {"file": "live.csv"}}"#,
    );
    let text = capture(50);
    write(dir.path(), "events.csv", text.as_bytes());
    let (header, rows) = text.split_once('\n').expect("a header line");
    let some = |part: &str| {
        let rows = rows.lines().filter(|row| row.contains(part));
        format!("{header}\n{}\n", rows.collect::<Vec<_>>().join("\n"))
    };
    write(dir.path(), "trades.csv", some(",trade,").as_bytes());
    let once = some(",depth,").replace("1700000000049000000,196", "1700000000000000000,196");
    let once: String = once
        .lines()
        .filter(|row| row.starts_with("bid_px") || row.ends_with(",196"))
        .map(|row| format!("{row}\n"))
        .collect();
    write(dir.path(), "once.csv", once.as_bytes());
    let before = super::outputs::contents(dir.path());
    for (args, code, part) in [
        ("none.json", 1, "none.json"),
        ("bad.json", 1, "did you mean \"market\"?"),
        ("index.json", 1, "trigger: index prices have no time"),
        (
            "good.json --rate 0",
            2,
            "expected Depths a second, from 0.1 to 100000",
        ),
        ("good.json --rate 1e9", 2, "expected Depths a second"),
        ("good.json --rate NaN", 2, "expected Depths a second"),
        (
            "good.json --seconds 0",
            2,
            "expected a number from 0.5 to 3600",
        ),
        ("good.json --host nobody", 2, "godzilla"),
        (
            "good.json --seconds 1 --rate 1",
            1,
            "--seconds 1: too little to compare",
        ),
        ("good.json --capture none.csv", 1, "none.csv"),
        ("good.json --capture good.json", 1, "good.json"),
        (
            "good.json --capture trades.csv",
            1,
            "no Depth among its 50 events",
        ),
        ("good.json --capture once.csv", 1, "come at once"),
        ("other.json --capture events.csv", 1, "refused_not_an_asset"),
        (
            "good.json --output good.json",
            1,
            "same file as the configuration",
        ),
        (
            "good.json --output good.json --force",
            1,
            "same file as the configuration",
        ),
        (
            "good.json --capture events.csv --output events.csv --force",
            1,
            "same file as the capture",
        ),
        (
            "live.json --output live.csv --force",
            1,
            "same file as capture.file",
        ),
        (
            "good.json --output events.csv",
            1,
            "the file exists; nothing was measured",
        ),
        (
            "good.json --output none/tuned.json",
            1,
            "a folder that exists",
        ),
        ("good.json --lib none.so", 1, "none.so"),
    ] {
        let mut words: Vec<String> = vec!["tune".into()];
        words.extend(args.split(' ').map(|word| match word.contains('.') {
            true if !word.starts_with(|letter: char| letter.is_ascii_digit()) => at(word),
            _ => word.to_owned(),
        }));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let err = stderr(run(&words), code);
        assert!(err.contains(part), "{args}: {part:?} is not in {err}");
        assert_eq!(super::outputs::contents(dir.path()), before, "{args}");
    }
}

#[test]
fn a_path_that_would_be_written_with_another_name_is_refused_before_it_measures() {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let folder = elsewhere.path().join(OsStr::from_bytes(b"\xff"));
    std::fs::create_dir(&folder).expect("a folder");
    let model = br#"{"weights": [1, 2, 3], "bias": 0}"#;
    write(&folder, "sum.json", model);
    write(&folder, "config.json", br#"{"models": "sum.json"}"#);
    let mut command = signal();
    command.current_dir(&folder).args(["tune", "config.json"]);
    command.args(["--seconds", "1", "--rate", "1", "--output"]);
    let output = elsewhere.path().join("tuned.json");
    let err = stderr(command.arg(&output).output().expect("it runs"), 1);
    assert!(err.contains("not UTF-8"), "{err}");
    assert!(!output.exists());
}

#[test]
fn ctrl_c_ends_it_with_what_was_measured() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = write(dir.path(), "config.json", br#"{"placement": "inline"}"#);
    for (number, (signal_number, code)) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)]
        .into_iter()
        .enumerate()
    {
        let at = |name: &str| dir.path().join(format!("{number}.{name}"));
        let (out, err, output) = (at("out"), at("err"), at("json"));
        let mut command = signal();
        command.args(["tune", path(&config), "--seconds", "30", "--rate", "1000"]);
        command.args(["--output", path(&output)]);
        command.stdout(std::fs::File::create(&out).expect("a file"));
        command.stderr(std::fs::File::create(&err).expect("a file"));
        // SAFETY: between fork and exec the child makes one call, which is safe there.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            })
        };
        let mut child = command.spawn().expect("runs");
        let read = |file: &Path| std::fs::read_to_string(file).expect("a file");
        let limit = Instant::now() + Duration::from_secs(60);
        while !read(&out).contains("machine ") {
            assert!(Instant::now() < limit, "it never began");
            assert!(
                child.try_wait().expect("a child").is_none(),
                "{}",
                read(&err)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        // The first repetition takes 2 s at most on cores of its own, and the fifth begins after 12 s.
        std::thread::sleep(Duration::from_secs(7));
        // SAFETY: it only sends a signal to a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal_number) }, 0);
        let sent = Instant::now();
        let status = child.wait().expect("a child");
        assert!(sent.elapsed() < Duration::from_secs(20));
        let (out, err) = (read(&out), read(&err));
        assert_eq!(status.code(), Some(code), "{out}{err}");
        assert!(
            err.contains(&format!("ended by signal {signal_number}")),
            "{err}"
        );
        // All rows are there, the first has been played, and none to its end.
        assert!(!out.contains(" of 5"), "{out}");
        let row = |name: &str| out.lines().find(|line| line.starts_with(name));
        let given = row("as given ").unwrap_or_else(|| panic!("{out}{err}"));
        assert!(
            given.contains(" of ") && !given.contains("not measured"),
            "{out}"
        );
        assert!(row("deliver on_data").is_some(), "{out}");
        assert!(out.contains("\nrecommended  "), "{out}{err}");
        assert!(!output.exists());
    }
}
