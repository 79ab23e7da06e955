//! Small files written by hand.

use super::*;

pub(super) const FILE: &str = r#"{"learner": {
    "feature_names": [],
    "gradient_booster": {
        "name": "gbtree",
        "model": {
            "tree_info": [0],
            "trees": [{
                "left_children": [1, -1, 3, -1, -1],
                "right_children": [2, -1, 4, -1, -1],
                "split_indices": [0, 0, 1, 0, 0],
                "split_conditions": [0.5, 1, 0.25, 2, 4],
                "default_left": [0, 0, 1, 0, 0],
                "split_type": [0, 0, 0, 0, 0],
                "tree_param": {"size_leaf_vector": "1", "num_deleted": "0"}
            }]
        }
    },
    "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "reg:squarederror"}
}, "version": [3, 2, 0]}"#;

fn run(file: &str, x: [f64; 2]) -> f64 {
    let mut out = [0.0];
    XgBoost::parse(file.as_bytes())
        .unwrap()
        .run(InstrumentId(0), &x, &mut out);
    out[0]
}

pub(super) fn with(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    FILE.replacen(from, to, 1)
}

pub(super) fn refusal(file: &str) -> String {
    XgBoost::parse(file.as_bytes()).unwrap_err().to_string()
}

#[test]
fn below_goes_left_and_missing_where_the_default_says() {
    for (x, leaf) in [
        ([0.25, 0.0], 1.0),
        ([0.5, 0.0], 2.0),
        // The nearest f32 of this value is the threshold.
        ([0.5f64.next_down(), 0.0], 2.0),
        ([f64::NAN, 0.25], 4.0),
        ([f64::NAN, f64::NAN], 2.0),
        ([f64::INFINITY, f64::INFINITY], 4.0),
        ([f64::NEG_INFINITY, 0.0], 1.0),
    ] {
        assert_eq!(run(FILE, x), 0.5 + leaf, "{x:?}");
    }
    let old = with(
        "\"default_left\": [0, 0, 1, 0, 0]",
        "\"default_left\": [false, false, true, false, false]",
    )
    .replacen("[5E-1]", "5E-1", 1);
    assert_eq!(run(&old, [f64::NAN, f64::NAN]), 2.5);
}

#[test]
fn objectives_turn_the_sum_into_the_output() {
    let of = |name: &str| run(&with("reg:squarederror", name), [0.0, 0.0]) as f32;
    assert_eq!(of("binary:logitraw"), 1.5);
    assert_eq!(of("binary:logistic"), 1.0 / (1.0 + (-1f32).exp()));
    assert_eq!(of("count:poisson"), (0.5f32.ln() + 1.0).exp());
    let outputs = |file: &str| XgBoost::parse(file.as_bytes()).unwrap().outputs().to_vec();
    assert_eq!(outputs(FILE), ["prediction"]);
    assert_eq!(
        outputs(&with("reg:squarederror", "binary:logistic")),
        ["probability"]
    );
}

#[test]
fn dart_weighs_its_trees() {
    let dart = |weights: &str| {
        with(
            "\"name\": \"gbtree\",",
            &format!("\"name\": \"dart\", \"weight_drop\": {weights}, \"gbtree\": {{"),
        )
        .replacen("}]\n        }\n    }", "}]\n        }}\n    }", 1)
    };
    assert_eq!(run(&dart("[0.25]"), [0.0, 0.0]), 0.75);
    assert_eq!(run(&dart("[0.25]"), [1.0, 0.0]), 1.0);
    assert!(refusal(&dart("[]")).contains("weight_drop has 0 entries; expected 1"));
    assert!(refusal(&dart("[1e39]")).contains("weight_drop"));
    let error = refusal(&with("\"gbtree\"", "\"dart\""));
    assert!(
        error.contains("it has model, which a dart has not"),
        "{error}"
    );
}

#[test]
fn weights_are_taken_wherever_a_version_puts_them() {
    let beside = with(
        "\"name\": \"gbtree\",",
        "\"name\": \"gbtree\", \"weight_drop\": [0.25],",
    );
    assert_eq!(run(&beside, [0.0, 0.0]), 0.75);
    let within = with(
        "\"tree_info\": [0],",
        "\"tree_info\": [0], \"weight_drop\": [0.25],",
    );
    assert_eq!(run(&within, [0.0, 0.0]), 0.75);
    assert!(refusal(&within.replacen("[0.25]", "[0.25, 1]", 1)).contains("has 2 entries"));
    let twice = within.replacen(
        "\"name\": \"gbtree\",",
        "\"name\": \"gbtree\", \"weight_drop\": [0.25],",
        1,
    );
    assert!(refusal(&twice).contains("weight_drop is there twice"));
}

#[test]
fn keys_and_versions_that_nobody_knows_are_refused() {
    for object in [
        "{\"learner\"",
        "\"feature_names\"",
        "\"name\": \"gbtree\"",
        "\"tree_info\"",
        "\"left_children\"",
        "\"size_leaf_vector\"",
        "\"base_score\"",
        "\"name\": \"reg:squarederror\"",
    ] {
        let (before, key) = object.split_at(object.find('"').unwrap());
        let error = refusal(&with(object, &format!("{before}\"tree_scale\": 2, {key}")));
        assert!(
            error.contains("\"tree_scale\" is not known and may change"),
            "{object}: {error}"
        );
    }
    // Keys that users add may hold anything.
    let free = with(
        "\"feature_names\"",
        "\"attributes\": {\"mine\": {\"tree_scale\": [2]}}, \"feature_names\"",
    );
    assert_eq!(run(&free, [0.0, 0.0]), 1.5);
    for (version, expected) in [
        ("[3, 5, 0]", "saved by XGBoost 3.5; this library knows"),
        ("[4, 0, 0]", "saved by XGBoost 4.0; this library knows"),
        ("[3, 2]", "version has 2 numbers"),
        ("[0, 90, 0]", "version is 0"),
    ] {
        let error = refusal(&with("[3, 2, 0]", version));
        assert!(error.contains(expected), "{version}: {error}");
    }
    assert!(refusal(&with(", \"version\": [3, 2, 0]", "")).contains("missing key `version`"));
    for version in ["[1, 7, 6]", "[2, 1, 4]", "[3, 4, 9]"] {
        assert_eq!(run(&with("[3, 2, 0]", version), [0.0, 0.0]), 1.5);
    }
    for (key, expected) in [
        (
            "\"gbtree\": {\"model\": {}},",
            "it has gbtree, which a gbtree has not",
        ),
        ("\"model\": {\"weights\": [1]},", "duplicate key `model`"),
    ] {
        let error = refusal(&with(
            "\"name\": \"gbtree\",",
            &format!("\"name\": \"gbtree\", {key}"),
        ));
        assert!(error.contains(expected), "{key}: {error}");
    }
    let linear = with("\"tree_info\"", "\"weights\": [1], \"tree_info\"");
    assert!(refusal(&linear).contains("linear booster's"));
    let vectors = with("\"tree_param\"", "\"leaf_weights\": [1], \"tree_param\"");
    assert!(refusal(&vectors).contains("leaf_weights is not empty"));
    let param = |text: &str| {
        let param = format!("\"gbtree_model_param\": {{{text}}}, \"tree_info\"");
        with("\"tree_info\"", &param)
    };
    let error = refusal(&param("\"num_trees\": \"2\""));
    assert!(error.contains("num_trees is 2, but there are 1"), "{error}");
    let error = refusal(&param("\"size_leaf_vector\": \"2\""));
    assert!(error.contains("size_leaf_vector is 2"), "{error}");
}

/// The file with its tree three times, with leaves 1, 2 and 4 or with different weights,
/// and with these attributes.
fn three(attributes: &str, model: &str) -> String {
    let start = FILE.find("\"trees\": [").unwrap() + "\"trees\": [".len();
    let end = FILE.find("}]\n        }").unwrap() + 1;
    let tree = &FILE[start..end];
    let file = FILE.replacen(tree, &[tree; 3].join(", "), 1).replacen(
        "\"tree_info\": [0],",
        &format!("\"tree_info\": [0, 0, 0], \"weight_drop\": [1, 10, 100], {model}"),
        1,
    );
    let attributes = format!("\"attributes\": {{{attributes}}}, \"feature_names\"");
    file.replacen("\"feature_names\"", &attributes, 1)
}

#[test]
fn as_many_iterations_run_as_the_saver_would_run() {
    let count = |count| Iterations::First(std::num::NonZeroU32::new(count).unwrap());
    let take = |file: &str, wanted| {
        let parsed = XgBoost::read(file.as_bytes(), wanted);
        let mut parsed = parsed.map_err(|error| error.to_string())?;
        let mut out = [0.0];
        parsed.model.run(InstrumentId(0), &[0.0, 0.0], &mut out);
        Ok::<_, String>((out[0] - 0.5, parsed.note.unwrap_or_default()))
    };
    let said = |sum, note: &str| Ok((sum, note.to_owned()));
    let sklearn = three("\"best_iteration\": \"1\", \"scikit_learn\": \"{}\"", "");
    assert_eq!(
        take(&sklearn, Iterations::Saved),
        said(
            11.0,
            "2 of 3 iterations: the best, as scikit-learn's predict takes them"
        )
    );
    assert_eq!(
        take(&sklearn, Iterations::All),
        said(111.0, "all 3 iterations, as configured; the best were 2")
    );
    assert_eq!(
        take(&sklearn, Iterations::Best),
        said(11.0, "2 of 3 iterations: the best, as configured")
    );
    assert_eq!(
        take(&sklearn, count(1)),
        said(1.0, "1 of 3 iterations: as configured")
    );
    let error = take(&sklearn, count(4)).unwrap_err();
    assert!(error.contains("iterations asks for 4 iterations, but the file has 3"));
    let booster = three("\"best_iteration\": \"1\"", "");
    assert_eq!(
        take(&booster, Iterations::Saved),
        said(
            111.0,
            "all 3 iterations, as Booster.predict takes them; the best were 2"
        )
    );
    assert_eq!(take(&booster, Iterations::Best).unwrap().0, 11.0);
    // No message if all ways of saving agree.
    let last = three("\"best_iteration\": \"2\", \"scikit_learn\": \"{}\"", "");
    assert_eq!(take(&last, Iterations::Saved), said(111.0, ""));
    let none = three("\"scikit_learn\": \"{}\"", "");
    assert_eq!(take(&none, Iterations::Saved), said(111.0, ""));
    let error = take(&none, Iterations::Best).unwrap_err();
    assert!(error.contains("has no learner.attributes.best_iteration; expected all or a number"));
    // A slice keeps the attribute; it is an error only if it is used.
    let slice = |more: &str| three(&format!("\"best_iteration\": \"7\"{more}"), "");
    assert_eq!(take(&slice(""), Iterations::Saved), said(111.0, ""));
    let error = take(&slice(", \"scikit_learn\": \"\""), Iterations::Saved).unwrap_err();
    assert!(
        error.contains("best_iteration asks for 8 iterations"),
        "{error}"
    );
    let error = take(&three("\"best_iteration\": \"x\"", ""), Iterations::Best).unwrap_err();
    assert!(
        error.contains("best_iteration is \"x\"; expected a number"),
        "{error}"
    );
    // An iteration may consist of several trees.
    let starts = |list: &str| three("", &format!("\"iteration_indptr\": {list},"));
    assert_eq!(take(&starts("[0, 2, 3]"), count(1)).unwrap().0, 11.0);
    for list in ["[]", "[0, 2]", "[1, 3]", "[0, 2, 1, 3]"] {
        let error = take(&starts(list), count(1)).unwrap_err();
        assert!(
            error.contains("iteration_indptr does not ascend from 0 to 3"),
            "{list}"
        );
    }
    let parallel = |count: u32| {
        let param = format!("\"gbtree_model_param\": {{\"num_parallel_tree\": \"{count}\"}},");
        three("", &param)
    };
    assert_eq!(take(&parallel(3), count(1)).unwrap().0, 111.0);
    let error = take(&parallel(2), count(1)).unwrap_err();
    assert!(
        error.contains("num_parallel_tree is 2, but there are 3"),
        "{error}"
    );
}

#[test]
fn a_number_that_means_missing_goes_where_nan_goes() {
    let read = |meta: &str| {
        let file = three(
            &format!("\"scikit_learn\": \"{}\"", meta.replace('"', "\\\"")),
            "",
        );
        XgBoost::read(file.as_bytes(), Iterations::Saved).unwrap()
    };
    let value = |parsed: &mut Parsed<XgBoost>, factors: [f64; 2]| {
        let mut out = [0.0];
        parsed.model.run(InstrumentId(0), &factors, &mut out);
        out[0]
    };
    let mut plain = read(r#"{"missing": NaN, "gamma": null}"#);
    let mut other = read(r#"{"missing": 9e8, "gamma": NaN}"#);
    assert_eq!(plain.note, None);
    let note = other.note.clone().unwrap();
    assert!(note.starts_with("900000000 means missing"), "{note}");
    let numbers = [
        -9e8,
        -1.0,
        0.0,
        0.25,
        0.5,
        1.0,
        3.0,
        f64::NAN,
        f64::INFINITY,
    ];
    for first in numbers {
        for second in numbers {
            let expected = value(&mut plain, [first, second]);
            assert_eq!(
                value(&mut other, [first, second]),
                expected,
                "{first} {second}"
            );
        }
    }
    let mut matters = false;
    for number in numbers {
        for (factors, same) in [
            ([9e8, number], [f64::NAN, number]),
            ([number, 9e8], [number, f64::NAN]),
        ] {
            let expected = value(&mut plain, same);
            assert_eq!(value(&mut other, factors), expected, "{factors:?}");
            // As XGBoost compares: rounded to f32.
            let near = factors.map(|factor| if factor == 9e8 { 9e8 + 1.0 } else { factor });
            assert_eq!(value(&mut other, near), expected, "{near:?}");
            matters |= value(&mut plain, factors) != expected;
        }
    }
    assert!(matters, "no value depends on it");
}

#[test]
fn a_child_behind_the_last_node_is_refused() {
    let error = refusal(&with("[2, -1, 4, -1, -1]", "[2, -1, 5, -1, -1]"));
    assert!(
        error.contains("node 2 leads to node 5, but there are 5"),
        "{error}"
    );
}

#[test]
fn pruned_nodes_are_left_out() {
    let file = with("[1, -1, 3, -1, -1]", "[1, -1, -1, -1, -1]").replacen(
        "[2, -1, 4, -1, -1]",
        "[2, -1, -1, -1, -1]",
        1,
    );
    assert!(refusal(&file).contains("nothing leads to 2 nodes, but num_deleted is 0"));
    let file = file.replacen("\"num_deleted\": \"0\"", "\"num_deleted\": \"2\"", 1);
    assert_eq!(run(&file, [1.0, 0.0]), 0.75);
}

#[test]
fn wrong_files_are_refused_by_name() {
    for (from, to, expected) in [
        (
            "\"gbtree\"",
            "\"gblinear\"",
            "\"gblinear\" is not supported",
        ),
        (
            "reg:squarederror",
            "rank:ndcg",
            "\"rank:ndcg\" is not supported",
        ),
        (
            "\"num_class\": \"0\"",
            "\"num_class\": \"3\"",
            "num_class is 3; models of several",
        ),
        (
            "\"num_target\": \"1\"",
            "\"num_target\": \"2\"",
            "num_target is 2; models of several",
        ),
        (
            "\"tree_info\": [0]",
            "\"tree_info\": [1]",
            "several outputs",
        ),
        (
            "\"size_leaf_vector\": \"1\"",
            "\"size_leaf_vector\": \"2\"",
            "size_leaf_vector is 2",
        ),
        (
            "\"num_feature\": \"2\"",
            "\"num_feature\": \"4294967296\"",
            "num_feature is 4294967296",
        ),
        (
            "\"num_feature\": \"2\"",
            "\"num_feature\": \"0\"",
            "num_feature is 0",
        ),
        (
            "\"num_feature\": \"2\"",
            "\"num_feature\": \"x\"",
            "num_feature is \"x\"; expected a number",
        ),
        ("[5E-1]", "[5E-1,5E-1]", "base_score is \"5E-1,5E-1\""),
        ("[5E-1]", "nan", "base_score is \"nan\""),
        (
            "\"feature_names\": []",
            "\"feature_names\": [\"a\"]",
            "feature_names has 1 names",
        ),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, 3, -1]",
            "right_children has 5 entries",
        ),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, 9, -1, -1]",
            "node 2 leads to node 9, but there are 5",
        ),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, -5, -1, -1]",
            "node 2 leads to node -5",
        ),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, 0, -1, -1]",
            "several paths lead to node 0",
        ),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, -1, -1, -1]",
            "node 2 has one child",
        ),
        (
            "\"default_left\": [0, 0, 1, 0, 0]",
            "\"default_left\": [0, 0, 2, 0, 0]",
            "default_left[2]",
        ),
        (
            "\"split_indices\": [0, 0, 1, 0, 0]",
            "\"split_indices\": [0, 0, 7, 0, 0]",
            "feature 7, but there are 2",
        ),
        (
            "0.25, 2, 4]",
            "0.25, 2, \"x\"]",
            "split_conditions[4]: invalid type",
        ),
        ("0.25, 2, 4]", "0.25, 2, 1e39]", "split_conditions[4]"),
        (
            "\"split_type\": [0,",
            "\"split_type\": [1,",
            "node 0 is a categorical split",
        ),
        ("\"trees\": [{", "\"bushes\": [{", "\"bushes\" is not known"),
        ("\"learner\"", "\"teacher\"", "\"teacher\" is not known"),
    ] {
        let error = refusal(&with(from, to));
        assert!(error.contains(expected), "{to}: {error}");
    }
    let error = refusal(&with("reg:squarederror", "binary:logistic").replacen("5E-1", "2E0", 1));
    assert!(
        error.contains("base_score is 2; expected a probability"),
        "{error}"
    );
    let error = refusal("{L\0\0\0\0\0\0\0\u{7}learner{");
    assert!(error.contains("save it as JSON"), "{error}");
}
