//! Scaling, norms, labels and scores of classical models.
//!
//! Where the ONNX standard is silent, these follow onnxruntime 1.31. If the two disagree, the model
//! is refused when it is read, or needs a check file that decides.

use crate::models::parsed::Reading;

/// What the rows of a Normalizer are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The largest value in onnxruntime, the largest magnitude in the reference.
    Max,
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    L2,
}

impl Norm {
    /// Scales rows to norm 1.
    #[inline(never)]
    pub fn run(self, reading: Reading, row: usize, from: &[f32], to: &mut [f32]) {
        for (from, to) in from.chunks(row).zip(to.chunks_mut(row)) {
            match reading {
                Reading::Runtime => self.as_runtime(from, to),
                Reading::Reference => self.as_reference(from, to),
            }
        }
    }

    /// A row whose norm is 0 stays as it is.
    fn as_runtime(self, from: &[f32], to: &mut [f32]) {
        let norm = match self {
            Norm::Max => from
                .iter()
                .fold(f32::MIN, |max, &x| if max < x { x } else { max }),
            Norm::L1 => from.iter().fold(0.0, |sum, x| sum + x.abs()),
            Norm::L2 => from.iter().fold(0.0, |sum, x| sum + x * x),
        };
        for (to, &x) in to.iter_mut().zip(from) {
            *to = match self {
                _ if norm == 0.0 => x,
                Norm::Max | Norm::L1 => x / norm,
                Norm::L2 => {
                    let size = (x * x / norm).sqrt();
                    if x < 0.0 { -size } else { size }
                }
            };
        }
    }

    /// NaN stays, as in NumPy's maximum, and no norm is smaller than 1e-30.
    fn as_reference(self, from: &[f32], to: &mut [f32]) {
        let norm = match self {
            Norm::Max => from.iter().fold(0.0, |max: f32, &x| match x.is_nan() {
                false if max >= x.abs() || max.is_nan() => max,
                _ => x.abs(),
            }),
            Norm::L1 => from.iter().fold(0.0, |sum, x| sum + x.abs()),
            Norm::L2 => from.iter().fold(0.0, |sum, x| sum + x * x).sqrt(),
        };
        let norm = if norm < 1e-30 { 1e-30 } else { norm };
        for (to, &x) in to.iter_mut().zip(from) {
            *to = x / norm;
        }
    }
}

/// `post_transform` of several scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// `1 / (1 + e^-x)` of each.
    Logistic,
    /// `e^(x - max) / sum`.
    Softmax,
    /// The same, but scores that are 0 stay 0.
    SoftmaxZero,
}

/// `1 / (1 + e^-x)`, rounded as in onnxruntime.
pub fn logistic(x: f32) -> f32 {
    let size = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - size } else { size }
}

impl Transform {
    #[inline(never)]
    pub fn run(self, row: usize, from: &[f32], to: &mut [f32]) {
        for (from, to) in from.chunks(row).zip(to.chunks_mut(row)) {
            let most = from
                .iter()
                .fold(f32::MIN, |max, &x| if x > max { x } else { max });
            let mut sum = 0.0;
            for (to, &x) in to.iter_mut().zip(from) {
                *to = match self {
                    Transform::Logistic => logistic(x),
                    Transform::SoftmaxZero if x.abs() <= 1e-7 => x * (-most).exp(),
                    Transform::Softmax | Transform::SoftmaxZero => {
                        let e = (x - most).exp();
                        sum += e;
                        e
                    }
                };
            }
            if self != Transform::Logistic {
                to.iter_mut().for_each(|to| *to /= sum);
            }
        }
    }
}

/// How the scores of two classes are computed from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// `[1 - x, x]`
    Rest,
    /// `[-x, x]`
    Opposite,
    /// `[logistic(-x), logistic(x)]`
    Logistic,
}

impl Pair {
    pub fn of(self, x: f32) -> [f32; 2] {
        match self {
            Pair::Rest => [1.0 - x, x],
            Pair::Opposite => [-x, x],
            Pair::Logistic => [logistic(-x), logistic(x)],
        }
    }
}

/// Which class the scores select.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pick {
    /// 1 if this score is above the bound, else 0.
    Above { index: usize, bound: f32 },
    /// The first of the largest scores.
    Largest { classes: usize },
    /// The same, among the scores for which a tree has voted; as many flags follow the scores.
    LargestVoted { classes: usize },
}

impl Pick {
    pub fn of(self, scores: &[f32]) -> usize {
        match self {
            Pick::Above { index, bound } => usize::from(scores[index] > bound),
            Pick::Largest { classes } => largest(&scores[..classes], |_| true),
            Pick::LargestVoted { classes } => {
                let (scores, voted) = scores.split_at(classes);
                largest(scores, |index| voted[index] != 0.0)
            }
        }
    }
}

fn largest(scores: &[f32], counts: impl Fn(usize) -> bool) -> usize {
    let mut best = None;
    for (index, &score) in scores.iter().enumerate() {
        if counts(index) && best.is_none_or(|(_, most)| score > most) {
            best = Some((index, score));
        }
    }
    best.map_or(0, |(index, _)| index)
}

/// `(x - offset) * scale` for each row; the pairs of both are those of one row.
#[inline(never)]
pub fn scale(row: &[(f32, f32)], from: &[f32], to: &mut [f32]) {
    for (to, from) in to.chunks_mut(row.len()).zip(from.chunks(row.len())) {
        for ((to, x), (offset, scale)) in to.iter_mut().zip(from).zip(row) {
            *to = (x - offset) * scale;
        }
    }
}

/// The number in the table for each index.
#[inline(never)]
pub fn look_up(table: &[f32], indices: &[f32], to: &mut [f32]) {
    for (to, &index) in to.iter_mut().zip(indices) {
        *to = table[index as usize];
    }
}

/// Truncates towards zero; values that do not fit become the least integer.
#[inline(never)]
pub fn truncate(least: f32, from: &[f32], to: &mut [f32]) {
    for (to, &x) in to.iter_mut().zip(from) {
        let fits = x >= least && x < -least;
        *to = if fits { x.trunc() } else { least };
    }
}
