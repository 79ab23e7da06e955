//! tract: optimised for one row, its state kept between runs.

use std::path::Path;

use tract_onnx::prelude::*;

use super::Contender;
use crate::inputs::{FACTORS, Out, Row};

type Plan = TypedRunnableModel<TypedModel>;
type State = SimpleState<TypedFact, Box<dyn TypedOp>, TypedModel, Plan>;

pub struct Loaded(State);

impl Loaded {
    pub fn load(file: &Path) -> Result<Self, String> {
        let load = || {
            let row = f32::fact([1, FACTORS]);
            let model = tract_onnx::onnx().model_for_path(file)?;
            let plan = model
                .with_input_fact(0, row.into())?
                .into_optimized()?
                .into_runnable()?;
            SimpleState::new(plan).map(Self)
        };
        load().map_err(|error: TractError| error.root_cause().to_string())
    }
}

impl Contender for Loaded {
    #[inline]
    fn run(&mut self, row: &Row, out: &mut Out) {
        let narrow = row.map(|value| value as f32);
        let input = Tensor::from_shape(&[1, FACTORS], &narrow).expect("as many as a row has");
        let outputs = self.0.run(tvec!(input.into())).expect("tract's run");
        let values = outputs[0].as_slice::<f32>().expect("floats");
        for (to, &value) in out.iter_mut().zip(values) {
            *to = value.into();
        }
    }
}
