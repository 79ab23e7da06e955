//! `none`: no model; the factors themselves are sent.

use super::Model;
use crate::messages::InstrumentId;

/// Copies the factors to the outputs.
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::{Model, NoModel};
/// let mut out = [0.0; 2];
/// NoModel::new(&["spread", "mid_price"]).run(InstrumentId(0), &[1.0, 2.0], &mut out);
/// assert_eq!(out, [1.0, 2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct NoModel(Vec<String>);

impl NoModel {
    /// For factor vectors with these names.
    pub fn new(factors: &[&str]) -> Self {
        Self(factors.iter().map(ToString::to_string).collect())
    }
}

impl Model for NoModel {
    fn inputs(&self) -> usize {
        self.0.len()
    }

    fn outputs(&self) -> &[String] {
        &self.0
    }

    fn keeps_state(&self) -> bool {
        false
    }

    #[inline]
    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        out.copy_from_slice(factors);
    }
}
