//! Tensors that a model stores: `TensorProto`.

use super::external::{External, Place};
use super::proto::MAX_ENTRIES;
use super::value::MAX_RANK;
use super::wire::{Span, packed};
use crate::models::{ModelError, room};

/// Fields that are not read: texts and `uint64`, whose types are refused, documentation, metadata.
const UNUSED: &[u32] = &[6, 11, 12, 16];

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

/// Reads a tensor's name.
pub fn tensor_name(mut span: Span<'_>) -> Result<&str, ModelError> {
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

/// Reads `TensorProto`, and takes its numbers from `external` if they are not in the message.
/// Allocates for the numbers that exist, whatever the dimensions claim.
pub fn tensor<'a>(mut span: Span<'a>, external: &'a External) -> Result<Tensor, ModelError> {
    let at = span.at;
    // It comes behind what errors are about.
    let name = tensor_name(span)?;
    let (mut elem, mut raw) = (0, None);
    let (mut place, mut elsewhere) = (Place::default(), 0);
    let (mut dims, mut ints) = (Vec::new(), Vec::new());
    let (mut floats, mut doubles) = (Vec::new(), Vec::new());
    while let Some(field) = span.field()? {
        match field.number {
            1 => field.ints_into(&mut dims, MAX_RANK)?,
            2 => elem = field.int()?,
            4 => field.floats_into(&mut floats)?,
            5 | 7 => field.ints_into(&mut ints, MAX_ENTRIES)?,
            8 => {}
            9 => raw = Some(field.span()?),
            10 => field.doubles_into(&mut doubles)?,
            13 => place.entry(field.span()?)?,
            14 => elsewhere = field.int()?,
            3 => {
                return Err(ModelError(format!(
                    "byte {at}: tensor '{name}' is a segment of a larger one; expected a whole one"
                )));
            }
            _ => field.unused(UNUSED, "a tensor")?,
        }
    }
    match elsewhere {
        0 => {}
        1 => {
            let bytes = external.bytes(name, &place)?;
            // Several tensors may share one place in a file; an `int32` becomes eight bytes.
            room::for_numbers(bytes.len().saturating_mul(2))?;
            raw = Some(Span { bytes, at });
        }
        other => {
            return Err(ModelError(format!(
                "byte {at}: tensor '{name}' has data_location {other}; expected 0 or 1"
            )));
        }
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
