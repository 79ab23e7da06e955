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
//! | `trees` | checked trees, as stated |
//! | `table` | all trees at once, with bit masks: what trees of up to 256 leaves run on |
//! | `walk` | from root to leaf, several trees at a time: what the others run on |

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
    /// Hands `each` the leaf that the features lead to in every tree, in the order
    /// in which the trees were added. Does not allocate.
    ///
    /// Takes as many features as the builder was told; further ones are not looked
    /// at, and for each that is missing at the end the last run's stays.
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
}
