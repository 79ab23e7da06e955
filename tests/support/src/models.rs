//! Models that a test makes from a function.

use signal::InstrumentId;
use signal::models::Model;

/// Computes the model's value from the factors of `test0000`.
type Run = fn(&[f64]) -> f64;

struct OfFunction(Run, [String; 1]);

/// A model with the three factors of `test0000` as inputs and one value.
pub fn model(run: Run) -> Box<dyn Model> {
    Box::new(OfFunction(run, ["value".to_owned()]))
}

impl Model for OfFunction {
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> &[String] {
        &self.1
    }
    fn keeps_state(&self) -> bool {
        false
    }

    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        out[0] = (self.0)(factors);
    }
}
