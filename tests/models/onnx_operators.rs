//! Each ONNX operator compared with onnxruntime and the standard's reference. Where the two
//! differ, the model is refused or needs a check file. Where they agree, our result must be
//! the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use signal::models::{Check, Model, load};

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub operator: String,
    pub file: String,
    /// Where the reference's result differs from onnxruntime's.
    pub differ: Option<String>,
    pub outputs: Vec<String>,
    /// Attributes that are not the default.
    #[cfg_attr(not(feature = "tract"), expect(dead_code))]
    pub changed: Vec<String>,
    /// Numbers are exact to 2e-5 of themselves or of this; without it, of the greatest in their row.
    floor: Option<f64>,
    /// `null` is NaN; 1e300 is infinite.
    inputs: Vec<Vec<Option<f64>>>,
    values: Vec<Vec<Option<f64>>>,
}

fn number(value: Option<f64>) -> f64 {
    match value {
        None => f64::NAN,
        Some(x) if x.abs() >= 1e300 => x.signum() * f64::INFINITY,
        Some(x) => x,
    }
}

/// The cases that a script makes in the folder, for these operators if it does not choose them.
pub fn cases(folder: &Path, script: &str, operators: &[&str]) -> Option<Vec<Case>> {
    let mut python = support::python("onnx, onnxruntime")?;
    python.arg(support::script(script)).arg(folder);
    let output = python.args(operators).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read(folder.join("cases.json")).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// Describes where the model's result is wrong.
pub fn off(case: &Case, model: &mut dyn Model) -> Option<String> {
    let mut out = vec![0.0; model.outputs().len()];
    if out.len() != case.values[0].len() {
        let right = case.values[0].len();
        return Some(format!("gives {} numbers instead of {right}", out.len()));
    }
    for (row, values) in case.inputs.iter().zip(&case.values) {
        let row: Vec<f64> = row.iter().copied().map(number).collect();
        model.run(signal::InstrumentId(0), &row, &mut out);
        let finite = values.iter().flatten().filter(|x| x.abs() < 1e300);
        let greatest = finite.fold(1e-2, |most: f64, x| most.max(x.abs()));
        let floor = case.floor.unwrap_or(greatest);
        for (at, (&ours, &theirs)) in out.iter().zip(values).enumerate() {
            let theirs = number(theirs);
            let near = (ours - theirs).abs() <= 2e-5 * theirs.abs().max(floor);
            if ours != theirs && !near && !(ours.is_nan() && theirs.is_nan()) {
                return Some(format!(
                    "gives {ours} instead of {theirs} at {at} of {row:?}"
                ));
            }
        }
    }
    None
}

/// Writes onnxruntime's values as the model's check file. JSON stores infinities as 1e300,
/// which no tolerance accepts, so rows that contain one are left out.
fn vouch(path: &Path, case: &Case) {
    let finite = |row: &Vec<Option<f64>>| row.iter().flatten().all(|x| x.abs() < 1e300);
    let rows = case.inputs.iter().zip(&case.values);
    let (inputs, outputs): (Vec<_>, Vec<_>) = rows
        .filter(|(inputs, outputs)| finite(inputs) && finite(outputs))
        .unzip();
    let json = serde_json::json!({"inputs": inputs, "outputs": outputs, "tolerance": 1e-4});
    std::fs::write(Check::path(path), json.to_string()).unwrap();
}

#[test]
fn operators_are_what_both_runtimes_say_or_need_a_check_file() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cases) = cases(folder.path(), "onnx_operators.py", &[]) else {
        return;
    };
    // Per operator: the number of cases that were accepted, accepted with a check file, and
    // refused.
    let mut counts: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let path = folder.path().join(&case.file);
        let counts = counts.entry(&case.operator).or_default();
        match load(&path, None, &case.outputs) {
            Ok(mut model) => {
                counts[0] += 1;
                let differ = case.differ.iter();
                wrong.extend(differ.map(|differ| format!("{}: taken, but {differ}", case.name)));
                wrong.extend(off(case, model.as_mut()).map(|off| format!("{}: {off}", case.name)));
            }
            Err(error) if error.to_string().contains("expected a check file") => {
                vouch(&path, case);
                match load(&path, None, &case.outputs) {
                    Ok(mut model) => {
                        counts[1] += 1;
                        let off = off(case, model.as_mut());
                        wrong.extend(off.map(|off| format!("{}, vouched for: {off}", case.name)));
                    }
                    Err(error) => wrong.push(format!("{}, vouched for: {error}", case.name)),
                }
            }
            Err(error) => {
                counts[2] += 1;
                println!("{} is refused: {error}", case.name);
            }
        }
    }
    for (operator, [taken, vouched, refused]) in &counts {
        println!("{operator}: {taken} taken, {vouched} with a check file, {refused} refused");
        assert!(taken + vouched > 0, "no case of {operator} is taken");
    }
    assert_eq!(counts.len(), 23, "{counts:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
