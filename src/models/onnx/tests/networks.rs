//! Operators of networks, and fusing them.

use super::writer::*;
use crate::models::onnx::ops::Op;

#[test]
fn element_wise_operators_broadcast() {
    let x = [6.0, 2.0];
    let row = || floats(&[2], &[2.0, 4.0]);
    near(&with(2, "Add", row(), &[]).run(&x), &[8.0, 6.0]);
    near(&with(2, "Sub", row(), &[]).run(&x), &[4.0, -2.0]);
    near(&with(2, "Mul", row(), &[]).run(&x), &[12.0, 8.0]);
    near(&with(2, "Div", row(), &[]).run(&x), &[3.0, 0.5]);
    near(
        &with(2, "Sub", floats(&[], &[1.0]), &[]).run(&x),
        &[5.0, 1.0],
    );
    let column = with(2, "Sub", floats(&[3, 1], &[1.0, 2.0, 3.0]), &[]);
    near(&column.run(&x), &[5.0, 1.0, 4.0, 0.0, 3.0, -1.0]);
    // Both operands are known only at run time: a row and a column.
    let both = Graph::new(2)
        .store("turned", ints(&[2, 1]))
        .node("Reshape", &["x", "turned"], &["c"], &[])
        .node("Sub", &["x", "c"], &["y"], &[])
        .output("y");
    near(&both.run(&x), &[0.0, -4.0, 4.0, 0.0]);
    let error = with(2, "Add", floats(&[3], &[0.0; 3]), &[]).error();
    assert!(
        error.contains("node 'the_y' (Add)") && error.contains("do not broadcast"),
        "{error}"
    );
}

#[test]
fn activations_and_softmax() {
    let x = [-1.0, 0.5, 3.0];
    near(&one(3, "Relu", &[]).run(&x), &[0.0, 0.5, 3.0]);
    near(&one(3, "LeakyRelu", &[]).run(&x), &[-0.01, 0.5, 3.0]);
    near(
        &one(3, "LeakyRelu", &[("alpha", Float(0.5))]).run(&x),
        &[-0.5, 0.5, 3.0],
    );
    near(&one(3, "Tanh", &[]).run(&x), &x.map(f64::tanh));
    near(
        &one(3, "Sigmoid", &[]).run(&x),
        &x.map(|x| 1.0 / (1.0 + (-x).exp())),
    );
    let sum: f64 = x.iter().map(|x| x.exp()).sum();
    near(&one(3, "Softmax", &[]).run(&x), &x.map(|x| x.exp() / sum));
    let big = one(2, "Softmax", &[]).run(&[1000.0, -1000.0]);
    assert_eq!(big, [1.0, 0.0]);
    assert_eq!(
        one(2, "Softmax", &[]).run(&[1.0, f64::NEG_INFINITY]),
        [1.0, 0.0]
    );
    // Before opset 13: over all dimensions from the axis on.
    let mut cube = Graph::new(4)
        .store("to", ints(&[1, 2, 2]))
        .node("Reshape", &["x", "to"], &["c"], &[])
        .node("Softmax", &["c"], &["y"], &[("axis", Int(1))])
        .output("y");
    near(&cube.run(&[0.0; 4]), &[0.5; 4]);
    cube.opset = 11;
    near(&cube.run(&[0.0; 4]), &[0.25; 4]);
    assert!(
        one(3, "Softmax", &[("axis", Int(2))])
            .error()
            .contains("axis is 2; expected -2 to 1")
    );
}

#[test]
fn products_of_matrices() {
    let weights = || floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    near(
        &with(2, "MatMul", weights(), &[]).run(&[1.0, 10.0]),
        &[41.0, 52.0, 63.0],
    );
    let gemm = |inputs: &[&str], attributes: &[(&str, Attribute)]| {
        Graph::new(2)
            .store("w", floats(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]))
            .store("b", floats(&[3], &[1.0, 0.0, -1.0]))
            .node("Gemm", inputs, &["y"], attributes)
            .output("y")
    };
    let turned = || ("transB", Int(1));
    near(
        &gemm(&["x", "w", "b"], &[turned()]).run(&[1.0, 10.0]),
        &[42.0, 52.0, 62.0],
    );
    near(
        &gemm(&["x", "w"], &[turned(), ("alpha", Float(0.5))]).run(&[1.0, 10.0]),
        &[20.5, 26.0, 31.5],
    );
    let scaled = gemm(&["x", "w", "b"], &[turned(), ("beta", Float(2.0))]);
    near(&scaled.run(&[1.0, 10.0]), &[43.0, 52.0, 61.0]);
    // C is ignored, whatever it holds.
    let none = |c: &str| {
        Graph::new(2)
            .store("w", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))
            .store("bad", floats(&[2], &[f32::NAN, f32::INFINITY]))
            .node("Gemm", &["x", "w", c], &["y"], &[("beta", Float(0.0))])
            .output("y")
    };
    near(&none("bad").run(&[1.0, 10.0]), &[31.0, 42.0]);
    near(&none("x").run(&[1.0, 10.0]), &[31.0, 42.0]);
    assert!(
        gemm(&["x", "w"], &[])
            .error()
            .contains("2 columns times one of 3 rows")
    );
    assert!(
        gemm(&["x", "w"], &[("transB", Int(2))])
            .error()
            .contains("transB is 2")
    );
    // Both factors are known only at run time: x' x.
    let outer = Graph::new(2)
        .node("Gemm", &["x", "x"], &["y"], &[("transA", Int(1))])
        .output("y");
    near(&outer.run(&[2.0, 3.0]), &[4.0, 6.0, 6.0, 9.0]);
    // Several rows go through one layer.
    let rows = Graph::new(4)
        .store("to", ints(&[2, 2]))
        .store("w", weights())
        .store("b", floats(&[3], &[1.0, 1.0, 1.0]))
        .node("Reshape", &["x", "to"], &["r"], &[])
        .node("MatMul", &["r", "w"], &["m"], &[])
        .node("Add", &["m", "b"], &["y"], &[])
        .output("y");
    near(
        &rows.run(&[1.0, 10.0, 0.0, 1.0]),
        &[42.0, 53.0, 64.0, 5.0, 6.0, 7.0],
    );
    assert_eq!(rows.load().plan.steps().len(), 1);
}

#[test]
fn renames_copies_and_casts() {
    let x = [1.5, -2.5, 3.0, 4.0];
    near(&one(4, "Identity", &[]).run(&x), &x);
    assert_eq!(one(4, "Flatten", &[]).load().plan.steps().len(), 0);
    near(&with(4, "Reshape", ints(&[2, -1]), &[]).run(&x), &x);
    near(&one(4, "Cast", &[("to", Int(1))]).run(&x), &x);
    near(
        &one(4, "Cast", &[("to", Int(7))]).run(&x),
        &[1.0, -2.0, 3.0, 4.0],
    );
    let far = one(2, "Cast", &[("to", Int(7))]).run(&[1e30, f64::NAN]);
    assert_eq!(far, [i64::MIN as f64; 2]);
    assert!(
        one(4, "Cast", &[("to", Int(10))])
            .error()
            .contains("to is float16")
    );
    let parts = Graph::new(2)
        .store("c", floats(&[1, 3], &[7.0, 8.0, 9.0]))
        .node("Concat", &["x", "c", "x"], &["y"], &[("axis", Int(-1))])
        .output("y");
    near(
        &parts.run(&[1.0, 2.0]),
        &[1.0, 2.0, 7.0, 8.0, 9.0, 1.0, 2.0],
    );
    assert!(
        with(4, "Reshape", ints(&[3, -1]), &[])
            .error()
            .contains("for the 4 values")
    );
    assert!(
        with(4, "Reshape", ints(&[-1, -1]), &[])
            .error()
            .contains("for the 4 values")
    );
    assert!(
        with(4, "Reshape", ints(&[1 << 40, 1 << 40]), &[])
            .error()
            .contains("for the 4")
    );
    let loose = Graph::new(2)
        .node("Reshape", &["x", "x"], &["y"], &[])
        .output("y");
    assert!(loose.error().contains("run time only"));
}

#[test]
fn constants_are_computed_when_the_model_is_read() {
    let graph = Graph::new(2)
        .node(
            "Constant",
            &[],
            &["a"],
            &[("value", Tensor(floats(&[2], &[1.0, 2.0])))],
        )
        .node("Constant", &[], &["b"], &[("value_float", Float(3.0))])
        .node("Mul", &["a", "b"], &["c"], &[])
        .node("Add", &["x", "c"], &["y"], &[])
        .output("y");
    near(&graph.run(&[10.0, 20.0]), &[13.0, 26.0]);
    assert_eq!(graph.load().plan.steps().len(), 1);
    let constant = Graph::new(1)
        .store("y", floats(&[2], &[5.0, 6.0]))
        .output("y");
    near(&constant.run(&[0.0]), &[5.0, 6.0]);
}

#[test]
fn layers_are_fused() {
    let layer = |more: fn(Graph) -> Graph| {
        more(
            Graph::new(2)
                .store("w", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))
                .store("b", floats(&[1, 2], &[0.5, -20.0]))
                .store("same", ints(&[1, 2]))
                .node("MatMul", &["x", "w"], &["m"], &[]),
        )
    };
    let plain = layer(|graph| {
        graph
            .node("Reshape", &["m", "same"], &["r"], &[])
            .node("Add", &["b", "r"], &["a"], &[])
            .node("Relu", &["a"], &["y"], &[])
            .output("y")
    });
    near(&plain.run(&[1.0, 2.0]), &[7.5, 0.0]);
    let model = plain.load();
    assert!(matches!(model.plan.steps(), [step] if matches!(step.op, Op::Dense(_))));
    // The sum is not fused if it is an output as well.
    let shared = layer(|graph| {
        graph
            .node("Sub", &["m", "b"], &["a"], &[])
            .node("Relu", &["a"], &["y"], &[])
            .output("y")
            .output("m")
    });
    near(&shared.run(&[1.0, 2.0]), &[6.5, 30.0, 7.0, 10.0]);
    assert_eq!(shared.load().plan.steps().len(), 3);
    // A subtraction from a constant is not a bias.
    let turned = layer(|graph| graph.node("Sub", &["b", "m"], &["y"], &[]).output("y"));
    near(&turned.run(&[1.0, 2.0]), &[-6.5, -30.0]);
}
