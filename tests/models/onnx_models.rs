//! ONNX models compared with onnxruntime, and files that are not models.

use std::path::Path;

use serde::Deserialize;
use signal::models::{Model, load};
use support::{meters, vectors};

#[derive(Deserialize)]
struct Cases {
    /// `null` is NaN; 1e300 is infinite as a float.
    rows: Vec<Vec<Option<f64>>>,
    /// The number of rows at the end that are made up: NaN, infinite, huge, 0.
    odd: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    inputs: usize,
    outputs: Vec<String>,
    names: Vec<String>,
    exact: bool,
    /// Only for linear models: the root mean square of the sum of the terms' magnitudes.
    terms: Option<Vec<f64>>,
    values: Vec<Vec<Option<f64>>>,
}

/// A result as the file stores it.
fn number(value: Option<f64>) -> f64 {
    match value {
        None => f64::NAN,
        Some(x) if x.abs() >= 1e300 => x.signum() * f64::INFINITY,
        Some(x) => x,
    }
}

/// Trains the models and exports them into `dir`; `None` if a tool is missing.
fn make(dir: &Path) -> Option<Cases> {
    let mut python = support::python("onnx, onnxruntime, pandas, skl2onnx, sklearn")?;
    let status = python
        .arg(support::script("onnx_models.py"))
        .arg(dir)
        .arg(vectors::write(dir, support::recorded))
        .status()
        .unwrap();
    assert!(status.success(), "onnx_models.py failed");
    let text = std::fs::read(dir.join("cases.json")).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// Trees must agree to the bit, or to one step of `f32` where a transform follows the sum.
/// Others must satisfy `|ours - theirs| <= 1e-5 * max(|theirs|, m)`, where `m` is the root
/// mean square of the output over all rows. For linear regressions `m` is that of the sum
/// of `|w x|`, because terms that cancel leave the rounding error of each. For the same
/// reason the bound is 1e-3 for rows made up of huge factors and 0. NaN equals NaN.
fn compare(case: &Case, cases: &Cases, model: &mut dyn Model) -> f64 {
    let (rows, recorded) = (&cases.rows, cases.rows.len() - cases.odd);
    let mut out = vec![0.0; model.outputs().len()];
    assert_eq!(model.inputs(), case.inputs, "{}", case.name);
    assert_eq!(out.len(), case.values[0].len(), "{}", case.name);
    assert!(rows.len() >= 1000 && case.values.len() == rows.len());
    let scale: Vec<f64> = (0..out.len())
        .map(|column| {
            // Only recorded rows count.
            let values = case.values[..1000].iter().map(|row| number(row[column]));
            let terms = case.terms.as_ref().map(|terms| terms[column]);
            terms.unwrap_or((values.map(|x| x * x).sum::<f64>() / 1000.0).sqrt())
        })
        .collect();
    let mut worst = 0.0f64;
    for (index, (row, values)) in rows.iter().zip(&case.values).enumerate() {
        let row: Vec<f64> = row.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let before = meters::calls_of_thread();
        model.run(signal::InstrumentId(0), &row[..case.inputs], &mut out);
        assert_eq!(meters::calls_of_thread(), before, "{} allocates", case.name);
        for (column, (&ours, &theirs)) in out.iter().zip(values).enumerate() {
            let theirs = number(theirs);
            if ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan() {
                continue;
            }
            let off = (ours - theirs).abs();
            let place = || {
                format!(
                    "{} row {index} {}: {ours} for {theirs}",
                    case.name,
                    model.outputs()[column]
                )
            };
            if case.exact {
                let step = f64::from((theirs as f32).next_up()) - theirs;
                assert!(off <= step, "{}", place());
                worst = worst.max(off / step);
            } else {
                let size = theirs.abs().max(scale[column]);
                let limit = if index < recorded { 1e-5 } else { 1e-3 };
                assert!(off <= limit * size, "{}", place());
                worst = worst.max(off / size);
            }
        }
    }
    worst
}

#[test]
fn models_equal_onnxruntime_and_bad_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(cases) = make(dir.path()) else {
        return;
    };
    models_equal_onnxruntime(dir.path(), &cases);
    check_files_are_honoured(dir.path(), &cases);
    a_check_file_holds_for_chosen_outputs(dir.path());
    wrong_choices_are_refused(dir.path());
    damaged_files_are_refused(dir.path());
}

fn models_equal_onnxruntime(dir: &Path, cases: &Cases) {
    for case in &cases.cases {
        let path = dir.join(format!("{}.onnx", case.name));
        let mut model = load(&path, None, &case.outputs).unwrap_or_else(|error| {
            // Runtimes differ here: the error must say so, and onnxruntime's values decide.
            assert!(
                error.to_string().contains("expected a check file"),
                "{error}"
            );
            let check = serde_json::json!({
                "inputs": cases.rows[..50], "outputs": case.values[..50], "tolerance": 1e-5,
            });
            std::fs::write(signal::models::Check::path(&path), check.to_string()).unwrap();
            load(&path, None, &case.outputs).unwrap()
        });
        assert_eq!(model.outputs(), case.names, "{}", case.name);
        let worst = compare(case, cases, model.as_mut());
        let unit = if case.exact {
            "steps of f32"
        } else {
            "of the output"
        };
        println!("{:<16} off by at most {worst:.1e} {unit}", case.name);
    }
}

fn check_files_are_honoured(dir: &Path, cases: &Cases) {
    let case = &cases.cases[0];
    let path = dir.join(format!("{}.onnx", case.name));
    let check = |values: &[Vec<Option<f64>>]| {
        let check = serde_json::json!({
            "inputs": cases.rows[..5], "outputs": values[..5], "tolerance": 1e-5,
        });
        std::fs::write(signal::models::Check::path(&path), check.to_string()).unwrap();
        load(&path, None, &[])
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(&case.values), Ok(()));
    let mut wrong = case.values.clone();
    wrong[3][1] = wrong[3][1].map(|x| x + 0.1);
    assert!(
        check(&wrong)
            .unwrap_err()
            .contains("outputs[3][1] (variable[1])")
    );
    std::fs::remove_file(signal::models::Check::path(&path)).unwrap();
}

fn wrong_choices_are_refused(dir: &Path) {
    let refusal = |name: &str, outputs: &[&str]| {
        let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        let path = dir.join(format!("{name}.onnx"));
        load(&path, None, &outputs).err().unwrap().to_string()
    };
    let error = refusal("logistic", &["proba"]);
    assert!(
        error.contains("no output 'proba'; expected one of label, probabilities"),
        "{error}"
    );
    assert!(refusal("logistic", &["label", "label"]).contains("chosen twice"));
    let error = refusal("mlp_class", &[]);
    assert!(
        error.contains("(ArgMax): operator ArgMax is not supported"),
        "{error}"
    );
}

/// A check file belongs to the model, so it holds for any choice of outputs.
fn a_check_file_holds_for_chosen_outputs(dir: &Path) {
    let path = dir.join("logistic.onnx");
    let check = signal::models::Check::path(&path);
    let chosen = ["probabilities".to_owned()];
    let mut whole = load(&path, None, &[]).unwrap();
    let inputs = vec![1.0; whole.inputs()];
    let mut outputs = vec![0.0; whole.outputs().len()];
    whole.run(signal::InstrumentId(0), &inputs, &mut outputs);
    for (outputs, good) in [
        (outputs.clone(), true),
        (outputs[1..].to_vec(), true),
        (vec![9.0; outputs.len()], false),
    ] {
        let json = serde_json::json!({"inputs": [inputs], "outputs": [outputs], "tolerance": 0});
        std::fs::write(&check, json.to_string()).unwrap();
        assert_eq!(load(&path, None, &chosen).is_ok(), good, "{json}");
    }
    std::fs::remove_file(check).unwrap();
}

/// Runtimes compute `x / max(x)` or `x / max(|x|)`; the check file decides.
#[test]
fn a_normalizer_of_maxima_is_what_its_check_file_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("norm_max.onnx");
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let attribute = field(
        5,
        &[field(1, b"norm"), field(4, b"MAX"), vec![0xa0, 1, 3]].concat(),
    );
    let node = [
        field(1, b"x"),
        field(2, b"y"),
        field(4, b"Normalizer"),
        attribute,
        field(7, b"ai.onnx.ml"),
    ];
    let port = |name: &[u8]| {
        let dims = field(2, &[field(1, &[0x12, 1, b'n']), field(1, &[8, 2])].concat());
        let tensor = field(1, &[vec![8, 1], dims].concat());
        [field(1, name), field(2, &tensor)].concat()
    };
    let graph = [
        field(1, &node.concat()),
        field(11, &port(b"x")),
        field(12, &port(b"y")),
    ];
    let opset =
        |domain: &[u8], version| field(8, &[field(1, domain), vec![0x10, version]].concat());
    let model = [
        vec![8, 8],
        field(7, &graph.concat()),
        opset(b"", 17),
        opset(b"ai.onnx.ml", 1),
    ];
    std::fs::write(&path, model.concat()).unwrap();
    let error = load(&path, None, &[]).err().unwrap().to_string();
    for words in ["Normalizer MAX divides", "expected a check file beside it"] {
        assert!(error.contains(words), "{error}");
    }
    let check = |outputs: [f64; 2]| {
        let json =
            serde_json::json!({"inputs": [[-1.0, -4.0]], "outputs": [outputs], "tolerance": 1e-6});
        std::fs::write(signal::models::Check::path(&path), json.to_string()).unwrap();
        let mut model = load(&path, None, &[]).map_err(|error| error.to_string())?;
        let mut out = [0.0; 2];
        model.run(signal::InstrumentId(0), &[-2.0, 1.0], &mut out);
        Ok::<_, String>(out)
    };
    assert_eq!(check([1.0, 4.0]), Ok([-2.0, 1.0]));
    assert_eq!(check([-0.25, -1.0]), Ok([-1.0, 0.5]));
    let error = check([-0.5, -1.0]).unwrap_err();
    assert!(
        error.contains("outputs[0][0] (y[0]) is -0.5, but the model gives 1"),
        "{error}"
    );
}

/// Loads the bytes. A model that loads must run; returns its outputs for inputs of 1.
fn try_load(path: &Path, bytes: &[u8]) -> Result<Vec<f64>, String> {
    std::fs::write(path, bytes).unwrap();
    let (loaded, peak) = meters::peak(|| load(path, Some(signal::models::Kind::Onnx), &[]));
    assert!(
        peak <= (32 << 20) + 12 * bytes.len(),
        "{peak} bytes for {}",
        bytes.len()
    );
    let mut model = loaded.map_err(|error| error.to_string())?;
    let mut out = vec![0.0; model.outputs().len()];
    for fill in [1e300, f64::NAN, 1.0] {
        model.run(
            signal::InstrumentId(0),
            &vec![fill; model.inputs()],
            &mut out,
        );
    }
    Ok(out)
}

fn damaged_files_are_refused(dir: &Path) {
    let path = dir.join("damaged.onnx");
    let read = |name: &str| std::fs::read(dir.join(format!("{name}.onnx"))).unwrap();
    for name in ["mlp", "boost", "forest_class3"] {
        let whole = read(name);
        for len in (0..whole.len()).step_by(1024) {
            assert!(
                try_load(&path, &whole[..len]).is_err(),
                "{name} cut at {len}"
            );
        }
        try_load(&path, &whole).unwrap();
    }
    let (mut refused, mut ran) = (0, 0);
    let mut random = fastrand::Rng::with_seed(3);
    for name in ["linear", "logistic3", "tree_class", "forest2", "shapes"] {
        let whole = read(name);
        let out = try_load(&path, &whole).unwrap();
        let step = if whole.len() < 3000 { 1 } else { 16 };
        for len in (0..whole.len()).step_by(step) {
            // Some exporters import an operator set twice, so the file may work without its
            // last bytes.
            match try_load(&path, &whole[..len]) {
                Ok(cut) => assert!(len > whole.len() - 24 && cut == out, "{name} cut at {len}"),
                Err(error) => assert!(!error.is_empty()),
            }
        }
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u32(..8);
            }
            match try_load(&path, &bytes) {
                Ok(_) => ran += 1,
                Err(_) => refused += 1,
            }
        }
        for run in [1, 8, 64] {
            for _ in 0..20 {
                let mut bytes = whole.clone();
                let at = random.usize(..bytes.len().saturating_sub(run));
                bytes[at..at + run].fill(0xff);
                let _ = try_load(&path, &bytes);
            }
        }
        // A length of 4 GiB replaces every byte near the beginning in turn.
        for at in 0..whole.len().min(200) {
            let mut bytes = whole[..at].to_vec();
            bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
            bytes.extend(&whole[at + 1..]);
            let _ = try_load(&path, &bytes);
        }
    }
    println!("of files with flipped bits {refused} were refused, {ran} ran");
    assert!(refused > 100 && ran > 100, "{refused} refused, {ran} ran");
    for len in [0, 1, 64, 1 << 20] {
        assert!(try_load(&path, &vec![0xff; len]).is_err());
        assert!(try_load(&path, &vec![0x08; len]).is_err());
        assert!(load(&path, None, &[]).is_err());
    }
}
