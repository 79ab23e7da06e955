//! Operators, fusing and refusals, on small models written here.

use super::ops::Op;
use super::{Isa, Model, Onnx};

/// Writes protobuf.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }
}

enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Text(&'a str),
    Floats(&'a [f32]),
    Ints(&'a [i64]),
    Texts(&'a [&'a str]),
    Tensor(Message),
}

use Attribute::{Float, Floats, Int, Ints, Tensor, Text, Texts};

fn floats(dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    tensor(dims, 1).bytes(9, &raw)
}

fn ints(values: &[i64]) -> Message {
    let message = tensor(&[values.len() as i64], 7);
    values.iter().fold(message, |message, &x| message.int(7, x))
}

fn tensor(dims: &[i64], elem: i64) -> Message {
    let message = dims
        .iter()
        .fold(Message::default(), |message, &dim| message.int(1, dim));
    message.int(2, elem)
}

/// A model of one graph.
#[derive(Clone)]
struct Graph {
    graph: Message,
    opset: i64,
}

impl Graph {
    /// With one input `x` of `[batch, width]`.
    fn new(width: i64) -> Self {
        Self::bare().port(11, "x", 1, &[None, Some(width)])
    }

    fn bare() -> Self {
        Self {
            graph: Message::default(),
            opset: 17,
        }
    }

    fn port(mut self, field: u64, name: &str, elem: i64, dims: &[Option<i64>]) -> Self {
        let shape = dims.iter().fold(Message::default(), |shape, dim| {
            let dim = match dim {
                Some(dim) => Message::default().int(1, *dim),
                None => Message::default().text(2, "batch"),
            };
            shape.message(1, dim)
        });
        let kind = Message::default().int(1, elem).message(2, shape);
        let port = Message::default()
            .text(1, name)
            .message(2, Message::default().message(1, kind));
        self.graph = self.graph.message(field, port);
        self
    }

    fn output(self, name: &str) -> Self {
        self.port(12, name, 1, &[None, None])
    }

    fn store(mut self, name: &str, tensor: Message) -> Self {
        self.graph = self.graph.message(5, tensor.text(8, name));
        self
    }

    /// An operator of `ai.onnx.ml` if its name begins with `ml.`.
    fn node(
        mut self,
        op: &str,
        from: &[&str],
        to: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let mut node = Message::default();
        for name in from {
            node = node.text(1, name);
        }
        for name in to {
            node = node.text(2, name);
        }
        node = node.text(3, &format!("the_{}", to[0]));
        node = match op.strip_prefix("ml.") {
            Some(op) => node.text(4, op).text(7, "ai.onnx.ml"),
            None => node.text(4, op),
        };
        for (name, value) in attributes {
            let attribute = Message::default().text(1, name);
            node = node.message(
                5,
                match value {
                    Int(value) => attribute.int(3, *value).int(20, 2),
                    Float(value) => attribute.float(2, *value).int(20, 1),
                    Text(value) => attribute.text(4, value).int(20, 3),
                    Floats(values) => values
                        .iter()
                        .fold(attribute, |a, &x| a.float(7, x))
                        .int(20, 6),
                    Ints(values) => values
                        .iter()
                        .fold(attribute, |a, &x| a.int(8, x))
                        .int(20, 7),
                    Texts(values) => values
                        .iter()
                        .fold(attribute, |a, x| a.text(9, x))
                        .int(20, 8),
                    Tensor(value) => attribute.message(5, value.clone()).int(20, 4),
                },
            );
        }
        self.graph = self.graph.message(1, node);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let opset = |domain: &str, version| Message::default().text(1, domain).int(2, version);
        Message::default()
            .int(1, 8)
            .message(7, self.graph.clone())
            .message(8, opset("", self.opset))
            .message(8, opset("ai.onnx.ml", 3))
            .0
    }

    fn load(&self) -> Onnx {
        Onnx::parse(&self.bytes(), &[]).unwrap()
    }

    fn error(&self) -> String {
        Onnx::parse(&self.bytes(), &[]).unwrap_err().to_string()
    }

    /// What it makes, the same with and without AVX2.
    fn run(&self, x: &[f64]) -> Vec<f64> {
        let run = |isa| {
            let mut model = Onnx::parse_for(isa, &self.bytes(), &[]).unwrap();
            let mut out = vec![f64::NAN; model.outputs().len()];
            model.run(x, &mut out);
            out
        };
        let out = run(Isa::Portable);
        for (a, b) in out.iter().zip(run(Isa::detect())) {
            assert!(
                (a - b).abs() <= 1e-6 * a.abs().max(1.0) || a.is_nan(),
                "{a} {b}"
            );
        }
        out
    }
}

/// A graph of one node from `x` to `y`.
fn one(width: i64, op: &str, attributes: &[(&str, Attribute)]) -> Graph {
    Graph::new(width)
        .node(op, &["x"], &["y"], attributes)
        .output("y")
}

/// A graph of one node from `x` and a stored tensor to `y`.
fn with(width: i64, op: &str, stored: Message, attributes: &[(&str, Attribute)]) -> Graph {
    Graph::new(width)
        .store("c", stored)
        .node(op, &["x", "c"], &["y"], attributes)
        .output("y")
}

fn near(ours: &[f64], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{ours:?} {expected:?}");
    for (a, b) in ours.iter().zip(expected) {
        assert!(
            (a - b).abs() <= 1e-6 * b.abs().max(1.0),
            "{ours:?} {expected:?}"
        );
    }
}

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
    // Both known at run time only: a row against a column.
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
    near(&big, &[1.0, 0.0]);
    // Before opset 13: over all dimensions from the axis.
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
    // Both factors known at run time only: x' x.
    let outer = Graph::new(2)
        .node("Gemm", &["x", "x"], &["y"], &[("transA", Int(1))])
        .output("y");
    near(&outer.run(&[2.0, 3.0]), &[4.0, 6.0, 6.0, 9.0]);
    // Several rows through one layer.
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
    // Not where the sum is wanted as well.
    let shared = layer(|graph| {
        graph
            .node("Sub", &["m", "b"], &["a"], &[])
            .node("Relu", &["a"], &["y"], &[])
            .output("y")
            .output("m")
    });
    near(&shared.run(&[1.0, 2.0]), &[6.5, 30.0, 7.0, 10.0]);
    assert_eq!(shared.load().plan.steps().len(), 3);
    // What is taken from a constant is no bias.
    let turned = layer(|graph| graph.node("Sub", &["b", "m"], &["y"], &[]).output("y"));
    near(&turned.run(&[1.0, 2.0]), &[-6.5, -30.0]);
}

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
    assert!(input(1, &[None, Some(1 << 40)]).contains("256 MiB"));
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
    // Order in the file does not matter, and what is not needed is not looked at.
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
    let old = Graph {
        opset: 6,
        ..one(1, "Relu", &[])
    };
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
    let huge = Graph::new(1)
        .store("a", floats(&[1 << 14, 1], &vec![0.0; 1 << 14]))
        .store("b", floats(&[1 << 14], &vec![0.0; 1 << 14]))
        .node("Add", &["a", "b"], &["c"], &[])
        .node("Add", &["c", "x"], &["y"], &[])
        .output("y");
    assert!(huge.error().contains("256 MiB"));
}

/// A tree `x <= 1 ? a : (x > 2 ? b : c)`.
fn tree(votes: &[f32], more: &[(&'static str, Attribute<'static>)]) -> Graph {
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
    let apart = [
        ("nodes_treeids", Ints(&[4, 4, 4, 5, 4])),
        ("target_treeids", Ints(&[4, 5, 4])),
    ];
    let error = tree(&votes, &apart).error();
    assert!(error.contains("tree 4"), "{error}");
}

#[test]
fn damaged_models_never_panic() {
    let whole = tree(&[1.0, 2.0, 3.0], &[]).bytes();
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
            model.run(&vec![1.5; model.inputs()], &mut out);
        }
    }
    assert_eq!(
        Onnx::parse(&[0xff; 64], &[]).unwrap_err().to_string(),
        "byte 0: a varint of more than 64 bits; expected at most 64"
    );
}
