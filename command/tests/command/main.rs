//! The `signal` command, run as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{ROOT, recorded};

mod browser;
mod checked;
mod clock;
mod demo;
mod interrupted;
mod outputs;
mod report;
mod streamed;
mod tune;

/// The command, without what this process's environment tells the library.
fn signal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signal"));
    for variable in ["LIB_PATH", "CONFIG", "CORES", "LATENCY_DIR"] {
        command.env_remove(format!("SIGNAL_{variable}"));
    }
    // No other program or command that runs at the same time takes cores from it.
    command.env("SIGNAL_CORE_CLAIMS", "/dev/null/none");
    command.stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    signal().args(args).output().expect("the command runs")
}

/// Standard output of a run that must succeed.
#[track_caller]
fn stdout(output: Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out
}

/// Standard error of a run that must end with this code.
#[track_caller]
fn stderr(output: Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    err
}

/// The number that follows a label at the start of a line.
#[track_caller]
fn number(out: &str, label: &str) -> u64 {
    let value = out.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(label)?;
        let digits = rest.strip_prefix(' ')?.trim().replace(',', "");
        digits.parse().ok()
    });
    value.unwrap_or_else(|| panic!("no number behind {label:?} in\n{out}"))
}

#[track_caller]
fn counts(out: &str, [depth, trade, ticker, index]: [u64; 4]) {
    assert_eq!(number(out, "depth events"), depth, "{out}");
    assert_eq!(number(out, "trade events"), trade, "{out}");
    assert_eq!(number(out, "ticker events"), ticker, "{out}");
    assert_eq!(number(out, "index price events"), index, "{out}");
    assert_eq!(number(out, "signals delivered"), depth, "{out}");
    assert_eq!(number(out, "dropped"), 0, "{out}");
}

/// A capture file's text: `rounds` of one event each, latest line first.
fn capture(rounds: u64) -> String {
    let levels = |name: &str| {
        let level = |level| format!("{name}_{level}");
        (1..=10).map(level).collect::<Vec<_>>().join(",")
    };
    let mut text = ["bid_px", "bid_sz", "ask_px", "ask_sz"]
        .map(levels)
        .join(",");
    text +=
        ",type,ts_ns,symbol,trade_id,price,qty,side,bid_px,bid_qty,ask_px,ask_qty,recv_ns,seq\n";
    let book = |price: f64, step: f64| {
        let level = |level: u32| format!("{:.1}", price + step * f64::from(level));
        let prices = (0..10).map(level).collect::<Vec<_>>().join(",");
        format!("{prices},{}", ["1.5"; 10].join(","))
    };
    let none = ",".repeat(39);
    for round in (0..rounds).rev() {
        let (ts, seq) = (1_700_000_000_000_000_000 + round * 1_000_000, round * 4);
        let (bids, asks) = (book(100.0, -0.1), book(100.1, 0.1));
        text += &format!("{none},index,{ts},BTCUSDT,,100.2,,,,,,,{ts},{}\n", seq + 3);
        text += &format!(
            "{none},trade,{ts},BTCUSDT,{seq},100.1,0.2,buy,,,,,{ts},{}\n",
            seq + 2
        );
        text += &format!(
            "{none},ticker,{ts},BTCUSDT,,,,,100.0,1.5,100.1,1.5,{ts},{}\n",
            seq + 1
        );
        text += &format!("{bids},{asks},depth,{ts},BTCUSDT,,,,,,,,,{ts},{seq}\n");
    }
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, bytes).expect("a file");
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn replays_plain_and_gzip_and_merges() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = capture(50);
    let plain = write(dir.path(), "plain.csv", text.as_bytes());
    let zipped = write(dir.path(), "zipped.csv", &gzip(text.as_bytes()));
    for file in [&plain, &zipped] {
        let out = stdout(run(&["replay", path(file)]));
        counts(&out, [50; 4]);
        let last =
            "BTCUSDT, time 1700000000049000000: pred_signal 1, pred_confidence 0.800000011920929";
        assert!(out.contains(last), "{out}");
        assert!(out.contains(path(file)), "{out}");
    }
    let out = stdout(run(&["replay", path(&plain), path(&zipped)]));
    counts(&out, [100; 4]);
}

#[test]
fn symbols_may_hold_any_script() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let signals = dir.path().join("signals.csv");
    for symbol in ["币安人生USDT", "币安人生_usdt"] {
        let text = capture(4).replace("BTCUSDT", symbol);
        let file = write(dir.path(), "feed.csv", text.as_bytes());
        let config = write(
            dir.path(),
            "config.json",
            r#"{"assets": ["币安人生_usdt"], "factors": "market", "model": "none"}"#.as_bytes(),
        );
        let args = ["replay", path(&file), "--config", path(&config)];
        let args = [&args[..], &["--signals", path(&signals)]].concat();
        counts(&stdout(run(&args)), [4; 4]);
        let table = std::fs::read_to_string(&signals).expect("a table");
        assert_eq!(table.matches("\n币安人生USDT,").count(), 4, "{table}");
    }
}

#[test]
fn the_version_names_the_revision() {
    let out = stdout(run(&["--version"]));
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    // A build from an archive has no revision.
    let revision = match git {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).expect("text"),
        _ => "unknown".into(),
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        out,
        format!("signal {version} (revision {})\n", revision.trim())
    );
}

#[test]
fn keeps_the_recorded_pace() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "feed.csv", capture(101).as_bytes());
    let started = std::time::Instant::now();
    counts(
        &stdout(run(&["replay", "--speed", "0.5x", path(&file)])),
        [101; 4],
    );
    // The recording is 100 ms long.
    assert!(started.elapsed().as_millis() >= 200);
}

#[test]
fn small_rings_lose_nothing_at_speed_max() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rings = br#"{"rings": {"ingest": 8, "stage": 8, "egress": 8}}"#;
    let config = write(dir.path(), "config.json", rings);
    for placement in ["inline", "fused", "split"] {
        let args = [
            "demo",
            "--events",
            "1000",
            "--config",
            path(&config),
            "--placement",
            placement,
        ];
        let out = stdout(run(&args));
        assert_eq!(number(&out, "dropped"), 0, "{out}");
        assert_eq!(
            number(&out, "signals delivered"),
            number(&out, "depth events")
        );
    }
}

#[test]
fn writes_the_report_where_it_was_told_to() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // A relative path is relative to this command's directory.
    let mut command = signal();
    command.current_dir(dir.path());
    command.args(["demo", "--events", "5000", "--report", "out"]);
    let out = stdout(command.output().expect("runs"));
    assert!(out.contains("latency report in out"), "{out}");
    let report = dir.path().join("out");
    let summary = std::fs::read(report.join("summary.json")).expect("summary.json");
    serde_json::from_slice::<serde_json::Value>(&summary).expect("JSON");
    let log = std::fs::read_to_string(report.join("latency.hlog")).expect("latency.hlog");
    assert!(log.lines().any(|line| line.contains("HIST")), "{log}");
    let files = std::fs::read_dir(&report).expect("a directory");
    let hgrm = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "hgrm")
        });
    assert!(hgrm.count() >= 2);
}

#[test]
fn says_what_is_wrong_with_the_input() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes = gzip(capture(500).as_bytes());
    let cut = write(dir.path(), "cut.csv.gz", &bytes[..bytes.len() / 2]);
    let bad = capture(2).replace("100.2", "abc");
    let bad = write(dir.path(), "bad.csv", bad.as_bytes());
    for (file, parts) in [
        (path(&cut), vec!["cut.csv.gz", "cut off", "line"]),
        (
            path(&bad),
            vec!["bad.csv", "line 2", "`price`", "a number", "\"abc\""],
        ),
        (path(dir.path()), vec!["directory"]),
        ("no-such-file.csv", vec!["no-such-file.csv", "No such file"]),
    ] {
        let err = stderr(run(&["replay", file]), 1);
        for part in parts {
            assert!(err.contains(part), "{part:?} is not in {err}");
        }
    }
}

#[test]
fn says_what_is_wrong_with_the_arguments() {
    for args in [
        vec!["replay"],
        vec!["demo", "--speed", "fast"],
        vec!["demo", "--speed", "0x"],
        vec!["demo", "--placement", "everywhere"],
        vec!["demo", "--placement", "[["],
        vec!["demo", "--cores", "one"],
    ] {
        stderr(run(&args), 2);
    }
    for cores in ["1-0", "0,", "one", "", "0-", "0,99999"] {
        let err = stderr(run(&["demo", "--cores", cores]), 2);
        assert!(err.contains("such as 1,2 or 1-2"), "{cores}: {err}");
    }
    for cores in ["1-1", "1"] {
        let err = stderr(run(&["demo", "--cores", cores, "--placement", "[["]), 2);
        assert!(!err.contains("--cores"), "{cores}: {err}");
    }
    let err = stderr(run(&["demo", "--cores", "0-1,1"]), 1);
    assert!(err.contains("names core 1 twice"), "{err}");
    let err = stderr(run(&["demo", "--lib", "no-such-library.so"]), 1);
    assert!(err.contains("no-such-library.so"), "{err}");
    let err = stderr(run(&["demo", "--config", "no-such-config.json"]), 1);
    assert!(err.contains("no-such-config.json"), "{err}");
    let err = stderr(run(&["demo", "--placement", r#"[["nonsense"]]"#]), 1);
    assert!(
        err.contains("refused to start") && err.contains("placement"),
        "{err}"
    );
    // The library reports it, and this command does not repeat it.
    assert_eq!(err.matches("nonsense").count(), 1, "{err}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (text, once) in [
        (r#"{"facters": "market"}"#, "did you mean `factors`?"),
        (r#"{"factors": "markett"}"#, "did you mean \"market\"?"),
        (r#"{"model": "non"}"#, "did you mean \"none\"?"),
        (
            r#"{"disabled_factors": "spred"}"#,
            "did you mean \"spread\"?",
        ),
        (
            r#"{"disabled_models": "test000"}"#,
            "did you mean \"test0000\"?",
        ),
        (r#"{"cores": [0, 1, 1]}"#, "names core 1 twice"),
        (r#"{"assets": ["btc usdt"]}"#, "assets names \"btc usdt\""),
        (r#"{"factors": []}"#, "factors is empty"),
        ("", "it is empty"),
        ("{\"timing\": true,}", "remove the comma"),
    ] {
        let config = write(dir.path(), "wrong.json", text.as_bytes());
        for args in [["demo", "--config"], ["config", "check"]] {
            let err = stderr(run(&[&args[..], &[path(&config)]].concat()), 1);
            assert_eq!(err.matches(once).count(), 1, "{once:?} in {err}");
            assert_eq!(err.matches("wrong.json").count(), 1, "{err}");
        }
    }
}

#[test]
fn explains_configurations() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let defaults = stdout(run(&["config", "default"]));
    let file = write(dir.path(), "default.json", defaults.as_bytes());
    let out = stdout(run(&["config", "check", path(&file)]));
    assert!(out.contains("default.json: ok"), "{out}");
    assert!(out.contains("nothing: these are the defaults"), "{out}");

    write(
        dir.path(),
        "sum.json",
        br#"{"weights": [1, 2, 3], "bias": 0}"#,
    );
    let json =
        br#"{"models": ["sum.json", "none"], "callback": "per-model", "placement": "fused"}"#;
    let file = write(dir.path(), "config.json", json);
    let out = stdout(run(&["config", "check", path(&file)]));
    for part in [
        "test0000: 3 factors from 1 book levels",
        "[2] best_bid",
        "sum (linear): [0] signal, [1] confidence",
        "2 per trigger, one per model",
        "fused here: ingest..egress@",
        "auto       would choose: ingest..egress@",
        "callback = \"per-model\" (default \"concatenated\")",
        &format!("`signal tune {}` measures", path(&file)),
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }

    // The order of inputs is compared by name if the file has names.
    let unnamed = "its file does not name its inputs, so that their order could not be checked";
    assert_eq!(out.matches(unnamed).count(), 1, "{out}");
    assert!(out.contains(&format!("sum: {unnamed}")), "{out}");
    let named =
        br#"{"weights": [1, 2, 3], "bias": 0, "factors": ["spread", "mid_price", "best_bid"]}"#;
    write(dir.path(), "sum.json", named);
    let out = stdout(run(&["config", "check", path(&file)]));
    assert!(!out.contains("could not be checked"), "{out}");

    let file = write(dir.path(), "wrong.json", b"{\n\"rings\": {\"egress\": 1}}");
    let err = stderr(run(&["config", "check", path(&file)]), 1);
    for part in ["wrong.json", "rings.egress", "line 2", "2 to 1048576"] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
    // As for a host, the variable overrides the file.
    let file = write(dir.path(), "cores.json", b"{\"placement\": \"fused\"}");
    let mut command = signal();
    command.args(["config", "check", path(&file)]);
    command.env("SIGNAL_CORES", "999");
    let err = stderr(command.output().expect("runs"), 1);
    assert!(
        err.contains("cores.json with SIGNAL_CORES: placement: cores: ")
            && err.contains("core 999"),
        "{err}"
    );
    let schema = stdout(run(&["config", "schema"]));
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["properties"]["callback"]["default"], "concatenated");
}

#[test]
fn writes_every_signal_as_csv() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = write(
        dir.path(),
        "config.json",
        br#"{"models": ["none", "test0000"], "callback": "per-model", "rings": {"egress": 16}}"#,
    );
    let signals = dir.path().join("signals.csv");
    let args = [
        "demo",
        "--events",
        "3000",
        "--config",
        path(&config),
        "--signals",
        path(&signals),
    ];
    let out = stdout(run(&args));
    let delivered = number(&out, "signals delivered");
    assert_eq!(delivered, 2 * number(&out, "depth events"), "{out}");
    let text = std::fs::read_to_string(&signals).expect("signals.csv");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "symbol,timestamp_ns,model,none.spread,none.mid_price,none.best_bid,\
             test0000.pred_signal,test0000.pred_confidence"
        )
    );
    assert_eq!(lines.clone().count() as u64, delivered);
    assert!(
        lines
            .nth(1)
            .expect("rows")
            .ends_with(",test0000,,,,1,0.800000011920929")
    );
    let err = stderr(run(&["demo", "--signals", "/nonexistent/x.csv"]), 1);
    assert!(
        err.contains("--signals: cannot write /nonexistent/x.csv"),
        "{err}"
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut command = signal();
    command.args(["demo", "--events", "20000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    drop(child.stdout.take());
    stderr(child.wait_with_output().expect("ends"), 0);
}

#[test]
fn replays_real_data_in_full() {
    let (Some(file), Some(other)) = (
        recorded("s202407_usdm_BTCUSDT.csv.gz"),
        recorded("s202407_usdm_ETHUSDT.csv.gz"),
    ) else {
        return;
    };
    let out = stdout(run(&["replay", path(&file)]));
    counts(&out, [9_017, 10_701, 52_260, 0]);
    let out = stdout(run(&["replay", path(&file), path(&other)]));
    counts(&out, [9_017 + 8_924, 10_701 + 13_655, 52_260 + 47_328, 0]);
}

#[test]
fn replays_real_data_through_the_example_models() {
    let Some(file) = recorded("s202407_usdm_BTCUSDT.csv.gz") else {
        return;
    };
    let examples = Path::new(ROOT).join("examples");
    for (config, value) in [
        ("market-onnx.json", "variable "),
        ("market-linear.json", "confidence "),
    ] {
        let config = examples.join(config);
        let out = stdout(run(&["replay", path(&file), "--config", path(&config)]));
        counts(&out, [9_017, 10_701, 52_260, 0]);
        assert_eq!(number(&out, "dropped"), 0, "{out}");
        let last = out.lines().find(|line| line.starts_with("last signal"));
        assert!(last.is_some_and(|line| line.contains(value)), "{out}");
        assert!(out.contains("model.work"), "{out}");
    }
}
