//! What errors say about files that people mistake for models: the likely cause and the cure.

use signal::models::{Check, load};

/// The error from loading these bytes.
fn said(name: &str, bytes: impl AsRef<[u8]>, check: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    if let Some(check) = check {
        std::fs::write(Check::path(&path), check).unwrap();
    }
    load(&path, None, &[]).err().unwrap().to_string()
}

#[test]
fn what_is_saved_next_to_models_is_named() {
    let dump = r#"[ { "nodeid": 0, "split": "f0", "children": [] } ]"#;
    let lightgbm = r#"{"name":"tree","version":"v4","tree_info":[{"tree_structure":{}}]}"#;
    let config = r#"{"learner":{"generic_param":{},"learner_train_param":{}},"version":[3,2,0]}"#;
    for (bytes, expected) in [
        (dump, "a dump of XGBoost's trees"),
        ("booster[0]:\n0:[f0<0.5] yes=1", "a dump of XGBoost's trees"),
        (lightgbm, "a dump of LightGBM's trees"),
        (config, "a configuration of XGBoost (save_config)"),
    ] {
        let error = said("m.json", bytes, None);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("expected what save_model writes"), "{error}");
    }
}

#[test]
fn what_is_no_model_at_all_is_named() {
    for (bytes, expected) in [
        (&b"\x80\x04\x95\x10"[..], "a Python pickle"),
        (b"PK\x03\x04\x14\0", "a zip archive"),
        (b"\x1f\x8b\x08\0", "gzip data"),
        (b"binf\0\0\0\x3f", "XGBoost's old binary format"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        ("\u{feff}tree\nversion=v4\n".as_bytes(), "a byte order mark"),
        ("\u{feff}{\"weights\": [1]}".as_bytes(), "a byte order mark"),
        (b"hello", "cannot be told"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
    ] {
        let error = said("m", bytes, None);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("expected LightGBM's text"), "{error}");
    }
}

#[test]
fn what_is_not_json_is_named_with_its_cure() {
    let linear = r#"{"weights": [1, 2], "bias": 0}"#;
    let check = |input: &str| {
        let check = format!(r#"{{"inputs": [[1, {input}]], "outputs": [[1, 1]], "tolerance": 1}}"#);
        said("m.json", linear, Some(&check))
    };
    for (word, shown, cure, no_weight) in [
        ("NaN", "NaN", "write null for NaN", "NaN is no weight"),
        (
            "Infinity",
            "Infinity",
            "leave out a row with an",
            "finite number",
        ),
        (
            "-Infinity",
            "Infinity",
            "leave out a row with an",
            "finite number",
        ),
    ] {
        let error = check(word);
        let expected = format!("inputs[0][1]: {shown}, which is not JSON; {cure}");
        assert!(error.contains(&expected), "{error}");
        let error = said(
            "m.json",
            linear.replacen("2]", &format!("{word}]"), 1),
            None,
        );
        assert!(error.contains("weights[1]: "), "{error}");
        let expected = format!("{no_weight}, at line 1");
        assert!(error.contains(&expected), "{error}");
    }
    // The error for any other word is unchanged.
    let error = check("nothing");
    assert!(!error.contains("not JSON"), "{error}");
    for bytes in [
        r#"{"weights": [1, 2,], "bias": 0}"#,
        r#"{"weights": [1, 2], "bias": 0,}"#,
    ] {
        let error = said("m.json", bytes, None);
        assert!(
            error.contains("remove the comma before the closing brace"),
            "{error}"
        );
        assert!(!error.contains("?:"), "{error}");
    }
    let error = said("m.json", linear, Some(" \n"));
    assert!(error.contains("it is empty; expected JSON"), "{error}");
    let categorical = r#"{"learner": {"gradient_booster": {"name": "gbtree", "model": {"trees": [
        {"left_children": [1], "split_conditions": [NaN]}]}}}}"#;
    let error = said("m.json", categorical, None);
    assert!(
        error.contains("categorical split, which is not supported: encode categories as numbers before training, at line 2"),
        "{error}"
    );
    // Only a threshold can be that of a categorical split.
    let other = categorical.replace("split_conditions", "base_weights");
    let error = said("m.json", other, None);
    assert!(error.contains("base_weights[0]: NaN"), "{error}");
    assert!(error.contains("expected a number, at line 2"), "{error}");
}

/// Whatever comes first in them.
#[test]
fn a_linear_model_and_one_of_xgboost_are_told_apart() {
    let error = said(
        "m.json",
        r#"{"version": 1, "weights": [1], "bias": 0}"#,
        None,
    );
    assert!(error.contains("linear model: "), "{error}");
    assert!(error.contains("\"version\" is not known"), "{error}");
    let error = said("m.json", r#"{"version": [3, 2, 0], "learner": {}}"#, None);
    assert!(error.contains("xgboost model: "), "{error}");
    let list = r#"[{"weights": [1], "bias": 0}]"#;
    assert!(said("m.json", list, None).contains("cannot be told"));
}

/// serde would take the values by their position.
#[test]
fn a_list_in_place_of_an_object_is_refused() {
    let linear = r#"{"weights": [1], "bias": 0}"#;
    let error = said("m.json", linear, Some("[[[1]], [[1, 0.5]], 1]"));
    assert!(
        error.contains("list, expected an object at line 1"),
        "{error}"
    );
}
