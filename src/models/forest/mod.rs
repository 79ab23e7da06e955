//! Ensembles of decision trees: what the tree formats share.
//!
//! A format hands each tree to a [`Builder`], which checks it. The resulting [`Forest`] finds the
//! leaf of every tree for a vector of features. The format decides what a leaf means and how leaves
//! add up.
//!
//! | file | what |
//! |---|---|
//! | `split` | a split as the format states it: test, missing values, children |
//! | `build` | checks trees and builds the forest |
//! | `trees` | checked trees, as the format states them |
//! | `table` | evaluates all trees at once with bit masks; for trees of up to 256 leaves |
//! | `walk` | goes from root to leaf, several trees at a time; for the other trees |

mod build;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod trees;
mod walk;

pub(crate) use build::Builder;
pub(crate) use split::{Child, Split, Test};

use split::Scalar;
use table::Table;
use walk::Walk;

use crate::sync::prefetch::Parts;

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
pub(crate) struct Forest<T, V>(Plan<T, V>);

#[derive(Clone, Debug)]
enum Plan<T, V> {
    Narrow(Table<T, V, u32, 32>),
    Wide(Table<T, V, u64, 64>),
    Double(Table<T, V, [u64; 2], 128>),
    Quadruple(Table<T, V, [u64; 4], 256>),
    Walk(Walk<T, V>),
}

impl<T: Scalar, V: Copy> Forest<T, V> {
    /// Calls `each` with the leaf that the features lead to in every tree, in the order in which
    /// the trees were added. Does not allocate.
    ///
    /// Takes as many features as the builder was given and ignores further ones. Features missing
    /// at the end keep their values from the last run.
    #[inline]
    pub(crate) fn run(&mut self, features: impl IntoIterator<Item = T>, each: impl FnMut(V)) {
        match &mut self.0 {
            Plan::Narrow(table) => table.run(features, each),
            Plan::Wide(table) => table.run(features, each),
            Plan::Double(table) => table.run(features, each),
            Plan::Quadruple(table) => table.run(features, each),
            Plan::Walk(walk) => walk.run(features, each),
        }
    }

    /// Prefetches what the next run touches, if its features are near those of the last one.
    pub(crate) fn prefetch(&self, parts: &mut Parts) {
        match &self.0 {
            Plan::Narrow(table) => table.prefetch(parts),
            Plan::Wide(table) => table.prefetch(parts),
            Plan::Double(table) => table.prefetch(parts),
            Plan::Quadruple(table) => table.prefetch(parts),
            Plan::Walk(walk) => walk.prefetch(parts),
        }
    }
}
