//! Ensembles of decision trees: what the tree formats share.
//!
//! A format hands each tree to a [`Builder`], which checks it, and gets a
//! [`Forest`] that finds the leaf of every tree for a vector of features. What a
//! leaf means and how leaves add up stay with the format.
//!
//! | file | what |
//! |---|---|
//! | `split` | a split as a format states it: test, missing values, children |
//! | `build` | checks trees, makes the forest |
//! | `walk` | from root to leaf, tree by tree |

mod build;
mod split;
mod walk;

pub(crate) use build::Builder;
pub(crate) use split::{Child, Split, Test};

use split::Scalar;
use walk::Walk;

/// An ensemble of trees over features of type `T` (`f32` or `f64`) with a `V` in
/// each leaf.
///
/// ```text
/// let mut builder = Builder::new(features);
/// for tree in file { builder.add(root, &splits)?; }
/// let mut forest = builder.build();
/// let mut sum = 0.0;
/// forest.run(values, |leaf| sum += leaf);
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Forest<T, V> {
    features: usize,
    trees: usize,
    walk: Walk<T, V>,
}

impl<T: Scalar, V: Copy> Forest<T, V> {
    /// Length of the feature vector.
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Number of trees.
    pub(crate) fn trees(&self) -> usize {
        self.trees
    }

    /// Hands `each` the leaf that the features lead to in every tree, in the order
    /// in which the trees were added. Does not allocate.
    ///
    /// Values beyond [`features`](Self::features) are not looked at; missing ones
    /// at the end count as what the last run had there.
    #[inline]
    pub(crate) fn run(&mut self, features: impl IntoIterator<Item = T>, each: impl FnMut(V)) {
        self.walk.run(features, each);
    }
}
