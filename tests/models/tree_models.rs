//! Tree models compared with the libraries that trained them, and damaged files of such models.

use std::path::Path;

use signal::models::{Check, Kind, LightGbm, Model, ModelError, XgBoost, load};
use signal::{Blueprint, Config, Registry};
use support::{meters, vectors};

/// The most memory that reading a file may hold: a multiple of its size, and the trees' masks.
fn bound(file: usize) -> usize {
    32 * file + (24 << 20)
}

/// A folder of models that Python trained on recorded data, or on random data if there is none.
fn trained() -> Option<tempfile::TempDir> {
    let mut python = support::python("lightgbm, xgboost, pandas")?;
    let folder = tempfile::tempdir().unwrap();
    python
        .args(["-W", "ignore"])
        .arg(support::script("trees.py"))
        .arg(folder.path())
        .arg(vectors::write(folder.path(), support::recorded));
    let output = python.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(folder)
}

fn numbers(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(8)
        .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// How many numbers of the library's type lie between `a` and `b`.
fn ulps(kind: Kind, a: f64, b: f64) -> u64 {
    fn apart(a: i64, b: i64) -> u64 {
        a.abs_diff(b)
    }
    match kind {
        Kind::XgBoost => {
            assert_eq!(f64::from(a as f32), a, "not an f32");
            let ordered = |x: f64| {
                let bits = (x as f32).to_bits() as i32;
                i64::from(if bits < 0 { i32::MIN - bits } else { bits })
            };
            apart(ordered(a), ordered(b))
        }
        _ => {
            let ordered = |x: f64| {
                let bits = x.to_bits() as i64;
                if bits < 0 { i64::MIN - bits } else { bits }
            };
            apart(ordered(a), ordered(b))
        }
    }
}

fn compare(folder: &Path, name: &str, file: &str, columns: usize, allowed: u64) {
    let path = folder.join(file);
    let kind = Kind::detect(&std::fs::read(&path).unwrap()).unwrap();
    let expected_kind = if name.starts_with("xgboost") {
        Kind::XgBoost
    } else {
        Kind::LightGbm
    };
    assert_eq!(kind, expected_kind, "{name}");
    let mut model = load(&path, None, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(model.inputs(), columns, "{name}");
    let inputs = numbers(&folder.join(format!("{name}.x")));
    let outputs = numbers(&folder.join(format!("{name}.y")));
    assert!(outputs.len() >= 2000);
    assert_eq!(inputs.len(), outputs.len() * columns, "{name}");
    let mut out = [0.0];
    let mut inexact = 0;
    for (row, (input, &expected)) in inputs.chunks_exact(columns).zip(&outputs).enumerate() {
        model.run(signal::InstrumentId(0), input, &mut out);
        let off = ulps(kind, out[0], expected);
        assert!(
            off <= allowed,
            "{name}, row {row}: {} instead of {expected}, {off} ulps off; {input:?}",
            out[0]
        );
        inexact += u64::from(off > 0);
    }
    println!(
        "{name}: {} rows, {inexact} of them off by 1 ulp",
        outputs.len()
    );
}

#[test]
fn models_equal_their_libraries() {
    let Some(folder) = trained() else { return };
    let folder = folder.path();
    let cases = std::fs::read_to_string(folder.join("cases.txt")).unwrap();
    for case in cases.lines() {
        let words: Vec<&str> = case.splitn(4, ' ').collect();
        match words[..] {
            ["refuse", file, ..] => {
                let words = case.splitn(3, ' ').nth(2).unwrap();
                let Err(error) = load(&folder.join(file), None, &[]) else {
                    panic!("{file} was loaded; expected a refusal: {words}");
                };
                assert!(error.to_string().contains(words), "{error}");
            }
            [name, file, columns, allowed] => {
                let columns = columns.parse().unwrap();
                compare(folder, name, file, columns, allowed.parse().unwrap());
            }
            _ => panic!("{case:?} is not a case"),
        }
    }
    let named = load(&folder.join("xgboost_100.json"), None, &[]).unwrap();
    assert_eq!(named.input_names().len(), named.inputs());
    let named = load(&folder.join("lightgbm_100.txt"), None, &[]).unwrap();
    assert_eq!(named.input_names().len(), named.inputs());
    let unnamed = load(&folder.join("lightgbm_500.txt"), None, &[]).unwrap();
    assert!(unnamed.input_names().is_empty());
    for (file, parse) in [
        ("lightgbm_categories.txt", lightgbm as Parse),
        ("xgboost_100.json", xgboost),
    ] {
        damage(&std::fs::read(folder.join(file)).unwrap(), parse);
    }
}

/// An XGBoost file of three trees that return 1, 10 and 100. Early stopping kept the first two.
fn stopped(version: &str, attributes: &str) -> String {
    let tree = |leaf: u32| {
        format!(
            r#"{{"left_children": [-1], "right_children": [-1], "split_indices": [0],
            "split_conditions": [{leaf}], "default_left": [0], "tree_param": {{}}}}"#
        )
    };
    let trees = [1, 10, 100].map(tree).join(", ");
    format!(
        r#"{{"learner": {{"attributes": {{"best_iteration": "1"{attributes}}}, "gradient_booster":
        {{"name": "gbtree", "model": {{"trees": [{trees}], "tree_info": [0, 0, 0]}}}},
        "learner_model_param": {{"base_score": "0", "num_feature": "3"}},
        "objective": {{"name": "reg:squarederror"}}}}, "version": {version}}}"#
    )
}

#[test]
fn a_version_that_nobody_knows_needs_a_check_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    let check = Check::path(&path);
    std::fs::write(&path, stopped("[9, 1, 0]", "")).unwrap();
    let error = load(&path, None, &[]).err().unwrap().to_string();
    for words in ["saved by XGBoost 9.1", "expected a check file", "m.json"] {
        assert!(error.contains(words), "{error}");
    }
    for (output, good) in [(111, true), (11, false)] {
        let json = format!(r#"{{"inputs": [[0, 0, 0]], "outputs": [[{output}]], "tolerance": 0}}"#);
        std::fs::write(&check, json).unwrap();
        assert_eq!(load(&path, None, &[]).is_ok(), good, "{output}");
    }
}

#[test]
fn the_configuration_says_how_many_iterations_and_the_start_line_which_were_taken() {
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("wrapper.json");
    let booster = folder.path().join("booster.json");
    std::fs::write(&wrapper, stopped("[3, 2, 0]", r#", "scikit_learn": "{}""#)).unwrap();
    std::fs::write(&booster, stopped("[3, 2, 0]", "")).unwrap();
    let line = |file: &Path, iterations: &str| {
        let json = format!(r#"{{"model": {{"name": "m", "file": {file:?} {iterations}}}}}"#);
        let config = Config::from_json(&json).map_err(|error| error.to_string())?;
        let again = Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again.models, config.models);
        let blueprint = Blueprint::new(&config, &Registry::default());
        blueprint
            .map(|blueprint| blueprint.to_string())
            .map_err(|error| error.to_string())
    };
    for (file, iterations, expected) in [
        (
            &wrapper,
            "",
            "m(2 of 3 iterations: the best, as scikit-learn's predict takes them)",
        ),
        (
            &booster,
            "",
            "m(all 3 iterations, as Booster.predict takes them; the best were 2)",
        ),
        (
            &wrapper,
            r#", "iterations": "all""#,
            "m(all 3 iterations, as configured; the best were 2)",
        ),
        (
            &booster,
            r#", "iterations": "best""#,
            "m(2 of 3 iterations: the best, as configured)",
        ),
        (
            &booster,
            r#", "iterations": 1"#,
            "m(1 of 3 iterations: as configured)",
        ),
    ] {
        let line = line(file, iterations).unwrap();
        assert_eq!(line, format!("factors=test0000 model={expected}"));
    }
    for (iterations, expected) in [
        ("4", "asks for 4 iterations, but the file has 3"),
        (
            "0",
            "model.iterations: invalid value: integer `0`, expected best, all or a number from 1",
        ),
        ("\"worst\"", "expected best, all or a number from 1"),
    ] {
        let error = line(&booster, &format!(", \"iterations\": {iterations}")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let linear = folder.path().join("linear.json");
    std::fs::write(&linear, r#"{"weights": [1, 2, 3], "bias": 0}"#).unwrap();
    let error = line(&linear, r#", "iterations": 1"#).unwrap_err();
    assert!(
        error.contains("it has no iterations; leave iterations out"),
        "{error}"
    );
    let error = Config::from_json(r#"{"model": {"kind": "none", "iterations": "all"}}"#)
        .map(|config| Blueprint::new(&config, &Registry::default()).unwrap_err())
        .unwrap();
    assert!(
        error.to_string().contains("model none has no iterations"),
        "{error}"
    );
}

type Parse = fn(&[u8]) -> Result<Box<dyn Model>, ModelError>;

fn lightgbm(bytes: &[u8]) -> Result<Box<dyn Model>, ModelError> {
    LightGbm::parse(bytes).map(|model| Box::new(model) as _)
}

fn xgboost(bytes: &[u8]) -> Result<Box<dyn Model>, ModelError> {
    XgBoost::parse(bytes).map(|model| Box::new(model) as _)
}

/// Reads a damaged file, which must end in an error or in a model that runs. Returns
/// whether the file was refused.
fn survives(bytes: &[u8], parse: Parse) -> bool {
    let read = || match parse(bytes) {
        Ok(mut model) => {
            let mut out = [0.0];
            for x in [0.0, -1.0, 1e9, f64::NAN, f64::INFINITY] {
                model.run(signal::InstrumentId(0), &vec![x; model.inputs()], &mut out);
            }
            false
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 1000, "{text}");
            true
        }
    };
    let (refused, took) = meters::peak(read);
    assert!(
        took <= bound(bytes.len()),
        "{took} bytes for a file of {}",
        bytes.len()
    );
    refused
}

fn damage(bytes: &[u8], parse: Parse) {
    assert!(!survives(bytes, parse));
    // The last kibibytes of LightGBM's text describe the training, so they may be missing.
    let end = bytes
        .windows(12)
        .position(|line| line == b"end of trees")
        .unwrap_or(bytes.len() - 1);
    for length in (0..bytes.len()).step_by(1024) {
        let refused = survives(&bytes[..length], parse);
        assert!(refused || length > end, "cut at {length}");
    }
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        let mut damaged = bytes.to_vec();
        for _ in 0..random.usize(1..4) {
            damaged[random.usize(..bytes.len())] ^= 1 << random.u8(..8);
        }
        survives(&damaged, parse);
    }
    // 2^32 replaces the number after each of these keys.
    let text = String::from_utf8_lossy(bytes);
    for key in [
        "num_leaves=",
        "num_cat=",
        "max_feature_idx=",
        "left_child=",
        "cat_boundaries=",
        "\"num_class\":\"0\",\"num_feature\":\"",
        "\"left_children\":[",
        "\"split_indices\":[",
    ] {
        if let Some(at) = text.find(key) {
            let (before, rest) = text.split_at(at + key.len());
            let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let damaged = format!("{before}4294967296{rest}");
            assert!(survives(damaged.as_bytes(), parse), "{key}");
        }
    }
    for at in (0..end).step_by(bytes.len() / 50) {
        let mut damaged = bytes.to_vec();
        damaged[at..]
            .iter_mut()
            .take(64)
            .for_each(|byte| *byte = 0xff);
        assert!(survives(&damaged, parse), "0xFF at {at}");
    }
}
