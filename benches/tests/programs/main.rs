//! Every bench runs, says what it times, and writes what `benches/README.md` says.
//!
//! Figures are not judged: this is no place to measure. A run whose core something else has had is
//! INVALID, in what a bench prints and in what it writes; and the library's start lines are said
//! once each.

mod quick;

use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;
use signal_bench::threads::{self, Watch};
use signal_bench::{machine, workload};

use quick::{
    CORES, library_beside, quick, run, taskset_is_missing, texts, tools_are_required, two_cores,
};

const TICK_TO_CALLBACK: &str = env!("CARGO_BIN_EXE_tick_to_callback");
const HOP: &str = env!("CARGO_BIN_EXE_hop");
const DELIVERY: &str = env!("CARGO_BIN_EXE_delivery");
const PACE: &str = env!("CARGO_BIN_EXE_pace");
const LOAD: &str = env!("CARGO_BIN_EXE_load");
const SCALE: &str = env!("CARGO_BIN_EXE_scale");

#[test]
fn tick_to_callback() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.so");
    std::fs::copy(library_beside(), &other).unwrap();
    for against in [&format!("--against {}", other.display()), ""] {
        let Some(quick) = quick(TICK_TO_CALLBACK, &format!("--iterations 1000 {against}")) else {
            return;
        };
        let comparable = quick.is_comparable();
        if comparable {
            quick.is_positive("median_ratio_to_line/*");
            let goals = if against.is_empty() { 11 } else { 13 };
            assert_eq!(quick.all("goals/*/met").len(), goals);
        }
        // The one that Cargo built with this program.
        let library = &quick.result["library"]["path"];
        assert_eq!(library, library_beside().to_str().unwrap());
        if against.is_empty() {
            assert_eq!(quick.result["against"], Value::Null);
            for figure in ["p50_ns", "ratio_to_line"] {
                let path = format!("per_repetition/*/*/{figure}");
                quick.is_positive(&path);
                assert_eq!(quick.all(&path).len() % 13, 0);
            }
            continue;
        }
        assert_eq!(quick.result["against"]["path"], other.to_str().unwrap());
        assert_eq!(quick.out.contains("against/library"), comparable);
        quick.is_compared("median_ratio_against/tick_to_callback");
        quick.is_positive("per_repetition/*/against/on_data/ratio_to_library");
    }
}

#[test]
fn hop() {
    let peers = match tools_are_required() && cfg!(feature = "cpp") {
        true => "--require-peers",
        false => "",
    };
    let Some(quick) = quick(HOP, peers) else {
        return;
    };
    let is_said = quick.out.contains("ours / best peer");
    assert_eq!(is_said, quick.is_comparable());
    assert_eq!(quick.all("sizes/*/bytes"), [64, 128, 448]);
    let absent = quick.result["absent"].as_array().unwrap();
    for peer in absent {
        quick.says(peer.as_str().unwrap());
    }
    let contenders = quick.all("sizes/*/contenders/*").len();
    assert_eq!(contenders == 3 * 17, absent.is_empty(), "{contenders}");
    assert!(contenders >= 3 * 12, "{contenders}");
    quick.is_positive("sizes/*/contenders/*/there_and_back/*/p50_ns");
    quick.is_positive("sizes/*/contenders/*/million_messages_per_s/*");
    quick.is_compared("sizes/*/contenders/*/median_ratio_to_line");
    for what in ["latency", "throughput"] {
        quick.is_compared(&format!("sizes/*/{what}/ours_to_peer"));
    }
    if quick.is_comparable() {
        assert_eq!(quick.all("goals/*/met").len(), 6);
    }
}

#[test]
fn parts() {
    let Some(quick) = quick(env!("CARGO_BIN_EXE_parts"), "--calls 1000") else {
        return;
    };
    assert_eq!(quick.all("rows/*/row").len(), 12 + 10 + 7);
    quick.is_positive("rows/*/ns");
    quick.is_positive("rows/*/calls_per_s");
}

#[cfg(feature = "cpp")]
#[test]
fn hf_live_design() {
    let Some(quick) = quick(env!("CARGO_BIN_EXE_hf_live_design"), "--iterations 1000") else {
        return;
    };
    quick.says("equal to the library's, bit by bit");
    for case in ["test0000", "market_linear"] {
        let figures = format!("per_repetition/*/{case}/*/p99_ns");
        quick.is_positive(&figures);
        assert_eq!(quick.all(&figures).len() % 6, 0);
        quick.is_compared(&format!("times_the_library/{case}/*/p50"));
    }
    if quick.is_comparable() {
        assert_eq!(quick.all("goals/*/met").len(), 4);
        quick.is_positive("goals/*/value");
    }
}

#[test]
fn load_at_given_rates() {
    // The second is more than a core can send: the row must fail.
    let rates = "--rate 2000,1_000_000_000 --duration 2ms --trades 1";
    let Some(quick) = quick(LOAD, rates) else {
        return;
    };
    quick.says("meant to be sent");
    let fails = quick.out.contains("FAIL (") || quick.out.contains("  INVALID: ");
    assert!(fails, "{}", quick.out);
    quick.is_positive("per_repetition/*/line_round_trip/p50_ns");
    let lost = quick.all("per_repetition/*/lost_by_host_and_lane/1/share");
    assert!(lost.iter().all(|share| share.is_f64()));
    for row in quick.all("per_repetition/*/rows/*") {
        let count = |name: &str| row[name].as_u64().unwrap();
        let lost = count("sent") - count("received");
        assert!(count("dropped") + count("conflated") >= lost, "{row}");
        assert_eq!(row["passed"].is_boolean(), row["validity"]["valid"] == true);
    }
    quick.is_positive("per_repetition/*/rows/*/window_p99_ns");
    quick.is_positive("per_repetition/*/rows/*/achieved");
    for row in quick.all("per_repetition/*/rows/1") {
        let failures = row["failures"].to_string();
        let failed = failures.contains("missed") || failures.contains("dropped");
        assert!(failed && row["passed"] != true, "{row}");
    }
    assert_eq!(quick.result["saturation"], Value::Null);
}

#[test]
fn load_looks_for_saturation() {
    let Some(quick) = quick(LOAD, "--set test0000 --duration 5ms") else {
        return;
    };
    quick.is_positive("saturation");
    assert!(quick.all("per_repetition/0/rows/*").len() >= 10);
    let goals = quick.all("goals/*/met");
    assert_eq!(goals.len(), 3);
    // Null where other programs had the cores.
    match goals.iter().all(|met| met.is_boolean()) {
        true => assert_eq!(quick.result["saturation_is_valid"], true),
        false => quick.says("not judged"),
    }
}

#[test]
fn scale() {
    let Some(quick) = quick(SCALE, "--iterations 200") else {
        return;
    };
    let axes = quick.all("axes/*/axis");
    assert_eq!(axes, ["instruments", "factors", "burst", "model"]);
    assert_eq!(quick.all("axes/*/steps/*").len(), 34);
    quick.is_positive("axes/*/steps/*/per_repetition/*/p50_ns");
    // A lane that has no core says nothing in time.
    let work = quick.all("axes/*/steps/*/per_repetition/*/hops_p50_ns/factor.work");
    let mut said = work.iter().filter(|work| !work.is_null()).peekable();
    assert!(said.peek().is_some() && said.all(|work| work.as_f64() > Some(0.0)));
    for axis in quick.all("axes/*") {
        let valid = axis["valid"] == true;
        let name = format!("{}, INVALID", axis["axis"].as_str().unwrap());
        assert_eq!(quick.out.contains(&name), !valid);
        let mut steps = axis["steps"].as_array().unwrap().iter();
        assert!(steps.all(|step| step["ratio_to_line"].is_f64() == valid));
    }
}

#[test]
fn pace() {
    let hosts = "|--host polls|--host inlined --others 2 --pollute 64";
    for more in hosts.split('|') {
        let Some(quick) = quick(PACE, &format!("--duration 20ms {more}")) else {
            return;
        };
        let rows = quick.all("rows/*");
        assert_eq!(rows.len(), 7);
        for row in rows {
            assert!(row["valid"].is_boolean() && row["gap_ns"] == 1_000_000);
            let all = row["tick_to_callback"].as_array().unwrap();
            let left = row["left_behind"].as_u64().unwrap();
            assert!(row["way"] != "inline" || left == 0, "{row}");
            let mut came = 0;
            for of in all {
                let count = of["count"].as_u64().unwrap();
                assert_eq!(of["p50_ns"].as_f64() > Some(0.0), count > 0, "{row}");
                came += count;
            }
            // One a millisecond, in each repetition.
            assert_eq!(came + left, 20 * all.len() as u64, "{row}");
            // The host's order of calls leaves the last one behind, and the others wait for the
            // next Depth.
            if row["way"] == "inline, poll" && more.is_empty() {
                assert_eq!(left, all.len() as u64, "{row}");
                let waited = |of: &Value| of["p50_ns"].as_f64() > Some(5e5);
                assert!(all.iter().all(waited), "{row}");
            }
        }
    }
}

#[test]
fn pace_of_a_session_and_of_all_goals() {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session.csv");
    std::fs::write(&session, workload::capture(2_300, 100_000, 3)).unwrap();
    let (session, library) = (session.display(), library_beside());
    let flags = format!("--session {session} --duration 30ms --way fused --way inline");
    let Some(alone) = quick(PACE, &flags) else {
        return;
    };
    for row in alone.all("rows/*") {
        assert_eq!(row["gap_ns"], Value::Null);
        let all = row["tick_to_callback"].as_array().unwrap();
        let came: u64 = all.iter().map(|of| of["count"].as_u64().unwrap()).sum();
        let left = row["left_behind"].as_u64().unwrap();
        // A hundred Depths in 30 ms, of which five settle.
        assert_eq!(came + left, 95 * all.len() as u64, "{row}");
    }
    let flags = format!(
        "--goals --session {session} --duration 30ms --against {}",
        library.display()
    );
    let Some(goals) = quick(PACE, &flags) else {
        return;
    };
    let rows = goals.all("rows/*");
    assert_eq!(rows.len(), 22);
    for row in rows {
        let mut all = row["tick_to_callback"].as_array().unwrap().iter();
        // A signal that misses the only call is left behind.
        let came = all.any(|of| of["count"] != 0);
        assert!(came || row["left_behind"] != 0, "{row}");
        // Too few events, but for one every 10 us and 100 us.
        let work = row["work_ns"].as_array().unwrap();
        assert_eq!(
            work.is_empty(),
            row["gap_ns"] != 10_000 && row["gap_ns"] != 100_000,
            "{row}"
        );
        assert!(work.iter().all(|ns| ns.as_f64() > Some(0.0)), "{row}");
    }
    if goals.is_comparable() {
        assert_eq!(goals.all("goals/*/met").len(), 19);
        goals.says("the stages' work, fused 10.0 ms / fused 10.0 us: ");
        goals.says("fused 100.0 ms, 332 others / fused 10.0 us: ");
    }
    let (code, _, err) = run(PACE, "--quick --session missing.csv");
    assert!(code == Some(1) && err.contains("missing.csv"), "{err}");
}

#[test]
fn pace_beside_a_busy_loop() {
    let ways = "--way fused --way inline --busy --gap 100us --events 600";
    let Some(quick) = quick(PACE, ways) else {
        return;
    };
    assert_eq!(quick.all("rows/*/way"), ["fused", "inline"]);
    for row in quick.all("rows/*") {
        let all = row["tick_to_callback"].as_array().unwrap();
        let count = |of: &Value| of["count"].as_u64().unwrap();
        let came: u64 = all.iter().map(count).sum();
        let left = row["left_behind"].as_u64().unwrap();
        assert_eq!(came + left, 600 * all.len() as u64, "{row}");
    }
    // More than 1,000 events in all.
    if quick.is_comparable() {
        quick.says("(goal <= 1.5)");
        quick.is_positive("goals/0/value");
    }
    let (code, _, err) = run(PACE, "--quick --way fast");
    assert!(code == Some(1) && err.contains("fused, warm off"), "{err}");
}

#[test]
fn delivery() {
    let Some(quick) = quick(DELIVERY, "") else {
        return;
    };
    if quick.is_comparable() {
        quick.says("one Depth at a time: fused, on_data ");
    }
    assert_eq!(quick.all("models/*").len(), 6);
    for figure in ["tick_to_callback", "on_data", "last_of_burst"] {
        quick.is_positive(&format!("models/*/ways/*/{figure}/*/p50_ns"));
    }
}

/// A program that takes a core, nothing else.
struct Busy(Child);

impl Busy {
    /// `None` where `taskset` or `sh` is missing.
    fn on(core: usize) -> Option<Self> {
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), "sh", "-c", "while :; do :; done"])
            .stdout(Stdio::null())
            .spawn();
        child.map(Self).map_err(|_| taskset_is_missing()).ok()
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
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let watch = Watch::begin(vec![(core, "lane")]);
    let ended = std::thread::spawn(move || work(core, Duration::from_millis(200)));
    ended.join().unwrap();
    let taken = watch.end();
    assert!(!taken.is_valid(), "{taken:?}");
    let why = taken.why().unwrap();
    assert!(why.contains(&format!("the lane's core {core}")), "{why}");
    let seen = taken.cores[0].waited_ns > 0 && taken.cores[0].preempted > 0;
    assert!(seen, "{why}");
    let mut others = taken.others.iter();
    let named = others.any(|other| other.process == busy.0.id());
    // Several other programs may have run there for longer.
    assert!(named || taken.others.len() == 8, "{taken:?}");
}

#[test]
fn a_load_on_a_lane_whose_core_is_taken_is_invalid_and_start_lines_are_said_once() {
    let cores = machine::allowed();
    let (lane, host) = (cores[cores.len() - 1], cores[0]);
    let Some(_busy) = Busy::on(lane) else {
        return;
    };
    let flags = format!(
        "--host-core {host} --lane-cores {lane} --rate 1000,2000 --duration 100ms --repetitions 2"
    );
    let Some(quick) = quick(LOAD, &flags) else {
        return;
    };
    let rows = quick.all("per_repetition/*/rows/*");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let validity = &row["validity"];
        let is_judged = validity["valid"] == false && row["passed"].is_null();
        assert!(is_judged, "{row}");
        let mut cores = validity["cores"].as_array().unwrap().iter();
        let taken = cores.find(|core| core["core"] == lane).unwrap();
        let share = taken["share"].as_f64().unwrap();
        assert!(taken["role"] == "lane" && share > 0.01, "{row}");
    }
    let out = &quick.out;
    assert_eq!(out.matches("  INVALID: the ").count(), 2, "{out}");
    assert!(!out.contains("  ok"), "{out}");
    assert!(
        quick.result["validity"]["invalid"].as_u64() >= Some(4),
        "{out}"
    );
    quick.says("INVALID and in no comparison");
    // Four handles of one configuration.
    let starts = quick.err.lines();
    let starts = starts.filter(|line| line.starts_with("signal: version "));
    assert_eq!(starts.count(), 1, "{}", quick.err);
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    let core = machine::allowed()[0];
    let both = format!("--host-core {core} --lane-cores {core}");
    let (no_lane, no_host) = (
        format!("--host-core {core} --lane-cores 99999"),
        format!("--host-core 99999 --lane-cores {core}"),
    );
    for program in [TICK_TO_CALLBACK, HOP, DELIVERY, LOAD, SCALE] {
        for (args, code, said) in [
            (both.as_str(), 1, "each needs its own"),
            (&no_lane, 1, "core 99999"),
            (&no_host, 1, "core 99999"),
            ("--fast", 2, "--fast"),
            ("--repetitions 0", 2, "at least 1"),
        ] {
            let (found, out, err) = run(program, args);
            assert_eq!(found, Some(code), "{args}: {out}{err}");
            assert!(err.contains(said), "{args}: {err}");
        }
    }
    if !two_cores() {
        return;
    }
    for (program, args, said) in [
        (TICK_TO_CALLBACK, "--shards 2", "1 given for 4 lanes"),
        (
            TICK_TO_CALLBACK,
            "--against /no/such",
            "--against: cannot load /no/such",
        ),
        (HOP, "--json /no/such/result.json", "cannot write /no/such"),
    ] {
        let (code, _, err) = run(program, &format!("--quick {args}"));
        assert!(code == Some(1) && err.contains(said), "{err}");
    }
}

#[test]
fn one_core_is_too_few_for_a_hop() {
    let core = machine::allowed()[0].to_string();
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new("taskset")
        .args(["-c", &core, HOP, "--quick"])
        .output();
    let Ok(output) = output else {
        return taskset_is_missing();
    };
    let (code, _, err) = texts(output);
    assert_eq!(code, Some(1));
    assert!(err.contains("two cores are needed"), "{err}");
}
