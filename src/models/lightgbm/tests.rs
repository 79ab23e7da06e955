//! Small files written by hand.

use super::*;

const FILE: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=Column_0 Column_1
feature_infos=none none
tree_sizes=1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 0.25
decision_type=2 2
left_child=1 -1
right_child=-3 -2
leaf_value=1 2 4
is_linear=0
shrinkage=1


end of trees
";

fn run(file: &str, x: [f64; 2]) -> f64 {
    let mut out = [0.0];
    LightGbm::parse(file.as_bytes())
        .unwrap()
        .run(InstrumentId(0), &x, &mut out);
    out[0]
}

/// The file with one line replaced by another.
fn with(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    FILE.replacen(from, to, 1)
}

fn refusal(file: &str) -> String {
    LightGbm::parse(file.as_bytes()).unwrap_err().to_string()
}

#[test]
fn missing_values_go_as_the_decision_type_says() {
    let decides = |decision: u8, threshold: &str, x: f64| {
        let file = with("decision_type=2 2", &format!("decision_type={decision} 2")).replacen(
            "threshold=0.5",
            &format!("threshold={threshold}"),
            1,
        );
        // Left leads to 1, right to 4.
        run(&file, [x, 0.0]) == 1.0
    };
    for x in [-1.0, 0.5, f64::NEG_INFINITY] {
        assert!((0..3).all(|missing| decides(missing << 2, "0.5", x)), "{x}");
    }
    for x in [0.75, f64::INFINITY] {
        assert!(
            (0..3).all(|missing| !decides(missing << 2 | 2, "0.5", x)),
            "{x}"
        );
    }
    // Missing type None: NaN counts as 0, whatever the default direction.
    assert!(decides(0, "0.5", f64::NAN) && !decides(2, "-0.5", f64::NAN));
    // Missing type Zero: 0 and NaN take the default direction, and so do values that LightGBM
    // treats as 0.
    for x in [0.0, -0.0, 1e-36, f64::NAN] {
        assert!(!decides(4, "0.5", x) && decides(6, "-0.5", x), "{x}");
    }
    assert!(decides(4, "0.5", 1e-34) && !decides(6, "-0.5", 1e-34));
    // Missing type NaN: only NaN takes the default direction.
    assert!(!decides(8, "0.5", f64::NAN) && decides(10, "-0.5", f64::NAN));
    assert!(decides(8, "0.5", 0.0) && !decides(10, "-0.5", 0.0));
}

#[test]
fn categories_in_the_set_go_left() {
    // Categories 1 and 33.
    let file = with("num_cat=0", "num_cat=1")
        .replacen("threshold=0.5", "threshold=0", 1)
        .replacen("decision_type=2", "decision_type=1", 1)
        .replacen(
            "is_linear=0",
            "cat_boundaries=0 2\ncat_threshold=2 2\nis_linear=0",
            1,
        );
    for x in [1.0, 1.9, 33.0] {
        assert_eq!(run(&file, [x, 0.0]), 1.0, "{x}");
    }
    for x in [
        0.0,
        2.0,
        64.0,
        -1.0,
        -0.5,
        65.0,
        1e300,
        f64::INFINITY,
        f64::NAN,
    ] {
        assert_eq!(run(&file, [x, 0.0]), 4.0, "{x}");
    }
    let empty = file.replacen("=0 2\ncat_threshold=2 2", "=0 0\ncat_threshold=", 1);
    assert_eq!(run(&empty, [1.0, 0.0]), 4.0);
    let error = refusal(&file.replacen("cat_boundaries=0 2", "cat_boundaries=0 3", 1));
    assert!(
        error.contains("cat_threshold has 2 entries; expected 3"),
        "{error}"
    );
    let error = refusal(&file.replacen("cat_boundaries=0 2", "cat_boundaries=1 2", 1));
    assert!(error.contains("ascending from 0"), "{error}");
    let error = refusal(&file.replacen("threshold=0 ", "threshold=1 ", 1));
    assert!(error.contains("split 0: its category set is 1"), "{error}");
    let error = refusal(
        &file
            .replacen("decision_type=1 2", "decision_type=1 1", 1)
            .replacen("threshold=0 0.25", "threshold=0 0", 1),
    );
    assert!(
        error.contains("category set 0 is another split's"),
        "{error}"
    );
}

#[test]
fn objectives_turn_the_sum_into_the_output() {
    let of = |objective: &str| run(&with("objective=regression", objective), [1.0, 0.0]);
    assert_eq!(of("objective=huber alpha:0.9"), 4.0);
    assert_eq!(of("objective=regression sqrt"), 16.0);
    assert_eq!(of("objective=poisson"), 4f64.exp());
    assert_eq!(
        of("objective=binary sigmoid:0.5"),
        1.0 / (1.0 + (-2f64).exp())
    );
    assert_eq!(of("objective=cross_entropy"), 1.0 / (1.0 + (-4f64).exp()));
    assert_eq!(of("objective=cross_entropy_lambda"), 4f64.exp().ln_1p());
    for (old, new) in [
        ("xentropy", "cross_entropy"),
        ("xentlambda", "cross_entropy_lambda"),
    ] {
        assert_eq!(
            of(&format!("objective={old}")),
            of(&format!("objective={new}"))
        );
    }
    let negative = with("leaf_value=1 2 4", "leaf_value=1 2 -4").replacen(
        "objective=regression",
        "objective=regression sqrt",
        1,
    );
    assert_eq!(run(&negative, [1.0, 0.0]), -16.0);
    let outputs = |file: &str| LightGbm::parse(file.as_bytes()).unwrap().outputs().to_vec();
    assert_eq!(outputs(FILE), ["prediction"]);
    assert_eq!(
        outputs(&with("objective=regression", "objective=binary sigmoid:1")),
        ["probability"]
    );
}

#[test]
fn a_random_forest_is_a_mean_and_a_constant_a_tree() {
    let second = "\nTree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\nend of trees";
    let file = with("end of trees", second).replacen("tree_sizes=1", "tree_sizes=1 1", 1);
    assert_eq!(run(&file, [1.0, 0.0]), 5.0);
    let file = file.replacen("objective", "average_output\nobjective", 1);
    assert_eq!(run(&file, [1.0, 0.0]), 2.5);
}

#[test]
fn keys_that_nobody_knows_are_refused() {
    for (line, number) in [("label_index=0", 5), ("num_cat=0", 14)] {
        let error = refusal(&with(line, &format!("tree_scale=2\n{line}")));
        assert!(
            error.contains(&format!(
                "line {number}: the key \"tree_scale\" is not known"
            )),
            "{error}"
        );
    }
    let after = |text: &str| with("end of trees\n", &format!("end of trees\n{text}"));
    let error = refusal(&after("\ntransform:\nx=2\n"));
    assert!(error.contains("line 27: the key \"transform:\""), "{error}");
    let free = "\nfeature_importances:\nColumn_0=1\n\nparameters:\n[tree_scale: 2]\n\nx\n\
                end of parameters\n\npandas_categorical:null\n";
    for length in 0..=free.len() {
        let whole = free[..length].ends_with('\n') || length == 0;
        let known = LightGbm::parse(after(&free[..length]).as_bytes());
        assert!(known.is_ok() || !whole, "{:?}", &free[..length]);
    }
    let error = refusal(&after(&format!("{free}tree_scale=2\n")));
    assert!(error.contains("\"tree_scale=2\" is not known"), "{error}");
    // Keys that LightGBM's writers add to a tree and that the model does not need.
    let more = with(
        "leaf_value=1 2 4",
        "split_gain=1 1\nleaf_value=1 2 4\nleaf_weight=1 1 1\nleaf_count=1 1 1\n\
         internal_value=0 0\ninternal_weight=1 1\ninternal_count=3 2",
    );
    assert_eq!(run(&more, [1.0, 0.0]), 4.0);
}

#[test]
fn older_versions_mean_the_same() {
    for version in ["v2", "v3", "v4"] {
        let file = with("version=v4", &format!("version={version}"));
        for x in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [f64::NAN, f64::NAN]] {
            assert_eq!(run(&file, x), run(FILE, x), "{version} {x:?}");
        }
    }
    // As LightGBM 2.2 writes a tree: without weights and without `is_linear`.
    let old = with("version=v4", "version=v2")
        .replacen("is_linear=0\n", "", 1)
        .replacen("leaf_value=1 2 4", "leaf_value=1 2 4\nleaf_count=1 1 1", 1);
    assert_eq!(run(&old, [1.0, 0.0]), 4.0);
}

#[test]
fn so_many_iterations_run() {
    let second = "\nTree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=8\n\nend of trees";
    let file = with("end of trees", second).replacen("tree_sizes=1", "tree_sizes=1 1", 1);
    let mean = file.replacen("objective", "average_output\nobjective", 1);
    let take = |file: &str, wanted| {
        let parsed = LightGbm::read(file.as_bytes(), wanted);
        let mut parsed = parsed.map_err(|error| error.to_string())?;
        let mut out = [0.0];
        parsed.model.run(InstrumentId(0), &[1.0, 0.0], &mut out);
        Ok::<_, String>((out[0], parsed.note))
    };
    let first = |count| Iterations::First(std::num::NonZeroU32::new(count).unwrap());
    let note = Some("1 of 2 iterations: as configured".to_owned());
    assert_eq!(take(&file, Iterations::Saved), Ok((12.0, None)));
    assert_eq!(take(&file, Iterations::All), Ok((12.0, None)));
    assert_eq!(take(&file, first(2)), Ok((12.0, None)));
    assert_eq!(take(&file, first(1)), Ok((4.0, note.clone())));
    assert_eq!(take(&mean, Iterations::Saved), Ok((6.0, None)));
    assert_eq!(take(&mean, first(1)), Ok((4.0, note)));
    let error = take(&file, first(3)).unwrap_err();
    assert!(
        error.contains("iterations is 3, but the file has 2"),
        "{error}"
    );
    let error = take(&file, Iterations::Best).unwrap_err();
    assert!(error.contains("expected all or a number"), "{error}");
}

#[test]
fn wrong_files_are_refused_by_name() {
    for (from, to, expected) in [
        (
            "version=v4",
            "version=v5",
            "line 2: version is \"v5\"; expected v2, v3 or v4",
        ),
        ("version=v4\n", "", "version is missing"),
        (
            "num_class=1",
            "num_class=3",
            "num_class is 3; models of several classes",
        ),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=3",
            "several classes",
        ),
        (
            "max_feature_idx=1",
            "max_feature_idx=2",
            "feature_names has 2 names",
        ),
        (
            "max_feature_idx=1",
            "max_feature_idx=18446744073709551615",
            "expected less than 65536",
        ),
        (
            "max_feature_idx=1",
            "max_feature_idx=4",
            "feature_names has 2",
        ),
        (
            "objective=regression",
            "objective=lambdarank",
            "\"lambdarank\" is not supported",
        ),
        (
            "objective=regression",
            "objective=binary",
            "binary has no sigmoid; expected sigmoid:1",
        ),
        (
            "objective=regression",
            "objective=binary sigmoid:x",
            "expected sigmoid:",
        ),
        (
            "objective=regression",
            "objective=regression cubed",
            "\"cubed\" is not a known",
        ),
        (
            "tree_sizes=1",
            "tree_sizes=1 1",
            "there are 1 trees, but tree_sizes has 2",
        ),
        ("Tree=0", "Tree=1", "Tree=1 follows 0 trees"),
        (
            "Tree=0",
            "Bush=0",
            "line 12: it is \"Bush=0\"; expected Tree=",
        ),
        ("num_leaves=3", "num_leaves=0", "Tree=0: num_leaves is 0"),
        (
            "num_leaves=3",
            "num_leaves=4294967296",
            "leaf_value has 3 entries; expected 4294967296",
        ),
        (
            "num_leaves=3",
            "num_leaves=-3",
            "num_leaves is \"-3\"; expected a whole number",
        ),
        (
            "split_feature=0 1",
            "split_feature=0 2",
            "feature 2, but there are 2",
        ),
        (
            "split_feature=0 1",
            "split_feature=0",
            "split_feature has 1 entries; expected 2",
        ),
        (
            "threshold=0.5 0.25",
            "threshold=0.5 x",
            "line 16: threshold[1] is \"x\"",
        ),
        (
            "threshold=0.5 0.25",
            "threshold=nan 0.25",
            "its threshold is NaN",
        ),
        (
            "decision_type=2 2",
            "decision_type=12 2",
            "decision_type 12 is not known",
        ),
        (
            "decision_type=2 2",
            "decision_type=1 2",
            "category set is 0.5",
        ),
        (
            "left_child=1 -1",
            "left_child=2 -1",
            "split 0 leads to split 2",
        ),
        (
            "left_child=1 -1",
            "left_child=0 -1",
            "several paths lead to split 0",
        ),
        (
            "left_child=1 -1",
            "left_child=1 -4",
            "left_child[1] is -4, leaf 3, but there are 3",
        ),
        (
            "left_child=1 -1",
            "left_child=1 -2",
            "leads to leaf 1 already",
        ),
        (
            "leaf_value=1 2 4",
            "leaf_value=1 2 inf",
            "leaf_value[2] is inf",
        ),
        ("leaf_value=1 2 4\n", "", "Tree=0: leaf_value is missing"),
        (
            "leaf_value=1 2 4",
            "leaf_value=1 2 4\nleaf_value=1 2 4",
            "leaf_value is on line 20 already",
        ),
        (
            "is_linear=0",
            "is_linear=1",
            "linear trees are not supported",
        ),
        ("end of trees\n", "", "before the line `end of trees`"),
        ("tree\n", "forest\n", "line 1: expected tree"),
    ] {
        let error = refusal(&with(from, to));
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(
        LightGbm::parse(b"tree\n\xff=1\n")
            .unwrap_err()
            .0
            .contains("line 2: it is not UTF-8")
    );
}

#[test]
fn names_are_known_unless_lightgbm_made_them_up() {
    let names = |file: &str| {
        LightGbm::parse(file.as_bytes())
            .unwrap()
            .input_names()
            .to_vec()
    };
    assert!(names(FILE).is_empty());
    assert_eq!(
        names(&with("Column_0 Column_1", "spread Column_1")),
        ["spread", "Column_1"]
    );
}

#[test]
fn files_with_carriage_returns_are_read() {
    assert_eq!(run(&FILE.replace('\n', "\r\n"), [0.0, 0.3]), 2.0);
}
