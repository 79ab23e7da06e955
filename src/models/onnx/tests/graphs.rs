//! Graphs as a whole: names, refusals, damage.

use super::writer::*;
use crate::messages::InstrumentId;
use crate::models::onnx::{Model, Onnx};

#[test]
fn inputs_and_outputs_have_names() {
    let columns = Graph::bare()
        .port(11, "spread", 1, &[None, Some(1)])
        .port(11, "mid", 1, &[Some(1), Some(1)])
        .node("Sub", &["mid", "spread"], &["y"], &[])
        .output("y")
        .output("mid");
    let model = columns.load();
    assert_eq!(model.inputs(), 2);
    assert_eq!(model.input_names(), ["spread", "mid"]);
    assert_eq!(model.outputs(), ["y", "mid"]);
    near(&columns.run(&[1.0, 5.0]), &[4.0, 5.0]);
    let chosen = Onnx::parse(&columns.bytes(), &["mid".into()]).unwrap();
    assert_eq!(chosen.outputs(), ["mid"]);
    assert_eq!(chosen.inputs(), 2);
    let input = |elem, dims: &[Option<i64>]| {
        let graph = Graph::bare().port(11, "x", elem, dims);
        graph.node("Relu", &["x"], &["y"], &[]).output("y").error()
    };
    assert!(input(1, &[None, None]).contains("input 'x': dimension 1 is open"));
    assert!(input(1, &[Some(32), Some(4)]).contains("batch of 32"));
    assert!(input(7, &[None, Some(4)]).contains("input 'x' is int64; expected float"));
    assert!(input(11, &[None, Some(4)]).contains("its input is double; expected float"));
    assert!(input(1, &[]).contains("no shape"));
    for width in [1 << 40, (1 << 16) + 1] {
        assert!(input(1, &[None, Some(width)]).contains("inputs have more than 65536 values"));
    }
    let most = Graph::new(1 << 16).node("Relu", &["x"], &["y"], &[]);
    assert_eq!(most.clone().output("y").load().outputs().len(), 1 << 16);
    let error = most.output("y").output("x").error();
    assert!(
        error.contains("outputs have more than 65536 values"),
        "{error}"
    );
    let twice = one(1, "Relu", &[]).output("x").output("y").error();
    assert!(twice.contains("output 'y' is there twice"), "{twice}");
    let long = "y".repeat(513);
    let error = Graph::new(1)
        .node("Relu", &["x"], &[&long], &[])
        .output(&long)
        .error();
    assert!(
        error.contains("a name of 513 bytes; expected at most 512"),
        "{error}"
    );
}

#[test]
fn doubles_are_read_through_a_cast_only() {
    let double = || Graph::bare().port(11, "x", 11, &[None, Some(2)]);
    for (op, attributes) in [
        ("Identity", &[][..]),
        ("Flatten", &[]),
        ("Cast", &[("to", Int(11))]),
    ] {
        let error = double()
            .node(op, &["x"], &["y"], attributes)
            .output("y")
            .error();
        assert!(
            error.contains("output 'y' is a double input"),
            "{op}: {error}"
        );
    }
    assert!(
        double()
            .output("x")
            .error()
            .contains("output 'x' is a double input")
    );
    let direct = double()
        .store("to", ints(&[2, 1]))
        .node("Reshape", &["x", "to"], &["y"], &[]);
    assert!(
        direct
            .output("y")
            .error()
            .contains("output 'y' is a double input")
    );
    // A float that was cast to double keeps its value.
    let back = double()
        .node("Cast", &["x"], &["f"], &[("to", Int(1))])
        .node("Cast", &["f"], &["y"], &[("to", Int(11))])
        .output("y");
    assert_eq!(back.run(&[0.1, 2.0]), [f64::from(0.1f32), 2.0]);
    let there_and_back = double()
        .node("Cast", &["x"], &["d"], &[("to", Int(11))])
        .node("Cast", &["d"], &["y"], &[("to", Int(1))])
        .output("y");
    assert_eq!(there_and_back.run(&[0.1, 2.0]), [f64::from(0.1f32), 2.0]);
}

#[test]
fn work_and_width_are_bounded() {
    let product = |rows| {
        Graph::new(256)
            .store("a", ints(&[rows, 256 / rows]))
            .store("b", ints(&[256 / rows, rows]))
            .node("Reshape", &["x", "a"], &["l"], &[])
            .node("Reshape", &["x", "b"], &["r"], &[])
            .node("MatMul", &["l", "r"], &["m"], &[])
            .node("MatMul", &["m", "m"], &["y"], &[])
            .node("MatMul", &["y", "l"], &["z"], &[])
            .output("z")
    };
    assert!(product(128).load().outputs().len() == 256);
    let error = product(256).error();
    assert!(
        error.contains("more than 16777216 multiplications"),
        "{error}"
    );
    // Each ensemble copies its inputs.
    let wide = Graph::new(1 << 16)
        .node("Concat", &["x", "x"], &["w"], &[("axis", Int(1))])
        .node(
            "ml.TreeEnsembleRegressor",
            &["w"],
            &["y"],
            &super::classical::LEAF,
        )
        .output("y");
    assert!(
        wide.error()
            .contains("its input has 131072 values; expected at most 65536")
    );
    let many = (0..300).fold(Graph::new(1 << 16), |graph, i| {
        let name = format!("y{i}");
        graph
            .node(
                "ml.TreeEnsembleRegressor",
                &["x"],
                &[&name],
                &super::classical::LEAF,
            )
            .output(&name)
    });
    assert!(many.error().contains("more than 16777216 multiplications"));
}

#[test]
fn lists_are_bounded_before_they_are_read() {
    let names = vec!["x"; (1 << 18) + 1];
    let error = Graph::new(1)
        .node("Concat", &names, &["y"], &[("axis", Int(1))])
        .output("y")
        .error();
    assert!(error.contains("more than 262144 names"), "{error}");
    let dims = tensor(&[], 1).bytes(1, &[1; 100_000]);
    let error = with(1, "Add", dims, &[]).error();
    assert!(
        error.contains("field 1 has more than 8 integers"),
        "{error}"
    );
    let ids = Message::default()
        .text(1, "nodes_treeids")
        .bytes(8, &vec![0; (1 << 24) + 1]);
    let error = Graph::new(1)
        .raw_node("TreeEnsembleRegressor", &["x"], "y", ids)
        .output("y")
        .error();
    assert!(error.contains("more than 16777216 integers"), "{error}");
}

/// If a dimension is 0, the others could be anything.
#[test]
fn tensors_without_values_are_refused() {
    let empty = || ("value", Tensor(tensor(&[0, 1 << 40, 1 << 40], 1)));
    let made = |op: &str, attributes: &[(&str, Attribute)]| {
        Graph::new(1)
            .node("Constant", &[], &["c"], &[empty()])
            .node(op, &["c"], &["y"], attributes)
            .output("y")
            .error()
    };
    for error in [
        made("Flatten", &[("axis", Int(1))]),
        made("Softmax", &[("axis", Int(0))]),
        made("Concat", &[("axis", Int(1))]),
        made("Identity", &[]),
        with(1, "MatMul", tensor(&[0, 1 << 40, 1 << 40], 1), &[]).error(),
    ] {
        assert!(error.contains("is without values"), "{error}");
    }
    let reshaped = Graph::new(1)
        .store("c", tensor(&[0], 1))
        .store("to", ints(&[0, 1 << 40, 1 << 40]))
        .node("Reshape", &["c", "to"], &["r"], &[("allowzero", Int(1))])
        .node("Flatten", &["r"], &["y"], &[])
        .output("y");
    assert!(reshaped.error().contains("is without values"));
    // A scalar's shape is an empty list.
    let scalar = Graph::new(1)
        .store("to", tensor(&[0], 7))
        .node("Reshape", &["x", "to"], &["y"], &[])
        .output("y");
    near(&scalar.run(&[2.5]), &[2.5]);
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    let cycle = Graph::new(1)
        .node("Add", &["x", "b"], &["a"], &[])
        .node("Relu", &["a"], &["b"], &[])
        .output("b");
    let error = cycle.error();
    assert!(
        error.contains("depends on itself, through node 'the_"),
        "{error}"
    );
    let error = Graph::new(1)
        .node("Relu", &["z"], &["y"], &[])
        .output("y")
        .error();
    assert!(
        error.contains("node 'the_y' (Relu) reads 'z', which nothing makes"),
        "{error}"
    );
    assert!(
        Graph::new(1)
            .output("y")
            .error()
            .contains("nothing makes output 'y'")
    );
    let twice = one(1, "Relu", &[]).node("Tanh", &["x"], &["y"], &[]);
    assert!(twice.error().contains("'y' is made twice"));
    // The order in the file does not matter, and nodes that are not needed are not checked.
    let shuffled = Graph::new(1)
        .node("Tanh", &["a"], &["y"], &[])
        .node("Relu", &["x"], &["a"], &[])
        .node("NoSuchThing", &["a"], &["b"], &[])
        .output("y");
    near(&shuffled.run(&[0.5]), &[0.5f64.tanh()]);
    let deep = (0..50_000).fold(Graph::new(1), |graph, i| {
        let from = if i == 0 {
            "x".to_owned()
        } else {
            format!("n{}", i - 1)
        };
        graph.node("Relu", &[&from], &[&format!("n{i}")], &[])
    });
    near(&deep.output("n49999").run(&[2.0]), &[2.0]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let error = one(1, "Erf", &[]).error();
    assert!(
        error.contains("node 'the_y' (Erf): operator Erf is not supported"),
        "{error}"
    );
    assert!(
        one(1, "ml.ZipMap", &[])
            .error()
            .contains("options={'zipmap': False}")
    );
    assert!(
        one(1, "Relu", &[("alpha", Float(1.0))])
            .error()
            .contains("attribute alpha")
    );
    assert!(
        one(1, "ml.Normalizer", &[("norm", Text("L3"))])
            .error()
            .contains("norm is L3")
    );
    let probit = [
        ("coefficients", Floats(&[1.0])),
        ("post_transform", Text("PROBIT")),
    ];
    assert!(
        one(1, "ml.LinearRegressor", &probit)
            .error()
            .contains("post_transform is PROBIT")
    );
    let wrong = [("alpha", Text("1"))];
    assert!(
        one(1, "LeakyRelu", &wrong)
            .error()
            .contains("attribute alpha: expected a float")
    );
    let mut old = one(1, "Relu", &[]);
    old.opset = 6;
    assert!(old.error().contains("version 6; expected 7 or later"));
    let far = tensor(&[1], 1).int(14, 1);
    assert!(
        with(1, "Add", far, &[])
            .error()
            .contains("'c': its numbers are in another file")
    );
    let half = tensor(&[1], 10).bytes(9, &[0, 0]);
    assert!(
        with(1, "Add", half, &[])
            .error()
            .contains("'c' has float16")
    );
    for dims in [[1 << 40, 1 << 40], [-1, -1], [2, 1]] {
        let error = with(1, "Add", floats(&dims, &[1.0]), &[]).error();
        assert!(error.contains("tensor 'c' has dimensions"), "{error}");
    }
    let empty = tensor(&[1, 0], 1);
    assert!(
        with(1, "MatMul", empty, &[])
            .error()
            .contains("without values")
    );
    let many = (0..1 << 17).fold(Graph::new(1), |graph, _| graph.output("x"));
    assert!(many.error().contains("expected a smaller graph"));
    let huge = Graph::new(1)
        .store("a", floats(&[1 << 14, 1], &vec![0.0; 1 << 14]))
        .store("b", floats(&[1 << 14], &vec![0.0; 1 << 14]))
        .node("Add", &["a", "b"], &["c"], &[])
        .node("Add", &["c", "x"], &["y"], &[])
        .output("y");
    assert!(huge.error().contains("256 MiB"));
}

#[test]
fn damaged_models_never_panic() {
    let whole = super::classical::tree(&[1.0, 2.0, 3.0], &[]).bytes();
    for len in 0..whole.len() {
        let _ = Onnx::parse(&whole[..len], &[]);
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..5) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        if let Ok(mut model) = Onnx::parse(&bytes, &[]) {
            let mut out = vec![0.0; model.outputs().len()];
            model.run(InstrumentId(0), &vec![1.5; model.inputs()], &mut out);
        }
    }
    assert_eq!(
        Onnx::parse(&[0xff; 64], &[]).unwrap_err().to_string(),
        "byte 0: a varint of more than 64 bits; expected at most 64"
    );
}
