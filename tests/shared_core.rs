//! A lane that has to share its core with something else notices, and health, counters, report and
//! one line on stderr say so. Alone in its program: engines of other tests would take the same core.

use std::env;
use std::ffi::CStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal::ffi::{signal_create, signal_destroy, signal_stats, signal_stats_t};
use signal::os::machine::waited_for_a_core;
use signal::{Config, Engine};
use support::events::LIMIT;
use support::lanes::Busy;

fn until(mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < limit);
        sleep(Duration::from_millis(20));
    }
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap_or_default()
}

/// Set where this program runs the test for itself, with a file as its stderr; names the folder.
const INNER: &str = "SIGNAL_TEST_SHARED_CORE";
const STDERR: &str = "stderr";

#[test]
fn a_lane_whose_core_something_else_uses_is_named_with_its_share() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [mine, other, ..] = cores[..] else {
        return support::skip("a second core");
    };
    if let Some(outer) = env::var_os(INNER) {
        return share(mine, other, Path::new(&outer));
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["a_lane_whose_core", "--nocapture"])
        .env(INNER, folder.path())
        .stderr(File::create(folder.path().join(STDERR)).unwrap())
        .status();
    let said = read(folder.path(), STDERR);
    assert!(status.unwrap().success(), "{said}");
    // Once, and by the handle with a report alone.
    let lines = said.lines().filter(|line| line.contains("core shared"));
    let lines: Vec<_> = lines.collect();
    let [line] = lines[..] else {
        panic!("{said}");
    };
    assert!(
        line.starts_with("signal: core shared: lane ingest..egress@") && line.contains(" % of "),
        "{line}"
    );
    assert!(
        line.contains("expected a core that nothing else uses"),
        "{line}"
    );
}

/// What happens while a busy thread is on the lane's core.
fn share(mine: core_affinity::CoreId, other: core_affinity::CoreId, outer: &Path) {
    core_affinity::set_for_current(mine);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"placement": "fused", "idle": "spin", "cores": [{}], "latency": {{"dir": {:?}}}}}"#,
        other.id,
        folder.path()
    );
    let engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    let lane = engine.lanes()[0].name.clone();
    let busy = Busy::on(other);
    let told = format!("core shared: lane {lane} was away from its core for ");
    let mut why = String::new();
    until(|| {
        why = engine.health().why;
        why.contains(&told)
    });
    assert!(why.contains("isolate it"), "{why}");
    let lane = &engine.lanes()[0];
    assert!(
        lane.away > 0 && lane.away_ns >= 50_000 * lane.away,
        "{lane:?}"
    );
    // The log has a line at the end of each interval; stderr has one.
    until(|| read(outer, STDERR).contains("core shared"));
    until(|| {
        let log = read(folder.path(), "latency.hlog");
        log.matches(&format!("#[{told}")).count() > 2
    });
    drop(busy);
    drop(engine);

    let summary: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "summary.json")).unwrap();
    let lane = &summary["vitals"][0];
    assert!(lane["away"].as_u64() > Some(0), "{lane}");
    assert!(lane["away_ns"].as_u64() > Some(0), "{lane}");
    assert!(lane["away_since_s"].as_f64() > Some(0.0), "{lane}");
    let notes = summary["notes"].to_string();
    assert!(notes.contains(&told), "{notes}");
    if waited_for_a_core(std::process::id()).is_some() {
        assert!(lane["waited_for_core_ns"].as_u64() > Some(0), "{lane}");
        assert!(
            notes.contains("by the kernel's count other threads ran there"),
            "{notes}"
        );
    }

    // The same through the C interface.
    let config = format!(
        "{{\"placement\": \"fused\", \"idle\": \"spin\", \"cores\": [{}]}}\0",
        other.id
    );
    let config = CStr::from_bytes_with_nul(config.as_bytes()).unwrap();
    // SAFETY: a NUL-terminated text.
    let handle = unsafe { signal_create(config.as_ptr()) };
    assert!(!handle.is_null());
    let busy = Busy::on(other);
    // SAFETY: a plain struct, of which all zeros is a valid value.
    let mut stats: signal_stats_t = unsafe { std::mem::zeroed() };
    until(|| {
        stats.size = size_of::<signal_stats_t>() as u64;
        // SAFETY: the struct has as many bytes as it says.
        assert_eq!(unsafe { signal_stats(handle, &raw mut stats) }, 0);
        stats.lane_away > 3
    });
    assert!(stats.lane_away_ns >= 50_000 * stats.lane_away, "{stats:?}");
    drop(busy);
    signal_destroy(handle);
}
