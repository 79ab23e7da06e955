//! What a name in the graph refers to during compilation.

use std::rc::Rc;

use super::tensor::{Numbers, Tensor};
use crate::models::ModelError;

/// Maximum number of dimensions of a tensor.
pub const MAX_RANK: usize = 8;

/// A tensor, known at compile time or only at run time.
#[derive(Clone, Debug)]
pub struct Value {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// Where the numbers are.
#[derive(Clone, Debug)]
pub enum Data {
    Const(Rc<Numbers>),
    /// In a buffer, as `f32`.
    Slot(usize, Elem),
}

/// What the numbers of a buffer mean in the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Elem {
    F32,
    /// A `double` input, actually rounded to `f32`: only a Cast to float may read it.
    F64,
    /// A float or integer that a Cast converted to `double`, which preserves its value.
    Wide,
    /// An integer that was converted from a float.
    Int,
    /// An index into a classifier's labels.
    Label(Rc<Labels>),
}

/// The labels of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    Numbers(Box<[f64]>),
    /// This many texts, represented by their indices.
    Texts(usize),
}

impl Labels {
    /// Number of labels.
    pub fn len(&self) -> usize {
        match self {
            Labels::Numbers(numbers) => numbers.len(),
            Labels::Texts(count) => *count,
        }
    }
}

impl Elem {
    /// ONNX's name of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Elem::F32 => "float",
            Elem::F64 | Elem::Wide => "double",
            Elem::Int => "integer",
            Elem::Label(_) => "label",
        }
    }
}

impl Value {
    /// A constant.
    pub fn constant(tensor: Tensor) -> Result<Self, ModelError> {
        check(&tensor.dims)?;
        Ok(Self {
            shape: tensor.dims,
            data: Data::Const(Rc::new(tensor.numbers)),
        })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The same numbers in another shape.
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Self, ModelError> {
        check(&shape)?;
        if size(&shape) != Some(self.len()) {
            return Err(ModelError(format!(
                "shape {shape:?} for the {} values of shape {:?}",
                self.len(),
                self.shape
            )));
        }
        Ok(Self {
            shape,
            data: self.data.clone(),
        })
    }

    /// The floats of a constant.
    pub fn const_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Const(numbers) => match numbers.as_ref() {
                Numbers::F32(floats) => Some(floats),
                _ => None,
            },
            Data::Slot(..) => None,
        }
    }

    /// ONNX's name of the element type.
    pub fn elem_name(&self) -> &'static str {
        match &self.data {
            Data::Slot(_, elem) => elem.name(),
            Data::Const(numbers) => match numbers.as_ref() {
                Numbers::F32(_) => "float",
                Numbers::F64(_) => "double",
                Numbers::Int(_) => "integer",
            },
        }
    }

    /// Rows and columns of a matrix; a vector is one row.
    pub fn matrix(&self) -> Result<(usize, usize), ModelError> {
        match self.shape[..] {
            [columns] => Ok((1, columns)),
            [rows, columns] => Ok((rows, columns)),
            _ => Err(ModelError(format!(
                "its input has shape {:?}; expected rows and columns",
                self.shape
            ))),
        }
    }

    /// Number of columns of a matrix with one row.
    pub fn row(&self) -> Result<usize, ModelError> {
        match self.matrix()? {
            (1, columns) => Ok(columns),
            (rows, _) => Err(ModelError(format!(
                "its input has {rows} rows; expected 1 for each sample"
            ))),
        }
    }
}

/// Refuses too many dimensions, and a dimension of 0 except in an empty list, such as the shape of
/// a scalar: the other dimensions could be anything.
fn check(shape: &[usize]) -> Result<(), ModelError> {
    if shape.len() > MAX_RANK {
        return Err(ModelError(format!(
            "a tensor of {} dimensions; expected at most {MAX_RANK}",
            shape.len()
        )));
    }
    if shape.len() > 1 && shape.contains(&0) {
        return Err(ModelError(format!(
            "a tensor of shape {shape:?} is without values; expected some"
        )));
    }
    Ok(())
}

/// Number of elements of a shape, unless it overflows.
pub fn size(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))
}

/// The shape that two shapes broadcast to, as in NumPy.
pub fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, ModelError> {
    let rank = left.len().max(right.len());
    let dim = |shape: &[usize], index: usize| {
        (index + shape.len())
            .checked_sub(rank)
            .map_or(1, |index| shape[index])
    };
    (0..rank)
        .map(|index| match (dim(left, index), dim(right, index)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(ModelError(format!(
                "shapes {left:?} and {right:?} do not broadcast"
            ))),
        })
        .collect()
}

/// The source index for each number of the broadcast shape.
pub fn spread(from: &[usize], to: &[usize]) -> impl Iterator<Item = usize> {
    let pad = to.len() - from.len();
    let mut strides = vec![0; to.len()];
    let mut stride = 1;
    for (index, &dim) in from.iter().enumerate().rev() {
        strides[pad + index] = if dim == 1 { 0 } else { stride };
        stride *= dim;
    }
    let to = to.to_vec();
    (0..to.iter().product()).map(move |mut index: usize| {
        let mut source = 0;
        for (&dim, stride) in to.iter().zip(&strides).rev() {
            source += index % dim * stride;
            index /= dim;
        }
        source
    })
}
