//! The ONNX messages that models need, over the [wire format](super::wire).
//!
//! Names borrow from the file. Tensors and attributes, which can be large, stay spans until a node
//! that is needed reads them.
//!
//! Source of the field numbers: `onnx.proto` of <https://github.com/onnx/onnx>.

use super::tensor::tensor_name;
use super::value::MAX_RANK;
use super::wire::Span;
use crate::models::{ModelError, room};

/// Fields that do not affect what we compute: the model's producer, notes and metadata (which may
/// hold anything), training, devices, and types that are stated elsewhere. A field that is neither
/// read nor listed here is refused.
mod unused {
    /// Producer and its version, domain, the model's version, documentation, metadata, training,
    /// devices.
    pub const MODEL: &[u32] = &[2, 3, 4, 5, 6, 14, 20, 26];
    pub const OPSET: &[u32] = &[];
    /// Name, documentation, types of intermediate values, names of quantized tensors' parameters,
    /// metadata.
    pub const GRAPH: &[u32] = &[2, 10, 13, 14, 16];
    /// Documentation, metadata, devices.
    pub const NODE: &[u32] = &[6, 9, 10];
    /// Documentation, metadata.
    pub const PORT: &[u32] = &[3, 4];
    /// A denotation.
    pub const TYPE: &[u32] = &[6];
    pub const TENSOR_TYPE: &[u32] = &[];
    pub const SHAPE: &[u32] = &[];
    /// A denotation.
    pub const DIMENSION: &[u32] = &[3];
    /// Documentation.
    pub const ATTRIBUTE: &[u32] = &[13];
}

/// The newest known `ir_version`.
const NEWEST_IR: i64 = 14;

/// `ModelProto`.
#[derive(Debug, Default)]
pub struct Model<'a> {
    pub ir_version: i64,
    /// Pairs of domain and version.
    pub opsets: Vec<(&'a str, i64)>,
    /// Domain and name of each function that the model contains.
    pub functions: Vec<(&'a str, &'a str)>,
    pub graph: Graph<'a>,
}

impl Model<'_> {
    /// Why only a check file can tell what the file means, if so.
    pub fn too_new(&self) -> Option<String> {
        (self.ir_version > NEWEST_IR).then(|| {
            format!(
                "its ir_version is {}; this library knows versions up to {NEWEST_IR}",
                self.ir_version
            )
        })
    }
}

/// `GraphProto`.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Name and tensor.
    pub initializers: Vec<(&'a str, Span<'a>)>,
    pub inputs: Vec<Port<'a>>,
    pub outputs: Vec<Port<'a>>,
}

/// `NodeProto`.
#[derive(Debug, Default)]
pub struct Node<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub domain: &'a str,
    /// Which one of several functions with the same name it calls.
    pub overload: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Span<'a>>,
}

/// `ValueInfoProto` of an input or output of the graph.
#[derive(Clone, Debug, Default)]
pub struct Port<'a> {
    pub name: &'a str,
    /// `None` if it is not a dense tensor.
    pub tensor: Option<TensorType>,
    /// What it is instead.
    pub other: Option<&'static str>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, Debug, Default)]
pub struct TensorType {
    pub elem: i64,
    /// `None` in the list is an open dimension; `None` for the whole is an open rank.
    pub dims: Option<Vec<Option<i64>>>,
}

/// `AttributeProto`.
#[derive(Debug, Default)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub kind: i64,
    pub float: Option<f32>,
    pub int: Option<i64>,
    pub text: Option<Span<'a>>,
    pub tensor: Option<Span<'a>>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    pub texts: Vec<&'a [u8]>,
    /// What it has that no operator of ours takes.
    pub other: Option<&'static str>,
}

/// Whether these bytes look like an ONNX model: a message whose first field is `ir_version`, as
/// every exporter writes it, or one that has this field and a graph.
pub fn looks_like_model(bytes: &[u8]) -> bool {
    if bytes.first() == Some(&0x08) {
        return true;
    }
    let mut span = Span::file(bytes);
    let (mut version, mut graph) = (false, false);
    while let Ok(Some(field)) = span.field() {
        version |= field.number == 1 && field.int().is_ok();
        graph |= field.number == 7 && field.span().is_ok();
    }
    version && graph && span.bytes.is_empty()
}

/// Reads `ModelProto`.
pub fn model(bytes: &[u8]) -> Result<Model<'_>, ModelError> {
    let mut span = Span::file(bytes);
    let mut model = Model::default();
    let mut ir_version = None;
    let mut graphs = 0;
    while let Some(field) = span.field()? {
        match field.number {
            1 => ir_version = Some(field.int()?),
            7 => {
                graphs += 1;
                model.graph = graph(field.span()?)?;
            }
            8 if model.opsets.len() == 64 => {
                return Err(ModelError(format!(
                    "byte {}: more than 64 imports; expected fewer",
                    field.at
                )));
            }
            8 => model.opsets.push(opset(field.span()?)?),
            25 if model.functions.len() == MAX_FUNCTIONS => {
                return Err(ModelError(format!(
                    "byte {}: more than {MAX_FUNCTIONS} functions; expected fewer",
                    field.at
                )));
            }
            25 => model.functions.push(function(field.span()?)?),
            _ => field.unused(unused::MODEL, "a model")?,
        }
    }
    match ir_version {
        None => {
            return Err(ModelError::new(
                "no ir_version; expected an ONNX model, which has one",
            ));
        }
        Some(version) if version < 3 => {
            return Err(ModelError(format!(
                "ir_version is {version}; expected 3 or later"
            )));
        }
        Some(version) => model.ir_version = version,
    }
    if graphs != 1 {
        return Err(ModelError(format!("{graphs} graphs; expected 1")));
    }
    Ok(model)
}

fn opset(mut span: Span<'_>) -> Result<(&str, i64), ModelError> {
    let (mut domain, mut version) = ("", 0);
    while let Some(field) = span.field()? {
        match field.number {
            1 => domain = field.text()?,
            2 => version = field.int()?,
            _ => field.unused(unused::OPSET, "an operator set")?,
        }
    }
    Ok((domain, version))
}

/// Maximum number of functions: exporters write a few dozen.
const MAX_FUNCTIONS: usize = 1 << 12;

/// Reads a function's domain and name. Its body does not matter, because nodes that call it are
/// refused.
fn function(mut span: Span<'_>) -> Result<(&str, &str), ModelError> {
    let (mut domain, mut name) = ("", "");
    while let Some(field) = span.field()? {
        match field.number {
            1 => name = field.text()?,
            10 => domain = field.text()?,
            _ => {}
        }
    }
    Ok((domain, name))
}

/// Maximum number of nodes, stored tensors, inputs and outputs of a graph: an empty message takes
/// two bytes of the file, but more memory.
const MAX_ITEMS: usize = 1 << 17;

/// Maximum number of bytes that an item or a name takes, with everything built from it; an empty
/// one is two bytes of the file. Memory is requested first if there are more than a few.
const OF_ITEM: usize = 1 << 10;
const FEW_ITEMS: usize = 1 << 12;

/// Maximum number of names that a graph's nodes read and write.
const MAX_NAMES: usize = 1 << 18;

fn graph(mut span: Span<'_>) -> Result<Graph<'_>, ModelError> {
    let mut graph = Graph::default();
    let (mut items, mut names) = (0, MAX_NAMES);
    let mut granted = FEW_ITEMS;
    while let Some(field) = span.field()? {
        items += 1;
        let named = MAX_NAMES - names;
        if items + named > granted {
            granted = 2 * (items + named);
            room::for_numbers(granted * OF_ITEM)?;
        }
        if items > MAX_ITEMS {
            return Err(ModelError(format!(
                "byte {}: more than {MAX_ITEMS} nodes, tensors, inputs and outputs; \
                 expected a smaller graph",
                field.at
            )));
        }
        match field.number {
            1 => graph.nodes.push(node(field.span()?, &mut names)?),
            5 => {
                let tensor = field.span()?;
                graph.initializers.push((tensor_name(tensor)?, tensor));
            }
            11 => graph.inputs.push(port(field.span()?)?),
            12 => graph.outputs.push(port(field.span()?)?),
            15 => {
                return Err(ModelError(format!(
                    "byte {}: initializer '{}' is a sparse tensor, which is not supported; \
                     expected a dense one",
                    field.at,
                    sparse_name(field.span()?)?
                )));
            }
            _ => field.unused(unused::GRAPH, "a graph")?,
        }
    }
    Ok(graph)
}

/// The name of a `SparseTensorProto`, which is that of its values.
fn sparse_name(mut span: Span<'_>) -> Result<&str, ModelError> {
    while let Some(field) = span.field()? {
        if field.number == 1 {
            return tensor_name(field.span()?);
        }
    }
    Ok("")
}

/// Maximum number of attributes of a node; no operator has as many.
const MAX_ATTRIBUTES: usize = 64;

/// Reads a node; `names` is how many more names are allowed.
fn node<'a>(mut span: Span<'a>, names: &mut usize) -> Result<Node<'a>, ModelError> {
    let mut node = Node::default();
    while let Some(field) = span.field()? {
        if let 1 | 2 = field.number {
            *names = names.checked_sub(1).ok_or_else(|| {
                ModelError(format!(
                    "byte {}: the nodes read and write more than {MAX_NAMES} names; \
                     expected a smaller graph",
                    field.at
                ))
            })?;
        }
        match field.number {
            1 => node.inputs.push(field.text()?),
            2 => node.outputs.push(field.text()?),
            3 => node.name = field.text()?,
            4 => node.op = field.text()?,
            5 if node.attributes.len() == MAX_ATTRIBUTES => {
                return Err(ModelError(format!(
                    "byte {}: more than {MAX_ATTRIBUTES} attributes; expected fewer",
                    field.at
                )));
            }
            5 => node.attributes.push(field.span()?),
            7 => node.domain = field.text()?,
            8 => node.overload = field.text()?,
            _ => field.unused(unused::NODE, "a node")?,
        }
    }
    Ok(node)
}

fn port(mut span: Span<'_>) -> Result<Port<'_>, ModelError> {
    let mut port = Port::default();
    while let Some(field) = span.field()? {
        match field.number {
            1 => port.name = field.text()?,
            2 => {
                let mut kind = field.span()?;
                while let Some(field) = kind.field()? {
                    match field.number {
                        1 => port.tensor = Some(tensor_type(field.span()?)?),
                        4 => port.other = Some("a sequence"),
                        5 => port.other = Some("a map"),
                        7 => port.other = Some("of an opaque type"),
                        8 => port.other = Some("a sparse tensor"),
                        9 => port.other = Some("optional"),
                        _ => field.unused(unused::TYPE, "a type")?,
                    }
                }
            }
            _ => field.unused(unused::PORT, "an input or output")?,
        }
    }
    Ok(port)
}

fn tensor_type(mut span: Span<'_>) -> Result<TensorType, ModelError> {
    let mut tensor = TensorType::default();
    while let Some(field) = span.field()? {
        match field.number {
            1 => tensor.elem = field.int()?,
            2 => {
                let mut dims = Vec::new();
                let mut shape = field.span()?;
                while let Some(field) = shape.field()? {
                    match field.number {
                        1 if dims.len() <= MAX_RANK => dims.push(dimension(field.span()?)?),
                        1 => {}
                        _ => field.unused(unused::SHAPE, "a shape")?,
                    }
                }
                tensor.dims = Some(dims);
            }
            _ => field.unused(unused::TENSOR_TYPE, "a tensor's type")?,
        }
    }
    Ok(tensor)
}

fn dimension(mut span: Span<'_>) -> Result<Option<i64>, ModelError> {
    let mut dim = None;
    while let Some(field) = span.field()? {
        match field.number {
            1 => dim = Some(field.int()?),
            2 => dim = None,
            _ => field.unused(unused::DIMENSION, "a dimension")?,
        }
    }
    Ok(dim)
}

/// Reads an attribute's name.
pub fn attribute_name(mut span: Span<'_>) -> Result<&str, ModelError> {
    let mut name = "";
    while let Some(field) = span.field()? {
        if field.number == 1 {
            name = field.text()?;
        }
    }
    Ok(name)
}

/// Maximum length of a list, such as those of trees' nodes. Some entries take a byte or two of the
/// file and much more memory.
pub const MAX_ENTRIES: usize = 1 << 24;

/// Reads `AttributeProto`.
pub fn attribute(mut span: Span<'_>) -> Result<Attribute<'_>, ModelError> {
    let mut attribute = Attribute::default();
    while let Some(field) = span.field()? {
        match field.number {
            1 => attribute.name = field.text()?,
            2 => attribute.float = Some(field.float()?),
            3 => attribute.int = Some(field.int()?),
            4 => attribute.text = Some(field.span()?),
            5 => attribute.tensor = Some(field.span()?),
            7 => field.floats_into(&mut attribute.floats)?,
            8 => field.ints_into(&mut attribute.ints, MAX_ENTRIES)?,
            9 if attribute.texts.len() == MAX_ENTRIES => {
                return Err(ModelError(format!(
                    "byte {}: attribute {} has more than {MAX_ENTRIES} entries; expected fewer",
                    field.at, attribute.name
                )));
            }
            9 => attribute.texts.push(field.span()?.bytes),
            20 => attribute.kind = field.int()?,
            6 => attribute.other = Some("a graph"),
            10 => attribute.other = Some("a list of tensors"),
            11 => attribute.other = Some("a list of graphs"),
            14 | 15 => attribute.other = Some("a type"),
            21 => attribute.other = Some("a reference to an attribute of a function"),
            22 | 23 => attribute.other = Some("a sparse tensor"),
            _ => field.unused(unused::ATTRIBUTE, "an attribute")?,
        }
    }
    Ok(attribute)
}
