//! What tract would accept without a word although it may mean something else: attributes that it
//! ignores, and types of tensors on which it was not compared with other runtimes.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::models::ModelError;
use crate::models::onnx::lower::{self, Opsets, Use};

/// The nodes that a run may need: these, or all if there are branches or loops, whose bodies may
/// read anything.
pub fn needed<'g>(graph: &'g GraphProto, chosen: &[usize]) -> Vec<&'g NodeProto> {
    fn all<'g>(graph: &'g GraphProto, into: &mut Vec<&'g NodeProto>) {
        for node in &graph.node {
            into.push(node);
            for attribute in &node.attribute {
                let bodies = attribute.g.iter().chain(&attribute.graphs);
                bodies.for_each(|body| all(body, into));
            }
        }
    }
    let body = |attribute: &AttributeProto| attribute.g.is_some() || !attribute.graphs.is_empty();
    let chosen: Vec<&NodeProto> = chosen.iter().filter_map(|&at| graph.node.get(at)).collect();
    if !chosen.iter().any(|node| node.attribute.iter().any(body)) {
        return chosen;
    }
    let mut every = Vec::new();
    all(graph, &mut every);
    every
}

/// Operators, as tract calls them, whose inputs but the first must be known: what runtimes make of NaN
/// in them differs.
const KNOWN: [&str; 3] = ["BatchNorm", "Clip", "Prelu"];

/// Refuses an operator or an attribute that tract does not know, or ignores. Returns why only a check
/// file can tell what tract makes of the operator.
pub fn check(node: &NodeProto, opsets: &Opsets) -> Result<Option<String>, ModelError> {
    let named = |what: String| {
        let name = match node.name.is_empty() {
            true => node.output.first().map_or("", String::as_str),
            false => &node.name,
        };
        ModelError(format!("node '{name}' ({}): {what}", node.op_type))
    };
    if !lower::tract_has(&node.domain, &node.op_type) {
        return Err(named(format!(
            "tract, which runs this model, does not support operator {}{}{}; choose outputs that \
             do not need it, or export the model without it",
            node.domain,
            if node.domain.is_empty() { "" } else { "." },
            node.op_type
        )));
    }
    let opset = lower::version(&node.domain, opsets).map_err(|error| named(error.0))?;
    let mut doubt = lower::tract_doubt(&node.op_type, opset);
    for (at, attribute) in node.attribute.iter().enumerate() {
        let name = &attribute.name;
        if node.attribute[..at].iter().any(|other| other.name == *name) {
            return Err(named(format!("attribute {name} is there twice")));
        }
        match lower::tract_use(&node.op_type, name, opset) {
            Some(Use::Read) => {}
            Some(Use::Compared(values)) => {
                let value = value(attribute);
                if !values.contains(&value.as_str()) {
                    doubt.get_or_insert_with(|| {
                        format!(
                            "operator {} with {name} {value} runs in tract, which was compared \
                             with other runtimes for {}",
                            node.op_type,
                            values.join(" and ")
                        )
                    });
                }
            }
            Some(Use::Ignored(right)) => {
                let value = value(attribute);
                if !right.is_empty() && !right.contains(&value.as_str()) {
                    return Err(named(format!(
                        "attribute {name} is {value}; expected {}, because tract ignores it",
                        right.join(" or ")
                    )));
                }
            }
            None => return Err(named(format!("attribute {name} is not supported"))),
        }
    }
    if node.op_type == "Clip" && !has_bounds(node, opset) {
        doubt.get_or_insert_with(|| {
            "Clip without one of its bounds runs in tract, which keeps infinities there".into()
        });
    }
    Ok(doubt)
}

/// Whether a Clip has both its bounds. Other runtimes take the greatest float for one that is missing.
fn has_bounds(node: &NodeProto, opset: i64) -> bool {
    match opset < 11 {
        true => node.attribute.len() == 2,
        false => node.input.len() == 3 && node.input.iter().all(|input| !input.is_empty()),
    }
}

fn value(attribute: &AttributeProto) -> String {
    match attribute.r#type() {
        AttributeType::Int => attribute.i.to_string(),
        AttributeType::Float => attribute.f.to_string(),
        AttributeType::String => String::from_utf8_lossy(&attribute.s).into_owned(),
        AttributeType::Strings => {
            let texts = attribute.strings.iter();
            let texts: Vec<_> = texts.map(|text| String::from_utf8_lossy(text)).collect();
            texts.join(",")
        }
        AttributeType::Ints => {
            let numbers = attribute.ints.iter().map(i64::to_string);
            numbers.collect::<Vec<_>>().join(",")
        }
        _ => "of another type".into(),
    }
}

/// Why only a check file can tell what tract makes of tensors: it was compared with other runtimes
/// on floats and booleans, and on whole numbers that are known beforehand.
pub fn tensors(model: &InferenceModel) -> TractResult<Option<String>> {
    for node in model.nodes() {
        let name = node.op.name();
        let converts = name == "onnx.Cast";
        let kinds = node
            .inputs
            .iter()
            .map(|&from| Ok(kind(model.outlet_fact(from)?)));
        let kinds: TractResult<Vec<_>> = kinds.collect();
        // All that may happen to a double is a Cast.
        let mut compared = converts || !kinds?.contains(&Some(DatumType::F64));
        for fact in node.outputs.iter().map(|output| &output.fact) {
            compared &= match kind(fact) {
                Some(DatumType::F32 | DatumType::Bool) => true,
                // tract's Sign of 0 is 1.
                Some(DatumType::I32 | DatumType::I64 | DatumType::TDim) => {
                    is_known(fact) && name != "Sign"
                }
                Some(DatumType::F64) => converts || node.inputs.is_empty(),
                _ => false,
            };
        }
        if !compared {
            return Ok(Some(format!(
                "{} runs in tract, which was compared with onnxruntime on float and bool, and on \
                 whole numbers that are known beforehand",
                node.name
            )));
        }
        for from in node.inputs.iter().skip(1) {
            if KNOWN.contains(&&*name) && !is_known(model.outlet_fact(*from)?) {
                return Ok(Some(format!(
                    "{} runs in tract, which was compared with onnxruntime where only the first \
                     input of {name} is computed",
                    node.name
                )));
            }
        }
    }
    Ok(None)
}

fn kind(fact: &InferenceFact) -> Option<DatumType> {
    fact.datum_type.concretize()
}

fn is_known(fact: &InferenceFact) -> bool {
    fact.value.concretize().is_some()
}

/// A Softmax of before version 13, which went over other dimensions.
pub struct Flat {
    output: String,
    axis: i64,
}

/// Those among the nodes.
pub fn flats(nodes: &[&NodeProto], opset: i64) -> Vec<Flat> {
    let flat = |node: &&NodeProto| {
        let mut attributes = node.attribute.iter();
        let axis = attributes.find(|attribute| attribute.name == "axis");
        Some(Flat {
            output: node.output.first()?.clone(),
            axis: axis.map_or(1, |axis| axis.i),
        })
    };
    match opset < 13 {
        true => {
            let softmax = nodes.iter().filter(|node| node.op_type == "Softmax");
            softmax.filter_map(flat).collect()
        }
        false => Vec::new(),
    }
}

impl Flat {
    /// Why only a check file can tell over which dimensions it goes.
    pub fn doubt(&self, model: &InferenceModel) -> TractResult<Option<String>> {
        let shape = match model.find_outlet_label(&self.output) {
            Some(outlet) => model.outlet_fact(outlet)?.shape.concretize(),
            // In the body of a branch or a loop.
            None => None,
        };
        let last = shape.is_some_and(|shape| {
            let from_end = if self.axis < 0 { shape.len() as i64 } else { 0 };
            let inner = usize::try_from(self.axis + from_end).ok();
            let inner = inner.and_then(|axis| shape.get(axis + 1..));
            inner.is_some_and(|inner| inner.iter().all(|dim| *dim == 1.to_dim()))
        });
        Ok((!last).then(|| lower::flattens("Softmax")))
    }
}
