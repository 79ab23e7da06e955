//! What tract would accept without a word although it may mean something else: attributes that it
//! ignores, and operators in which runtimes differ.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::models::ModelError;
use crate::models::onnx::lower::{self, Opsets, Use};

/// Operators in which NaN among other values means something else in each runtime.
const ORDERED: [&str; 5] = ["ArgMax", "ArgMin", "Hardmax", "ReduceMax", "ReduceMin"];
/// Operators that went over other dimensions before version 13.
const FLATTENED: [&str; 3] = ["Hardmax", "LogSoftmax", "Softmax"];

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

/// Refuses an operator or an attribute that tract does not know, or ignores.
pub fn check(node: &NodeProto, opsets: &Opsets) -> Result<(), ModelError> {
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
    for (at, attribute) in node.attribute.iter().enumerate() {
        let name = &attribute.name;
        if node.attribute[..at].iter().any(|other| other.name == *name) {
            return Err(named(format!("attribute {name} is there twice")));
        }
        match lower::tract_use(&node.op_type, name, opset) {
            Some(Use::Read) => {}
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
    Ok(())
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
        _ => "of another type".into(),
    }
}

/// Why only a check file can tell what the operator makes of NaN.
pub fn doubt(node: &NodeProto) -> Option<String> {
    ORDERED.contains(&node.op_type.as_str()).then(|| {
        format!(
            "what {} makes of values of which some are NaN depends on their order in onnxruntime, \
             and not in the standard's reference",
            node.op_type
        )
    })
}

/// An operator of before version 13 that went over other dimensions.
pub struct Flat {
    op: &'static str,
    output: String,
    axis: i64,
}

/// Those among the nodes.
pub fn flats(nodes: &[&NodeProto], opset: i64) -> Vec<Flat> {
    let flat = |node: &&NodeProto| {
        let op = FLATTENED.iter().find(|op| **op == node.op_type)?;
        let mut attributes = node.attribute.iter();
        let axis = attributes.find(|attribute| attribute.name == "axis");
        Some(Flat {
            op,
            output: node.output.first()?.clone(),
            axis: axis.map_or(1, |axis| axis.i),
        })
    };
    match opset < 13 {
        true => nodes.iter().filter_map(flat).collect(),
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
        Ok((!last).then(|| lower::flattens(self.op)))
    }
}
