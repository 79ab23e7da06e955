//! The operations that a step can run.
//!
//! | file | what |
//! |---|---|
//! | `arithmetic` | matrices, sums, softmax, copies |
//! | `classical` | scaling, norms, labels and scores of classical models |
//! | `trees` | tree ensembles |

mod arithmetic;
mod classical;
mod trees;

pub use arithmetic::{Arithmetic, Layer, Product, Reach};
pub use classical::{Norm, Pair, Pick, Transform};
pub use trees::{Aggregate, Trees, Votes};

use super::kernels::{Activation, Isa, Lanes, flat_mut};
use super::plan::Sources;
use crate::models::parsed::Reading;
use crate::sync::prefetch::Parts;

/// An operation that computes one tensor from others.
#[derive(Clone, Debug)]
pub enum Op {
    /// `act(W x + b)` for each row.
    Dense(Box<Layer>),
    /// A product of two matrices that are both known only at run time.
    Product(Product),
    /// An element-wise sum, difference, product or quotient.
    Binary(Arithmetic, Reach, Reach),
    /// An activation.
    Activate(Activation),
    /// Over the middle of three dimensions.
    Softmax([usize; 3]),
    /// Repeats a number of values of each source, source by source.
    Concat(Box<[usize]>),
    /// `(x - offset) * scale`; the pairs of both, for one row.
    Scale(Box<[(f32, f32)]>),
    /// Scales rows of this length to norm 1.
    Normalize(Norm, Reading, usize),
    /// Turns the scores of this many classes into probabilities.
    Transform(Transform, usize),
    /// Computes the scores of two classes from one.
    Pair(Pair),
    /// Turns scores into the index of a label.
    Pick(Pick),
    /// Looks up the number for each index in a table.
    Lookup(Box<[f32]>),
    /// Truncates towards zero; values that do not fit become the least integer.
    Truncate { least: f32 },
    /// An ensemble of trees.
    Trees(Box<Trees>),
}

impl Op {
    /// Prefetches the numbers that it stores.
    pub fn prefetch(&self, parts: &mut Parts) {
        match self {
            Op::Dense(layer) => layer.dense.prefetch(parts),
            Op::Scale(row) => parts.add(&**row),
            Op::Lookup(table) => parts.add(&**table),
            Op::Trees(trees) => trees.prefetch(parts),
            // The others store little or nothing.
            _ => {}
        }
    }

    /// Runs it: writes `len` numbers into the blocks of `to`.
    ///
    /// What the operations do is not inlined: a model has few kinds of them, and the code of the
    /// others would lie in between.
    #[inline]
    pub fn run(&mut self, isa: Isa, from: Sources<'_>, to: &mut [Lanes], len: usize) {
        match self {
            Op::Dense(layer) => layer.run(isa, from.get(0), to),
            Op::Product(product) => product.run(from.get(0), from.get(1), flat_mut(to)),
            Op::Binary(arithmetic, left, right) => {
                let to = &mut flat_mut(to)[..len];
                arithmetic.run((left, from.get(0)), (right, from.get(1)), to);
            }
            Op::Activate(activation) => {
                to.copy_from_slice(from.blocks(0));
                isa.activate(*activation, to);
            }
            Op::Softmax(dims) => arithmetic::softmax(*dims, from.get(0), flat_mut(to)),
            Op::Concat(parts) => arithmetic::concat(parts, from, &mut flat_mut(to)[..len]),
            Op::Scale(row) => classical::scale(row, from.get(0), flat_mut(to)),
            Op::Normalize(norm, reading, row) => {
                norm.run(*reading, *row, from.get(0), flat_mut(to));
            }
            Op::Transform(transform, row) => transform.run(*row, from.get(0), flat_mut(to)),
            Op::Pair(pair) => flat_mut(to)[..2].copy_from_slice(&pair.of(from.get(0)[0])),
            Op::Pick(pick) => flat_mut(to)[0] = pick.of(from.get(0)) as f32,
            Op::Lookup(table) => classical::look_up(table, from.get(0), flat_mut(to)),
            Op::Truncate { least } => classical::truncate(*least, from.get(0), flat_mut(to)),
            Op::Trees(trees) => trees.run(from.get(0), flat_mut(to)),
        }
    }
}
