//! Operators that only rename, copy or make constants.

use super::{Lowering, Made};
use crate::models::ModelError;
use crate::models::onnx::ops::Op;
use crate::models::onnx::tensor::{Numbers, Tensor};
use crate::models::onnx::value::{Data, Elem, Value};

/// The same value.
pub fn identity(node: &mut Lowering<'_, '_>) -> Made {
    node.input(0).cloned()
}

/// The same numbers in another shape; -1 is the remaining dimension, 0 keeps the old one.
pub fn reshape(node: &mut Lowering<'_, '_>) -> Made {
    let allow_zero = node.attributes.int("allowzero")?.unwrap_or(0) != 0;
    let (value, target) = (node.input(0)?, node.input(1)?);
    let Data::Const(numbers) = &target.data else {
        return Err(ModelError::new(
            "the shape is known at run time only; expected a constant",
        ));
    };
    let Numbers::Int(dims) = numbers.as_ref() else {
        return Err(ModelError::new("the shape is not of integers"));
    };
    let refuse = || {
        ModelError(format!(
            "shape {dims:?} for the {} values of shape {:?}",
            value.len(),
            value.shape
        ))
    };
    let mut shape = Vec::new();
    let mut open = None;
    for (index, &dim) in dims.iter().enumerate() {
        shape.push(match dim {
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            0 if !allow_zero => *value.shape.get(index).ok_or_else(refuse)?,
            dim => usize::try_from(dim).map_err(|_| refuse())?,
        });
    }
    if let Some(open) = open {
        let known = crate::models::onnx::value::size(&shape).filter(|&known| known != 0);
        let known = known.ok_or_else(refuse)?;
        if value.len() % known != 0 {
            return Err(refuse());
        }
        shape[open] = value.len() / known;
    }
    value.reshaped(shape)
}

/// Reshapes to a matrix; the dimensions before `axis` become its rows.
pub fn flatten(node: &mut Lowering<'_, '_>) -> Made {
    let axis = node.attributes.int("axis")?.unwrap_or(1);
    let value = node.input(0)?;
    let rank = value.shape.len();
    let axis = match axis {
        axis if axis == rank as i64 => rank,
        axis => node.axis(axis, rank)?,
    };
    let (rows, columns) = value.shape.split_at(axis);
    value.reshaped(vec![rows.iter().product(), columns.iter().product()])
}

/// Joins tensors along `axis`.
pub fn concat(node: &mut Lowering<'_, '_>) -> Made {
    let axis = node.attributes.int("axis")?;
    let axis = axis.ok_or_else(|| ModelError::new("attribute axis is missing"))?;
    let mut shape = node.input(0)?.shape.clone();
    let axis = node.axis(axis, shape.len())?;
    shape[axis] = 0;
    let (mut from, mut parts) = (Vec::new(), Vec::new());
    for index in 0..node.from.len() {
        let value = node.input(index)?.clone();
        let fits = value.shape.len() == shape.len()
            && (0..shape.len()).all(|dim| dim == axis || value.shape[dim] == shape[dim]);
        if !fits {
            return Err(ModelError(format!(
                "input {index} has shape {:?}; expected {shape:?} but for dimension {axis}",
                value.shape
            )));
        }
        shape[axis] += value.shape[axis];
        parts.push(value.shape[axis..].iter().product());
        from.push(node.compiler.floats(&value)?);
    }
    let op = Op::Concat(parts.into());
    node.compiler.emit(op, from, shape, Elem::F32, 0)
}

/// The value of its one attribute.
pub fn constant(node: &mut Lowering<'_, '_>) -> Made {
    let attributes = &mut node.attributes;
    let tensor = |dims, numbers| Value::constant(Tensor { dims, numbers });
    if let Some(value) = attributes.tensor("value")? {
        node.compiler.count(value.dims.iter().product(), 0)?;
        return Value::constant(value);
    }
    if let Some(value) = attributes.float("value_float")? {
        return tensor(vec![], Numbers::F32(vec![value]));
    }
    if let Some(value) = attributes.int("value_int")? {
        return tensor(vec![], Numbers::Int(vec![value]));
    }
    if attributes.has("value_floats") {
        let values = attributes.floats("value_floats")?;
        return tensor(vec![values.len()], Numbers::F32(values));
    }
    if attributes.has("value_ints") {
        let values = attributes.ints("value_ints")?;
        return tensor(vec![values.len()], Numbers::Int(values));
    }
    for (name, what) in [
        ("sparse_value", "a sparse tensor"),
        ("value_string", "text"),
        ("value_strings", "a list of texts"),
    ] {
        if attributes.has(name) {
            return Err(ModelError(format!(
                "attribute {name} is {what}, which is not supported; expected numbers, in a dense \
                 tensor or a list (value, value_float, value_floats, value_int or value_ints)"
            )));
        }
    }
    Err(ModelError::new(
        "no value; expected value, value_float, value_floats, value_int or value_ints",
    ))
}
