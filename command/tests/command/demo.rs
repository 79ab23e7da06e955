//! The demo, as a newcomer runs it.

use std::process::{Child, Command};

use super::{number, path, run, stdout};

/// Keeps a core busy until it is dropped.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("a child");
    }
}

#[test]
fn latencies_on_cores_that_others_had_are_invalid() {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let busy = |_| {
        let mut command = Command::new("sh");
        Busy(
            command
                .args(["-c", "while :; do :; done"])
                .spawn()
                .expect("runs"),
        )
    };
    let busy: Vec<_> = (0..2 * cores).map(busy).collect();
    let out = stdout(run(&["demo", "--seconds", "20", "--placement", "inline"]));
    drop(busy);
    let told = "INVALID as latencies of the library: other threads had its cores; the host's thread \
                waited for a core for ";
    assert!(out.contains(told), "{out}");
}

#[test]
fn demo_loses_nothing_under_any_placement() {
    let mut lines = Vec::new();
    for placement in [
        "inline",
        "fused",
        "split",
        r#"[["ingest","factor"],["model"]]"#,
    ] {
        let args = [
            "demo",
            "--seed",
            "5",
            "--events",
            "20000",
            "--speed",
            "max",
            "--placement",
            placement,
        ];
        let out = stdout(run(&args));
        assert!(out.contains("synthetic"), "{out}");
        let depth = number(&out, "depth events");
        assert!(depth > 1_000, "{out}");
        assert_eq!(
            number(&out, "signals delivered"),
            depth,
            "{placement}\n{out}"
        );
        assert_eq!(number(&out, "dropped"), 0, "{placement}\n{out}");
        assert!(out.contains("tick_to_callback"), "{out}");
        assert!(out.contains("one clock stamp costs"), "{out}");
        let last = out.lines().find(|line| line.starts_with("last signal"));
        lines.push(last.expect("a last signal").to_owned());
    }
    // The output is the same whichever call makes the callbacks.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("on_data.json");
    std::fs::write(&config, r#"{"deliver": "on_data"}"#).expect("a file");
    for placement in ["inline", "fused"] {
        let args = [
            "demo", "--seed", "5", "--events", "20000", "--speed", "max", "--config",
        ];
        let args = [&args[..], &[path(&config), "--placement", placement]].concat();
        let out = stdout(run(&args));
        let depth = number(&out, "depth events");
        assert_eq!(number(&out, "signals delivered"), depth, "{out}");
        let last = out.lines().find(|line| line.starts_with("last signal"));
        lines.push(last.expect("a last signal").to_owned());
    }
    lines.dedup();
    assert_eq!(lines.len(), 1, "the same feed, other signals: {lines:?}");
}

#[test]
fn the_demo_shows_latencies_without_queues_and_throughput_apart() {
    let out = stdout(run(&["demo", "--seconds", "40", "--placement", "inline"]));
    let depth = number(&out, "depth events");
    assert_eq!(number(&out, "signals delivered"), depth, "{out}");
    let row_of = |out: &str, name: &str| -> Vec<u64> {
        let row = out.lines().find(|line| line.starts_with(name));
        let cells = row.unwrap_or_else(|| panic!("{out}")).split_whitespace();
        let cells = cells.skip(1);
        cells
            .map(|cell| cell.replace(',', "").parse().expect("a number"))
            .collect()
    };
    // Only events that came one at a time are counted; the others are only in the throughput.
    assert_eq!(row_of(&out, "ingest.wait")[0], 18_000, "{out}");
    let ticks = row_of(&out, "tick_to_callback");
    assert!(ticks[0] > 1_500 && ticks[0] < depth, "{out}");
    // A host that polls only at its next Depth waits until then.
    let paced = [
        "demo",
        "--seconds",
        "10",
        "--speed",
        "10x",
        "--placement",
        "inline",
    ];
    let later = stdout(run(&paced));
    let paced = row_of(&later, "tick_to_callback");
    // Events that came late because other programs had the cores do not wait for the next one.
    if [&out, &later].iter().any(|out| out.contains("INVALID")) {
        eprintln!("not compared, other programs had the cores: {ticks:?} {paced:?}");
    } else {
        assert!(2 * ticks[1] < paced[1], "{ticks:?} {paced:?}");
    }
    let further = out.lines().find(|line| line.starts_with("throughput: "));
    let further = further.unwrap_or_else(|| panic!("{out}"));
    assert!(further.contains("further events at speed max"), "{further}");
    // A run with a report has no throughput part: every event comes alone and is in the report.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = dir.path().join("report");
    let args = ["demo", "--events", "3000", "--placement", "inline"];
    let out = stdout(run(&[&args[..], &["--report", path(&report)]].concat()));
    assert!(!out.contains("throughput"), "{out}");
    let summary = std::fs::read(report.join("summary.json")).expect("summary.json");
    let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
    let hops = summary["hops"].as_array().expect("hops");
    let wait = hops.iter().find(|hop| hop["hop"] == "ingest.wait");
    assert_eq!(wait.expect("ingest.wait")["count"], 3_000);
}
