//! `test0000`: a constant model that shows whether everything is connected correctly.

use super::Model;
use crate::messages::InstrumentId;

/// Always `[pred_signal, pred_confidence] = [1.0, 0.8]`, where 0.8 is an `f32` widened to `f64`, as
/// in the model that it replaces.
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::{Model, Test0000};
/// let mut out = [0.0; 2];
/// Test0000::new(3).run(InstrumentId(0), &[0.0; 3], &mut out);
/// assert_eq!(out, [1.0, 0.800000011920929]);
/// ```
#[derive(Clone, Debug)]
pub struct Test0000 {
    inputs: usize,
    names: [String; 2],
}

const OUTPUTS: [f64; 2] = [1.0, 0.8_f32 as f64];

impl Test0000 {
    /// For vectors of `factors` values, which it ignores.
    pub fn new(factors: usize) -> Self {
        Self {
            inputs: factors,
            names: ["pred_signal", "pred_confidence"].map(String::from),
        }
    }
}

impl Model for Test0000 {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> &[String] {
        &self.names
    }

    fn keeps_state(&self) -> bool {
        false
    }

    #[inline]
    fn run(&mut self, _: InstrumentId, _factors: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&OUTPUTS);
    }
}
