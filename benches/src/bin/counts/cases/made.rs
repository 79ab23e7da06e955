//! Models made up here, as their trainers write them. Nobody's training set can
//! change them, and the repository needs no files for them: complete trees with random
//! splits, dense layers, and the protobuf that ONNX files are made of.

use serde_json::json;
use signal_bench::forest::{self, Tree};

use super::events::Random;
use super::models::FACTORS;

const LEAVES: usize = 32;
const SPLITS: usize = LEAVES - 1;
const NODES: usize = SPLITS + LEAVES;

/// Complete trees: the children of node `i` are `2 i + 1` and `2 i + 2`, the leaves come
/// behind the splits.
fn trees(count: usize) -> Vec<Tree<f32>> {
    let mut random = Random::new(5);
    // A leaf is written as the complement of its number.
    let child = |node: usize| match node.checked_sub(SPLITS) {
        Some(leaf) => !(leaf as i64),
        None => node as i64,
    };
    let mut tree = || Tree {
        features: (0..SPLITS).map(|_| random.below(FACTORS)).collect(),
        thresholds: (0..SPLITS).map(|_| random.number() as f32).collect(),
        children: (0..SPLITS)
            .map(|i| [child(2 * i + 1), child(2 * i + 2)])
            .collect(),
        leaves: (0..LEAVES).map(|_| random.number() as f32 - 0.5).collect(),
    };
    (0..count).map(|_| tree()).collect()
}

/// A split's child on a side, else `none`.
fn child(node: usize, side: usize, none: i64) -> i64 {
    match node < SPLITS {
        true => (2 * node + side) as i64,
        false => none,
    }
}

/// The feature of a split; 0 for a leaf.
fn feature(tree: &Tree<f32>, node: usize) -> i64 {
    let feature = tree.features.get(node);
    feature.map_or(0, |&feature| feature as i64)
}

/// As LightGBM's `save_model` writes them.
pub fn lightgbm(count: usize) -> String {
    forest::lightgbm_text(FACTORS, &trees(count))
}

/// As XGBoost's `save_model` writes them.
pub fn xgboost(count: usize) -> String {
    let children = |side| -> Vec<i64> { (0..NODES).map(|node| child(node, side, -1)).collect() };
    let tree = |tree: &Tree<f32>| {
        let conditions = [&tree.thresholds[..], &tree.leaves].concat();
        let features: Vec<i64> = (0..NODES).map(|node| feature(tree, node)).collect();
        json!({
            "left_children": children(1),
            "right_children": children(2),
            "split_indices": features,
            "split_conditions": conditions,
            "default_left": vec![0; NODES],
            "split_type": vec![0; NODES],
            "tree_param": {"size_leaf_vector": "1", "num_deleted": "0"},
        })
    };
    let trees: Vec<_> = trees(count).iter().map(tree).collect();
    let booster = json!({
        "name": "gbtree",
        "model": {"tree_info": vec![0; count], "trees": trees},
    });
    let parameters = json!({
        "base_score": "[5E-1]", "num_class": "0",
        "num_feature": FACTORS.to_string(), "num_target": "1",
    });
    json!({
        "learner": {
            "feature_names": [],
            "gradient_booster": booster,
            "learner_model_param": parameters,
            "objective": {"name": "reg:squarederror"},
        },
        "version": [3, 2, 0],
    })
    .to_string()
}

/// As an ONNX file with one `TreeEnsembleRegressor`.
pub fn onnx(count: usize) -> Vec<u8> {
    let trees = trees(count);
    // So many numbers of each tree.
    let ints = |each: usize, of: &dyn Fn(usize, usize) -> i64| {
        let all = (0..count).flat_map(|tree| (0..each).map(move |at| of(tree, at)));
        Ints(all.collect())
    };
    let nodes = |of: &dyn Fn(usize, usize) -> i64| ints(NODES, of);
    let leaves = |of: &dyn Fn(usize, usize) -> i64| ints(LEAVES, of);
    let features = nodes(&|tree, node| feature(&trees[tree], node));
    let modes = [["BRANCH_LEQ"; SPLITS].as_slice(), &["LEAF"; LEAVES]].concat();
    let thresholds = trees
        .iter()
        .map(|tree| [&tree.thresholds[..], &[0.0; LEAVES]].concat());
    let weights = trees.iter().flat_map(|tree| tree.leaves.iter().copied());
    let attributes = [
        ("n_targets", Int(1)),
        ("nodes_treeids", nodes(&|tree, _| tree as i64)),
        ("nodes_nodeids", nodes(&|_, node| node as i64)),
        ("nodes_featureids", features),
        ("nodes_values", Floats(thresholds.flatten().collect())),
        ("nodes_modes", Texts(modes.repeat(count))),
        ("nodes_truenodeids", nodes(&|_, node| child(node, 1, 0))),
        ("nodes_falsenodeids", nodes(&|_, node| child(node, 2, 0))),
        ("target_treeids", leaves(&|tree, _| tree as i64)),
        ("target_nodeids", leaves(&|_, leaf| (SPLITS + leaf) as i64)),
        ("target_ids", leaves(&|_, _| 0)),
        ("target_weights", Floats(weights.collect())),
    ];
    let op = ("ai.onnx.ml", "TreeEnsembleRegressor");
    model(&[node(op, &["x"], "y", &attributes)], &[])
}

/// Layers of these widths behind the factors, ReLU between them, as PyTorch
/// exports them to ONNX.
pub fn dense(widths: &[usize]) -> Vec<u8> {
    let mut random = Random::new(4);
    let (mut nodes, mut stored) = (Vec::new(), Vec::new());
    let (mut value, mut width) = ("x".to_owned(), FACTORS);
    for (number, &next) in widths.iter().enumerate() {
        let is_last = number + 1 == widths.len();
        let mut weights = |count: usize| -> Vec<f32> {
            (0..count).map(|_| random.number() as f32 - 0.5).collect()
        };
        let (weight, bias) = (format!("{number}.weight"), format!("{number}.bias"));
        stored.push(tensor(&weight, &[next, width], &weights(next * width)));
        stored.push(tensor(&bias, &[next], &weights(next)));
        let sum = match is_last {
            true => "y".to_owned(),
            false => format!("gemm{number}"),
        };
        let from = [value.as_str(), &weight, &bias];
        nodes.push(node(("", "Gemm"), &from, &sum, &[("transB", Int(1))]));
        if !is_last {
            value = format!("relu{number}");
            nodes.push(node(("", "Relu"), &[&sum], &value, &[]));
        }
        width = next;
    }
    model(&nodes, &stored)
}

/// A protobuf message; the numbers of its fields are those of `onnx.proto3`.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
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

    fn floats(self, field: u64, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.bytes(field, &bytes.collect::<Vec<_>>())
    }

    fn with<'a>(self, field: u64, values: impl IntoIterator<Item = &'a Message>) -> Self {
        let values = values.into_iter();
        values.fold(self, |message, value| message.bytes(field, &value.0))
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

fn tensor(name: &str, dims: &[usize], values: &[f32]) -> Message {
    let dims = dims.iter();
    let shape = dims.fold(Message::default(), |of, &dim| of.int(1, dim as i64));
    shape.int(2, 1).floats(9, values).text(8, name)
}

enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'static str>),
}

use Attribute::{Floats, Int, Ints, Texts};

/// An operator, which has a domain and a name.
fn node(
    (domain, op): (&str, &str),
    from: &[&str],
    to: &str,
    attributes: &[(&str, Attribute)],
) -> Message {
    let from = from.iter();
    let node = from.fold(Message::default(), |node, name| node.text(1, name));
    let node = node.text(2, to).text(4, op).text(7, domain);
    let attribute = |(name, value): &(&str, Attribute)| {
        let named = Message::default().text(1, name);
        match value {
            Int(value) => named.int(3, *value).int(20, 2),
            Floats(values) => named.floats(7, values).int(20, 6),
            Ints(values) => {
                let values = values.iter();
                values.fold(named, |of, &value| of.int(8, value)).int(20, 7)
            }
            Texts(values) => {
                let values = values.iter();
                values.fold(named, |of, value| of.text(9, value)).int(20, 8)
            }
        }
    };
    let attributes: Vec<Message> = attributes.iter().map(attribute).collect();
    node.with(5, &attributes)
}

/// A model of one graph from `x`, of `[1, FACTORS]`, to `y`.
fn model(nodes: &[Message], stored: &[Message]) -> Vec<u8> {
    let empty = Message::default;
    let dims = [1, FACTORS].map(|dim| empty().int(1, dim as i64));
    let shape = empty().with(1, &dims);
    let input = empty().with(1, [&empty().int(1, 1).with(2, [&shape])]);
    let output = empty().with(1, [&empty().int(1, 1)]);
    let port = |name: &str, of: &Message| empty().text(1, name).with(2, [of]);
    let graph = empty().with(1, nodes).with(5, stored);
    let graph = graph
        .with(11, [&port("x", &input)])
        .with(12, [&port("y", &output)]);
    let opset = |domain: &str, version| empty().text(1, domain).int(2, version);
    let opsets = [opset("", 17), opset("ai.onnx.ml", 3)];
    empty().int(1, 8).with(7, [&graph]).with(8, &opsets).0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use signal::models::{LightGbm, Model, Onnx, XgBoost};

    use super::*;
    use crate::cases::models::rows;

    /// A mistake in a generator would make a forest that nobody walks to the end.
    #[test]
    fn all_three_are_the_same_forest() {
        let mut lightgbm = LightGbm::parse(lightgbm(7).as_bytes()).unwrap();
        let mut xgboost = XgBoost::parse(xgboost(7).as_bytes()).unwrap();
        let mut onnx = Onnx::parse(&onnx(7), &[]).unwrap();
        let mut different = BTreeSet::new();
        for row in rows() {
            let [mut a, mut b, mut c] = [[0.0]; 3];
            lightgbm.run(signal::InstrumentId(0), &row, &mut a);
            xgboost.run(signal::InstrumentId(0), &row, &mut b);
            onnx.run(signal::InstrumentId(0), &row, &mut c);
            assert!((a[0] - (b[0] - 0.5)).abs() < 1e-5, "{a:?} {b:?}");
            assert!((a[0] - c[0]).abs() < 1e-5, "{a:?} {c:?}");
            different.insert(a[0].to_bits());
        }
        assert!(different.len() > 32, "{} different sums", different.len());
    }
}
