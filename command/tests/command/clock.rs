//! Captures whose clock goes back, stays at 0 or jumps.

use std::time::{Duration, Instant};

use super::*;

/// One ticker row per arrival time.
fn tickers(arrivals: &[i64]) -> String {
    let mut text = "type,ts_ns,symbol,bid_px,bid_qty,ask_px,ask_qty,recv_ns,seq\n".to_owned();
    for (seq, recv_ns) in arrivals.iter().enumerate() {
        text += &format!("ticker,{recv_ns},BTCUSDT,1.5,1,2.5,1,{recv_ns},{seq}\n");
    }
    text
}

/// What the command prints on stdout and stderr within a minute.
fn played(args: &[&str]) -> (String, String) {
    let mut command = signal();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.args(args).spawn().expect("it runs");
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().expect("killed");
            panic!("it still waits: {args:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("a child");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (stdout(output), err)
}

#[test]
fn a_clock_that_goes_back_or_leaps_is_named_once_and_not_waited_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = 1_700_000_000_000_000_000;
    let second = 1_000_000_000;
    for (arrivals, over, back, gap) in [
        (vec![now, now - 7 * second], "0.0", Some(3), None),
        (vec![now, 0, now + second / 5], "0.0", Some(3), Some(4)),
        (vec![0, now, now + second / 5], "0.2", None, Some(3)),
        (
            vec![
                now,
                now - 9 * second,
                now,
                now - 9 * second,
                now - 8 * second,
            ],
            "10.0",
            Some(3),
            None,
        ),
        (vec![now, now + 7_200 * second], "0.0", None, Some(3)),
        // Up to a second of jitter and up to an hour of quiet are accepted.
        (vec![now, now - second / 2, now + second], "1.0", None, None),
    ] {
        let file = write(dir.path(), "clock.csv", tickers(&arrivals).as_bytes());
        for speed in ["max", "100x"] {
            let (out, err) = played(&["replay", path(&file), "--speed", speed]);
            let events = format!("{} events over {over} s", arrivals.len());
            assert!(out.contains(&events), "{arrivals:?}: {out}");
            for (line, part) in [(back, "recv_ns goes back by"), (gap, "later than before")] {
                let said = err.lines().filter(|said| said.contains(part));
                let said: Vec<_> = said.collect();
                assert_eq!(
                    said.len(),
                    usize::from(line.is_some()),
                    "{arrivals:?}: {err}"
                );
                if let Some(line) = line {
                    let place = format!("{}: line {line}: ", path(&file));
                    assert!(said[0].contains(&place), "{}", said[0]);
                }
            }
        }
    }
}

#[test]
fn one_wrong_clock_among_several_files_is_no_gap_between_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = 1_700_000_000_000_000_000;
    let one = write(
        dir.path(),
        "one.csv",
        tickers(&[now, 0, now + 20]).as_bytes(),
    );
    let other = write(dir.path(), "other.csv", tickers(&[now + 10]).as_bytes());
    let (out, err) = played(&["replay", path(&one), path(&other)]);
    assert!(out.contains("4 events over 0.0 s"), "{out}");
    assert!(
        err.contains(&format!("{}: line 3: recv_ns goes back", path(&one))),
        "{err}"
    );
}
