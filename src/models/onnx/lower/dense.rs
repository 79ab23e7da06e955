//! Gemm, MatMul.

use super::{Lowering, Made, elements};
use crate::models::ModelError;
use crate::models::onnx::kernels::Dense;
use crate::models::onnx::ops::{Arithmetic, Layer, Op, Product};
use crate::models::onnx::tensor::{Numbers, Tensor};
use crate::models::onnx::value::{Elem, Value, broadcast};

/// `alpha A B + beta C`, with A and B transposed if requested.
pub fn gemm(node: &mut Lowering<'_, '_>) -> Made {
    let alpha = node.attributes.float("alpha")?.unwrap_or(1.0);
    let beta = node.attributes.float("beta")?.unwrap_or(1.0);
    let mut flag = |name| match node.attributes.int(name)?.unwrap_or(0) {
        value @ (0 | 1) => Ok(value == 1),
        value => Err(ModelError(format!(
            "attribute {name} is {value}; expected 0 or 1"
        ))),
    };
    let (turn_left, turn_right) = (flag("transA")?, flag("transB")?);
    let (left, right) = (node.input(0)?.clone(), node.input(1)?.clone());
    let left = Matrix::new(&left, turn_left)?;
    let right = Matrix::new(&right, turn_right)?;
    let shape = vec![left.rows, right.columns];
    let product = multiply(node, left, right, alpha, shape)?;
    let Some(added) = node.optional(2).cloned() else {
        return Ok(product);
    };
    if !broadcast(&product.shape, &added.shape).is_ok_and(|shape| shape == product.shape) {
        return Err(ModelError(format!(
            "input C has shape {:?}, which does not broadcast to {:?}",
            added.shape, product.shape
        )));
    }
    // C is then ignored, even its NaN.
    if beta == 0.0 {
        return Ok(product);
    }
    let added = match added.const_floats() {
        Some(floats) if beta != 1.0 => Value::constant(Tensor {
            dims: added.shape.clone(),
            numbers: Numbers::F32(floats.iter().map(|x| beta * x).collect()),
        })?,
        None if beta != 1.0 => {
            return Err(ModelError(format!(
                "attribute beta is {beta}, and input C is no constant; expected 1"
            )));
        }
        _ => added,
    };
    elements::combine(node, Arithmetic::Add, &product, &added)
}

/// NumPy's `matmul`, for matrices and vectors; the left operand may be a stack of matrices.
pub fn matmul(node: &mut Lowering<'_, '_>) -> Made {
    let (left, right) = (node.input(0)?.clone(), node.input(1)?.clone());
    let refuse = || {
        ModelError(format!(
            "shapes {:?} and {:?}; expected matrices that fit",
            left.shape, right.shape
        ))
    };
    let (stack, left_matrix) = match left.shape[..] {
        [] => return Err(refuse()),
        [columns] => (vec![], left.reshaped(vec![1, columns])?),
        [ref stack @ .., columns] => {
            let rows = stack.iter().product();
            (stack.to_vec(), left.reshaped(vec![rows, columns])?)
        }
    };
    let (end, right_matrix) = match right.shape[..] {
        [rows] => (vec![], right.reshaped(vec![rows, 1])?),
        [_, columns] => (vec![columns], right.clone()),
        _ => return Err(refuse()),
    };
    let left = Matrix::new(&left_matrix, false)?;
    let right = Matrix::new(&right_matrix, false)?;
    if left.columns != right.rows {
        return Err(refuse());
    }
    let shape = [stack, end].concat();
    multiply(node, left, right, 1.0, shape)
}

/// A matrix as the operation sees it, and the strides of its dimensions.
struct Matrix<'v> {
    value: &'v Value,
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'v> Matrix<'v> {
    fn new(value: &'v Value, turn: bool) -> Result<Self, ModelError> {
        let [rows, columns] = value.shape[..] else {
            return Err(ModelError(format!(
                "a matrix of shape {:?}; expected two dimensions",
                value.shape
            )));
        };
        Ok(match turn {
            false => Self {
                value,
                rows,
                columns,
                strides: [columns, 1],
            },
            true => Self {
                value,
                rows: columns,
                columns: rows,
                strides: [1, columns],
            },
        })
    }

    /// Whether its rows are contiguous and in order.
    fn plain(&self) -> bool {
        self.strides == [self.columns, 1] || self.rows == 1 || self.columns == 1
    }
}

fn multiply(
    node: &mut Lowering<'_, '_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    alpha: f32,
    shape: Vec<usize>,
) -> Made {
    if left.columns != right.rows {
        return Err(ModelError(format!(
            "a matrix of {} columns times one of {} rows",
            left.columns, right.rows
        )));
    }
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    if rows == 0 || inner == 0 || columns == 0 {
        return Err(ModelError::new("a matrix without values"));
    }
    let work = rows.saturating_mul(inner).saturating_mul(columns);
    node.compiler.count(0, work)?;
    if let Some(weights) = right.value.const_floats()
        && left.plain()
        && left.value.const_floats().is_none()
    {
        let from = node.compiler.floats(left.value)?;
        // Padding to whole blocks costs memory.
        node.compiler
            .count(inner.saturating_mul(columns.next_multiple_of(8)), 0)?;
        let [down, across] = right.strides;
        let dense = Dense::new(inner, columns, |input, output| {
            alpha * weights[input * down + output * across]
        });
        let op = Op::Dense(Box::new(Layer::new(dense, rows)));
        return node.compiler.emit(op, vec![from], shape, Elem::F32, 0);
    }
    let op = Op::Product(Product {
        rows,
        inner,
        columns,
        left: left.strides,
        right: right.strides,
        alpha,
    });
    let from = vec![
        node.compiler.floats(left.value)?,
        node.compiler.floats(right.value)?,
    ];
    node.compiler.emit(op, from, shape, Elem::F32, 0)
}
