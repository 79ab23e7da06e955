//! The ONNX messages that models need, over the [wire format](super::wire).
//!
//! Names borrow from the file. What can be large, tensors and attributes, stays
//! a span until a node that is needed asks for it.
//!
//! Source of the field numbers: `onnx.proto` of <https://github.com/onnx/onnx>.

use super::value::MAX_RANK;
use super::wire::{Span, packed};
use crate::models::ModelError;

/// `ModelProto`.
#[derive(Debug, Default)]
pub struct Model<'a> {
    /// Pairs of domain and version.
    pub opsets: Vec<(&'a str, i64)>,
    pub graph: Graph<'a>,
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
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Span<'a>>,
}

/// `ValueInfoProto` of an input or output of the graph.
#[derive(Clone, Debug, Default)]
pub struct Port<'a> {
    pub name: &'a str,
    /// `None` if it is not a tensor.
    pub tensor: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, Debug, Default)]
pub struct TensorType {
    pub elem: i64,
    /// `None` for a dimension that is open; the whole is `None` if the rank is.
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
    /// It has a graph, a sparse tensor, a type, or refers to a function's.
    pub other: bool,
}

/// `TensorProto`, its numbers decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub numbers: Numbers,
}

/// What a constant tensor holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// `int32` or `int64`.
    Int(Vec<i64>),
}

/// Whether these bytes look like an ONNX model: a message whose first field is
/// `ir_version`, as every exporter writes it, or one that has it and a graph.
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
            _ => {}
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
        Some(_) => {}
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
            _ => {}
        }
    }
    Ok((domain, version))
}

/// Most nodes, stored tensors, inputs and outputs of a graph: an empty message is
/// two bytes of the file, but not of memory.
const MAX_ITEMS: usize = 1 << 17;

/// Most names that a graph's nodes read and write.
const MAX_NAMES: usize = 1 << 18;

fn graph(mut span: Span<'_>) -> Result<Graph<'_>, ModelError> {
    let mut graph = Graph::default();
    let (mut items, mut names) = (0, MAX_NAMES);
    while let Some(field) = span.field()? {
        items += 1;
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
                    "byte {}: a sparse initializer; expected dense ones",
                    field.at
                )));
            }
            _ => {}
        }
    }
    Ok(graph)
}

/// Most attributes of a node: no operator has as many.
const MAX_ATTRIBUTES: usize = 64;

/// Reads a node, of whose names so many may be left.
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
            _ => {}
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
                    if field.number == 1 {
                        port.tensor = Some(tensor_type(field.span()?)?);
                    }
                }
            }
            _ => {}
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
                    if field.number == 1 && dims.len() <= MAX_RANK {
                        dims.push(dimension(field.span()?)?);
                    }
                }
                tensor.dims = Some(dims);
            }
            _ => {}
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
            _ => {}
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

/// Most entries of a list, of trees' nodes above all. Some take a byte or two of
/// the file and many more of memory.
const MAX_ENTRIES: usize = 1 << 24;

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
            6 | 10 | 11 | 14 | 15 | 21 | 22 | 23 => attribute.other = true,
            _ => {}
        }
    }
    Ok(attribute)
}

fn tensor_name(mut span: Span<'_>) -> Result<&str, ModelError> {
    let mut name = "";
    while let Some(field) = span.field()? {
        if field.number == 8 {
            name = field.text()?;
        }
    }
    Ok(name)
}

/// ONNX's name of an element type.
pub fn elem_name(elem: i64) -> String {
    let names = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    usize::try_from(elem)
        .ok()
        .and_then(|index| names.get(index))
        .map_or_else(|| format!("element type {elem}"), ToString::to_string)
}

/// Reads `TensorProto`. Takes memory for the numbers that are there, whatever
/// the dimensions say.
pub fn tensor(mut span: Span<'_>) -> Result<Tensor, ModelError> {
    let at = span.at;
    let (mut name, mut elem, mut raw, mut external) = ("", 0, None, false);
    let (mut dims, mut ints) = (Vec::new(), Vec::new());
    let (mut floats, mut doubles) = (Vec::new(), Vec::new());
    while let Some(field) = span.field()? {
        match field.number {
            1 => field.ints_into(&mut dims, MAX_RANK)?,
            2 => elem = field.int()?,
            4 => field.floats_into(&mut floats)?,
            5 | 7 => field.ints_into(&mut ints, MAX_ENTRIES)?,
            8 => name = field.text()?,
            9 => raw = Some(field.span()?),
            10 => field.doubles_into(&mut doubles)?,
            13 => external = true,
            14 => external |= field.int()? != 0,
            _ => {}
        }
    }
    if external {
        return Err(ModelError(format!(
            "tensor '{name}': its numbers are in another file; \
             expected them inside (save the model without external data)"
        )));
    }
    let numbers = match (elem, raw) {
        (1, None) => Numbers::F32(floats),
        (1, Some(raw)) => Numbers::F32(packed(raw, f32::from_le_bytes)?.collect()),
        (11, None) => Numbers::F64(doubles),
        (11, Some(raw)) => Numbers::F64(packed(raw, f64::from_le_bytes)?.collect()),
        (6 | 7, None) => Numbers::Int(ints),
        (6, Some(raw)) => Numbers::Int(packed(raw, i32::from_le_bytes)?.map(i64::from).collect()),
        (7, Some(raw)) => Numbers::Int(packed(raw, i64::from_le_bytes)?.collect()),
        _ => {
            return Err(ModelError(format!(
                "byte {at}: tensor '{name}' has {}; expected float, double, int32 or int64",
                elem_name(elem)
            )));
        }
    };
    let len = match &numbers {
        Numbers::F32(numbers) => numbers.len(),
        Numbers::F64(numbers) => numbers.len(),
        Numbers::Int(numbers) => numbers.len(),
    };
    let sizes: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let product = |sizes: &[usize]| {
        sizes
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
    };
    match sizes {
        Some(sizes) if product(&sizes) == Some(len) => Ok(Tensor {
            dims: sizes,
            numbers,
        }),
        _ => Err(ModelError(format!(
            "byte {at}: tensor '{name}' has dimensions {dims:?} and {len} numbers; \
             expected as many numbers as the dimensions say"
        ))),
    }
}
