//! Matrices, sums, softmax, copies.

use crate::models::onnx::kernels::{Dense, Isa, LANES, Lanes, blocks, exp, flat, flat_mut};
use crate::models::onnx::plan::Sources;

/// A layer, applied to each of some rows.
#[derive(Clone, Debug)]
pub struct Layer {
    pub dense: Dense,
    /// Buffer for one row if there are several, because not every row begins at a block.
    row: Box<[Lanes]>,
    rows: usize,
}

impl Layer {
    /// A layer for `rows` rows.
    pub fn new(dense: Dense, rows: usize) -> Self {
        let scratch = if rows == 1 {
            0
        } else {
            blocks(dense.outputs())
        };
        Self {
            row: vec![Lanes([0.0; LANES]); scratch].into(),
            dense,
            rows,
        }
    }

    #[inline]
    pub fn run(&mut self, isa: Isa, x: &[f32], to: &mut [Lanes]) {
        if self.rows == 1 {
            isa.dense(&self.dense, x, to);
            return;
        }
        let (inputs, outputs) = (self.dense.inputs(), self.dense.outputs());
        let rows = x.chunks(inputs).zip(flat_mut(to).chunks_mut(outputs));
        for (x, to) in rows.take(self.rows) {
            isa.dense(&self.dense, x, &mut self.row);
            to.copy_from_slice(&flat(&self.row)[..outputs]);
        }
    }
}

/// A product of matrices, each with the strides of its two dimensions.
#[derive(Clone, Debug)]
pub struct Product {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub left: [usize; 2],
    pub right: [usize; 2],
    pub alpha: f32,
}

impl Product {
    #[inline(never)]
    pub fn run(&self, left: &[f32], right: &[f32], to: &mut [f32]) {
        for (row, to) in (0..self.rows).zip(to.chunks_mut(self.columns)) {
            for (column, to) in to.iter_mut().enumerate() {
                let mut sum = 0.0;
                for inner in 0..self.inner {
                    sum += left[row * self.left[0] + inner * self.left[1]]
                        * right[inner * self.right[0] + column * self.right[1]];
                }
                *to = self.alpha * sum;
            }
        }
    }
}

/// Which number of an operand belongs to each number of the result.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// A separate number for each.
    Each,
    /// The same number for all.
    One,
    /// The numbers at these indices, from broadcasting.
    At(Box<[u32]>),
}

/// An element-wise operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

impl Arithmetic {
    #[inline(never)]
    pub fn run(self, left: (&Reach, &[f32]), right: (&Reach, &[f32]), to: &mut [f32]) {
        match self {
            Arithmetic::Add => zip(left, right, to, |a, b| a + b),
            Arithmetic::Sub => zip(left, right, to, |a, b| a - b),
            Arithmetic::Mul => zip(left, right, to, |a, b| a * b),
            Arithmetic::Div => zip(left, right, to, |a, b| a / b),
        }
    }
}

#[inline]
fn zip(
    (left, a): (&Reach, &[f32]),
    (right, b): (&Reach, &[f32]),
    to: &mut [f32],
    of: impl Fn(f32, f32) -> f32,
) {
    match (left, right) {
        (Reach::Each, Reach::Each) => {
            for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
                *to = of(a, b);
            }
        }
        (Reach::Each, Reach::One) => {
            for (to, &a) in to.iter_mut().zip(a) {
                *to = of(a, b[0]);
            }
        }
        (Reach::One, Reach::Each) => {
            for (to, &b) in to.iter_mut().zip(b) {
                *to = of(a[0], b);
            }
        }
        _ => {
            for (index, to) in to.iter_mut().enumerate() {
                *to = of(left.get(a, index), right.get(b, index));
            }
        }
    }
}

impl Reach {
    fn get(&self, numbers: &[f32], index: usize) -> f32 {
        match self {
            Reach::Each => numbers[index],
            Reach::One => numbers[0],
            Reach::At(from) => numbers[from[index] as usize],
        }
    }
}

/// `e^(x - max) / sum` over the middle dimension.
#[inline(never)]
pub fn softmax([outer, middle, inner]: [usize; 3], from: &[f32], to: &mut [f32]) {
    for start in 0..outer {
        for column in 0..inner {
            let at = |index: usize| (start * middle + index) * inner + column;
            let mut most = from[at(0)];
            for index in 1..middle {
                // Once the maximum is NaN, it stays NaN.
                let x = from[at(index)];
                most = if x > most || x.is_nan() { x } else { most };
            }
            let mut sum = 0.0;
            for index in 0..middle {
                let e = exp::<false>(from[at(index)] - most);
                to[at(index)] = e;
                sum += e;
            }
            for index in 0..middle {
                to[at(index)] /= sum;
            }
        }
    }
}

/// Repeats `parts[i]` values of source `i`, source by source, until `to` is full.
#[inline(never)]
pub fn concat(parts: &[usize], from: Sources<'_>, to: &mut [f32]) {
    let mut at = 0;
    for turn in 0..to.len() / parts.iter().sum::<usize>() {
        for (source, &part) in parts.iter().enumerate() {
            let piece = &from.get(source)[turn * part..][..part];
            to[at..at + part].copy_from_slice(piece);
            at += part;
        }
    }
}
