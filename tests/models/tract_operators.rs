//! Each operator that tract runs compared with onnxruntime and the standard's reference. Proven
//! ones must give the same as both. The others need a check file.

use std::collections::BTreeMap;

use signal::models::load;

use crate::onnx_operators::{cases, off};

#[path = "../../src/models/onnx/lower/elsewhere/table.rs"]
mod table;

/// What became of an operator's cases.
#[derive(Default)]
struct Counts<'a> {
    taken: u32,
    doubtful: u32,
    refused: u32,
    /// Attributes of the cases that were taken, where they are not the default.
    changed: Vec<&'a String>,
}

#[test]
fn proven_operators_of_tract_are_what_both_runtimes_say() {
    let folder = tempfile::tempdir().unwrap();
    let proven = table::PROVEN.iter().map(|row| row.0);
    let all: Vec<&str> = proven
        .chain(table::DOUBTFUL.iter().map(|row| row.0))
        .collect();
    let Some(cases) = cases(folder.path(), "tract_operators.py", &all) else {
        return;
    };
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let path = folder.path().join(&case.file);
        let counts = counts.entry(&case.operator).or_default();
        let mut model = match load(&path, None, &case.outputs) {
            Ok(model) => {
                counts.taken += 1;
                model
            }
            Err(error) if error.to_string().contains("expected a check file") => {
                counts.doubtful += 1;
                continue;
            }
            Err(error) => {
                counts.refused += 1;
                println!("{} is refused: {error}", case.name);
                continue;
            }
        };
        counts.changed.extend(&case.changed);
        wrong.extend(
            case.differ
                .iter()
                .map(|differ| format!("{}: taken, but {differ}", case.name)),
        );
        wrong.extend(off(case, model.as_mut()).map(|off| format!("{}: {off}", case.name)));
    }
    for (operator, counts) in &counts {
        let (taken, doubtful, refused) = (counts.taken, counts.doubtful, counts.refused);
        println!("{operator}: {taken} taken, {doubtful} need a check file, {refused} refused");
    }
    for (operator, first, attributes) in table::PROVEN {
        let Some(counts) = counts.get(operator) else {
            wrong.push(format!("{operator}: is proven without a case"));
            continue;
        };
        if counts.taken == 0 {
            wrong.push(format!("{operator}: is proven, but no case of it is taken"));
        }
        for word in attributes
            .split_terminator(' ')
            .filter(|word| !word.contains(['=', '~']))
        {
            let (name, range) = word.split_once('[').unwrap_or((word, "..]"));
            let end = range.split_once("..").unwrap().1.strip_suffix(']');
            // Before the operator is proven.
            if end.unwrap().parse().is_ok_and(|end: i64| end <= *first) {
                continue;
            }
            if !counts.changed.iter().any(|changed| *changed == name) {
                wrong.push(format!(
                    "{operator}: no case has another {name} than the default"
                ));
            }
        }
    }
    for (operator, _, why) in table::DOUBTFUL {
        let taken = counts.get(operator).map_or(0, |counts| counts.taken);
        if taken > 0 {
            wrong.push(format!("{operator}: taken, although {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
