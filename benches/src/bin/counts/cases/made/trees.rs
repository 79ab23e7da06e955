//! Forests of complete trees with random splits.

use std::fmt::{Display, Write};

use serde_json::json;

use super::onnx::{self, Attribute};
use crate::cases::events::Random;
use crate::cases::models::FACTORS;

/// Splits from the root to a leaf.
const DEPTH: u32 = 5;
const LEAVES: usize = 1 << DEPTH;
const SPLITS: usize = LEAVES - 1;

/// A tree: the children of node `i` are `2 i + 1` and `2 i + 2`, the leaves come
/// behind the splits.
struct Tree {
    features: Vec<usize>,
    thresholds: Vec<f32>,
    leaves: Vec<f32>,
}

fn trees(count: usize) -> Vec<Tree> {
    let mut random = Random::new(5);
    let mut tree = || Tree {
        features: (0..SPLITS).map(|_| random.below(FACTORS)).collect(),
        thresholds: (0..SPLITS).map(|_| random.number() as f32).collect(),
        leaves: (0..LEAVES).map(|_| random.number() as f32 - 0.5).collect(),
    };
    (0..count).map(|_| tree()).collect()
}

fn join(values: impl IntoIterator<Item = impl Display>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(" ")
}

/// As LightGBM's `save_model` writes them.
pub fn lightgbm(count: usize) -> String {
    let all = |text: &str| join(vec![text; FACTORS]);
    let names = join((0..FACTORS).map(|number| format!("Column_{number}")));
    let mut file = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
         max_feature_idx={}\nobjective=regression\nfeature_names={names}\nfeature_infos={}\n\
         tree_sizes={}\n",
        FACTORS - 1,
        all("none"),
        join(vec![1; count]),
    );
    // A leaf is written as the complement of its number.
    let child = |node: usize| match node.checked_sub(SPLITS) {
        Some(leaf) => !(leaf as i64),
        None => node as i64,
    };
    for (number, tree) in trees(count).iter().enumerate() {
        let lines = [
            ("num_leaves", LEAVES.to_string()),
            ("num_cat", "0".to_owned()),
            ("split_feature", join(&tree.features)),
            ("threshold", join(&tree.thresholds)),
            ("decision_type", join(vec![2; SPLITS])),
            ("left_child", join((0..SPLITS).map(|i| child(2 * i + 1)))),
            ("right_child", join((0..SPLITS).map(|i| child(2 * i + 2)))),
            ("leaf_value", join(&tree.leaves)),
            ("is_linear", "0".to_owned()),
            ("shrinkage", "1".to_owned()),
        ];
        let _ = write!(file, "\nTree={number}\n");
        for (key, value) in lines {
            let _ = writeln!(file, "{key}={value}");
        }
        file.push('\n');
    }
    file.push_str("\nend of trees\n");
    file
}

/// As XGBoost's `save_model` writes them.
pub fn xgboost(count: usize) -> String {
    let nodes = SPLITS + LEAVES;
    let child = |node: usize, side: usize| match node < SPLITS {
        true => (2 * node + side) as i64,
        false => -1,
    };
    let tree = |tree: &Tree| {
        let conditions: Vec<f32> = tree
            .thresholds
            .iter()
            .chain(&tree.leaves)
            .copied()
            .collect();
        let features: Vec<usize> = (0..nodes)
            .map(|node| tree.features.get(node).copied().unwrap_or(0))
            .collect();
        json!({
            "left_children": (0..nodes).map(|node| child(node, 1)).collect::<Vec<_>>(),
            "right_children": (0..nodes).map(|node| child(node, 2)).collect::<Vec<_>>(),
            "split_indices": features,
            "split_conditions": conditions,
            "default_left": vec![0; nodes],
            "split_type": vec![0; nodes],
            "tree_param": {"size_leaf_vector": "1", "num_deleted": "0"},
        })
    };
    let trees: Vec<_> = trees(count).iter().map(tree).collect();
    json!({
        "learner": {
            "feature_names": [],
            "gradient_booster": {
                "name": "gbtree",
                "model": {"tree_info": vec![0; count], "trees": trees},
            },
            "learner_model_param": {
                "base_score": "[5E-1]", "num_class": "0",
                "num_feature": FACTORS.to_string(), "num_target": "1",
            },
            "objective": {"name": "reg:squarederror"},
        },
        "version": [3, 2, 0],
    })
    .to_string()
}

/// As an ONNX file with one `TreeEnsembleRegressor`.
pub fn onnx(count: usize) -> Vec<u8> {
    let trees = trees(count);
    let of_nodes = |value: &dyn Fn(&Tree, usize, usize) -> i64| {
        let each = trees.iter().enumerate().flat_map(|(number, tree)| {
            (0..SPLITS + LEAVES).map(move |node| value(tree, number, node))
        });
        Attribute::Ints(each.collect())
    };
    let child = |node: usize, side: usize| match node < SPLITS {
        true => (2 * node + side) as i64,
        false => 0,
    };
    let modes = (0..count * (SPLITS + LEAVES)).map(|i| match i % (SPLITS + LEAVES) < SPLITS {
        true => "BRANCH_LEQ",
        false => "LEAF",
    });
    let thresholds = trees
        .iter()
        .flat_map(|tree| tree.thresholds.iter().copied().chain([0.0; LEAVES]));
    let leaves = || (0..count * LEAVES).map(|i| (i / LEAVES, i % LEAVES));
    let attributes = [
        ("n_targets", Attribute::Int(1)),
        ("nodes_treeids", of_nodes(&|_, number, _| number as i64)),
        ("nodes_nodeids", of_nodes(&|_, _, node| node as i64)),
        (
            "nodes_featureids",
            of_nodes(&|tree, _, node| tree.features.get(node).map_or(0, |&feature| feature as i64)),
        ),
        ("nodes_values", Attribute::Floats(thresholds.collect())),
        ("nodes_modes", Attribute::Texts(modes.collect())),
        ("nodes_truenodeids", of_nodes(&|_, _, node| child(node, 1))),
        ("nodes_falsenodeids", of_nodes(&|_, _, node| child(node, 2))),
        (
            "target_treeids",
            Attribute::Ints(leaves().map(|(number, _)| number as i64).collect()),
        ),
        (
            "target_nodeids",
            Attribute::Ints(leaves().map(|(_, leaf)| (SPLITS + leaf) as i64).collect()),
        ),
        ("target_ids", Attribute::Ints(vec![0; count * LEAVES])),
        (
            "target_weights",
            Attribute::Floats(trees.iter().flat_map(|tree| tree.leaves.clone()).collect()),
        ),
    ];
    let node = onnx::node(
        "ai.onnx.ml",
        "TreeEnsembleRegressor",
        &["x"],
        "y",
        &attributes,
    );
    onnx::model(FACTORS, &[node], &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::models::rows;
    use signal::models::{LightGbm, Model, Onnx, XgBoost};

    /// A mistake in a generator would make a forest that nobody walks to the end.
    #[test]
    fn all_three_are_the_same_forest() {
        let mut lightgbm = LightGbm::parse(lightgbm(7).as_bytes()).unwrap();
        let mut xgboost = XgBoost::parse(xgboost(7).as_bytes()).unwrap();
        let mut onnx = Onnx::parse(&onnx(7), &[]).unwrap();
        let mut different = Vec::new();
        for row in rows() {
            let [mut a, mut b, mut c] = [[0.0]; 3];
            lightgbm.run(signal::InstrumentId(0), &row, &mut a);
            xgboost.run(signal::InstrumentId(0), &row, &mut b);
            onnx.run(signal::InstrumentId(0), &row, &mut c);
            assert!((a[0] - (b[0] - 0.5)).abs() < 1e-5, "{a:?} {b:?}");
            assert!((a[0] - c[0]).abs() < 1e-5, "{a:?} {c:?}");
            different.push(a[0].to_bits());
        }
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 32, "{} different sums", different.len());
    }
}
