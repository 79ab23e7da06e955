//! `none`: no model, the factors themselves are sent.

use super::Model;

/// Copies the factors to the outputs.
///
/// ```
/// use signal::models::{Model, NoModel};
/// let mut out = [0.0; 2];
/// NoModel::new(2).run(&[1.0, 2.0], &mut out);
/// assert_eq!(out, [1.0, 2.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NoModel(usize);

impl NoModel {
    /// For vectors of `factors` values.
    pub fn new(factors: usize) -> Self {
        Self(factors)
    }
}

impl Model for NoModel {
    fn inputs(&self) -> usize {
        self.0
    }

    fn outputs(&self) -> usize {
        self.0
    }

    #[inline]
    fn run(&mut self, factors: &[f64], out: &mut [f64]) {
        out.copy_from_slice(factors);
    }
}
