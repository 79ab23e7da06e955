//! Operators of classical models.

use super::writer::*;
use crate::messages::InstrumentId;
use crate::models::Model;
use crate::models::onnx::{External, How, Isa, Onnx, Reading};

#[test]
fn classical_operators() {
    let scaler = |offset: &[f32], scale: &[f32], x: &[f64]| {
        one(
            2,
            "ml.Scaler",
            &[("offset", Floats(offset)), ("scale", Floats(scale))],
        )
        .run(x)
    };
    near(&scaler(&[1.0, 2.0], &[3.0, 0.5], &[2.0, 8.0]), &[3.0, 3.0]);
    near(&scaler(&[1.0], &[2.0], &[2.0, 8.0]), &[2.0, 14.0]);
    let norm = |norm: &str, x: &[f64]| one(2, "ml.Normalizer", &[("norm", Text(norm))]).run(x);
    assert!(norm("L2", &[1e20, 0.0])[0].is_nan());
    assert_eq!(norm("L2", &[1e-30, 0.0]), [f64::from(1e-30f32), 0.0]);
    near(&norm("L1", &[1.0, -3.0]), &[0.25, -0.75]);
    near(&norm("L2", &[3.0, -4.0]), &[0.6, -0.8]);
    near(&norm("MAX", &[-2.0, -4.0]), &[1.0, 2.0]);
    near(&norm("L2", &[0.0, 0.0]), &[0.0, 0.0]);
    let linear = one(
        2,
        "ml.LinearRegressor",
        &[
            ("targets", Int(2)),
            ("coefficients", Floats(&[1.0, 2.0, 3.0, 4.0])),
            ("intercepts", Floats(&[0.5, -0.5])),
        ],
    );
    near(&linear.run(&[1.0, 10.0]), &[21.5, 42.5]);
    let error = one(2, "ml.LinearRegressor", &[("coefficients", Floats(&[1.0]))]).error();
    assert!(
        error.contains("1 coefficients for 1 targets and 2 values"),
        "{error}"
    );
    let logistic = |more: Option<(&'static str, Attribute<'static>)>| {
        let mut attributes = vec![
            ("coefficients", Floats(&[1.0, 1.0])),
            ("post_transform", Text("LOGISTIC")),
        ];
        attributes.extend(more);
        attributes
    };
    assert!(
        one(2, "ml.LinearRegressor", &logistic(None))
            .error()
            .contains("disagree")
    );
    let classifier = |labels: (&'static str, Attribute<'static>)| {
        let mut attributes = logistic(Some(("intercepts", Floats(&[0.0]))));
        attributes.push(labels);
        Graph::new(2)
            .node("ml.LinearClassifier", &["x"], &["l", "p"], &attributes)
            .output("l")
            .output("p")
    };
    let p = 1.0 / (1.0 + (-3.0f64).exp());
    let ints = classifier(("classlabels_ints", Ints(&[-5, 7])));
    near(&ints.run(&[1.0, 2.0]), &[7.0, 1.0 - p, p]);
    near(&ints.run(&[-1.0, -2.0]), &[-5.0, p, 1.0 - p]);
    let texts = classifier(("classlabels_strings", Texts(&["down", "up"])));
    near(&texts.run(&[1.0, 2.0]), &[1.0, 1.0 - p, p]);
    assert_eq!(texts.load().outputs(), ["l.index", "p[0]", "p[1]"]);
}

/// An ensemble with a single leaf, which votes 1.
pub const LEAF: [(&str, Attribute<'static>); 12] = [
    ("nodes_treeids", Ints(&[0])),
    ("nodes_nodeids", Ints(&[0])),
    ("nodes_featureids", Ints(&[0])),
    ("nodes_values", Floats(&[0.0])),
    ("nodes_modes", Texts(&["LEAF"])),
    ("nodes_truenodeids", Ints(&[0])),
    ("nodes_falsenodeids", Ints(&[0])),
    ("target_treeids", Ints(&[0])),
    ("target_nodeids", Ints(&[0])),
    ("target_ids", Ints(&[0])),
    ("target_weights", Floats(&[1.0])),
    ("n_targets", Int(1)),
];

/// A tree `x <= 1 ? a : (x > 2 ? b : c)`.
pub fn tree(votes: &[f32], more: &[(&'static str, Attribute<'static>)]) -> Graph {
    let votes = votes.to_vec();
    let mut attributes: Vec<(&str, Attribute)> = vec![
        ("nodes_treeids", Ints(&[4; 5])),
        ("nodes_nodeids", Ints(&[0, 1, 2, 3, 4])),
        ("nodes_featureids", Ints(&[0; 5])),
        ("nodes_values", Floats(&[1.0, 0.0, 2.0, 0.0, 0.0])),
        (
            "nodes_modes",
            Texts(&["BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF"]),
        ),
        ("nodes_truenodeids", Ints(&[1, 0, 3, 0, 0])),
        ("nodes_falsenodeids", Ints(&[2, 0, 4, 0, 0])),
        ("target_treeids", Ints(&[4; 3])),
        ("target_nodeids", Ints(&[1, 3, 4])),
        ("target_ids", Ints(&[0; 3])),
        ("target_weights", Floats(&votes)),
        ("n_targets", Int(1)),
    ];
    for (name, value) in more {
        attributes.retain(|(known, _)| known != name);
        attributes.push((
            name,
            match value {
                Int(value) => Int(*value),
                Ints(values) => Ints(values),
                Floats(values) => Floats(values),
                Texts(values) => Texts(values),
                Text(value) => Text(value),
                Float(value) => Float(*value),
                Tensor(value) => Tensor(value.clone()),
            },
        ));
    }
    one(1, "ml.TreeEnsembleRegressor", &attributes)
}

#[test]
fn trees_walk_and_are_checked() {
    let votes = [10.0, 20.0, 30.0];
    let plain = tree(&votes, &[]);
    for (x, y) in [
        (1.0, 10.0),
        (1.5, 30.0),
        (2.0, 30.0),
        (2.5, 20.0),
        (f64::NAN, 30.0),
    ] {
        assert_eq!(plain.run(&[x]), [y], "{x}");
    }
    let tracked = ("nodes_missing_value_tracks_true", Ints(&[1, 0, 0, 0, 0]));
    assert_eq!(tree(&votes, &[tracked]).run(&[f64::NAN]), [10.0]);
    for never in [f32::NAN, f32::NEG_INFINITY] {
        let values = Floats(Vec::leak(vec![never, 0.0, 2.0, 0.0, 0.0]));
        assert_eq!(
            tree(&votes, &[("nodes_values", values)]).run(&[0.0]),
            [30.0]
        );
    }
    let based = [
        ("base_values", Floats(&[0.5])),
        ("aggregate_function", Text("MAX")),
    ];
    assert_eq!(tree(&votes, &based).run(&[0.0]), [10.5]);
    let error = |name: &'static str, value| tree(&votes, &[(name, value)]).error();
    let cases = [
        (
            error("nodes_truenodeids", Ints(&[9, 0, 3, 0, 0])),
            "tree 4: node 0 leads to node 9",
        ),
        (
            error("nodes_truenodeids", Ints(&[2, 0, 0, 0, 0])),
            "tree 4: several paths lead",
        ),
        (
            error("nodes_nodeids", Ints(&[0, 1, 2, 3, 3])),
            "tree 4 has node 3 twice",
        ),
        (
            error("nodes_featureids", Ints(&[0, 0, 5, 0, 0])),
            "feature 5",
        ),
        (
            error("nodes_values", Floats(&[1.0])),
            "nodes_values has 1 entries; expected 5",
        ),
        (
            error(
                "nodes_modes",
                Texts(&["BRANCH_LEQ", "LEAF", "X", "LEAF", "LEAF"]),
            ),
            "mode X",
        ),
        (
            error("target_nodeids", Ints(&[1, 3, 3])),
            "leaf 3 of tree 4 votes twice for 0",
        ),
        (
            error("target_nodeids", Ints(&[1, 2, 3])),
            "tree 4 has no leaf 2",
        ),
        (
            error("target_ids", Ints(&[0, 0, 1])),
            "target_ids[2] is 1; expected 0 to 0",
        ),
        (
            error("nodes_modes", Texts(&["BRANCH_LT"; 5])),
            "tree 4 has no leaf 1",
        ),
        (
            error("n_targets", Int(1 << 40)),
            "n_targets is out of bounds",
        ),
        (
            error("post_transform", Text("LOGISTIC")),
            "there is one score",
        ),
        (
            error("aggregate_function", Text("MODE")),
            "aggregate_function is MODE",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.contains(expected), "{error} / {expected}");
    }
    // onnxruntime refuses it, too.
    let error = one(1, "ml.TreeEnsembleRegressor", &LEAF[..11]).error();
    assert!(error.contains("n_targets is missing"), "{error}");
    let long = "X".repeat(100_000);
    let modes = ["BRANCH_LEQ", "LEAF", Box::leak(long.into()), "LEAF", "LEAF"];
    let error = tree(&votes, &[("nodes_modes", Texts(Box::leak(modes.into())))]).error();
    assert!(error.contains("mode XXXX") && error.len() < 200, "{error}");
    let apart = [
        ("nodes_treeids", Ints(&[4, 4, 4, 5, 4])),
        ("target_treeids", Ints(&[4, 5, 4])),
    ];
    let error = tree(&votes, &apart).error();
    assert!(error.contains("tree 4"), "{error}");
}

/// A classifier's tree `x <= 0 ? a : b`; `votes` has leaf, class and weight of each vote.
fn two_leaves(votes: &[(i64, i64, f32)]) -> Graph {
    let nodes: Vec<i64> = votes.iter().map(|vote| vote.0).collect();
    let classes: Vec<i64> = votes.iter().map(|vote| vote.1).collect();
    let weights: Vec<f32> = votes.iter().map(|vote| vote.2).collect();
    let attributes = [
        ("nodes_treeids", Ints(&[0; 3])),
        ("nodes_nodeids", Ints(&[0, 1, 2])),
        ("nodes_featureids", Ints(&[0; 3])),
        ("nodes_values", Floats(&[0.0; 3])),
        ("nodes_modes", Texts(&["BRANCH_LEQ", "LEAF", "LEAF"])),
        ("nodes_truenodeids", Ints(&[1, 0, 0])),
        ("nodes_falsenodeids", Ints(&[2, 0, 0])),
        ("class_treeids", Ints(&[0; 4][..votes.len()])),
        ("class_nodeids", Ints(&nodes)),
        ("class_ids", Ints(&classes)),
        ("class_weights", Floats(&weights)),
        ("classlabels_int64s", Ints(&[0, 1])),
    ];
    Graph::new(1)
        .node(
            "ml.TreeEnsembleClassifier",
            &["x"],
            &["l", "p"],
            &attributes,
        )
        .output("p")
}

#[test]
fn two_classes_need_the_votes_of_every_leaf() {
    let both = two_leaves(&[(1, 0, 0.25), (1, 1, 0.75), (2, 0, 0.5), (2, 1, 0.5)]);
    near(&both.run(&[-1.0]), &[0.25, 0.75]);
    let first = two_leaves(&[(1, 0, 0.25), (2, 0, 0.75)]);
    near(&first.run(&[1.0]), &[0.25, 0.75]);
    for votes in [
        &[(1, 0, 0.25), (2, 1, 0.75)][..],
        &[(1, 0, 0.25), (2, 0, 0.5), (2, 1, 0.5)],
        &[(1, 0, 0.25), (1, 1, 0.5), (2, 1, 0.5)],
    ] {
        let error = two_leaves(votes).error();
        assert!(
            error.contains("expected every leaf to vote for both"),
            "{error}"
        );
    }
}

#[test]
fn a_target_without_votes_has_no_base() {
    let made = |aggregate: &'static str, targets: &'static [i64], base: &'static [f32]| {
        tree(
            &[10.0, 20.0, 30.0],
            &[
                ("target_ids", Ints(targets)),
                ("n_targets", Int(base.len() as i64)),
                ("base_values", Floats(base)),
                ("aggregate_function", Text(aggregate)),
            ],
        )
    };
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
        // One leaf votes for target 0, the other for target 1.
        let two = made(aggregate, &[0, 1, 1], &[0.5, 0.25]);
        assert_eq!(two.run(&[0.0]), [10.5, 0.0], "{aggregate}");
        assert_eq!(two.run(&[3.0]), [0.0, 20.25], "{aggregate}");
        assert!(two.error().contains("no tree votes for a target"));
        let one = made(aggregate, &[0, 0, 0], &[0.5]);
        assert_eq!(one.run(&[0.0]), [10.5]);
        assert_eq!(one.load().inputs(), 1);
        // Without base values, only minimum and maximum differ.
        let plain = made(aggregate, &[0, 1, 1], &[0.0, 0.0]);
        let differs = matches!(aggregate, "MIN" | "MAX");
        let parsed = Onnx::parse(&plain.bytes(), &[]);
        assert_eq!(parsed.is_err(), differs, "{aggregate}");
    }
}

#[test]
fn where_runtimes_differ_there_are_two_readings_and_a_doubt() {
    let read = |graph: &Graph, reading, x: &[f64]| {
        let how = How {
            isa: Isa::detect(),
            reading,
            external: &External::default(),
        };
        let parsed = Onnx::read(how, &graph.bytes(), &[]).unwrap();
        let mut model = parsed.model;
        let mut out = vec![0.0; model.outputs().len()];
        model.run(InstrumentId(0), x, &mut out);
        (out, parsed.doubt.unwrap_or_default())
    };
    let max = one(2, "ml.Normalizer", &[("norm", Text("MAX"))]);
    let (out, doubt) = read(&max, Reading::Runtime, &[-1.0, -4.0]);
    near(&out, &[1.0, 4.0]);
    assert!(
        doubt.contains("largest magnitude in scikit-learn"),
        "{doubt}"
    );
    assert!(max.error().contains("expected a check file beside it"));
    let magnitude = |x: &[f64]| read(&max, Reading::Reference, x).0;
    near(&magnitude(&[-1.0, -4.0]), &[-0.25, -1.0]);
    assert_eq!(magnitude(&[0.0, 0.0]), [0.0, 0.0]);
    for x in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
        assert!(magnitude(&x).iter().all(|y| y.is_nan()), "{x:?}");
    }
    let reference = |kind: &str, x: &[f64]| {
        let graph = one(2, "ml.Normalizer", &[("norm", Text(kind))]);
        let (_, doubt) = read(&graph, Reading::Runtime, x);
        assert_eq!(doubt.contains("Normalizer L2"), kind == "L2", "{doubt}");
        read(&graph, Reading::Reference, x).0
    };
    near(&reference("L1", &[1.0, -3.0]), &[0.25, -0.75]);
    near(&reference("L2", &[3.0, -4.0]), &[0.6, -0.8]);
    near(&reference("L1", &[1e-31, 0.0]), &[0.1, 0.0]);
    near(&reference("L2", &[1e-30, 0.0]), &[1.0, 0.0]);
    assert_eq!(reference("L2", &[1e20, 1.0]), [0.0, 0.0]);
    assert!(reference("L1", &[f64::NAN, 1.0])[1].is_nan());
    let softmax = |axis, opset| {
        let mut cube = Graph::new(4)
            .store("to", ints(&[1, 2, 2]))
            .node("Reshape", &["x", "to"], &["c"], &[])
            .node("Softmax", &["c"], &["y"], &[("axis", Int(axis))])
            .output("y");
        cube.opset = opset;
        let (runtime, doubt) = read(&cube, Reading::Runtime, &[0.0; 4]);
        let reference = read(&cube, Reading::Reference, &[0.0; 4]).0;
        (runtime[0], reference[0], doubt.contains("is not the last"))
    };
    assert_eq!(softmax(1, 12), (0.25, 0.5, true));
    assert_eq!(softmax(0, 12), (0.25, 1.0, true));
    assert_eq!(softmax(2, 12), (0.5, 0.5, false));
    assert_eq!(softmax(1, 13), (0.5, 0.5, false));
    let regressor = |more: &[(&'static str, Attribute<'static>)]| {
        let coefficients = ("coefficients", Floats(&[1.0, 2.0]));
        let mut attributes = vec![("targets", Int(2)), coefficients];
        attributes.extend_from_slice(more);
        one(1, "ml.LinearRegressor", &attributes).error()
    };
    let error = regressor(&[]);
    assert!(error.contains("without intercepts"), "{error}");
    let intercepts = ("intercepts", Floats(&[0.0, 0.0]));
    let softmax = ("post_transform", Text("SOFTMAX"));
    let error = regressor(&[intercepts, softmax]);
    assert!(error.contains("does not compute"), "{error}");
    let score = one(
        1,
        "ml.LinearClassifier",
        &[
            ("coefficients", Floats(&[1.0])),
            ("intercepts", Floats(&[0.0])),
            ("classlabels_ints", Ints(&[0, 1])),
        ],
    );
    // The label by itself is the same in all runtimes.
    assert_eq!(
        read(&score, Reading::Runtime, &[2.0]),
        (vec![1.0], String::new())
    );
    let mut scores = score;
    scores.graph = Graph::new(1)
        .node(
            "ml.LinearClassifier",
            &["x"],
            &["l", "y"],
            &[
                ("coefficients", Floats(&[1.0])),
                ("intercepts", Floats(&[0.0])),
                ("classlabels_ints", Ints(&[0, 1])),
            ],
        )
        .output("y")
        .graph;
    let (out, doubt) = read(&scores, Reading::Runtime, &[2.0]);
    assert_eq!(out, [-1.0, 2.0]);
    assert!(doubt.contains("1 - x and x"), "{doubt}");
    assert_eq!(read(&scores, Reading::Reference, &[2.0]).0, [-2.0, 2.0]);
}

#[test]
fn doubtful_trees_need_a_check_file() {
    let error = two_leaves(&[(1, 1, 0.25), (2, 1, 0.75)]).error();
    assert!(
        error.contains("votes for the second of two classes alone"),
        "{error}"
    );
    let error = two_leaves(&[(1, 0, -0.25), (2, 0, 0.75)]).error();
    assert!(
        error.contains("that may be negative is -x and x"),
        "{error}"
    );
    let modes = [(
        "nodes_modes",
        Texts(&["BRANCH_NEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF"]),
    )];
    let error = tree(&[1.0, 2.0, 3.0], &modes).error();
    assert!(error.contains("BRANCH_NEQ"), "{error}");
    let tracked = [
        (
            "nodes_modes",
            Texts(&["BRANCH_NEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF"]),
        ),
        ("nodes_missing_value_tracks_true", Ints(&[1, 0, 0, 0, 0])),
    ];
    assert_eq!(tree(&[1.0, 2.0, 3.0], &tracked).load().inputs(), 1);
}
