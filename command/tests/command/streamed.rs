//! Files of any length, played as they are read, and rows that a live run would refuse.

use std::io::BufWriter;
use std::time::Duration;

use ::signal::replay::{ReadOptions, Reader, read};

use super::*;

/// The peak memory of the process, KiB, read repeatedly until it ends. The figure from
/// `wait4` would include this test's own memory.
fn peak_kib(mut child: std::process::Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().expect("a child").success());
    assert!(peak > 0, "it was never seen");
    peak
}

/// Writes a gzip capture of `bytes` bytes of text, with rows up to 400 places late. Returns
/// the number of rows.
fn long_capture(file: &Path, bytes: u64) -> u64 {
    let out = BufWriter::new(std::fs::File::create(file).expect("a file"));
    let mut out = GzEncoder::new(out, Compression::fast());
    let header = "type,ts_ns,symbol,bid_px,bid_qty,ask_px,ask_qty,recv_ns,seq\n";
    out.write_all(header.as_bytes()).expect("written");
    let (mut rows, mut written) = (0, 0);
    while written < bytes {
        let seq = rows - rows % 400 + (399 - rows % 400);
        let time = 1_700_000_000_000_000_000_u64 + seq * 1_000_000;
        let row = format!(
            "ticker,{time},BTCUSDT,6400{}.5,1.25,64010.75,0.5,{time},{seq}\n",
            seq % 10
        );
        out.write_all(row.as_bytes()).expect("written");
        (rows, written) = (rows + 1, written + row.len() as u64);
    }
    let mut out = out.finish().expect("compressed");
    out.flush().expect("written");
    rows
}

/// The peak memory of a replay of `bytes` bytes of text.
fn peak_of(bytes: u64) -> u64 {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("long.csv.gz");
    let rows = long_capture(&file, bytes);
    let printed = dir.path().join("printed");
    let mut command = signal();
    command.args(["replay", path(&file), "--placement", "inline"]);
    command.stdout(std::fs::File::create(&printed).expect("a file"));
    let peak = peak_kib(command.spawn().expect("runs"));
    let out = std::fs::read_to_string(&printed).expect("a file");
    assert_eq!(number(&out, "ticker events"), rows, "{out}");
    println!("{bytes} bytes, {rows} rows: {peak} KiB");
    peak
}

#[track_caller]
fn within_a_fifth(short: u64, long: u64) {
    let (short, long) = (peak_of(short), peak_of(long));
    assert!(long * 5 <= short * 6, "{long} KiB against {short} KiB");
}

#[test]
fn a_longer_file_takes_no_more_memory() {
    within_a_fifth(10_000_000, 40_000_000);
}

#[test]
#[ignore = "minutes without optimisation: .ci/long runs it"]
fn two_gigabytes_take_no_more_memory_than_twenty_megabytes() {
    within_a_fifth(20_000_000, 2_000_000_000);
}

#[test]
fn a_line_that_never_ends_takes_no_more_memory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let zipped = gzip(&[capture(2).as_bytes(), &[b'x'; 50 << 20]].concat());
    let zipped = write(dir.path(), "zipped.csv.gz", &zipped);
    for (file, line) in [("/dev/zero", 1), (path(&zipped), 10)] {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_signal");
        let script = format!("ulimit -v 1000000; exec {program} replay {file} --placement inline");
        let err = stderr(command.args(["-c", &script]).output().expect("runs"), 1);
        let told = format!("{file}: line {line}: it has more than 1048576 bytes");
        assert!(err.contains(&told), "{err}");
    }
}

#[test]
fn more_files_overlap_than_may_be_open() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut text = String::from("type,ts_ns,symbol,price,recv_ns,seq\n");
    for seq in 0..30 {
        text += &format!("index,{seq},BTCUSDT,100.5,{seq},{seq}\n");
    }
    for number in 0..100 {
        write(dir.path(), &format!("{number}.csv"), text.as_bytes());
    }
    let run = |limits: &str, more: &str| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_signal");
        let script = format!("{limits}; exec {program} replay *.csv --placement inline {more}");
        command.args(["-c", &script]).current_dir(dir.path());
        command.output().expect("runs")
    };
    // Each file fits into its window, and is closed when it has been read; with a smaller window
    // all are open, for which this command raises the limit as far as it may.
    for (limits, more) in [("ulimit -n 64", ""), ("ulimit -Sn 64", "--reorder 10")] {
        let out = stdout(run(limits, more));
        assert_eq!(number(&out, "index price events"), 3_000, "{out}");
    }
    let err = stderr(run("ulimit -n 64", "--reorder 10"), 1);
    for part in [".csv: Too many open files", "ulimit -n"] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
}

/// Compares with the whole files, sorted.
fn come_in_the_order_of_the_whole_files(files: &[PathBuf], window: usize) {
    let feed = read(files).expect("a feed");
    let options = ReadOptions {
        window,
        strict: true,
        ..ReadOptions::default()
    };
    let mut reader = Reader::open(files, &options).expect("a reader");
    for event in feed.events() {
        let next = reader.next().expect("no error").expect("an event");
        assert_eq!((next.kind, next.recv_ns), (event.kind, event.recv_ns));
        assert_eq!(next.payload, feed.payload(event));
    }
    assert!(reader.next().expect("no error").is_none());
}

/// The latest row of a recorded session.
const LATEST: usize = 411;

/// A session with rows as late as in the recorded ones, as far as chance has it.
fn made_session(dir: &Path, seed: u64) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rows: Vec<u64> = (0..20_000).collect();
    for from in (0..rows.len() - LATEST).step_by(LATEST + 1) {
        let late = random.usize(from..from + LATEST);
        rows[late..=from + LATEST].rotate_left(1);
    }
    // The latest that any row is.
    rows[..=LATEST].sort_unstable();
    rows[..=LATEST].rotate_left(1);
    let mut text = String::from("type,ts_ns,symbol,price,recv_ns,seq\n");
    for seq in rows {
        let time = 1_700_000_000_000_000_000 + seq * 1_000_000 + random.u64(..1_000);
        text += &format!("index,{time},SYMBOL{seed},100.{seq},{time},{seq}\n");
    }
    write(dir, &format!("{seed}.csv"), text.as_bytes())
}

#[test]
fn sessions_come_in_the_order_of_the_whole_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = [1, 2].map(|seed| made_session(dir.path(), seed));
    come_in_the_order_of_the_whole_files(&files, 65_536);
    come_in_the_order_of_the_whole_files(&files, LATEST);
    let options = ReadOptions {
        window: LATEST - 1,
        strict: true,
        ..ReadOptions::default()
    };
    let mut reader = Reader::open(&files, &options).expect("a reader");
    let late = loop {
        match reader.next() {
            Ok(event) => assert!(event.is_some(), "no row was too late"),
            Err(late) => break late.to_string(),
        }
    };
    assert!(
        late.contains("line 413, column `seq`: 0 comes after 1"),
        "{late}"
    );
}

#[test]
fn recorded_sessions_come_in_the_order_of_the_whole_files() {
    let names = ["s202407_usdm_BTCUSDT.csv.gz", "s202407_usdm_ETHUSDT.csv.gz"];
    let files: Vec<_> = names.iter().filter_map(|name| recorded(name)).collect();
    for (files, window) in [
        (&files[..], 65_536),
        (&files[..], LATEST),
        (files.get(1..).unwrap_or_default(), 65_536),
    ] {
        if !files.is_empty() {
            come_in_the_order_of_the_whole_files(files, window);
        }
    }
}

#[test]
fn a_row_that_comes_too_late_ends_the_replay_and_what_came_before_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The latest line comes first, in rounds of four.
    let file = write(dir.path(), "late.csv", capture(50).as_bytes());
    let signals = dir.path().join("signals.csv");
    let args = ["replay", path(&file), "--signals", path(&signals)];
    let err = stderr(run(&[&args[..], &["--reorder", "3"]].concat()), 1);
    for part in ["late.csv: line 6, column `seq`", "--reorder"] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
    counts(
        &stdout(run(&[&args[..], &["--reorder", "199"]].concat())),
        [50; 4],
    );
    stderr(run(&[&args[..], &["--reorder", "-1"]].concat()), 2);

    // The damage comes after rows that have been played.
    let mut text = String::from("type,ts_ns,symbol,price,recv_ns,seq\n");
    for seq in 0..100 {
        text += &format!("index,{seq},BTCUSDT,100.5,{seq},{seq}\n");
    }
    let file = write(dir.path(), "bad.csv", format!("{text}index,1\n").as_bytes());
    let output = run(&["replay", path(&file), "--reorder", "10"]);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(number(&out, "index price events"), 90, "{out}");
    assert!(stderr(output, 1).contains("bad.csv: line 102"));
}

#[test]
fn what_live_would_be_refused_is_counted_and_strict_stops_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The first best ask, the index price and one ticker's bid are missing.
    let text = capture(10)
        .replacen(",100.1,100.2,", ",,100.2,", 1)
        .replacen(
            "index,1700000000008000000,BTCUSDT,,100.2",
            "index,1,BTCUSDT,,",
            1,
        )
        .replacen("BTCUSDT,,,,,100.0,1.5", "BTCUSDT,,,,,NaN,1.5", 1);
    let file = write(dir.path(), "odd.csv", text.as_bytes());
    for placement in ["inline", "fused"] {
        let out = stdout(run(&["replay", path(&file), "--placement", placement]));
        assert_eq!(number(&out, "refused_bad_price"), 3, "{out}");
        assert_eq!(number(&out, "depth events"), 10, "{out}");
        assert_eq!(number(&out, "signals delivered"), 9, "{out}");
    }
    let err = stderr(run(&["replay", path(&file), "--strict"]), 1);
    for part in ["odd.csv: line ", "column `", "number"] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
    // The bounds are those of the configuration.
    let file = write(dir.path(), "even.csv", capture(10).as_bytes());
    stdout(run(&["replay", path(&file), "--strict"]));
    let json = br#"{"limits": {"max_price": 100.15}}"#;
    let config = write(dir.path(), "config.json", json);
    let args = ["replay", path(&file), "--strict", "--config", path(&config)];
    let err = stderr(run(&args), 1);
    assert!(
        err.contains("a number above 0 and up to 100.15, found 100."),
        "{err}"
    );
}

#[test]
fn what_is_wrong_with_the_engine_at_the_end_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = capture(400);
    let good = write(dir.path(), "good.csv", text.as_bytes());
    let out = stdout(run(&["replay", path(&good), "--placement", "inline"]));
    assert!(!out.contains("health"), "{out}");
    let bad = text.replace("BTCUSDT", "BTC USDT");
    let bad = write(dir.path(), "bad.csv", bad.as_bytes());
    let out = stdout(run(&["replay", path(&bad), "--placement", "inline"]));
    for part in ["health  degraded: since", "refused", "refused_bad_symbol"] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
}

#[test]
fn bytes_behind_gzip_data_are_padding_or_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes = gzip(capture(20).as_bytes());
    let with = |tail: &[u8]| write(dir.path(), "tail.csv.gz", &[&bytes[..], tail].concat());
    counts(&stdout(run(&["replay", path(&with(&[0; 512]))])), [20; 4]);
    let err = stderr(run(&["replay", path(&with(b"trailing"))]), 1);
    for part in [
        "tail.csv.gz: line ",
        "after the end of the gzip data",
        "trailing",
    ] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
    assert!(!err.contains("cut off:"), "{err}");
}
