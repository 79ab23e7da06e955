//! Model: maps each factor vector to outputs.

use super::{FactorVector, Prediction};
use crate::models::Model;
use crate::pipeline::padded::Values;

/// The model stage.
pub struct ModelStage {
    model: Box<dyn Model>,
    outputs: Values,
}

impl ModelStage {
    /// A stage that runs this model. The model is run once here on zeros, so
    /// that the first event does not pay for first-use costs.
    pub fn new(mut model: Box<dyn Model>) -> Self {
        let mut outputs = Values::new(model.outputs().len());
        let zeros = vec![0.0; model.inputs()];
        model.run(&zeros, &mut outputs);
        Self { model, outputs }
    }

    /// Runs the model.
    #[inline]
    pub fn on(&mut self, vector: &FactorVector<'_>, out: impl FnOnce(Prediction<'_>)) {
        self.model.run(vector.values, &mut self.outputs);
        out(Prediction {
            meta: vector.meta,
            values: &self.outputs,
        });
    }
}

impl std::fmt::Debug for ModelStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelStage")
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}
