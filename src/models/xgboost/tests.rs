//! Small files, written by hand.

use super::*;

const FILE: &str = r#"{"learner": {
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
    XgBoost::parse(file.as_bytes()).unwrap().run(&x, &mut out);
    out[0]
}

fn with(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    FILE.replacen(from, to, 1)
}

fn refusal(file: &str) -> String {
    XgBoost::parse(file.as_bytes()).unwrap_err().to_string()
}

#[test]
fn below_goes_left_and_missing_where_the_default_says() {
    for (x, leaf) in [
        ([0.25, 0.0], 1.0),
        ([0.5, 0.0], 2.0),
        // Its nearest f32 is the threshold.
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
    assert!(refusal(&dart("[]")).contains("weight_drop has 0 entries; expected 1"));
    assert!(refusal(&dart("[1e39]")).contains("weight_drop"));
    let error = refusal(&with("\"gbtree\"", "\"dart\""));
    assert!(error.contains("gbtree.model.trees is missing"), "{error}");
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
        ("\"trees\"", "\"bushes\"", "model.trees is missing"),
        ("\"learner\"", "\"teacher\"", "missing field `learner`"),
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
