//! Checked trees, as the format states them; the plans are built from these.

use super::split::{Child, Split};

/// Trees, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Trees<T, V> {
    features: usize,
    trees: Vec<Tree<V>>,
    splits: Vec<Split<T, V>>,
}

#[derive(Clone, Copy, Debug)]
struct Tree<V> {
    root: Child<V>,
    /// Index of its first split among all splits.
    start: usize,
    end: usize,
}

impl<T: Clone, V: Copy> Trees<T, V> {
    pub(super) fn new(features: usize) -> Self {
        Self {
            features,
            trees: Vec::new(),
            splits: Vec::new(),
        }
    }

    /// Adds a tree that has been checked.
    pub(super) fn add(&mut self, root: Child<V>, splits: &[Split<T, V>]) {
        let start = self.splits.len();
        self.splits.extend_from_slice(splits);
        let end = self.splits.len();
        self.trees.push(Tree { root, start, end });
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// The total number of splits.
    pub(super) fn splits(&self) -> usize {
        self.splits.len()
    }

    /// Each tree's root and splits.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Child<V>, &[Split<T, V>])> {
        self.trees
            .iter()
            .map(|tree| (tree.root, &self.splits[tree.start..tree.end]))
    }
}
