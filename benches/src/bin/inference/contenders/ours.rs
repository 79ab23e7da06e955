//! This crate: `Box<dyn Model>` from `models::load`, as the model stage has it.

use std::path::Path;

use signal::models::{self, Model};

use super::Contender;
use crate::inputs::{FACTORS, OUTPUTS, Out, Row};

pub struct Loaded {
    model: Box<dyn Model>,
    outputs: usize,
}

impl Loaded {
    pub fn load(file: &Path) -> Result<Self, String> {
        let model = models::load(file, None, &[]).map_err(|error| error.to_string())?;
        let (inputs, outputs) = (model.inputs(), model.outputs().len());
        if inputs != FACTORS || outputs > OUTPUTS {
            return Err(format!(
                "{inputs} inputs and {outputs} outputs; expected {FACTORS} and at most {OUTPUTS}"
            ));
        }
        Ok(Self { model, outputs })
    }
}

impl Contender for Loaded {
    #[inline]
    fn run(&mut self, row: &Row, out: &mut Out) {
        self.model
            .run(signal::InstrumentId(0), row, &mut out[..self.outputs]);
    }
}
