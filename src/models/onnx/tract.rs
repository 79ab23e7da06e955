//! Runs models with operators that our kernels do not support, through tract.

use tract_onnx::pb::{GraphProto, NodeProto};
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
        let plan = caught(|| Self::read(bytes, &inputs, &order.outputs, external))?;
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
        mut bytes: &[u8],
        inputs: &[(Vec<usize>, DatumType)],
        outputs: &[&str],
        external: &External,
    ) -> TractResult<TypedRunnableModel<TypedModel>> {
        let onnx = tract_onnx::onnx();
        let mut proto = onnx.proto_model_for_read(&mut bytes)?;
        if let Some(graph) = &mut proto.graph {
            inline(graph, external)?;
            keep_nan(graph);
        }
        let mut model = onnx.model_for_proto_model(&proto)?;
        for (index, (shape, datum)) in inputs.iter().enumerate() {
            let fact = InferenceFact::dt_shape(*datum, shape);
            model.set_input_fact(index, fact)?;
        }
        model.set_output_names(outputs)?;
        model.into_optimized()?.into_runnable()
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

/// Operators for which tract returns a number for NaN, and onnxruntime NaN. For the first two, only
/// the first input is data.
const LOSE_NAN: [&str; 4] = ["Clip", "Relu", "Max", "Min"];

/// Restores NaN after such operators: `IsNaN(x) ? x : y`.
fn keep_nan(graph: &mut GraphProto) {
    let node = |op: &str, input: Vec<String>, output: String| NodeProto {
        name: output.clone(),
        op_type: op.into(),
        input,
        output: vec![output],
        ..NodeProto::default()
    };
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (place, mut lossy) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let several = matches!(lossy.op_type.as_str(), "Max" | "Min");
        if !lossy.domain.is_empty()
            || !LOSE_NAN.contains(&lossy.op_type.as_str())
            || lossy.output.len() != 1
        {
            nodes.push(lossy);
            continue;
        }
        let inputs = if several { lossy.input.len() } else { 1 };
        let data = lossy.input[..inputs.min(lossy.input.len())].to_vec();
        let end = lossy.output[0].clone();
        let step = |index: usize, what: &str| format!("{end}/nan{place}.{index}.{what}");
        let mut made = step(0, "y");
        lossy.output[0] = made.clone();
        nodes.push(lossy);
        for (index, x) in data.iter().enumerate() {
            let (mask, next) = (
                step(index, "mask"),
                match index + 1 == data.len() {
                    true => end.clone(),
                    false => step(index + 1, "y"),
                },
            );
            nodes.push(node("IsNaN", vec![x.clone()], mask.clone()));
            nodes.push(node("Where", vec![mask, x.clone(), made], next.clone()));
            made = next;
        }
    }
    graph.node = nodes;
}

/// Runs tract code, which panics on some invalid models, even in their first run.
fn caught<R>(run: impl FnOnce() -> TractResult<R>) -> Result<R, ModelError> {
    // Unwind safe: a run's state is its own, so nothing is left half done.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| ModelError(format!("tract: {error:#}"))),
        Err(_) => Err(ModelError::new("tract panicked on it")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::onnx::tests::writer::Graph;

    #[test]
    fn panics_are_errors() {
        let error = caught(|| -> TractResult<()> { panic!("a test's") }).unwrap_err();
        assert_eq!(error.to_string(), "tract panicked on it");
        let many = Graph::new(1 << 17)
            .node("Sin", &["x"], &["y"], &[])
            .output("y");
        let error = Tract::if_needed(&many.bytes(), &[], &External::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains("more than 65536"), "{error}");
    }

    #[test]
    fn runs_what_our_kernels_cannot() {
        let graph = Graph::new(2)
            .node("Tanh", &["x"], &["t"], &[])
            .node("Sin", &["t"], &["y"], &[])
            .output("y")
            .output("t");
        let mut model = Tract::if_needed(&graph.bytes(), &[], &External::default())
            .unwrap()
            .unwrap()
            .model;
        assert_eq!(model.inputs(), 2);
        assert_eq!(model.outputs(), ["y[0]", "y[1]", "t[0]", "t[1]"]);
        let mut out = [0.0; 4];
        model.run(InstrumentId(0), &[0.5, -1.0], &mut out);
        let t = [0.5f64.tanh(), (-1.0f64).tanh()];
        for (ours, exact) in out.iter().zip([t[0].sin(), t[1].sin(), t[0], t[1]]) {
            assert!((ours - exact).abs() < 1e-6, "{out:?}");
        }
        // Models that our kernels support stay with them.
        let chosen = Tract::if_needed(&graph.bytes(), &["t".into()], &External::default()).unwrap();
        assert!(chosen.is_none());
        let none = Graph::new(2)
            .node("NoSuchThing", &["x"], &["y"], &[])
            .output("y");
        assert!(Tract::if_needed(&none.bytes(), &[], &External::default()).is_err());
    }
    /// As in onnxruntime; of a number and NaN, tract on its own returns the number.
    #[test]
    fn nan_stays_nan() {
        use crate::models::onnx::tests::writer::floats;
        let (low, high) = (floats(&[], &[-0.5]), floats(&[], &[0.5]));
        let nodes = |graph: Graph| {
            graph
                .store("low", low)
                .store("high", high)
                .node("Sin", &["x"], &["s"], &[])
                .node("Clip", &["s", "low", "high"], &["clip"], &[])
                .node("Clip", &["s", "", "high"], &["above"], &[])
                .node("Relu", &["s"], &["relu"], &[])
                .node("Max", &["s", "low"], &["max"], &[])
                .node("Min", &["high", "s"], &["min"], &[])
        };
        let graph = ["clip", "above", "relu", "max", "min"]
            .into_iter()
            .fold(nodes(Graph::new(2)), |graph, name| graph.output(name));
        let parsed = Tract::if_needed(&graph.bytes(), &[], &External::default());
        let mut model = parsed.unwrap().unwrap().model;
        let mut out = [0.0; 10];
        model.run(InstrumentId(0), &[f64::NAN, 1.0], &mut out);
        for pair in out.chunks(2) {
            assert!(pair[0].is_nan() && !pair[1].is_nan(), "{out:?}");
        }
        let sine = f64::from(1f32.sin());
        let odd: Vec<f64> = out.iter().skip(1).step_by(2).copied().collect();
        for (ours, exact) in odd.iter().zip([0.5, 0.5, sine, sine, 0.5]) {
            assert!((ours - exact).abs() < 1e-6, "{out:?}");
        }
        model.run(InstrumentId(0), &[f64::INFINITY, -1.0], &mut out);
        assert!((out[1] + 0.5).abs() < 1e-6 && out[5] == 0.0, "{out:?}");
    }
}
