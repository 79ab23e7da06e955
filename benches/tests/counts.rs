//! The gate's own test: it passes when nothing grew, and fails when it should.

use std::path::Path;
use std::process::{Command, Output};
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

/// Counts the cases with [`NAME`] in their names against a baseline.
fn gate(baseline: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_counts"))
        .args(["--only", NAME, "--baseline"])
        .arg(baseline)
        // The library beside the program, not one that this shell happens to name.
        .env_remove("SIGNAL_LIB_PATH")
        .output()
        .unwrap()
}

/// A baseline with these counts.
fn write(folder: &Path, counts: &[(&str, f64)]) -> std::path::PathBuf {
    let counts: serde_json::Map<_, _> = counts
        .iter()
        .map(|&(name, count)| (name.to_owned(), count.into()))
        .collect();
    let text = serde_json::json!({"made_with": {}, "instructions": counts}).to_string();
    let path = folder.join("counts.json");
    fs::write(&path, text).unwrap();
    path
}

fn text(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{error}")
}

#[test]
fn it_passes_what_stays_and_fails_what_grows_comes_or_goes() {
    if !valgrind() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let says = |counts: &[(&str, f64)], code: i32, what: &str| {
        let output = gate(&write(folder.path(), counts));
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{counts:?}: {said}");
        assert!(said.contains(what), "{counts:?}: {what} is not in {said}");
        said
    };
    // Other cases are not counted here, so they are not missed.
    let other = ("poll empty", 1.0);
    let table = says(&[other], 1, "NEW");
    let now = table
        .lines()
        .find_map(|line| line.strip_prefix(NAME))
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|count| count.parse::<f64>().ok())
        .expect("the table has the count");
    assert!(now > 0.0, "{table}");
    // The count is the same each time, to the last digit shown.
    let table = says(&[other, (NAME, now)], 0, "PASS");
    assert!(table.contains("+0.0 %"), "{table}");
    says(&[other, (NAME, now / 1.04)], 1, "MORE");
    says(&[other, (NAME, now * 1.04)], 0, "less");
    says(
        &[other, (NAME, now), ("model test0000 as it was", now)],
        1,
        "MISSING",
    );
}

#[test]
fn without_a_baseline_it_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = gate(&folder.path().join("none.json"));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("none.json") && said.contains("--bless"),
        "{said}"
    );
}

/// The committed file has each case, so that a new one is not forgotten.
#[test]
fn the_committed_baseline_has_the_cases() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json")).unwrap();
    let baseline: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known: Vec<&str> = baseline["instructions"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let list = Command::new(env!("CARGO_BIN_EXE_counts"))
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(known, list.lines().collect::<Vec<_>>());
}
