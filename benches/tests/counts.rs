//! The gate's own test: it passes when nothing grew, and fails when it should.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const NAME: &str = "model test0000";

/// Whether valgrind can be started. Without it these tests say so and end; where
/// every tool is required they fail.
fn valgrind() -> bool {
    let found = Command::new("valgrind").arg("--version").output().is_ok();
    if !found {
        let required = env::var_os("SIGNAL_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!required, "valgrind is missing, and SIGNAL_REQUIRE_TOOLS=1");
        println!("SKIP: valgrind is missing");
    }
    found
}

/// Counts the cases with [`NAME`] in their names against a baseline: the exit code, and
/// what is said.
fn gate(baseline: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counts"));
    // The library beside the program, not one that this shell happens to name.
    command.env_remove("SIGNAL_LIB_PATH");
    command.args(["--only", NAME, "--baseline"]).arg(baseline);
    let output = command.output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (output.status.code(), said.concat())
}

#[test]
fn it_passes_what_stays_and_fails_what_grows_comes_or_goes() {
    if !valgrind() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.json");
    let (code, said) = gate(&path);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("counts.json") && said.contains("--bless"),
        "{said}"
    );
    // Other cases are not counted here, so they are not missed.
    let says = |counts: &[(&str, f64)], code: i32, what: &str| {
        let counts = counts.iter().chain(&[("poll empty", 1.0)]);
        let counts = counts.map(|&(name, count)| (name.to_owned(), count.into()));
        let counts: serde_json::Map<_, _> = counts.collect();
        let text = serde_json::json!({"made_with": {}, "instructions": counts});
        fs::write(&path, text.to_string()).unwrap();
        let (found, said) = gate(&path);
        assert_eq!(found, Some(code), "{text}: {said}");
        assert!(said.contains(what), "{text}: {what} is not in {said}");
        said
    };
    let table = says(&[], 1, "NEW");
    let now = table.lines().find_map(|line| line.strip_prefix(NAME));
    let now = now.and_then(|line| line.split_whitespace().nth(1));
    let now: f64 = now.expect("the table has the count").parse().unwrap();
    assert!(now > 0.0, "{table}");
    // The count is the same each time, to the last digit shown.
    let table = says(&[(NAME, now)], 0, "PASS");
    assert!(table.contains("+0.0 %"), "{table}");
    says(&[(NAME, now / 1.04)], 1, "MORE");
    says(&[(NAME, now * 1.04)], 0, "less");
    says(
        &[(NAME, now), ("model test0000 as it was", now)],
        1,
        "MISSING",
    );
}

/// The committed file has each case, so that a new one is not forgotten.
#[test]
fn the_committed_baseline_has_the_cases() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json")).unwrap();
    let baseline: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known: Vec<&String> = baseline["instructions"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    let list = Command::new(env!("CARGO_BIN_EXE_counts"))
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(known, list.lines().collect::<Vec<_>>());
}
