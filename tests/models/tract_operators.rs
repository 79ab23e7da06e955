//! Each operator that tract runs compared with onnxruntime and the standard's reference. Proven
//! ones must give the same as both. The others need a check file.

use std::collections::BTreeMap;

use signal::models::load;

use crate::onnx_operators::{cases, off};

/// A row of the library's table of operators.
struct Row {
    operator: String,
    /// The first version of the operator set in which it is proven.
    first: Option<i64>,
    attributes: String,
}

/// The rows of a list in the source of the table, in which only rows and types have parentheses.
fn rows(list: &str) -> Vec<Row> {
    let file = support::ROOT.to_owned() + "/src/models/onnx/lower/elsewhere/table.rs";
    let table = std::fs::read_to_string(file).unwrap();
    let (_, list) = table.split_once(&format!("pub const {list}: ")).unwrap();
    let list = list.split("];").next().unwrap();
    let row = |text: &str| {
        let mut strings = text.split('"').skip(1).step_by(2);
        Row {
            operator: strings.next().unwrap().into(),
            first: text.split(',').nth(1).unwrap().trim().parse().ok(),
            attributes: strings.next().unwrap().into(),
        }
    };
    list.split('(').skip(2).map(row).collect()
}

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
    let (proven, doubtful) = (rows("PROVEN"), rows("DOUBTFUL"));
    assert!(proven.len() > 90 && doubtful.len() > 40);
    let all = proven.iter().chain(&doubtful);
    let all: Vec<&str> = all.map(|row| row.operator.as_str()).collect();
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
    for row in &proven {
        let (operator, first) = (row.operator.as_str(), row.first.unwrap());
        let Some(counts) = counts.get(operator) else {
            wrong.push(format!("{operator}: is proven without a case"));
            continue;
        };
        if counts.taken == 0 {
            wrong.push(format!("{operator}: is proven, but no case of it is taken"));
        }
        for word in row
            .attributes
            .split_terminator(' ')
            .filter(|word| !word.contains(['=', '~']))
        {
            let (name, range) = word.split_once('[').unwrap_or((word, "..]"));
            let end = range.split_once("..").unwrap().1.strip_suffix(']');
            // Before the operator is proven.
            if end.unwrap().parse().is_ok_and(|end: i64| end <= first) {
                continue;
            }
            if !counts.changed.iter().any(|changed| *changed == name) {
                wrong.push(format!(
                    "{operator}: no case has another {name} than the default"
                ));
            }
        }
    }
    for operator in doubtful.iter().map(|row| row.operator.as_str()) {
        if counts.get(operator).is_some_and(|counts| counts.taken > 0) {
            wrong.push(format!("{operator}: taken, although it is not proven"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
