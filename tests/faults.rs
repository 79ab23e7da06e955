//! The fault matrix names tests that exist.

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

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_fault_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &["rs", "cpp"], &mut text);
    }
    let matrix = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let (mut rows, mut missing) = (0, BTreeSet::new());
    for line in matrix
        .lines()
        .take_while(|line| *line != "## What proves the rest")
    {
        let cells: Vec<_> = line.split(" | ").collect();
        let [_, _, tests] = cells[..] else { continue };
        if tests.starts_with("tested by") || tests.starts_with("---") {
            continue;
        }
        rows += 1;
        assert!(
            tests.contains('`') || tests.contains("not tested"),
            "no test: {line}"
        );
        for name in quoted(tests) {
            let target = root.join(format!("fuzz/fuzz_targets/{name}.rs"));
            let known = text.contains(&format!("fn {name}("))
                || text.contains(&format!("SCENARIO({name})"))
                || target.exists();
            if !known {
                missing.insert(name.to_owned());
            }
        }
    }
    assert!(rows > 35, "only {rows} rows were found");
    assert!(missing.is_empty(), "docs/faults.md names {missing:?}");
}
