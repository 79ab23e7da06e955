//! Turns the nodes of a tree ensemble, given as parallel lists, into a forest.
//!
//! A tree is a run of nodes with the same tree ID, and starts at the first of them.

use std::collections::{HashMap, HashSet};

use super::Lowering;
use crate::models::ModelError;
use crate::models::forest::{Builder, Child, Forest, Split, Test};
use crate::models::onnx::ops::Votes;

/// The nodes of all trees.
pub struct Nodes<'a> {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<&'a [u8]>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    /// The range of each leaf's votes: first index and end.
    votes: Vec<(u32, u32)>,
}

/// The votes of all leaves, grouped by leaf.
pub struct Ballot {
    /// Class or target, and value.
    pub list: Vec<(u32, f32)>,
}

fn same(name: &str, len: usize, count: usize) -> Result<(), ModelError> {
    if len == count {
        return Ok(());
    }
    Err(ModelError(format!(
        "attribute {name} has {len} entries; expected {count}, as many as there are nodes or votes"
    )))
}

impl<'a> Nodes<'a> {
    /// Reads the lists.
    pub fn new(node: &mut Lowering<'_, 'a>) -> Result<Self, ModelError> {
        let attributes = &mut node.attributes;
        let nodes = Self {
            trees: attributes.ints("nodes_treeids")?,
            ids: attributes.ints("nodes_nodeids")?,
            features: attributes.ints("nodes_featureids")?,
            values: attributes.floats("nodes_values")?,
            modes: attributes.texts("nodes_modes")?,
            yes: attributes.ints("nodes_truenodeids")?,
            no: attributes.ints("nodes_falsenodeids")?,
            missing: attributes.ints("nodes_missing_value_tracks_true")?,
            votes: Vec::new(),
        };
        // How often training samples reached a node.
        attributes.ignore("nodes_hitrates");
        let count = nodes.trees.len();
        if count == 0 {
            return Err(ModelError::unwritten("it has no nodes"));
        }
        for (name, len) in [
            ("nodes_nodeids", nodes.ids.len()),
            ("nodes_featureids", nodes.features.len()),
            ("nodes_values", nodes.values.len()),
            ("nodes_modes", nodes.modes.len()),
            ("nodes_truenodeids", nodes.yes.len()),
            ("nodes_falsenodeids", nodes.no.len()),
        ] {
            same(name, len, count)?;
        }
        if !nodes.missing.is_empty() {
            same(
                "nodes_missing_value_tracks_true",
                nodes.missing.len(),
                count,
            )?;
        }
        Ok(nodes)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        (0..self.len()).filter(|&index| self.is_leaf(index)).count()
    }

    /// Number of trees.
    pub fn count(&self) -> usize {
        1 + self
            .trees
            .windows(2)
            .filter(|pair| pair[0] != pair[1])
            .count()
    }

    fn is_leaf(&self, index: usize) -> bool {
        self.modes[index] == b"LEAF"
    }

    /// Reads the votes, from `target_` or `class_` attributes, and assigns them to the leaves.
    pub fn vote(
        &mut self,
        node: &mut Lowering<'_, 'a>,
        kind: &str,
        targets: usize,
    ) -> Result<Ballot, ModelError> {
        let attributes = &mut node.attributes;
        let trees = attributes.ints(&format!("{kind}_treeids"))?;
        let ids = attributes.ints(&format!("{kind}_nodeids"))?;
        let chosen = attributes.ints(&format!("{kind}_ids"))?;
        let weights = attributes.floats(&format!("{kind}_weights"))?;
        same(&format!("{kind}_nodeids"), ids.len(), trees.len())?;
        same(&format!("{kind}_ids"), chosen.len(), trees.len())?;
        same(&format!("{kind}_weights"), weights.len(), trees.len())?;
        let mut places = HashMap::with_capacity(self.ids.len());
        for (index, place) in self.trees.iter().zip(&self.ids).enumerate() {
            if places.insert(place, index).is_some() {
                return Err(ModelError::unwritten(format!(
                    "tree {} has node {} twice",
                    place.0, place.1
                )));
            }
        }
        if trees.is_empty() {
            return Err(ModelError::unwritten("no leaf votes"));
        }
        let mut order = Vec::with_capacity(trees.len());
        for (index, place) in trees.iter().zip(&ids).enumerate() {
            let Some(&at) = places.get(&place).filter(|&&at| self.is_leaf(at)) else {
                return Err(ModelError::unwritten(format!(
                    "{kind}_nodeids[{index}]: tree {} has no leaf {}",
                    place.0, place.1
                )));
            };
            let target = u32::try_from(chosen[index]).ok();
            let Some(target) = target.filter(|&target| (target as usize) < targets) else {
                return Err(ModelError(format!(
                    "{kind}_ids[{index}] is {}; expected 0 to {}",
                    chosen[index],
                    targets - 1
                )));
            };
            order.push((at, target, index));
        }
        order.sort_unstable();
        for pair in order.windows(2) {
            let ((at, target, _), (next, other, _)) = (pair[0], pair[1]);
            if (at, target) == (next, other) {
                return Err(ModelError::unwritten(format!(
                    "leaf {} of tree {} votes twice for {target}",
                    self.ids[at], self.trees[at]
                )));
            }
        }
        self.votes = vec![(0, 0); self.ids.len()];
        let mut list: Vec<(u32, f32)> = Vec::with_capacity(order.len());
        for (at, target, index) in order {
            let votes = &mut self.votes[at];
            if votes.0 == votes.1 {
                votes.0 = list.len() as u32;
            }
            list.push((target, weights[index]));
            votes.1 = list.len() as u32;
        }
        for (index, votes) in self.votes.iter().enumerate() {
            if self.is_leaf(index) && votes.0 == votes.1 {
                return Err(ModelError::unwritten(format!(
                    "leaf {} of tree {} has no vote",
                    self.ids[index], self.trees[index]
                )));
            }
        }
        Ok(Ballot { list })
    }

    /// Notes that runtimes differ on where NaN goes if a split tests for inequality.
    pub fn missing_differs(&self, node: &mut Lowering<'_, '_>) {
        let tracked = |index: usize| self.missing.get(index).is_some_and(|&missing| missing == 1);
        let mut modes = self.modes.iter().enumerate();
        if modes.any(|(index, mode)| *mode == b"BRANCH_NEQ" && !tracked(index)) {
            node.compiler.doubt(format_args!(
                "NaN takes the true branch of BRANCH_NEQ in onnxruntime, and the false one in the \
                 standard's reference"
            ));
        }
    }

    /// Whether, for all inputs, every target gets a vote: for each target there is a tree in which
    /// every leaf votes for it.
    pub fn all_voted(&self, ballot: &Ballot, targets: usize) -> bool {
        let mut sure = vec![false; targets];
        let mut counts = vec![0usize; targets];
        let mut start = 0;
        while start < self.trees.len() {
            let tree = self.trees[start];
            let end = start
                + self.trees[start..]
                    .iter()
                    .take_while(|&&id| id == tree)
                    .count();
            let leaves: Vec<usize> = (start..end).filter(|&index| self.is_leaf(index)).collect();
            let votes = || {
                leaves.iter().flat_map(|&leaf| {
                    let (first, past) = self.votes[leaf];
                    &ballot.list[first as usize..past as usize]
                })
            };
            votes().for_each(|&(target, _)| counts[target as usize] += 1);
            // Resets the counts to 0 for the next tree, in time proportional to this tree's votes.
            for &(target, _) in votes() {
                let count = std::mem::take(&mut counts[target as usize]);
                sure[target as usize] |= count == leaves.len();
            }
            start = end;
        }
        sure.into_iter().all(|sure| sure)
    }

    /// Builds the forest; `leaf` gives the value of a leaf with these votes.
    fn forest<V: Copy>(
        &self,
        features: usize,
        leaf: impl Fn((u32, u32)) -> V,
    ) -> Result<Forest<f32, V>, ModelError> {
        let mut builder = Builder::new(features);
        let mut seen = HashSet::new();
        let mut start = 0;
        let mut splits = Vec::new();
        while start < self.trees.len() {
            let tree = self.trees[start];
            let len = self.trees[start..]
                .iter()
                .take_while(|&&id| id == tree)
                .count();
            let named = |error: ModelError| ModelError(format!("tree {tree}: {error}"));
            if !seen.insert(tree) {
                return Err(named(ModelError::new(
                    "its nodes are not together; expected all nodes of a tree one after the other",
                )));
            }
            let root = self
                .tree(start..start + len, &leaf, &mut splits)
                .map_err(named)?;
            builder.add(root, &splits).map_err(named)?;
            start += len;
        }
        Ok(builder.build())
    }

    fn tree<V: Copy>(
        &self,
        range: std::ops::Range<usize>,
        leaf: &impl Fn((u32, u32)) -> V,
        splits: &mut Vec<Split<f32, V>>,
    ) -> Result<Child<V>, ModelError> {
        let mut children = HashMap::with_capacity(range.len());
        let mut inner = 0;
        for index in range.clone() {
            let child = if self.is_leaf(index) {
                Child::Leaf(leaf(self.votes[index]))
            } else {
                inner += 1;
                Child::Split(inner - 1)
            };
            children.insert(self.ids[index], child);
        }
        let to = |from: usize, id: i64| {
            children.get(&id).copied().ok_or_else(|| {
                ModelError::unwritten(format!(
                    "node {} leads to node {id}, which it does not have",
                    self.ids[from]
                ))
            })
        };
        splits.clear();
        for index in range.clone().filter(|&index| !self.is_leaf(index)) {
            let value = self.values[index];
            let test = match self.modes[index] {
                b"BRANCH_LEQ" => Test::Leq(value),
                b"BRANCH_LT" => Test::Lt(value),
                b"BRANCH_GTE" => Test::Gte(value),
                b"BRANCH_GT" => Test::Gt(value),
                b"BRANCH_EQ" => Test::Eq(value),
                b"BRANCH_NEQ" => Test::Neq(value),
                other => {
                    return Err(ModelError(format!(
                        "node {} has mode {}; expected BRANCH_LEQ, _LT, _GTE, _GT, _EQ, _NEQ \
                         or LEAF",
                        self.ids[index],
                        String::from_utf8_lossy(&other[..other.len().min(20)])
                    )));
                }
            };
            let tracked = self.missing.get(index).is_some_and(|&missing| missing == 1);
            splits.push(Split {
                feature: usize::try_from(self.features[index]).unwrap_or(usize::MAX),
                // NaN is unequal to everything.
                nan: tracked || matches!(test, Test::Neq(_)),
                test,
                zero: f32::NAN,
                yes: to(index, self.yes[index])?,
                no: to(index, self.no[index])?,
            });
        }
        to(range.start, self.ids[range.start])
    }
}

impl Nodes<'_> {
    /// The forest, for `features` features and `scores` scores.
    pub fn votes(
        &self,
        ballot: Ballot,
        features: usize,
        scores: usize,
    ) -> Result<Votes, ModelError> {
        if scores == 1 {
            let forest = self.forest(features, |votes| ballot.list[votes.0 as usize].1)?;
            return Ok(Votes::One(forest));
        }
        Ok(Votes::Many {
            forest: self.forest(features, |votes| votes)?,
            list: ballot.list.into(),
        })
    }
}
