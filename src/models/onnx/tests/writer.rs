//! Writes small ONNX models.

use crate::messages::InstrumentId;
use crate::models::onnx::{External, How, Isa, Model, Onnx, Reading};

/// Writes protobuf.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    pub fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }
}

#[derive(Clone)]
pub enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Text(&'a str),
    Floats(&'a [f32]),
    Ints(&'a [i64]),
    Texts(&'a [&'a str]),
    Tensor(Message),
}

pub use Attribute::{Float, Floats, Int, Ints, Tensor, Text, Texts};

pub fn floats(dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    tensor(dims, 1).bytes(9, &raw)
}

pub fn ints(values: &[i64]) -> Message {
    let message = tensor(&[values.len() as i64], 7);
    values.iter().fold(message, |message, &x| message.int(7, x))
}

pub fn tensor(dims: &[i64], elem: i64) -> Message {
    let message = dims
        .iter()
        .fold(Message::default(), |message, &dim| message.int(1, dim));
    message.int(2, elem)
}

/// A model with one graph.
#[derive(Clone)]
pub struct Graph {
    pub graph: Message,
    pub opset: i64,
    /// Appended to the model.
    pub more: Message,
}

impl Graph {
    /// A graph with one input `x` of `[batch, width]`.
    pub fn new(width: i64) -> Self {
        Self::bare().port(11, "x", 1, &[None, Some(width)])
    }

    pub fn bare() -> Self {
        Self {
            graph: Message::default(),
            opset: 17,
            more: Message::default(),
        }
    }

    pub fn port(mut self, field: u64, name: &str, elem: i64, dims: &[Option<i64>]) -> Self {
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

    pub fn output(self, name: &str) -> Self {
        self.port(12, name, 1, &[None, None])
    }

    pub fn store(mut self, name: &str, tensor: Message) -> Self {
        self.graph = self.graph.message(5, tensor.text(8, name));
        self
    }

    /// Adds an operator, of `ai.onnx.ml` if its name begins with `ml.`.
    pub fn node(
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

    /// Adds an operator of `ai.onnx.ml` with one attribute message as given.
    pub fn raw_node(mut self, op: &str, from: &[&str], to: &str, attribute: Message) -> Self {
        let node = from
            .iter()
            .fold(Message::default(), |node, name| node.text(1, name))
            .text(2, to)
            .text(4, op)
            .text(7, "ai.onnx.ml")
            .message(5, attribute);
        self.graph = self.graph.message(1, node);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let opset = |domain: &str, version| Message::default().text(1, domain).int(2, version);
        let mut bytes = Message::default()
            .int(1, 8)
            .message(7, self.graph.clone())
            .message(8, opset("", self.opset))
            .message(8, opset("ai.onnx.ml", 3))
            .0;
        bytes.extend_from_slice(&self.more.0);
        bytes
    }

    pub fn load(&self) -> Onnx {
        Onnx::parse(&self.bytes(), &[]).unwrap()
    }

    pub fn error(&self) -> String {
        Onnx::parse(&self.bytes(), &[]).unwrap_err().to_string()
    }

    /// The model's output, the same with and without AVX2.
    pub fn run(&self, x: &[f64]) -> Vec<f64> {
        let run = |isa| {
            let external = External::default();
            let how = How {
                isa,
                reading: Reading::default(),
                external: &external,
            };
            let mut model = Onnx::read(how, &self.bytes(), &[]).unwrap().model;
            let mut out = vec![f64::NAN; model.outputs().len()];
            model.run(InstrumentId(0), x, &mut out);
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
pub fn one(width: i64, op: &str, attributes: &[(&str, Attribute)]) -> Graph {
    Graph::new(width)
        .node(op, &["x"], &["y"], attributes)
        .output("y")
}

/// A graph of one node from `x` and a stored tensor to `y`.
pub fn with(width: i64, op: &str, stored: Message, attributes: &[(&str, Attribute)]) -> Graph {
    Graph::new(width)
        .store("c", stored)
        .node(op, &["x", "c"], &["y"], attributes)
        .output("y")
}

pub fn near(ours: &[f64], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{ours:?} {expected:?}");
    for (a, b) in ours.iter().zip(expected) {
        assert!(
            (a - b).abs() <= 1e-6 * b.abs().max(1.0),
            "{ours:?} {expected:?}"
        );
    }
}
