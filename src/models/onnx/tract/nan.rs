//! NaN in operators for which tract returns a number, and onnxruntime NaN.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// Operators that turn each value of their first input into one of the output.
const EACH: [&str; 6] = ["Celu", "Clip", "HardSigmoid", "Relu", "Sigmoid", "Tanh"];
/// Operators all of whose inputs are data, value by value.
const EXTREMES: [&str; 2] = ["Max", "Min"];
/// Operators that turn values along some dimensions into one.
const REDUCTIONS: [&str; 2] = ["ReduceMax", "ReduceMin"];
/// Networks over a sequence, which compute with Sigmoid and Tanh. tract keeps a NaN in their state
/// from spreading; here all their outputs become NaN.
const RECURRENT: [&str; 3] = ["GRU", "LSTM", "RNN"];

const INT32: i64 = 6;
const BOOL: i64 = 9;

/// Restores NaN after such operators: `x == x ? y : x`.
pub fn keep(graph: &mut GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (place, mut node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        for attribute in &mut node.attribute {
            attribute.g.iter_mut().for_each(keep);
            attribute.graphs.iter_mut().for_each(keep);
        }
        let op = node.op_type.clone();
        let is = |list: &[&str]| list.contains(&op.as_str());
        if !matches!(node.domain.as_str(), "" | "ai.onnx") || node.input.is_empty() {
            nodes.push(node);
            continue;
        }
        let mut after = After::new(place, &node);
        if is(&EACH) {
            let x = node.input[0].clone();
            let mask = after.same(&x);
            after.restore(&mut node, 0, &mask, &x);
        } else if is(&EXTREMES) {
            for x in node.input.clone() {
                let mask = after.same(&x);
                after.restore(&mut node, 0, &mask, &x);
            }
        } else if is(&REDUCTIONS) {
            let (mask, mean) = after.reduced(&node.input, &node.attribute);
            after.restore(&mut node, 0, &mask, &mean);
        } else if is(&RECURRENT) {
            let whole = [int("keepdims", 0)];
            let (mask, mean) = after.reduced(&node.input[..1], &whole);
            for output in 0..node.output.len() {
                after.restore(&mut node, output, &mask, &mean);
            }
        }
        nodes.push(node);
        nodes.append(&mut after.nodes);
    }
    graph.node = nodes;
}

/// The nodes that come after one.
struct After {
    place: usize,
    /// The names of the node's outputs, which other nodes read.
    ends: Vec<String>,
    nodes: Vec<NodeProto>,
}

impl After {
    fn new(place: usize, node: &NodeProto) -> Self {
        Self {
            place,
            ends: node.output.clone(),
            nodes: Vec::new(),
        }
    }

    /// Adds a node and returns the name of what it makes, apart from the graph's own names.
    fn node(&mut self, op: &str, input: &[&str], attribute: Vec<AttributeProto>) -> String {
        let input = input.iter().map(ToString::to_string).collect();
        self.nodes.push(NodeProto {
            op_type: op.into(),
            input,
            attribute,
            ..NodeProto::default()
        });
        let name = format!(
            "{}\nnan{}.{}",
            self.nodes[0].input[0],
            self.place,
            self.nodes.len()
        );
        let last = self.nodes.last_mut().expect("was just added");
        last.name = name.clone();
        last.output = vec![name.clone()];
        name
    }

    /// Where a value is not NaN.
    fn same(&mut self, x: &str) -> String {
        self.node("Equal", &[x, x], Vec::new())
    }

    /// Where all values that a reduction with these inputs and attributes combines are not NaN, and
    /// a value that is NaN elsewhere.
    fn reduced(&mut self, input: &[String], attributes: &[AttributeProto]) -> (String, String) {
        let same = self.same(&input[0]);
        let ones = self.node("Cast", &[&same], vec![int("to", INT32)]);
        let mut over: Vec<&str> = input.iter().map(String::as_str).collect();
        let mean = self.node("ReduceMean", &over, attributes.to_vec());
        over[0] = &ones;
        let least = self.node("ReduceMin", &over, attributes.to_vec());
        let mask = self.node("Cast", &[&least], vec![int("to", BOOL)]);
        (mask, mean)
    }

    /// Replaces an output by `mask ? output : other`.
    fn restore(&mut self, node: &mut NodeProto, output: usize, mask: &str, other: &str) {
        let end = self.ends[output].clone();
        if end.is_empty() {
            return;
        }
        // What was restored before comes first.
        let made = format!("{end}\nnan{}.made{}", self.place, self.nodes.len());
        let earlier = self.nodes.iter_mut().find(|node| node.output[0] == end);
        match earlier {
            Some(earlier) => earlier.output[0] = made.clone(),
            None => node.output[output] = made.clone(),
        }
        self.node("Where", &[mask, &made, other], Vec::new());
        let last = self.nodes.last_mut().expect("was just added");
        last.output[0] = end;
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int as i32,
        ..AttributeProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of several restored inputs goes on with what the one before it made.
    #[test]
    fn nodes_come_after_what_they_read() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let mut graph = GraphProto {
            node: vec![NodeProto {
                op_type: "Max".into(),
                input: names(&["a", "b", "c"]),
                output: names(&["y"]),
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        };
        keep(&mut graph);
        let mut known: Vec<String> = names(&["a", "b", "c"]);
        for node in &graph.node {
            assert!(
                node.input.iter().all(|input| known.contains(input)),
                "{node:?}"
            );
            known.extend(node.output.iter().cloned());
        }
        assert_eq!(graph.node.len(), 7);
        assert_eq!(known.last().unwrap(), "y");
    }
}
