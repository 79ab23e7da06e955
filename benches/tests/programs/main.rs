//! Every bench runs, says what it times, and writes what `benches/README.md` says.
//!
//! Figures are not judged: this is no place to measure.

mod refusals;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use signal_bench::machine;

const TICK_TO_CALLBACK: &str = env!("CARGO_BIN_EXE_tick_to_callback");
const HOP: &str = env!("CARGO_BIN_EXE_hop");
const BASE: &str = env!("CARGO_BIN_EXE_base");
const DELIVERY: &str = env!("CARGO_BIN_EXE_delivery");
const LOAD: &str = env!("CARGO_BIN_EXE_load");
const STAGES: &str = env!("CARGO_BIN_EXE_stages");
const SCALE: &str = env!("CARGO_BIN_EXE_scale");

/// One bench at a time: each wants both cores.
static CORES: Mutex<()> = Mutex::new(());

fn run(program: &str, args: &[&str]) -> Output {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(program);
    // The library beside the program, not one that this shell happens to name.
    command.env_remove("SIGNAL_LIB_PATH").args(args);
    command.output().expect("the bench can be started")
}

/// The library that the programs find: the one that Cargo built with them.
fn library_beside() -> PathBuf {
    Path::new(TICK_TO_CALLBACK).with_file_name("deps/libsignal.so")
}

fn two_cores() -> bool {
    let enough = machine::allowed().len() >= 2;
    if !enough {
        println!("skipped: needs two cores, this process may use one");
    }
    enough
}

/// Runs a bench shortened; what it printed and what it wrote.
fn quick(program: &str, more: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut args = vec!["--quick", "--json", file.to_str().unwrap()];
    args.extend(more);
    let output = run(program, &args);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{program}: {out}{err}");
    let text = std::fs::read_to_string(&file).expect("--json wrote the file");
    (out, serde_json::from_str(&text).expect("the file is JSON"))
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What every bench writes.
fn has_facts(name: &str, result: &Value) {
    assert_eq!(result["bench"], name);
    assert!(result["version"].is_string());
    assert!(
        result["flags"]
            .as_array()
            .unwrap()
            .contains(&"--quick".into())
    );
    assert!(result["clock_step_ns"].as_f64().unwrap() > 0.0);
    assert!(result["preemptions"].is_i64());
    let machine = &result["machine"];
    for key in ["cpu", "kernel", "nohz_full", "load_average"] {
        assert!(machine[key].is_string(), "machine.{key}");
    }
    for key in ["allowed_cores", "lane_cores", "isolated_cores", "governors"] {
        assert!(machine[key].is_array(), "machine.{key}");
    }
    assert!(machine["tsc"]["invariant"].is_boolean());
    assert!(machine["host_core"].is_u64());
}

/// Whether no run is left that others disturbed beyond use: then nothing is compared,
/// and the file says so. Other programs may have had the cores while this test ran.
fn is_comparable(result: &Value) -> bool {
    let validity = &result["validity"];
    assert_eq!(validity["most_taken"], 0.01);
    let count = |name: &str| validity[name].as_u64().expect(name);
    let told = validity["invalid_runs"].as_array().unwrap().len() as u64;
    assert_eq!(told, count("invalid") + count("measured_anew"));
    assert!(count("measured") >= told && count("measured") > 0);
    let comparable = validity["comparable"].as_bool().unwrap();
    assert!(comparable || count("invalid") > 0);
    comparable
}

/// The repetitions of `wanted` that the result shows: the valid ones, or all where none
/// is valid. `prefix` is what the names of their runs begin with.
fn shown<'a>(result: &Value, all: &'a Value, wanted: usize, prefix: &str) -> &'a [Value] {
    let all = all.as_array().expect("a list of repetitions");
    let runs = result["validity"]["invalid_runs"].as_array().unwrap();
    let is_one = |run: &&Value| run["run"].as_str().unwrap().starts_with(prefix);
    let invalid = runs.iter().filter(is_one).count();
    // A repetition that is thrown away for another reason may be INVALID, too.
    let thrown_away = result["thrown_away"].as_u64().unwrap_or(0) as usize;
    let expected = |invalid: usize| {
        if invalid < wanted {
            wanted - invalid
        } else {
            wanted
        }
    };
    let fits = |thrown: usize| all.len() == expected(invalid.saturating_sub(thrown));
    assert!(
        (0..=thrown_away).any(fits),
        "{} of {wanted}, {invalid} INVALID",
        all.len()
    );
    all
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn tick_to_callback() {
    if !two_cores() {
        return;
    }
    let (out, result) = quick(TICK_TO_CALLBACK, &["--iterations", "1000"]);
    has_facts("tick_to_callback", &result);
    assert!(out.contains("stamp before signal_on_data(Depth)"), "{out}");
    assert_eq!(result["repetitions"], 3);
    let repetitions = shown(&result, &result["per_repetition"], 3, "repetition ");
    for row in [
        "line_round_trip",
        "on_data",
        "empty_poll_inlined",
        "tick_to_callback",
        "tick_to_callback_market_linear_timing_off",
        "inline_market_linear",
    ] {
        for repetition in repetitions {
            assert!(is_positive(&repetition[row]["p50_ns"]), "{row}");
        }
        let ratio = &result["median_ratio_to_line"][row];
        assert_eq!(is_positive(ratio), is_comparable(&result), "{row}");
    }
    for goal in [
        "tick_to_line",
        "market_to_line",
        "p99_to_median",
        "timing_percent",
    ] {
        let met = &result["goals"][goal]["met"];
        assert_eq!(met.is_boolean(), is_comparable(&result), "{goal}");
    }
    assert_eq!(
        out.contains("INVALID: what is shown"),
        !is_comparable(&result)
    );
    assert_eq!(result["against"], Value::Null);
    // The one that Cargo built with this program.
    assert_eq!(
        result["library"]["path"],
        library_beside().to_str().unwrap()
    );
}

#[test]
fn tick_to_callback_against_another_library() {
    if !two_cores() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.so");
    std::fs::copy(library_beside(), &other).unwrap();
    let other = other.to_str().unwrap();
    let args = ["--iterations", "1000", "--against", other];
    let (out, result) = quick(TICK_TO_CALLBACK, &args);
    let comparable = is_comparable(&result);
    assert_eq!(out.contains("against/library"), comparable, "{out}");
    assert_eq!(result["against"]["path"], other);
    let ratio = &result["median_ratio_against"]["tick_to_callback"];
    assert_eq!(is_positive(ratio), comparable);
    let row = &result["per_repetition"][0]["against"]["on_data"];
    assert!(is_positive(&row["p50_ns"]) && is_positive(&row["ratio_to_library"]));
}

#[test]
fn hop() {
    if !two_cores() {
        return;
    }
    let (out, result) = quick(HOP, &[]);
    has_facts("hop", &result);
    let comparable = is_comparable(&result);
    assert_eq!(out.contains("ours / best peer"), comparable, "{out}");
    let sizes = result["sizes"].as_array().unwrap();
    let bytes: Vec<_> = sizes.iter().map(|size| size["bytes"].as_u64()).collect();
    assert_eq!(bytes, [Some(64), Some(128), Some(448)]);
    for size in sizes {
        let contenders = size["contenders"].as_array().unwrap();
        assert_eq!(contenders.len(), 9);
        let prefix = format!("{} B, repetition ", size["bytes"]);
        for contender in contenders {
            let name = &contender["name"];
            for trip in shown(&result, &contender["there_and_back"], 3, &prefix) {
                assert!(is_positive(&trip["p50_ns"]), "{name}");
            }
            let rates = &contender["million_messages_per_s"];
            for rate in shown(&result, rates, 3, &prefix) {
                assert!(is_positive(rate), "{name}");
            }
            let ratio = &contender["median_ratio_to_line"];
            assert_eq!(is_positive(ratio), comparable, "{name}");
        }
        for verdict in ["latency", "throughput"] {
            let ratio = &size[verdict]["ours_to_peer"];
            assert_eq!(is_positive(ratio), comparable, "{verdict}");
        }
    }
}

#[test]
fn base() {
    // One core is enough.
    let (out, result) = quick(BASE, &[]);
    has_facts("base", &result);
    assert!(out.contains("less the loop"), "{out}");
    for row in [
        "quanta_raw",
        "stamp_pair",
        "record_u64_2",
        "recorder_record",
        "callback",
    ] {
        assert!(is_positive(&result["rows"][row]["median_ns"]), "{row}");
    }
    assert!(is_positive(&result["rdtsc"]["usual_step_ns"]));
}

#[cfg(feature = "hf-live")]
#[test]
fn hf_live_design() {
    if !two_cores() {
        return;
    }
    let program = env!("CARGO_BIN_EXE_hf_live_design");
    let (out, result) = quick(program, &["--iterations", "1000"]);
    has_facts("hf_live_design", &result);
    assert!(out.contains("equal to the library's, bit by bit"), "{out}");
    let repetitions = shown(&result, &result["per_repetition"], 3, "repetition ");
    for case in ["test0000", "market_linear"] {
        for row in [
            "libsignal",
            "libsignal, apart",
            "spin-one",
            "spin",
            "block",
            "sleep",
        ] {
            for repetition in repetitions {
                assert!(is_positive(&repetition[case][row]["p99_ns"]), "{row}");
            }
            let times = &result["times_the_library"][case][row]["p50"];
            assert_eq!(is_positive(times), is_comparable(&result), "{row}");
        }
        if !is_comparable(&result) {
            continue;
        }
        assert_eq!(result["times_the_library"][case]["libsignal"]["p50"], 1.0);
        for goal in result["goals"][case].as_array().unwrap() {
            assert!(
                goal["met"].is_boolean() && is_positive(&goal["times"]),
                "{goal}"
            );
        }
    }
}

#[test]
fn load_at_given_rates() {
    if !two_cores() {
        return;
    }
    // The second is more than a core can send: the row must fail.
    let args = [
        "--rate",
        "2000,1_000_000_000",
        "--duration",
        "2ms",
        "--trades",
        "1",
    ];
    let (out, result) = quick(LOAD, &args);
    has_facts("load", &result);
    assert!(
        out.contains("meant to be sent") && (out.contains("FAIL (") || out.contains("  INVALID")),
        "{out}"
    );
    for repetition in result["per_repetition"].as_array().unwrap() {
        assert!(is_positive(&repetition["line_round_trip"]["p50_ns"]));
        assert!(repetition["lost_by_host_and_lane"][1]["share"].is_f64());
        let rows = repetition["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert!(is_positive(&row["p50_ns"]) && is_positive(&row["window_p99_ns"]));
            let count = |name: &str| row[name].as_u64().unwrap();
            let lost = count("sent") - count("received");
            assert!(count("dropped") + count("conflated") >= lost, "{row}");
        }
        for row in rows {
            assert_eq!(row["passed"].is_boolean(), row["validity"]["valid"] == true);
        }
        assert_ne!(rows[1]["passed"], true);
        let failures = rows[1]["failures"].to_string();
        assert!(
            failures.contains("missed") || failures.contains("dropped"),
            "{failures}"
        );
    }
    assert_eq!(result["saturation"], Value::Null);
}

#[test]
fn load_looks_for_saturation() {
    if !two_cores() {
        return;
    }
    let (out, result) = quick(LOAD, &["--set", "test0000", "--duration", "5ms"]);
    assert!(is_positive(&result["saturation"]), "{out}");
    let rows = result["per_repetition"][0]["rows"].as_array().unwrap();
    assert!(rows.len() >= 10);
    let goals = result["goals"].as_array().unwrap();
    assert_eq!(goals.len(), 3);
    // Null where other programs had the cores.
    let is_judged = |goal: &Value| goal["met"].is_boolean();
    if goals.iter().all(is_judged) {
        assert_eq!(result["saturation_is_valid"], true);
    } else {
        assert!(out.contains("not judged, INVALID"), "{out}");
    }
}

#[test]
fn stages() {
    let (out, result) = quick(STAGES, &["--calls", "1000"]);
    has_facts("stages", &result);
    let rows = result["rows"].as_array().unwrap();
    for wanted in ["market: Trade", "linear", "500 trees", "own set of 64"] {
        let title = |row: &&Value| row["row"].as_str().unwrap().starts_with(wanted);
        let row = rows
            .iter()
            .find(title)
            .unwrap_or_else(|| panic!("{wanted}: {out}"));
        assert!(is_positive(&row["ns"]) && is_positive(&row["calls_per_s"]));
    }
}

#[test]
fn scale() {
    if !two_cores() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let charts = folder.path().join("new/charts");
    let out = ["--out", charts.to_str().unwrap(), "--iterations", "200"];
    let (_, result) = quick(SCALE, &out);
    has_facts("scale", &result);
    let steps = [
        ("instruments", 9),
        ("factors", 7),
        ("burst", 10),
        ("model", 8),
    ];
    let axes = result["axes"].as_array().unwrap();
    assert_eq!(axes.len(), steps.len());
    for (axis, (name, count)) in axes.iter().zip(steps) {
        assert_eq!(axis["axis"], name);
        let prefix = format!("{}{}, repetition ", name[..1].to_uppercase(), &name[1..]);
        let steps = axis["steps"].as_array().unwrap();
        assert_eq!(steps.len(), count);
        for step in steps {
            assert!(is_positive(&step["p50_ns"]));
            assert_eq!(is_positive(&step["ratio_to_line"]), axis["valid"] == true);
            for repetition in shown(&result, &step["per_repetition"], 3, &prefix) {
                let work = &repetition["hops_p50_ns"]["factor.work"];
                assert!(is_positive(work), "{name}: {repetition}");
            }
        }
        let text = |end: &str| std::fs::read_to_string(charts.join(format!("{name}.{end}")));
        // A line a step, and two above them; above these what is not to be compared.
        let warning = if axis["valid"] == true { 0 } else { 2 };
        assert_eq!(text("md").unwrap().lines().count(), count + 2 + warning);
        assert_eq!(text("md").unwrap().contains("INVALID"), warning > 0);
        let chart = text("svg").unwrap();
        assert!(chart.contains("tick to callback") || name == "burst");
        assert_eq!(chart.contains("INVALID"), warning > 0);
    }
}

/// Whether the run that a row of `delivery` shows is among those that are told of.
fn is_invalid(result: &Value, row: &Value) -> bool {
    let name = format!("{} a second, {}", row["rate"], row["way"].as_str().unwrap());
    let runs = result["validity"]["invalid_runs"].as_array().unwrap();
    runs.iter().any(|run| run["run"] == name.as_str())
}

#[test]
fn delivery() {
    if !two_cores() {
        return;
    }
    let args = ["--rate", "50,100", "--duration", "200ms"];
    let (out, result) = quick(DELIVERY, &args);
    has_facts("delivery", &result);
    assert!(out.contains("Godzilla's"), "{out}");
    let said = out.contains("one Depth at a time: fused, on_data ");
    assert!(said || !is_comparable(&result), "{out}");
    let market = result["market"].as_array().unwrap();
    assert_eq!(market.len(), 8);
    for row in market {
        assert!(is_positive(&row["p50_ns"]), "{row}");
        let given = row["rate"].as_u64().unwrap() / 5;
        let came = row["count"].as_u64().unwrap();
        assert_eq!(came + row["left_behind"].as_u64().unwrap(), given, "{row}");
        assert_eq!(row["valid"] == true, !is_invalid(&result, row), "{row}");
        // The host's order of calls leaves the last one behind, inline for sure.
        if row["way"] == "inline, poll" {
            assert_eq!(row["left_behind"], 1);
            // It has waited for the next Depth.
            assert!(row["p50_ns"].as_f64().unwrap() > 5e6, "{row}");
        }
        if row["way"] == "inline, on_data" {
            assert_eq!(row["left_behind"], 0);
        }
    }
    let models = result["models"].as_array().unwrap();
    assert_eq!(models.len(), 6);
    for model in models {
        let prefix = format!("{}, repetition ", model["model"].as_str().unwrap());
        for (name, way) in model["ways"].as_object().unwrap() {
            for figure in ["tick_to_callback", "on_data", "last_of_burst"] {
                for repetition in shown(&result, &way[figure], 3, &prefix) {
                    assert!(is_positive(&repetition["p50_ns"]), "{name} {figure}");
                }
            }
        }
    }
}
