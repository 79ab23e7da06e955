//! What cannot be measured ends a bench, with the reason.

use std::process::Command;
use std::sync::PoisonError;

use signal_bench::machine;

use super::{CORES, DELIVERY, HOP, LOAD, SCALE, TICK_TO_CALLBACK, run, texts, two_cores};

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    if !two_cores() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(SCALE, &["--quick", "--out", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("--out"));
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    let core = machine::allowed()[0].to_string();
    for program in [TICK_TO_CALLBACK, HOP, DELIVERY, LOAD, SCALE] {
        for (args, code, said) in [
            (
                vec!["--host-core", &core, "--lane-cores", &core],
                1,
                "each needs its own",
            ),
            (
                vec!["--host-core", &core, "--lane-cores", "99999"],
                1,
                "core 99999",
            ),
            (
                vec!["--host-core", "99999", "--lane-cores", &core],
                1,
                "core 99999",
            ),
            (vec!["--fast"], 2, "--fast"),
            (vec!["--repetitions", "0"], 2, "at least 1"),
        ] {
            let output = run(program, &args);
            let (out, err) = texts(&output);
            assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
            assert!(err.contains(said), "{args:?}: {err}");
        }
    }
    if two_cores() {
        let shards = ["--quick", "--shards", "2"];
        let output = run(TICK_TO_CALLBACK, &shards);
        assert_eq!(output.status.code(), Some(1));
        assert!(texts(&output).1.contains("1 given for 4 lanes"));
        let missing = ["--quick", "--against", "/no/such/libsignal.so"];
        let output = run(TICK_TO_CALLBACK, &missing);
        assert_eq!(output.status.code(), Some(1));
        assert!(texts(&output).1.contains("--against: cannot load /no/such"));
        let output = run(HOP, &["--json", "/no/such/folder/result.json"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(texts(&output).1.contains("cannot write /no/such"));
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
        assert!(
            std::env::var_os("SIGNAL_REQUIRE_TOOLS").is_none_or(|value| value != "1"),
            "taskset is missing, and SIGNAL_REQUIRE_TOOLS=1"
        );
        println!("skipped: taskset is missing");
        return;
    };
    assert_eq!(output.status.code(), Some(1));
    let (_, err) = texts(&output);
    assert!(err.contains("two cores are needed"), "{err}");
}
