//! A run whose core something else has had is INVALID, in what a bench prints and in what
//! it writes; and the library's start lines are said once each.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use signal_bench::machine;
use signal_bench::threads::{self, Watch};

/// A program that takes a core, nothing else.
struct Busy(Child);

impl Busy {
    /// `None` where `taskset` or `sh` is missing.
    fn on(core: usize) -> Option<Self> {
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), "sh", "-c", "while :; do :; done"])
            .stdout(Stdio::null())
            .spawn();
        let required = std::env::var_os("SIGNAL_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(
            child.is_ok() || !required,
            "taskset is missing, and SIGNAL_REQUIRE_TOOLS=1"
        );
        if child.is_err() {
            println!("skipped: taskset is missing");
        }
        child.ok().map(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Computes on this core until the thread has had it for so long. Of two that share a core
/// each has at most some milliseconds at once.
fn work(core: usize, time: Duration) {
    machine::pin(core).unwrap();
    let ran = || {
        let own = threads::own();
        let all = threads::all();
        let found = all.iter().find(|thread| thread.id == own);
        Duration::from_nanos(found.map_or(0, |thread| thread.ran_ns))
    };
    let start = ran();
    while ran() - start < time {
        std::hint::black_box((0..100_000).sum::<u64>());
    }
}

#[test]
fn a_busy_loop_on_the_core_is_seen_and_named_also_by_a_thread_that_has_ended() {
    let core = *machine::allowed().last().unwrap();
    let Some(busy) = Busy::on(core) else {
        return;
    };
    let watch = Watch::begin(vec![(core, "lane")]);
    let ended = std::thread::spawn(move || work(core, Duration::from_millis(200)));
    ended.join().unwrap();
    let taken = watch.end();
    assert!(!taken.is_valid(), "{taken:?}");
    let why = taken.why().unwrap();
    assert!(why.contains(&format!("the lane's core {core}")), "{why}");
    let seen = taken.cores[0].waited_ns > 0 && taken.cores[0].preempted > 0;
    assert!(seen, "{why}");
    let named = taken
        .others
        .iter()
        .any(|other| other.process == busy.0.id());
    // Several other programs may have run there for longer.
    assert!(named || taken.others.len() == 8, "{taken:?}");
}

#[test]
fn a_load_on_a_lane_whose_core_is_taken_is_invalid_and_start_lines_are_said_once() {
    let cores = machine::allowed();
    let [.., host, lane] = cores[..] else {
        println!("skipped: needs two cores");
        return;
    };
    let Some(_busy) = Busy::on(lane) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.env_remove("SIGNAL_LIB_PATH").arg("--quick");
    let cores = (host.to_string(), lane.to_string());
    command.args(["--host-core", &cores.0, "--lane-cores", &cores.1]);
    command.args(["--rate", "1000,2000", "--duration", "100ms"]);
    command.args(["--repetitions", "2", "--json", file.to_str().unwrap()]);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");

    let result: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let repetitions = result["per_repetition"].as_array().unwrap();
    assert_eq!(repetitions.len(), 2);
    let rows = repetitions
        .iter()
        .flat_map(|of| of["rows"].as_array().unwrap());
    for row in rows {
        let validity = &row["validity"];
        assert!(
            validity["valid"] == false && row["passed"].is_null(),
            "{row}"
        );
        let mut cores = validity["cores"].as_array().unwrap().iter();
        let taken = cores.find(|core| core["core"] == lane).unwrap();
        let share = taken["share"].as_f64().unwrap();
        assert!(taken["role"] == "lane" && share > 0.01, "{row}");
    }
    assert_eq!(out.matches("  INVALID: the ").count(), 2, "{out}");
    assert!(!out.contains("  ok"), "{out}");
    assert!(
        result["validity"]["invalid"].as_u64() >= Some(4),
        "{result}"
    );
    assert!(out.contains("INVALID and in no comparison"), "{out}");
    // Four handles of one configuration.
    let starts = err
        .lines()
        .filter(|line| line.starts_with("signal: version "));
    assert_eq!(starts.count(), 1, "{err}");
}
