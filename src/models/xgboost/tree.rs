//! Turns nodes into a tree.

use super::file::{Nodes, number, several};
use crate::models::ModelError;
use crate::models::forest::{Child, Split, Test};

/// A tree as the forest takes it.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Child<f32>,
    pub(super) splits: Vec<Split<f32, f32>>,
}

/// Follows the nodes from the root, because XGBoost may leave pruned ones in the lists.
pub(super) fn read(nodes: &Nodes, weight: Option<f32>) -> Result<Tree, ModelError> {
    check(nodes)?;
    if let Some(weight) = weight.filter(|weight| !weight.is_finite()) {
        return Err(ModelError(format!(
            "its weight_drop is {weight}; expected a finite number"
        )));
    }
    let count = nodes.left_children.len();
    let mut reached = vec![false; count];
    let mut splits: Vec<Split<f32, f32>> = Vec::new();
    // A node's index in `splits` is known when its parent is read.
    let mut order = Vec::new();
    let mut reach = |parent: usize, node: i32, order: &mut Vec<usize>| {
        let index = usize::try_from(node).ok().filter(|&index| index < count);
        let index = index.ok_or_else(|| {
            ModelError::unwritten(format!(
                "node {parent} leads to node {node}, but there are {count}"
            ))
        })?;
        if std::mem::replace(&mut reached[index], true) {
            return Err(ModelError(format!(
                "several paths lead to node {index}, one from node {parent}; expected a tree"
            )));
        }
        let value = nodes.split_conditions[index];
        if !value.is_finite() {
            return Err(ModelError(format!(
                "split_conditions[{index}] is {value}; expected a finite number"
            )));
        }
        match (nodes.left_children[index], nodes.right_children[index]) {
            (-1, -1) => Ok(Child::Leaf(weight.map_or(value, |weight| weight * value))),
            (-1, _) | (_, -1) => Err(ModelError(format!(
                "node {index} has one child; expected two or none"
            ))),
            _ => {
                order.push(index);
                Ok(Child::Split(order.len() - 1))
            }
        }
    };
    let root = reach(0, 0, &mut order)?;
    while let Some(&index) = order.get(splits.len()) {
        if nodes.split_type.get(index).is_some_and(|&kind| kind != 0) {
            return Err(ModelError(format!(
                "node {index} is a categorical split, which is not supported: encode categories as \
                 numbers before training"
            )));
        }
        let yes = reach(index, nodes.left_children[index], &mut order)?;
        let no = reach(index, nodes.right_children[index], &mut order)?;
        splits.push(Split {
            feature: nodes.split_indices[index] as usize,
            test: Test::Lt(nodes.split_conditions[index]),
            nan: nodes.default_left[index].0,
            zero: f32::NAN,
            yes,
            no,
        });
    }
    let unreached = reached.iter().filter(|reached| !**reached).count();
    let deleted: usize = number("tree_param.num_deleted", &nodes.tree_param.num_deleted)?;
    if unreached != deleted {
        return Err(ModelError::unwritten(format!(
            "nothing leads to {unreached} nodes, but num_deleted is {deleted}"
        )));
    }
    Ok(Tree { root, splits })
}

/// Checks that all lists have the same length.
fn check(nodes: &Nodes) -> Result<(), ModelError> {
    let size: u64 = number(
        "tree_param.size_leaf_vector",
        &nodes.tree_param.size_leaf_vector,
    )?;
    if size > 1 {
        return Err(several("size_leaf_vector", size));
    }
    if !nodes.leaf_weights.is_empty() {
        return Err(ModelError::new(
            "leaf_weights is not empty; models of several outputs are not supported: train \
             one model for each output",
        ));
    }
    let count = nodes.left_children.len();
    for (name, len) in [
        ("right_children", nodes.right_children.len()),
        ("split_indices", nodes.split_indices.len()),
        ("split_conditions", nodes.split_conditions.len()),
        ("default_left", nodes.default_left.len()),
    ] {
        if len != count {
            return Err(ModelError(format!(
                "{name} has {len} entries and left_children has {count}; expected as many"
            )));
        }
    }
    Ok(())
}
