//! Runs that a signal ends, and captures that lose nothing.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::{Duration, Instant};

use super::*;

/// Sends the signal a moment after the child says that the library runs.
fn interrupt(child: &mut Child, err: &Path, signal: i32) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(err).is_ok_and(|text| text.contains("version")) {
        assert!(Instant::now() < limit, "it never began");
        assert!(child.try_wait().expect("a child").is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(400));
    // SAFETY: it only sends a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// A shell that starts tests in the background makes them, and everything that they start,
/// ignore SIGINT.
fn heeding_ctrl_c(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the child makes one call, which is safe there.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        })
    }
}

#[test]
fn ctrl_c_and_sigterm_end_a_run_with_everything_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "long.csv", capture(5_000).as_bytes());
    let runs = [
        vec!["demo", "--seconds", "86400", "--speed", "max"],
        vec!["demo", "--speed", "1x"],
        vec!["replay", path(&file), "--speed", "0.05x"],
        // The next event is far away.
        vec!["replay", path(&file), "--speed", "0.001x"],
    ];
    for (number, args) in runs.iter().enumerate() {
        let (signal_number, code) = [(libc::SIGINT, 130), (libc::SIGTERM, 143)][number % 2];
        let at = |name: &str| dir.path().join(format!("{number}.{name}"));
        let (signals, report, events) = (at("csv"), at("report"), at("events.csv"));
        let (out, err) = (at("out"), at("err"));
        let mut command = signal();
        command.args(args).args(["--placement", "inline"]);
        command.args(["--signals", path(&signals), "--report", path(&report)]);
        command.args(["--capture", path(&events)]);
        command.stdout(std::fs::File::create(&out).expect("a file"));
        command.stderr(std::fs::File::create(&err).expect("a file"));
        let mut child = heeding_ctrl_c(&mut command).spawn().expect("runs");
        interrupt(&mut child, &err, signal_number);
        let sent = Instant::now();
        let status = child.wait().expect("a child");
        assert!(sent.elapsed() < Duration::from_secs(20), "{args:?}");
        let err = std::fs::read_to_string(&err).expect("a file");
        assert_eq!(status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(&format!("signal {signal_number}")), "{err}");
        let out = std::fs::read_to_string(&out).expect("a file");
        assert!(out.contains("latency report in"), "{out}");
        let delivered = number_of_lines(&signals) - 1;
        assert_eq!(super::number(&out, "signals delivered"), delivered, "{out}");
        assert_eq!(super::number(&out, "depth events"), delivered, "{out}");
        assert!(delivered > 0, "{args:?}: {out}");
        let summary = std::fs::read(report.join("summary.json")).expect("summary.json");
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        assert_eq!(summary["counters"]["delivered"], delivered);
        // The capture is complete too: it can be played.
        let replayed = stdout(run(&["replay", path(&events), "--placement", "inline"]));
        assert_eq!(super::number(&replayed, "signals delivered"), delivered);
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_pipe() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("runs");
    assert!(made.success());
    let signals = dir.path().join("signals.csv");
    let report = dir.path().join("report");
    let err = dir.path().join("err");
    let mut command = signal();
    command.args([
        "replay",
        path(&pipe),
        "--reorder",
        "100",
        "--placement",
        "inline",
    ]);
    command.args(["--signals", path(&signals), "--report", path(&report)]);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::fs::File::create(&err).expect("a file"));
    let mut child = heeding_ctrl_c(&mut command).spawn().expect("runs");
    let mut writer = std::fs::File::options()
        .write(true)
        .open(&pipe)
        .expect("a pipe");
    let text = capture(200);
    let (header, rows) = text.split_once('\n').expect("a header line");
    let rows = rows.lines().rev().collect::<Vec<_>>().join("\n");
    // The writer keeps the pipe open but writes nothing more.
    std::io::Write::write_all(&mut writer, format!("{header}\n{rows}\n").as_bytes())
        .expect("written");
    interrupt(&mut child, &err, libc::SIGINT);
    ends(&mut child);
    let output = child.wait_with_output().expect("a child");
    let err = std::fs::read_to_string(&err).expect("a file");
    assert_eq!(output.status.code(), Some(130), "{err}");
    let out = String::from_utf8(output.stdout).expect("text");
    let delivered = super::number(&out, "signals delivered");
    assert!(delivered > 0, "{out}");
    assert_eq!(number_of_lines(&signals) - 1, delivered);
    assert!(report.join("summary.json").is_file());
}

/// Waits for the child's end, and kills it if that does not come.
fn ends(child: &mut Child) {
    let limit = Instant::now() + Duration::from_secs(20);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > limit {
            child.kill().expect("killed");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until this pipe takes no more.
fn fills(pipe: &impl AsRawFd) {
    let limit = Instant::now() + Duration::from_secs(60);
    let mut asked = libc::pollfd {
        fd: pipe.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid entry, of an open pipe.
    while unsafe { libc::poll(&raw mut asked, 1, 0) } > 0 {
        assert!(Instant::now() < limit, "it is not filled");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_reader() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (number, signal_number) in [libc::SIGINT, libc::SIGTERM].into_iter().enumerate() {
        let at = |name: &str| dir.path().join(format!("{number}.{name}"));
        let (pipe, report, err) = (at("pipe"), at("report"), at("err"));
        let made = Command::new("mkfifo").arg(&pipe).status().expect("runs");
        assert!(made.success());
        // Opened for both, so that it waits for nobody; nothing is ever read from it.
        let mut reader = std::fs::File::options();
        let reader = reader.read(true).write(true).open(&pipe).expect("a pipe");
        // SAFETY: the call changes the size of an open pipe.
        unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
        let mut command = signal();
        command.args(["demo", "--seconds", "86400", "--speed", "max"]);
        command.args(["--placement", "inline", "--report", path(&report)]);
        command.args(["--signals", path(&pipe)]);
        command.stderr(std::fs::File::create(&err).expect("a file"));
        // The results meet the same reader.
        if number == 1 {
            command.stdout(reader.try_clone().expect("a pipe"));
        } else {
            command.stdout(Stdio::null());
        }
        let mut child = heeding_ctrl_c(&mut command).spawn().expect("runs");
        fills(&reader);
        interrupt(&mut child, &err, signal_number);
        ends(&mut child);
        let status = child.wait().expect("a child");
        let err = std::fs::read_to_string(&err).expect("a file");
        assert_eq!(status.code(), Some(128 + signal_number), "{err}");
        let told = format!("ended by signal {signal_number}; --signals {}", path(&pipe));
        for part in [&told, "its reader takes no more"] {
            assert!(err.contains(part), "{part:?} is not in {err}");
        }
        assert!(report.join("summary.json").is_file());
    }
}

fn number_of_lines(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.ends_with('\n'), "the last line is cut off");
    text.lines().count() as u64
}

#[test]
fn what_was_started_to_ignore_ctrl_c_goes_on() {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_signal");
    let script = format!(
        "trap '' INT; {program} demo --events 600 --speed 1x --placement inline & \
         sleep 0.5; kill -INT $!; wait $!"
    );
    command.args(["-c", &script]);
    for variable in ["LIB_PATH", "CONFIG", "CORES", "LATENCY_DIR"] {
        command.env_remove(format!("SIGNAL_{variable}"));
    }
    let out = stdout(command.output().expect("runs"));
    assert!(out.contains("600 events"), "{out}");
}

#[test]
fn a_capture_of_a_replay_loses_nothing_and_its_figures_agree() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The buffer is so small that any disk is too slow for it.
    let json =
        br#"{"factors": ["test0000", "market"], "capture": {"file": "events.csv", "buffer": 2}}"#;
    let config = write(dir.path(), "config.json", json);
    let events = dir.path().join("events.csv");
    for (number, placement) in ["inline", "fused"].into_iter().enumerate() {
        let (signals, again) = (dir.path().join("signals.csv"), dir.path().join("again.csv"));
        let report = dir.path().join(format!("report{number}"));
        let mut args = vec!["demo", "--events", "30000", "--config", path(&config)];
        args.extend(["--placement", placement, "--speed", "max"]);
        args.extend(["--signals", path(&signals), "--report", path(&report)]);
        let out = stdout(run(&args));
        let played = 30_000;
        assert_eq!(super::number(&out, "capture_written"), played, "{out}");
        assert_eq!(number_of_lines(&events), played + 1);
        let summary = std::fs::read(report.join("summary.json")).expect("summary.json");
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        assert_eq!(summary["counters"]["capture_written"], played);
        assert_eq!(summary["counters"]["capture_missed"], 0);
        let mut args = vec!["replay", path(&events), "--config", path(&config)];
        args.extend(["--capture", "/dev/null", "--signals", path(&again)]);
        stdout(run(&args));
        let read = |file: &Path| std::fs::read(file).expect("a file");
        assert!(read(&signals) == read(&again), "{placement} differs");
    }
    // A disk that accepts nothing is reported, and the run does not wait for it.
    let mut args = vec!["demo", "--events", "1000", "--speed", "max"];
    args.extend(["--placement", "inline", "--capture", "/dev/full"]);
    let err = stderr(run(&args), 1);
    assert!(err.contains("1000 events are not in the capture"), "{err}");
}
