//! From root to leaf, tree by tree.

use super::split::{Child, Scalar, Split};

/// Trees, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Walk<T, V> {
    x: Box<[T]>,
    trees: Vec<Tree<V>>,
    splits: Vec<Split<T, V>>,
}

#[derive(Clone, Copy, Debug)]
struct Tree<V> {
    root: Child<V>,
    /// Where its splits are among those of all.
    start: usize,
    end: usize,
}

impl<T: Scalar, V: Copy> Walk<T, V> {
    pub(super) fn new(features: usize) -> Self {
        Self {
            x: vec![T::NAN; features].into(),
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
        self.x.len()
    }

    /// Each tree's root and splits.
    pub(super) fn trees(&self) -> impl ExactSizeIterator<Item = (Child<V>, &[Split<T, V>])> {
        self.trees
            .iter()
            .map(|tree| (tree.root, &self.splits[tree.start..tree.end]))
    }

    #[inline]
    pub(super) fn run(&mut self, features: impl IntoIterator<Item = T>, mut each: impl FnMut(V)) {
        for (to, x) in self.x.iter_mut().zip(features) {
            *to = x;
        }
        for (root, splits) in self.trees() {
            let mut at = root;
            while let Child::Split(index) = at {
                let split = &splits[index];
                at = if split.goes(self.x[split.feature]) {
                    split.yes
                } else {
                    split.no
                };
            }
            if let Child::Leaf(leaf) = at {
                each(leaf);
            }
        }
    }
}
