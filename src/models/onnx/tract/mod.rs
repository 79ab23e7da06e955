//! Runs models with operators that our kernels do not support, through tract.
//!
//! | file | what |
//! |---|---|
//! | `checked` | refuses attributes that tract ignores; tensors on which it was not compared |
//! | `nan` | keeps NaN where tract makes a number of it |

mod checked;
mod nan;
#[cfg(test)]
mod tests;

use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;

use super::compile::{input, within};
use super::external::{External, Place};
use super::kernels::clear_upper_halves;
use super::lower;
use super::order::Order;
use super::proto;
use super::value::Elem;
use crate::messages::InstrumentId;
use crate::models::parsed::Parsed;
use crate::models::{Model, ModelError};

/// A model that tract runs, optimised for a batch of one.
///
/// Unlike all other models, it allocates in [`run`](Model::run), and reading it takes as much
/// memory and time as tract needs: use it only for files from trusted sources. What tract cannot
/// compute is sent as NaN.
pub struct Tract {
    plan: TypedRunnableModel<TypedModel>,
    /// Shape and type of each input.
    inputs: Vec<(Vec<usize>, DatumType)>,
    width: usize,
    outputs: Vec<String>,
}

impl Tract {
    /// Reads a model if the chosen outputs need an operator that our kernels do not support.
    pub fn if_needed(
        bytes: &[u8],
        chosen: &[String],
        external: &External,
    ) -> Result<Option<Parsed<Self>>, ModelError> {
        let model = proto::model(bytes)?;
        let order = Order::new(&model.graph, chosen)?;
        let mut nodes = order.nodes.iter().map(|&index| &model.graph.nodes[index]);
        if nodes.all(lower::supported) {
            return Ok(None);
        }
        let mut doubt = model.too_new();
        for &index in &order.nodes {
            let of_node = lower::doubt(&model, &model.graph.nodes[index])?;
            doubt = doubt.or(of_node);
        }
        let mut inputs = Vec::with_capacity(order.inputs.len());
        let mut width = 0;
        for port in &order.inputs {
            let (shape, elem) = input(port)?;
            within(&mut width, &shape, "inputs")?;
            inputs.push(match elem {
                Elem::F64 => (shape, f64::datum_type()),
                _ => (shape, f32::datum_type()),
            });
        }
        let opsets = lower::Opsets::new(&model.opsets)?;
        let mut bytes = bytes;
        let proto = caught(|| tract_onnx::onnx().proto_model_for_read(&mut bytes))?;
        let nodes = proto.graph.as_ref();
        let nodes = nodes.map_or(Vec::new(), |graph| checked::needed(graph, &order.nodes));
        for node in &nodes {
            doubt = doubt.or(checked::check(node, &opsets)?);
        }
        let flats = checked::flats(&nodes, lower::version("", &opsets)?);
        let plan = caught(|| {
            let model = Self::read(proto, &inputs, &order.outputs, external)?;
            for flat in &flats {
                let of_node = flat.doubt(&model)?;
                doubt = doubt.take().or(of_node);
            }
            doubt = doubt.take().or(checked::tensors(&model)?);
            model.into_optimized()?.into_runnable()
        })?;
        let mut model = Self {
            plan,
            width,
            inputs,
            outputs: Vec::new(),
        };
        let zeros = vec![0.0; model.width];
        let values = caught(|| model.values(&zeros))?;
        let mut made = 0;
        for (name, values) in order.outputs.iter().zip(values) {
            within(&mut made, &[values.len()], "outputs")?;
            match values.len() {
                1 => model.outputs.push(name.to_string()),
                len => model
                    .outputs
                    .extend((0..len).map(|i| format!("{name}[{i}]"))),
            }
        }
        Ok(Some(Parsed {
            model,
            doubt,
            note: None,
        }))
    }

    fn read(
        mut proto: ModelProto,
        inputs: &[(Vec<usize>, DatumType)],
        outputs: &[&str],
        external: &External,
    ) -> TractResult<InferenceModel> {
        if let Some(graph) = &mut proto.graph {
            inline(graph, external)?;
            nan::keep(graph);
        }
        let mut model = tract_onnx::onnx().model_for_proto_model(&proto)?;
        for (index, (shape, datum)) in inputs.iter().enumerate() {
            let fact = InferenceFact::dt_shape(*datum, shape);
            model.set_input_fact(index, fact)?;
        }
        model.set_output_names(outputs)?;
        model.analyse(false)?;
        Ok(model)
    }

    /// The numbers of each output.
    fn values(&self, factors: &[f64]) -> TractResult<Vec<Vec<f64>>> {
        let mut left = factors;
        let mut tensors = tvec!();
        for (shape, datum) in &self.inputs {
            let (these, rest) = left.split_at(size(shape));
            left = rest;
            let tensor = Tensor::from_shape(shape, these)?;
            tensors.push(tensor.cast_to_dt(*datum)?.into_owned().into_tvalue());
        }
        let outputs = self.plan.run(tensors)?;
        outputs
            .iter()
            .map(|output| Ok(output.cast_to::<f64>()?.as_slice::<f64>()?.to_vec()))
            .collect()
    }
}

/// Copies tensors from files beside the model into the graph: tract would read them from wherever
/// the model says.
fn inline(graph: &mut GraphProto, external: &External) -> TractResult<()> {
    for tensor in &mut graph.initializer {
        if tensor.data_location != Some(1) {
            continue;
        }
        let entries = std::mem::take(&mut tensor.external_data);
        let mut place = Place::default();
        for entry in &entries {
            place.set(&entry.key, &entry.value)?;
        }
        tensor.raw_data = external.bytes(&tensor.name, &place)?.to_vec();
        tensor.data_location = None;
    }
    Ok(())
}

/// What is said where tract panics.
const PANICKED: &str = "tract panicked on it; expected a model that tract can run: check the file \
     with onnx.checker, or export it with the operators that docs/models.md lists";

/// Runs tract code, which panics on some invalid models, even in their first run.
fn caught<R>(run: impl FnOnce() -> TractResult<R>) -> Result<R, ModelError> {
    // Unwind safe: a run's state is its own, so nothing is left half done.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| ModelError(format!("tract: {error:#}"))),
        Err(_) => Err(ModelError::new(PANICKED)),
    }
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

impl Model for Tract {
    fn inputs(&self) -> usize {
        self.width
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        out.fill(f64::NAN);
        let values = caught(|| self.values(factors));
        // tract's kernels do not clear them, which would slow down all other stages of the lane.
        clear_upper_halves();
        if let Ok(values) = values {
            for (to, value) in out.iter_mut().zip(values.iter().flatten()) {
                *to = *value;
            }
        }
    }
}
