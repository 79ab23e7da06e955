//! Runs the model, if a fuzzer's file is one.

use signal::InstrumentId;
use signal::models::{Model, ModelError};

/// More inputs than the engine ever gives a model.
const MOST_INPUTS: usize = 1 << 16;

/// Runs the model if the file was accepted: any accepted model must run on any numbers.
pub fn exercise<M: Model>(parsed: Result<M, ModelError>) {
    let Ok(mut model) = parsed else { return };
    if model.inputs() > MOST_INPUTS || model.outputs().len() > MOST_INPUTS {
        return;
    }
    let mut out = vec![0.0; model.outputs().len()];
    for value in [0.0, 1.5, -1e300, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
        let factors = vec![value; model.inputs()];
        model.run(InstrumentId(0), &factors, &mut out);
    }
}
