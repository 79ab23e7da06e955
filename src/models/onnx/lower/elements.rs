//! Element-wise operators, Softmax and Cast.

use super::{Lowering, Made, flattens};
use crate::models::ModelError;
use crate::models::onnx::kernels::Activation;
use crate::models::onnx::ops::{Arithmetic, Op, Reach};
use crate::models::onnx::tensor::{Numbers, Tensor, elem_name};
use crate::models::onnx::value::{Data, Elem, Labels, Value, broadcast, size, spread};
use crate::models::parsed::Reading;

/// An exponential takes about as long as this many multiplications.
pub const CURVE: usize = 8;

/// Add, Sub, Mul, Div.
pub fn binary(node: &mut Lowering<'_, '_>, arithmetic: Arithmetic) -> Made {
    let (left, right) = (node.input(0)?.clone(), node.input(1)?.clone());
    combine(node, arithmetic, &left, &right)
}

/// The same for any two values.
pub fn combine(
    node: &mut Lowering<'_, '_>,
    arithmetic: Arithmetic,
    left: &Value,
    right: &Value,
) -> Made {
    let shape = broadcast(&left.shape, &right.shape)?;
    let len = size(&shape).unwrap_or(usize::MAX);
    let mut operand = |value: &Value| -> Result<(usize, Reach), ModelError> {
        if value.len() == len {
            return Ok((node.compiler.floats(value)?, Reach::Each));
        }
        node.compiler.count(len, len)?;
        // A constant is broadcast here rather than in every run.
        if let Some(floats) = value.const_floats() {
            let numbers = spread(&value.shape, &shape).map(|from| floats[from]);
            let spread = Value::constant(Tensor {
                numbers: Numbers::F32(numbers.collect()),
                dims: shape.clone(),
            })?;
            return Ok((node.compiler.floats(&spread)?, Reach::Each));
        }
        let slot = node.compiler.floats(value)?;
        if value.len() == 1 {
            return Ok((slot, Reach::One));
        }
        let from = spread(&value.shape, &shape).map(|from| from as u32);
        Ok((slot, Reach::At(from.collect())))
    };
    let (left, left_reach) = operand(left)?;
    let (right, right_reach) = operand(right)?;
    let op = Op::Binary(arithmetic, left_reach, right_reach);
    node.compiler
        .emit(op, vec![left, right], shape, Elem::F32, 0)
}

/// Relu, Tanh, Sigmoid.
pub fn activation(node: &mut Lowering<'_, '_>, activation: Activation) -> Made {
    let shape = node.input(0)?.shape.clone();
    let from = node.compiler.floats(&node.input(0)?.clone())?;
    let op = Op::Activate(activation);
    node.compiler.emit(op, vec![from], shape, Elem::F32, 0)
}

/// `alpha x` below 0.
pub fn leaky_relu(node: &mut Lowering<'_, '_>) -> Made {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.01);
    activation(node, Activation::LeakyRelu(alpha))
}

/// Before opset 13 over all dimensions from `axis` on, since then over `axis` only. The standard's
/// reference does the latter in all opsets.
pub fn softmax(node: &mut Lowering<'_, '_>) -> Made {
    let value = node.input(0)?.clone();
    let shape = value.shape.clone();
    let old = node.opset < 13;
    let axis = node.attributes.int("axis")?;
    let axis = node.axis(axis.unwrap_or(if old { 1 } else { -1 }), shape.len())?;
    let outer = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    if old && inner > 1 {
        node.compiler.doubt(format_args!("{}", flattens("Softmax")));
    }
    let dims = match old && node.compiler.reading == Reading::Runtime {
        true => [outer, shape[axis] * inner, 1],
        false => [outer, shape[axis], inner],
    };
    let from = node.compiler.floats(&value)?;
    let work = value.len().saturating_mul(CURVE);
    node.compiler
        .emit(Op::Softmax(dims), vec![from], shape, Elem::F32, work)
}

/// Converts to another element type.
pub fn cast(node: &mut Lowering<'_, '_>) -> Made {
    let to = node.attributes.int("to")?;
    // Both concern 8-bit types, which are refused.
    node.attributes.ignore("saturate");
    node.attributes.ignore("round_mode");
    let value = node.input(0)?.clone();
    let (to, least) = match to {
        Some(1) => (Elem::F32, 0.0),
        Some(11) => (Elem::Wide, 0.0),
        Some(6) => (Elem::Int, -(2f32.powi(31))),
        Some(7) => (Elem::Int, -(2f32.powi(63))),
        other => {
            return Err(ModelError(format!(
                "attribute to is {}; expected float, double, int32 or int64",
                other.map_or("missing".to_owned(), elem_name)
            )));
        }
    };
    let (slot, elem) = match &value.data {
        Data::Const(numbers) => return constant(&value, numbers, &to, least),
        Data::Slot(slot, elem) => (*slot, elem),
    };
    let op = match (elem, &to) {
        (Elem::Label(labels), _) => match (labels.as_ref(), &to) {
            (Labels::Numbers(numbers), Elem::F32) => {
                Op::Lookup(numbers.iter().map(|&label| label as f32).collect())
            }
            (Labels::Numbers(numbers), Elem::Int) => {
                integers(numbers.iter().copied(), least)?;
                return Ok(value.clone());
            }
            (Labels::Numbers(_), _) => {
                return Err(ModelError::new(
                    "it casts labels to double; expected float, int32 or int64 (attribute to)",
                ));
            }
            (Labels::Texts(_), _) => {
                return Err(ModelError::new(
                    "it casts labels that are text to numbers; expected labels that are whole numbers: \
                     train with these, or leave out the output that needs the cast (key outputs)",
                ));
            }
        },
        (Elem::F32, Elem::Int) => Op::Truncate { least },
        // A factor that was rounded to `f32` might truncate to a different integer, and an `int64`
        // that does not fit `int32` wraps.
        (Elem::F64 | Elem::Wide | Elem::Int, Elem::Int) => {
            return Err(ModelError(format!(
                "it casts {} to integer; expected a cast of float (attribute to 1 of a Cast before it)",
                elem.name()
            )));
        }
        // Still an `f32` that was rounded too early, so it stays `F64`.
        (Elem::F64, Elem::Wide) => return Ok(value.clone()),
        (Elem::F32 | Elem::F64 | Elem::Wide | Elem::Int, _) => {
            return Ok(Value {
                shape: value.shape.clone(),
                data: Data::Slot(slot, to),
            });
        }
    };
    let shape = value.shape.clone();
    node.compiler.emit(op, vec![slot], shape, to, 0)
}

/// Truncates towards 0; the integers start at `least`, and `-least` is the first too large one.
fn integers(from: impl Iterator<Item = f64>, least: f32) -> Result<Vec<i64>, ModelError> {
    let least = f64::from(least);
    from.map(|x| match x >= least && x < -least {
        true => Ok(x as i64),
        false => Err(ModelError(format!(
            "{x} does not fit into the integer type"
        ))),
    })
    .collect()
}

fn constant(value: &Value, numbers: &Numbers, to: &Elem, least: f32) -> Made {
    let numbers = match (numbers, to) {
        (Numbers::F32(from), Elem::F32) => Numbers::F32(from.clone()),
        (Numbers::F64(from), Elem::F32) => Numbers::F32(from.iter().map(|&x| x as f32).collect()),
        (Numbers::Int(from), Elem::F32) => Numbers::F32(from.iter().map(|&x| x as f32).collect()),
        (Numbers::F32(from), Elem::Wide) => Numbers::F64(from.iter().map(|&x| x.into()).collect()),
        (Numbers::F64(from), Elem::Wide) => Numbers::F64(from.clone()),
        (Numbers::Int(from), Elem::Wide) => Numbers::F64(from.iter().map(|&x| x as f64).collect()),
        (Numbers::F32(from), _) => Numbers::Int(integers(from.iter().map(|&x| x.into()), least)?),
        (Numbers::F64(from), _) => Numbers::Int(integers(from.iter().copied(), least)?),
        (Numbers::Int(from), _) => {
            integers(from.iter().map(|&x| x as f64), least)?;
            Numbers::Int(from.clone())
        }
    };
    Value::constant(Tensor {
        dims: value.shape.clone(),
        numbers,
    })
}
