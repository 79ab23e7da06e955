//! From root to leaf, tree by tree.

use super::split::{Child, Scalar, Split};

/// Trees, one after the other; a child that is a split counts from the start of all.
#[derive(Clone, Debug)]
pub(super) struct Walk<T, V> {
    x: Box<[T]>,
    roots: Vec<Child<V>>,
    splits: Vec<Split<T, V>>,
}

impl<T: Scalar, V: Copy> Walk<T, V> {
    pub(super) fn new(features: usize) -> Self {
        Self {
            x: vec![T::NAN; features].into(),
            roots: Vec::new(),
            splits: Vec::new(),
        }
    }

    /// Adds a tree that has been checked.
    pub(super) fn add(&mut self, root: Child<V>, splits: &[Split<T, V>]) {
        let base = self.splits.len();
        let moved = |child| match child {
            Child::Split(index) => Child::Split(base + index),
            leaf => leaf,
        };
        self.roots.push(moved(root));
        self.splits.extend(splits.iter().map(|split| Split {
            yes: moved(split.yes),
            no: moved(split.no),
            ..split.clone()
        }));
    }

    #[inline]
    pub(super) fn run(&mut self, features: impl IntoIterator<Item = T>, mut each: impl FnMut(V)) {
        for (to, x) in self.x.iter_mut().zip(features) {
            *to = x;
        }
        for &root in &self.roots {
            let mut at = root;
            let leaf = loop {
                match at {
                    Child::Leaf(leaf) => break leaf,
                    Child::Split(index) => {
                        let split = &self.splits[index];
                        at = if split.goes(self.x[split.feature]) {
                            split.yes
                        } else {
                            split.no
                        };
                    }
                }
            };
            each(leaf);
        }
    }
}
