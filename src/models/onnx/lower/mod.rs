//! Lowers a node of the graph to steps.
//!
//! | file | operators |
//! |---|---|
//! | `dense` | Gemm, MatMul |
//! | `elements` | Add, Sub, Mul, Div, Relu, LeakyRelu, Tanh, Sigmoid, Softmax, Cast |
//! | `shape` | Identity, Reshape, Flatten, Concat, Constant |
//! | `classical` | Scaler, Normalizer, LinearRegressor, LinearClassifier |
//! | `trees` | TreeEnsembleRegressor, TreeEnsembleClassifier |
//! | `elsewhere` | the operators that tract supports |
//! | `nodes` | the node lists that both tree operators have |

mod classical;
mod dense;
mod elements;
mod elsewhere;
mod nodes;
mod shape;
mod trees;

use super::attributes::Attributes;
use super::compile::Compiler;
use super::kernels::Activation;
use super::ops::Arithmetic;
#[cfg(feature = "tract")]
use super::proto::Model;
use super::proto::Node;
use super::value::Value;
use crate::models::ModelError;

#[cfg(feature = "tract")]
pub use elsewhere::{Use, tract_doubt, tract_has, tract_use};

/// The versions of the two operator sets.
#[derive(Debug)]
pub struct Opsets {
    onnx: Option<i64>,
    ml: Option<i64>,
}

const ML: &str = "ai.onnx.ml";

/// Oldest and newest version of an operator set for which every supported operator is known to have
/// the meaning implemented here.
const fn known(domain: &str) -> (i64, i64) {
    match domain.as_bytes() {
        b"" | b"ai.onnx" => (7, 28),
        _ => (1, 5),
    }
}

impl Opsets {
    /// Reads the versions from the model's imports.
    pub fn new(imports: &[(&str, i64)]) -> Result<Self, ModelError> {
        let find = |names: &[&str]| {
            let mut found = None;
            for &(domain, version) in imports {
                if !names.contains(&domain) {
                    continue;
                }
                if found.is_some_and(|found| found != version) {
                    return Err(ModelError(format!(
                        "operator set '{domain}' is imported in two versions"
                    )));
                }
                found = Some(version);
            }
            Ok(found)
        };
        Ok(Self {
            onnx: find(&["", "ai.onnx"])?,
            ml: find(&[ML])?,
        })
    }

    fn of(&self, domain: &str) -> Option<i64> {
        match domain {
            "" | "ai.onnx" => self.onnx,
            ML => self.ml,
            _ => None,
        }
    }
}

/// Refuses a node that calls a function of the model, even if an operator has the same name.
pub fn no_function(node: &Node<'_>, functions: &[(&str, &str)]) -> Result<(), ModelError> {
    fn plain(domain: &str) -> &str {
        match domain {
            "ai.onnx" => "",
            domain => domain,
        }
    }
    let called =
        |(domain, name): &(&str, &str)| plain(domain) == plain(node.domain) && *name == node.op;
    if node.overload.is_empty() && !functions.iter().any(called) {
        return Ok(());
    }
    Err(ModelError(
        "it calls a function that the model brings along; expected operators (inline them with \
         onnx.inliner.inline_local_functions)"
            .into(),
    ))
}

/// The version of a domain's operator set.
pub fn version(domain: &str, opsets: &Opsets) -> Result<i64, ModelError> {
    let opset = opsets.of(domain);
    let (oldest, _) = known(domain);
    opset.filter(|&version| version >= oldest).ok_or_else(|| {
        ModelError(format!(
            "its operator set has version {}; expected {oldest} or later",
            opset.map_or("none".to_owned(), |version| version.to_string())
        ))
    })
}

/// Why only a check file can tell over which dimensions an operator of before version 13 goes.
pub fn flattens(op: &str) -> String {
    format!(
        "{op} before opset 13 over an axis that is not the last is over all dimensions from it on \
         in onnxruntime, and over it alone in the standard's reference"
    )
}

/// A node that is being lowered.
pub struct Lowering<'l, 'a> {
    compiler: &'l mut Compiler,
    attributes: Attributes<'a>,
    from: &'l [Option<Value>],
    /// For each output, whether anything reads it.
    wanted: &'l [bool],
    /// The version of the node's operator set.
    opset: i64,
}

type Made = Result<Value, ModelError>;

/// Lowers a node. Outputs that nothing reads may be left out.
///
/// # Errors
///
/// An unsupported operator or attribute, or a type or shape that does not fit. Does not name the
/// node.
pub fn lower(
    compiler: &mut Compiler,
    opsets: &Opsets,
    node: &Node<'_>,
    from: &[Option<Value>],
    wanted: &[bool],
) -> Result<Vec<Option<Value>>, ModelError> {
    let Some(lowering) = operator(node.domain, node.op) else {
        return Err(unsupported(node));
    };
    let opset = version(node.domain, opsets)?;
    if let Some(doubt) = too_new(node, opsets) {
        compiler.doubt(format_args!("{doubt}"));
    }
    let mut context = Lowering {
        compiler,
        attributes: Attributes::new(&node.attributes)?,
        from,
        wanted,
        opset,
    };
    let (fewest, most) = lowering.inputs;
    if from.len() < fewest || from.len() > most {
        return Err(ModelError(format!(
            "it has {} inputs; expected {fewest} to {most}",
            from.len()
        )));
    }
    let made = match lowering.run {
        Run::One(run) => vec![Some(run(&mut context)?)],
        Run::Two(run) => {
            let [first, second] = run(&mut context)?;
            vec![first, second]
        }
    };
    context.attributes.finish()?;
    match wanted.iter().skip(made.len()).any(|&wanted| wanted) {
        true => Err(ModelError(format!(
            "it has {} outputs; expected at most {}",
            wanted.len(),
            made.len()
        ))),
        false => Ok(made),
    }
}

struct Operator {
    inputs: (usize, usize),
    run: Run,
}

enum Run {
    One(fn(&mut Lowering<'_, '_>) -> Made),
    /// Label and scores of a classifier.
    Two(fn(&mut Lowering<'_, '_>) -> Result<[Option<Value>; 2], ModelError>),
}

/// The operators that our kernels support.
fn operator(domain: &str, name: &str) -> Option<Operator> {
    let one = |fewest, most, run| {
        Some(Operator {
            inputs: (fewest, most),
            run: Run::One(run),
        })
    };
    let two = |run| {
        Some(Operator {
            inputs: (1, 1),
            run: Run::Two(run),
        })
    };
    match (domain, name) {
        ("" | "ai.onnx", name) => match name {
            "Gemm" => one(2, 3, dense::gemm),
            "MatMul" => one(2, 2, dense::matmul),
            "Add" => one(2, 2, |node| elements::binary(node, Arithmetic::Add)),
            "Sub" => one(2, 2, |node| elements::binary(node, Arithmetic::Sub)),
            "Mul" => one(2, 2, |node| elements::binary(node, Arithmetic::Mul)),
            "Div" => one(2, 2, |node| elements::binary(node, Arithmetic::Div)),
            "Relu" => one(1, 1, |node| elements::activation(node, Activation::Relu)),
            "Tanh" => one(1, 1, |node| elements::activation(node, Activation::Tanh)),
            "Sigmoid" => one(1, 1, |node| elements::activation(node, Activation::Sigmoid)),
            "LeakyRelu" => one(1, 1, elements::leaky_relu),
            "Softmax" => one(1, 1, elements::softmax),
            "Cast" => one(1, 1, elements::cast),
            "Identity" => one(1, 1, shape::identity),
            "Reshape" => one(2, 2, shape::reshape),
            "Flatten" => one(1, 1, shape::flatten),
            "Concat" => one(1, usize::MAX, shape::concat),
            "Constant" => one(0, 0, shape::constant),
            _ => None,
        },
        (ML, name) => match name {
            "Scaler" => one(1, 1, classical::scaler),
            "Normalizer" => one(1, 1, classical::normalizer),
            "LinearRegressor" => one(1, 1, classical::linear_regressor),
            "LinearClassifier" => two(classical::linear_classifier),
            "TreeEnsembleRegressor" => one(1, 1, trees::regressor),
            "TreeEnsembleClassifier" => two(trees::classifier),
            _ => None,
        },
        _ => None,
    }
}

/// Why only a check file can tell what a node means with this version of its operator set.
fn too_new(node: &Node<'_>, opsets: &Opsets) -> Option<String> {
    let version = opsets.of(node.domain)?;
    let (_, newest) = known(node.domain);
    (version > newest).then(|| {
        format!(
            "operator {} is of operator set version {version}; this library knows versions up to \
             {newest}",
            node.op
        )
    })
}

/// The same for models that are not lowered.
#[cfg(feature = "tract")]
pub fn doubt(model: &Model<'_>, node: &Node<'_>) -> Result<Option<String>, ModelError> {
    no_function(node, &model.functions)?;
    Ok(too_new(node, &Opsets::new(&model.opsets)?))
}

/// Whether our kernels support the operator.
#[cfg(feature = "tract")]
pub fn supported(node: &Node<'_>) -> bool {
    operator(node.domain, node.op).is_some()
}

fn unsupported(node: &Node<'_>) -> ModelError {
    let domain = match node.domain {
        "" | "ai.onnx" => String::new(),
        domain => format!("{domain}."),
    };
    let hint = match node.op {
        "ZipMap" => "export the model with options={'zipmap': False}",
        // Other operators of that set, which tract has not, are usually beside it.
        op if node.domain != ML && elsewhere::tract_has(node.domain, op) => {
            "choose outputs that do not need it, or build with the feature `tract`"
        }
        _ => "choose outputs that do not need it, or export the model without it",
    };
    ModelError(format!(
        "operator {domain}{} is not supported; {hint}",
        node.op
    ))
}

impl Lowering<'_, '_> {
    /// A required input.
    fn input(&self, index: usize) -> Result<&Value, ModelError> {
        self.optional(index)
            .ok_or_else(|| ModelError(format!("input {index} is missing")))
    }

    /// An optional input.
    fn optional(&self, index: usize) -> Option<&Value> {
        self.from.get(index)?.as_ref()
    }

    fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).is_some_and(|&wanted| wanted)
    }

    /// The index of a dimension; a negative one counts from the end.
    fn axis(&self, axis: i64, rank: usize) -> Result<usize, ModelError> {
        let from_end = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(from_end)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| {
                ModelError(format!(
                    "attribute axis is {axis}; expected -{rank} to {}",
                    rank as i64 - 1
                ))
            })
    }
}
