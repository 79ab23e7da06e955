//! `onnx`: networks and classical models from ONNX files.
//!
//! A graph is compiled when it is read: sizes are known for a batch of one, nodes that the chosen
//! outputs do not need are dropped, constants are computed, and a matrix product, the addition
//! after it and its activation become one step. The remaining steps run in sequence over one
//! buffer.
//!
//! | file | what |
//! |---|---|
//! | `wire` | protobuf, without copying and within bounds |
//! | `proto` | the ONNX messages |
//! | `external` | files beside the model that hold tensors |
//! | `tensor` | the tensors that a model stores |
//! | `attributes` | a node's attributes; none is ignored silently |
//! | `order` | which nodes are needed, and in which order |
//! | `value` | shapes and types during compilation |
//! | `lower` | lowers nodes to steps, operator by operator |
//! | `fuse` | combines several steps into one |
//! | `compile` | compiles a graph into a plan |
//! | `plan` | steps over one buffer |
//! | `ops` | what a step does |
//! | `kernels` | `f32` layers and curves, AVX2 or portable |
//! | `tract` | with the feature `tract`: runs models with other operators |

mod attributes;
mod compile;
mod external;
mod fuse;
mod kernels;
mod lower;
mod ops;
mod order;
mod plan;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;
#[cfg(feature = "tract")]
mod tract;
mod value;
mod wire;

use compile::{Compiled, How, Output, compile};
use kernels::Isa;
use plan::{Plan, Region};
use value::Labels;

use super::parsed::{Parsed, Reading};
use super::{MOST_PREFETCHED, Model, ModelError};
use crate::messages::InstrumentId;
use crate::sync::prefetch::Parts;

pub(super) use external::External;
pub(super) use proto::looks_like_model;

/// Reads a model as [`Onnx`]. If it needs an operator that our kernels do not support and the
/// feature `tract` is on, tract runs it.
pub(super) fn load(
    bytes: &[u8],
    outputs: &[String],
    reading: Reading,
    external: &External,
) -> Result<Parsed<Box<dyn Model>>, ModelError> {
    #[cfg(feature = "tract")]
    if let Some(model) = tract::Tract::if_needed(bytes, outputs, external)? {
        return Ok(model.boxed());
    }
    let how = How {
        isa: Isa::detect(),
        reading,
        external,
    };
    Onnx::read(how, bytes, outputs).map(Parsed::boxed)
}

/// A model from an ONNX file, for one sample at a time.
///
/// **Operators.** Gemm, MatMul, Add, Sub, Mul, Div, Relu, LeakyRelu, Tanh, Sigmoid, Softmax,
/// Identity, Cast, Reshape, Flatten, Concat, Constant; and of `ai.onnx.ml` Scaler, Normalizer,
/// LinearRegressor, LinearClassifier, TreeEnsembleRegressor and TreeEnsembleClassifier: the
/// operators that PyTorch and skl2onnx write for dense networks and classical models. Other
/// operators are refused by name, unless no chosen output needs them. With the feature `tract`,
/// [`load`](crate::models::load) gives such a model to tract, which allocates in each run.
///
/// **Inputs.** One tensor `[batch, k]`, or several, which take their factors one after the other.
/// The batch dimension is open or 1. Factors are rounded to `f32` once, and all arithmetic is
/// `f32`. So `double` is accepted for inputs that a Cast converts to float, and refused elsewhere.
///
/// **Outputs.** The graph's, or the chosen ones, in order and flattened: an output `proba` of two
/// values becomes `proba[0]` and `proba[1]`. A label is sent as its number. If a classifier's
/// labels are strings, the label's index is sent and the output is named `label.index`.
///
/// **Results** are compared with those of onnxruntime 1.31: trees are equal to the bit if it runs
/// on one thread, networks to 1e-5 of an output's magnitude. Models whose meaning depends on the
/// runtime are refused: transforms of a single score, labels if leaves vote for both of two
/// classes, scores if some leaves vote for only one of two classes. Others are accepted from a file
/// with a check file that they pass: Normalizer MAX and L2, Softmax before opset 13 over an axis
/// that is not the last, LinearRegressor without intercepts or with a transform, SOFTMAX_ZERO of
/// linear scores, one score for two classes without a transform if it may be negative, votes for
/// only the second of two classes, labels if no tree may have voted for a class, targets for which
/// no tree may vote, BRANCH_NEQ.
///
/// **External data.** If a model is read from a file ([`load`](crate::models::load)), stored
/// tensors may be in other files of the same folder, but never outside it.
///
/// **Bounds.** 65,536 values of all inputs together, and of all outputs; names of 512 bytes; 256
/// MiB of tensors; about 16 million multiplications in a run.
pub struct Onnx {
    plan: Plan,
    inputs: Box<[Region]>,
    width: usize,
    input_names: Vec<String>,
    outputs: Box<[End]>,
    output_names: Vec<String>,
}

/// Where an output is, and what its numbers mean if they are labels.
struct End {
    region: Region,
    labels: Option<Box<[f64]>>,
}

impl std::fmt::Debug for Onnx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onnx")
            .field("inputs", &self.width)
            .field("outputs", &self.output_names)
            .finish_non_exhaustive()
    }
}

impl Onnx {
    /// Reads and compiles a model with these outputs of its graph, or all outputs if none is named.
    ///
    /// # Errors
    ///
    /// Where the bytes are not an ONNX model; or the name of the operator, attribute, tensor or
    /// output that does not fit, and what was expected.
    pub fn parse(bytes: &[u8], outputs: &[String]) -> Result<Self, ModelError> {
        let how = How {
            isa: Isa::detect(),
            reading: Reading::default(),
            external: &External::default(),
        };
        Self::read(how, bytes, outputs)?.settled()
    }

    fn read(how: How<'_>, bytes: &[u8], outputs: &[String]) -> Result<Parsed<Self>, ModelError> {
        let mut compiled = compile(&proto::model(bytes)?, outputs, how)?;
        Ok(Parsed {
            doubt: compiled.doubt.take(),
            note: None,
            model: Self::new(compiled),
        })
    }

    fn new(compiled: Compiled) -> Self {
        let Compiled {
            plan,
            inputs,
            outputs,
            doubt: _,
        } = compiled;
        let columns = inputs.len() > 1 && inputs.iter().all(|(_, region)| region.len == 1);
        let mut output_names = Vec::new();
        for Output {
            name,
            region,
            labels,
        } in &outputs
        {
            match (region.len, labels) {
                (_, Some(Labels::Texts(_))) => output_names.push(format!("{name}.index")),
                (1, _) => output_names.push(name.clone()),
                (len, _) => output_names.extend((0..len).map(|i| format!("{name}[{i}]"))),
            }
        }
        Self {
            plan,
            width: inputs.iter().map(|(_, region)| region.len).sum(),
            // Inputs that are separate columns are named after the factors.
            input_names: match columns {
                true => inputs.iter().map(|(name, _)| name.clone()).collect(),
                false => Vec::new(),
            },
            inputs: inputs.into_iter().map(|(_, region)| region).collect(),
            outputs: outputs
                .into_iter()
                .map(|output| End {
                    region: output.region,
                    labels: match output.labels {
                        Some(Labels::Numbers(labels)) => Some(labels),
                        // An index needs no name.
                        Some(Labels::Texts(_)) | None => None,
                    },
                })
                .collect(),
            output_names,
        }
    }
}

impl Model for Onnx {
    fn inputs(&self) -> usize {
        self.width
    }

    fn input_names(&self) -> &[String] {
        &self.input_names
    }

    fn outputs(&self) -> &[String] {
        &self.output_names
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn prefetch(&self) {
        self.plan.prefetch(&mut Parts::of(MOST_PREFETCHED));
    }

    #[inline]
    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        assert_eq!(factors.len(), self.width, "a value for each input");
        let mut left = factors;
        for &region in &self.inputs {
            let (these, rest) = left.split_at(region.len);
            left = rest;
            for (to, &factor) in self.plan.numbers_mut(region).iter_mut().zip(these) {
                *to = factor as f32;
            }
        }
        self.plan.run();
        let mut out = out.iter_mut();
        for End { region, labels } in &self.outputs {
            for (&number, to) in self.plan.numbers(*region).iter().zip(&mut out) {
                *to = match labels {
                    None => f64::from(number),
                    Some(labels) => labels[number as usize],
                };
            }
        }
    }
}
