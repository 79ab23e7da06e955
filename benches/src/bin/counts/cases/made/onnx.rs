//! What ONNX files are made of: protobuf, of which two kinds of field are enough.

/// A protobuf message; the numbers of its fields are those of `onnx.proto3`.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A number.
    pub fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    /// Bytes.
    pub fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    /// A text.
    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A message in this one.
    pub fn with(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A stored tensor of f32.
pub fn tensor(name: &str, dims: &[usize], values: &[f32]) -> Message {
    let tensor = dims
        .iter()
        .fold(Message::default(), |tensor, &dim| tensor.int(1, dim as i64));
    tensor
        .int(2, 1)
        .bytes(9, &little_endian(values))
        .text(8, name)
}

/// An operator's attribute.
pub enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'static str>),
}

/// An operator.
pub fn node(
    domain: &str,
    op: &str,
    from: &[&str],
    to: &str,
    attributes: &[(&str, Attribute)],
) -> Message {
    let node = from
        .iter()
        .fold(Message::default(), |node, name| node.text(1, name));
    let node = node.text(2, to).text(4, op).text(7, domain);
    attributes.iter().fold(node, |node, (name, value)| {
        let named = Message::default().text(1, name);
        let attribute = match value {
            Attribute::Int(value) => named.int(3, *value).int(20, 2),
            Attribute::Floats(values) => named.bytes(7, &little_endian(values)).int(20, 6),
            Attribute::Ints(values) => values
                .iter()
                .fold(named, |named, &value| named.int(8, value))
                .int(20, 7),
            Attribute::Texts(values) => values
                .iter()
                .fold(named, |named, value| named.text(9, value))
                .int(20, 8),
        };
        node.with(5, &attribute)
    })
}

/// A model of one graph from `x`, of `[1, width]`, to `y`.
pub fn model(width: usize, nodes: &[Message], stored: &[Message]) -> Vec<u8> {
    let port = |name: &str, width: usize| {
        let dims = [1, width].iter().fold(Message::default(), |shape, &dim| {
            shape.with(1, &Message::default().int(1, dim as i64))
        });
        let tensor = Message::default().int(1, 1).with(2, &dims);
        Message::default()
            .text(1, name)
            .with(2, &Message::default().with(1, &tensor))
    };
    let graph = Message::default();
    let graph = nodes.iter().fold(graph, |graph, node| graph.with(1, node));
    let graph = stored
        .iter()
        .fold(graph, |graph, tensor| graph.with(5, tensor));
    let output = Message::default().text(1, "y").with(
        2,
        &Message::default().with(1, &Message::default().int(1, 1)),
    );
    let graph = graph.with(11, &port("x", width)).with(12, &output);
    let opset = |domain: &str, version| Message::default().text(1, domain).int(2, version);
    Message::default()
        .int(1, 8)
        .with(7, &graph)
        .with(8, &opset("", 17))
        .with(8, &opset("ai.onnx.ml", 3))
        .0
}
