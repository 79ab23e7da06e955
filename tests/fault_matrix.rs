//! The fault matrix names tests that exist and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All text of the files below `folder` with one of these endings.
fn sources(folder: &Path, endings: &[&str], text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, endings, text);
        } else if path
            .extension()
            .is_some_and(|ending| endings.iter().any(|known| ending == *known))
        {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Functions that `cargo test` runs: those with `#[test]` and without `#[ignore]`. Loom
/// tests, which `.ci/loom` runs, look the same.
fn tests(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let (mut test, mut ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        match line {
            "#[test]" => test = true,
            _ if line.starts_with("#[ignore") => ignored = true,
            _ if line.starts_with("#[") || line.starts_with("//") => {}
            _ => {
                let name = line
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split('(').next());
                if let Some(name) = name.filter(|_| test && !ignored) {
                    found.insert(name);
                }
                (test, ignored) = (false, false);
            }
        }
    }
    found
}

/// Scenarios in the macros of `tests/c_abi/`, which make a test of each.
fn listed(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "scenarios! {" | "exits! {" => inside = true,
            "}" => inside = false,
            _ if inside => {
                found.extend(line.trim().strip_suffix(','));
            }
            _ => {}
        }
    }
    found
}

/// Scenarios of the C++ hosts.
fn scenarios(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("SCENARIO(")?.split(')').next())
        .collect()
}

#[test]
fn every_fault_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut rust, mut c_abi, mut cpp) = (String::new(), String::new(), String::new());
    for folder in ["src", "tests", "command", "benches/soak"] {
        sources(&root.join(folder), &["rs"], &mut rust);
    }
    sources(&root.join("tests/c_abi"), &["rs"], &mut c_abi);
    sources(&root.join("tests/hosts"), &["cpp"], &mut cpp);
    let (tests, listed, scenarios) = (tests(&rust), listed(&c_abi), scenarios(&cpp));
    let matrix = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let (mut rows, mut missing) = (0, BTreeSet::new());
    for line in matrix
        .lines()
        .take_while(|line| *line != "## What proves the rest")
    {
        let cells: Vec<_> = line.split(" | ").collect();
        let [_, _, column] = cells[..] else { continue };
        if column.starts_with("tested by") || column.starts_with("---") {
            continue;
        }
        rows += 1;
        assert!(
            column.contains('`') || column.contains("not tested"),
            "no test: {line}"
        );
        for name in quoted(column) {
            let target = root.join(format!("fuzz/fuzz_targets/{name}.rs"));
            let runs = tests.contains(name)
                || listed.contains(name) && scenarios.contains(name)
                || target.exists();
            if !runs {
                missing.insert(name.to_owned());
            }
        }
    }
    assert!(rows > 35, "only {rows} rows were found");
    assert!(missing.is_empty(), "docs/faults.md names {missing:?}");
}

#[test]
fn every_scenario_of_a_host_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut c_abi, mut cpp) = (String::new(), String::new());
    sources(&root.join("tests/c_abi"), &["rs"], &mut c_abi);
    let (tests, listed) = (tests(&c_abi), listed(&c_abi));
    sources(&root.join("tests/hosts"), &["cpp"], &mut cpp);
    let scenarios = scenarios(&cpp);
    let idle: Vec<_> = scenarios
        .iter()
        .filter(|name| !listed.contains(*name) && !tests.contains(*name))
        .collect();
    assert!(scenarios.len() > 40, "only {} were found", scenarios.len());
    assert!(idle.is_empty(), "no test runs {idle:?}");
}

#[test]
fn a_function_that_does_not_run_is_no_test() {
    let text = "#[test]\n/// Why.\n#[cfg(unix)]\n  fn runs() {\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {\nfn helper() {\n";
    assert_eq!(tests(text), BTreeSet::from(["runs"]));
    let text = "macro_rules! scenarios {\n    ($($name:ident,)*) => {\nscenarios! {\n    basic,\n}\n    other,\n";
    assert_eq!(listed(text), BTreeSet::from(["basic"]));
    assert_eq!(
        scenarios("SCENARIO(basic) {\n// SCENARIO(none)"),
        BTreeSet::from(["basic"])
    );
}
