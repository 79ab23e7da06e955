use super::{Tract, caught};
use crate::messages::InstrumentId;
use crate::models::onnx::External;
use crate::models::onnx::tests::writer::*;
use crate::models::parsed::Parsed;
use crate::models::{Model, ModelError};

#[test]
fn panics_are_errors() {
    let error = caught(|| -> super::TractResult<()> { panic!("a test's") }).unwrap_err();
    assert_eq!(error.to_string(), super::PANICKED);
    let many = Graph::new(1 << 17)
        .node("Sin", &["x"], &["y"], &[])
        .output("y");
    let error = Tract::if_needed(&many.bytes(), &[], &External::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("more than 65536"), "{error}");
}

#[test]
fn runs_what_our_kernels_cannot() {
    let graph = Graph::new(2)
        .node("Tanh", &["x"], &["t"], &[])
        .node("Sin", &["t"], &["y"], &[])
        .output("y")
        .output("t");
    let mut model = Tract::if_needed(&graph.bytes(), &[], &External::default())
        .unwrap()
        .unwrap()
        .model;
    assert_eq!(model.inputs(), 2);
    assert_eq!(model.outputs(), ["y[0]", "y[1]", "t[0]", "t[1]"]);
    let mut out = [0.0; 4];
    model.run(InstrumentId(0), &[0.5, -1.0], &mut out);
    let t = [0.5f64.tanh(), (-1.0f64).tanh()];
    for (ours, exact) in out.iter().zip([t[0].sin(), t[1].sin(), t[0], t[1]]) {
        assert!((ours - exact).abs() < 1e-6, "{out:?}");
    }
    // Models that our kernels support stay with them.
    let chosen = Tract::if_needed(&graph.bytes(), &["t".into()], &External::default()).unwrap();
    assert!(chosen.is_none());
    let none = Graph::new(2)
        .node("NoSuchThing", &["x"], &["y"], &[])
        .output("y");
    assert!(Tract::if_needed(&none.bytes(), &[], &External::default()).is_err());
}

fn parsed(graph: &Graph) -> Result<Parsed<Tract>, ModelError> {
    Tract::if_needed(&graph.bytes(), &[], &External::default()).map(Option::unwrap)
}

fn refusal(graph: &Graph) -> String {
    parsed(graph).err().unwrap().to_string()
}

fn doubt(graph: &Graph) -> String {
    parsed(graph).unwrap().doubt.unwrap_or_default()
}

/// A graph whose input of `[1, 2, 4]` one node turns into `y`.
fn wide(op: &str, attributes: &[(&str, Attribute)]) -> Graph {
    Graph::new(8)
        .store("to", ints(&[1, 2, 4]))
        .node("Reshape", &["x", "to"], &["w"], &[])
        .node(op, &["w"], &["y"], attributes)
        .output("y")
}

#[test]
fn what_tract_gets_wrong_is_refused() {
    let celu = |alpha| wide("Celu", &[("alpha", Float(alpha))]);
    let error = refusal(&celu(2.0));
    assert!(error.contains("alpha is 2; expected 1"), "{error}");
    let mut model = parsed(&celu(1.0)).unwrap().model;
    let mut out = [0.0; 8];
    model.run(InstrumentId(0), &[-2.0; 8], &mut out);
    assert!((out[0] - (-2.0f64).exp_m1()).abs() < 1e-6, "{out:?}");
    for op in ["AveragePool", "MaxPool"] {
        let dilated = |by| wide(op, &[("kernel_shape", Ints(&[2])), ("dilations", Ints(by))]);
        let mut graph = dilated(&[1]);
        graph.opset = 19;
        assert!(parsed(&graph).is_ok(), "{op}");
        graph = dilated(&[2]);
        graph.opset = 19;
        let error = refusal(&graph);
        assert!(error.contains("dilations is 2; expected 1"), "{error}");
    }
    let error = refusal(&wide("GlobalLpPool", &[]));
    assert!(
        error.contains("does not support operator GlobalLpPool"),
        "{error}"
    );
}

#[test]
fn what_is_not_proven_of_tract_needs_a_check_file() {
    let elu = wide("Elu", &[("alpha", Float(2.0))]);
    assert_eq!(doubt(&elu), "");
    let mut model = parsed(&elu).unwrap().model;
    let mut out = [0.0; 8];
    model.run(InstrumentId(0), &[-2.0; 8], &mut out);
    assert!((out[0] - 2.0 * (-2.0f64).exp_m1()).abs() < 1e-6, "{out:?}");

    let window = [("kernel_shape", Ints(&[2]))];
    for (graph, reason) in [
        (wide("MaxPool", &window), "of which some are NaN"),
        (wide("GlobalMaxPool", &[]), "of which some are NaN"),
        (wide("AveragePool", &window), "NaN, infinities"),
        (
            wide("Softplus", &[]),
            "Softplus runs in tract, where it overflows",
        ),
        (wide("ReduceLogSumExp", &[]), "where it overflows"),
        (
            wide("ScaledTanh", &[("alpha", Float(1.0)), ("beta", Float(1.0))]),
            "not compared",
        ),
        // The operator itself is proven.
        (wide("Clip", &[]), "without one of its bounds"),
    ] {
        let doubt = doubt(&graph);
        assert!(doubt.contains(reason), "{doubt}");
    }
    let mut resize = Graph::new(8)
        .store("to", ints(&[1, 2, 4]))
        .store("by", floats(&[3], &[1.0, 1.0, 2.0]))
        .node("Reshape", &["x", "to"], &["w"], &[])
        .node("Resize", &["w", "by"], &["y"], &[])
        .output("y");
    resize.opset = 10;
    assert!(doubt(&resize).contains("some of its modes are wrong"));
    let conv = |by| {
        Graph::new(8)
            .store("to", ints(&[1, 1, 8]))
            .store("w", floats(&[1, 1, 2], &[1.0, 2.0]))
            .node("Reshape", &["x", "to"], &["c"], &[])
            .node("Conv", &["c", "w"], &["y"], &[("dilations", Ints(by))])
            .output("y")
    };
    assert_eq!(doubt(&conv(&[1])), "");
    assert!(doubt(&conv(&[2])).contains("Conv with dilations 2 runs in tract"));
    let norm = |opset| {
        let mut graph = Graph::new(8)
            .store("to", ints(&[1, 2, 4]))
            .store("two", floats(&[2], &[1.0, 2.0]))
            .node("Reshape", &["x", "to"], &["w"], &[])
            .node(
                "BatchNormalization",
                &["w", "two", "two", "two", "two"],
                &["y"],
                &[],
            )
            .output("y");
        graph.opset = opset;
        graph
    };
    assert_eq!(doubt(&norm(14)), "");
    assert!(doubt(&norm(13)).contains("in versions 14 to 26"));
    assert!(doubt(&norm(27)).contains("in versions 7 to 26"));
}

#[test]
fn whole_numbers_and_bounds_that_are_computed_need_a_check_file() {
    let to = |kinds: &[i64]| {
        let graph = Graph::new(2).node("Sin", &["x"], &["k0"], &[]);
        let cast = |graph: Graph, (at, kind): (usize, &i64)| {
            let names = [format!("k{at}"), format!("k{}", at + 1)];
            graph.node("Cast", &[&names[0]], &[&names[1]], &[("to", Int(*kind))])
        };
        let graph = kinds.iter().enumerate().fold(graph, cast);
        graph.output(&format!("k{}", kinds.len()))
    };
    // bool and double, int64, int32, float16
    assert_eq!(doubt(&to(&[9, 1])), "");
    assert_eq!(doubt(&to(&[11, 1])), "");
    let double = Graph::bare()
        .port(11, "x", 11, &[None, Some(2)])
        .node("Less", &["x", "x"], &["less"], &[])
        .node("Cast", &["less"], &["y"], &[("to", Int(1))])
        .output("y");
    assert!(doubt(&double).contains("compared with onnxruntime on float"));
    for kind in [7, 6, 10] {
        assert!(doubt(&to(&[kind, 1])).contains("compared with onnxruntime on float"));
    }
    let clip = |high| {
        let graph = Graph::new(2)
            .store("low", floats(&[], &[-0.5]))
            .store("one", floats(&[], &[0.5]))
            .store("none", ints(&[]))
            .node("Sin", &["x"], &["s"], &[])
            .node("ReduceMean", &["s"], &["m"], &[("keepdims", Int(0))]);
        graph
            .node("Clip", &["s", "low", high], &["y"], &[])
            .output("y")
    };
    assert_eq!(doubt(&clip("one")), "");
    assert!(doubt(&clip("m")).contains("only the first input of Clip"));
}

/// As in onnxruntime; on its own, tract makes a number of NaN in each of these operators.
#[test]
fn nan_stays_nan() {
    let (low, high) = (floats(&[], &[-0.5]), floats(&[], &[0.5]));
    let graph = Graph::new(2)
        .store("low", low)
        .store("high", high)
        .node("Sin", &["x"], &["s"], &[])
        .node("Clip", &["s", "low", "high"], &["clip"], &[])
        .node("Clip", &["s", "", "high"], &["above"], &[])
        .node("Relu", &["s"], &["relu"], &[])
        .node("Max", &["s", "low", "low"], &["max"], &[])
        .node("Min", &["high", "s"], &["min"], &[])
        .node("Sigmoid", &["s"], &["sigmoid"], &[])
        .node("Tanh", &["s"], &["tanh"], &[])
        .node("HardSigmoid", &["s"], &["hard"], &[])
        .node("Celu", &["s"], &["celu"], &[]);
    let names = [
        "clip", "above", "relu", "max", "min", "sigmoid", "tanh", "hard", "celu",
    ];
    let graph = names.into_iter().fold(graph, Graph::output);
    let mut model = parsed(&graph).unwrap().model;
    let mut out = [0.0; 18];
    model.run(InstrumentId(0), &[f64::NAN, 1.0], &mut out);
    for pair in out.chunks(2) {
        assert!(pair[0].is_nan() && !pair[1].is_nan(), "{out:?}");
    }
    let sine = f64::from(1f32.sin());
    let sigmoid = 1.0 / (1.0 + (-sine).exp());
    let right = [
        0.5,
        0.5,
        sine,
        sine,
        0.5,
        sigmoid,
        sine.tanh(),
        0.2 * sine + 0.5,
        sine,
    ];
    let odd: Vec<f64> = out.iter().skip(1).step_by(2).copied().collect();
    for (ours, exact) in odd.iter().zip(right) {
        assert!((ours - exact).abs() < 1e-6, "{out:?}");
    }
    model.run(InstrumentId(0), &[f64::INFINITY, -1.0], &mut out);
    assert!((out[1] + 0.5).abs() < 1e-6 && out[5] == 0.0, "{out:?}");
}

#[test]
fn an_extreme_of_nan_is_nan_and_needs_a_check_file() {
    for opset in [15, 18] {
        for (op, extreme) in [("ReduceMax", 2.0), ("ReduceMin", -1.0)] {
            let node = |graph: Graph| match opset {
                18 => graph
                    .store("a", ints(&[1]))
                    .node(op, &["x", "a"], &["y"], &[]),
                _ => graph.node(op, &["x"], &["y"], &[("axes", Ints(&[1]))]),
            };
            let mut graph = node(Graph::new(3)).output("y");
            graph.opset = opset;
            let Parsed {
                mut model, doubt, ..
            } = parsed(&graph).unwrap();
            assert!(doubt.unwrap().contains("of which some are NaN"));
            let mut out = [0.0];
            for (x, y) in [
                ([-1.0, 2.0, 1.0], extreme),
                ([f64::NAN, 2.0, 1.0], f64::NAN),
                ([-1.0, f64::NAN, 1.0], f64::NAN),
                (
                    [f64::NEG_INFINITY, f64::INFINITY, 1.0],
                    extreme * f64::INFINITY,
                ),
            ] {
                model.run(InstrumentId(0), &x, &mut out);
                assert!(
                    out[0] == y || (out[0].is_nan() && y.is_nan()),
                    "{op} {x:?} {out:?}"
                );
            }
        }
    }
    for op in ["ArgMax", "ArgMin"] {
        let graph = Graph::new(3)
            .node(op, &["x"], &["i"], &[("axis", Int(1))])
            .node("Cast", &["i"], &["y"], &[("to", Int(1))])
            .output("y");
        assert!(parsed(&graph).unwrap().doubt.unwrap().contains(op));
    }
}

/// A bidirectional network of one number: whatever its weights, NaN makes NaN.
#[test]
fn nan_goes_through_networks_over_a_sequence() {
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        let weights = vec![0.5; gates];
        let node = |direction| {
            let attributes = [("hidden_size", Int(1)), ("direction", Text(direction))];
            Graph::new(2)
                .store("to", ints(&[2, 1, 1]))
                .store("w", floats(&[1, gates as i64, 1], &weights))
                .store("r", floats(&[1, gates as i64, 1], &weights))
                .node("Reshape", &["x", "to"], &["s"], &[])
                .node(op, &["s", "w", "r"], &["", "h"], &attributes)
                .output("h")
        };
        let mut model = parsed(&node("forward")).unwrap().model;
        let mut out = [0.0];
        model.run(InstrumentId(0), &[1.0, 0.5], &mut out);
        assert!(out[0].is_finite(), "{op}");
        model.run(InstrumentId(0), &[f64::NAN, 0.5], &mut out);
        assert!(out[0].is_nan(), "{op} {out:?}");
        let error = refusal(&node("reverse"));
        assert!(
            error.contains("direction is reverse; expected forward"),
            "{error}"
        );
    }
}

#[test]
fn attributes_that_tract_ignores_are_refused() {
    let elu = |name, opset| {
        let mut graph = Graph::new(2)
            .node("Elu", &["x"], &["y"], &[(name, Float(2.0))])
            .output("y");
        graph.opset = opset;
        graph
    };
    assert!(parsed(&elu("alpha", 15)).is_ok());
    let error = refusal(&elu("scale", 15));
    assert!(
        error.contains("'the_y' (Elu): attribute scale is not supported"),
        "{error}"
    );
    let error = refusal(&elu("alpha", 6));
    assert!(error.contains("version 6; expected 7 or later"), "{error}");
    // An operator that our own kernels have, beside one that they have not.
    let gemm = |to, scale: &[(&str, Attribute)]| {
        Graph::new(2)
            .store("w", floats(&[2, 1], &[1.0, 2.0]))
            .node("Gemm", &["x", "w"], &["g"], scale)
            .node("Sin", &[to], &["y"], &[])
            .output("y")
    };
    assert!(parsed(&gemm("g", &[])).is_ok());
    let error = refusal(&gemm("g", &[("scale", Float(2.0))]));
    assert!(error.contains("'the_g' (Gemm): attribute scale"), "{error}");
    // One that no output needs does not matter.
    assert!(parsed(&gemm("x", &[("scale", Float(2.0))])).is_ok());
    let clip = |opset| {
        let mut graph = Graph::new(2)
            .node("Clip", &["x"], &["y"], &[("max", Float(2.0))])
            .output("y");
        graph.opset = opset;
        graph
    };
    assert!(parsed(&clip(10)).is_ok());
    assert!(refusal(&clip(11)).contains("attribute max is not supported"));
    let classical = Graph::new(2)
        .node("Sin", &["x"], &["s"], &[])
        .node("ml.Normalizer", &["s"], &["y"], &[])
        .output("y");
    let error = refusal(&classical);
    assert!(
        error.contains("does not support operator ai.onnx.ml.Normalizer"),
        "{error}"
    );
}

#[test]
fn old_softmax_over_another_than_the_last_axis_needs_a_check_file() {
    let doubt = |axis, opset| {
        let mut graph = Graph::new(4)
            .store("to", ints(&[1, 2, 2]))
            .node("Sin", &["x"], &["s"], &[])
            .node("Reshape", &["s", "to"], &["c"], &[])
            .node("Softmax", &["c"], &["y"], &[("axis", Int(axis))])
            .output("y");
        graph.opset = opset;
        parsed(&graph).unwrap().doubt.unwrap_or_default()
    };
    assert!(doubt(1, 12).contains("is not the last"));
    assert!(doubt(-3, 12).contains("is not the last"));
    assert_eq!(doubt(2, 12), "");
    assert_eq!(doubt(-1, 12), "");
    assert_eq!(doubt(1, 13), "");
}
