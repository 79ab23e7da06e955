//! Scaler, Normalizer, LinearRegressor, LinearClassifier.

use std::rc::Rc;

use super::elements::CURVE;
use super::{Lowering, Made};
use crate::models::ModelError;
use crate::models::onnx::kernels::Dense;
use crate::models::onnx::ops::{Layer, Norm, Op, Pair, Pick, Transform};
use crate::models::onnx::value::{Elem, Labels, Value};
use crate::models::parsed::Reading;

/// `(x - offset) * scale`.
pub fn scaler(node: &mut Lowering<'_, '_>) -> Made {
    let offset = node.attributes.floats("offset")?;
    let scale = node.attributes.floats("scale")?;
    let value = node.input(0)?.clone();
    let (_, columns) = value.matrix()?;
    if offset.len() != scale.len() || (scale.len() != columns && scale.len() != 1) {
        return Err(ModelError(format!(
            "{} offsets and {} scales; expected {columns} of both, or 1",
            offset.len(),
            scale.len()
        )));
    }
    let row = offset.into_iter().zip(scale).collect();
    let from = node.compiler.floats(&value)?;
    node.compiler
        .emit(Op::Scale(row), vec![from], value.shape, Elem::F32, 0)
}

/// Scales rows to norm 1.
pub fn normalizer(node: &mut Lowering<'_, '_>) -> Made {
    let norm = match node.attributes.text("norm")?.unwrap_or("MAX") {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            return Err(ModelError(format!(
                "attribute norm is {other}; expected MAX, L1 or L2"
            )));
        }
    };
    match norm {
        Norm::Max => node.compiler.doubt(format_args!(
            "Normalizer MAX divides by the largest value in onnxruntime, and by the largest \
             magnitude in scikit-learn and the standard's reference"
        )),
        // They differ if the sum is below 1e-30. Each logistic regression of several classes
        // has one, behind numbers of which that is not to be expected.
        Norm::L1 => {}
        Norm::L2 => node.compiler.doubt(format_args!(
            "Normalizer L2 makes of a row whose squares do not fit a float (1e20, 1e-30) NaN or \
             the row as it is in onnxruntime, and other numbers in the standard's reference"
        )),
    }
    let value = node.input(0)?.clone();
    let (_, columns) = value.matrix()?;
    let from = node.compiler.floats(&value)?;
    let op = Op::Normalize(norm, node.compiler.reading, columns);
    node.compiler
        .emit(op, vec![from], value.shape, Elem::F32, 0)
}

/// The `post_transform` of an operator with several scores.
pub fn transform(node: &mut Lowering<'_, '_>) -> Result<Option<Transform>, ModelError> {
    match node.attributes.text("post_transform")?.unwrap_or("NONE") {
        "NONE" => Ok(None),
        "LOGISTIC" => Ok(Some(Transform::Logistic)),
        "SOFTMAX" => Ok(Some(Transform::Softmax)),
        "SOFTMAX_ZERO" => Ok(Some(Transform::SoftmaxZero)),
        other => Err(ModelError(format!(
            "attribute post_transform is {other}; expected NONE, LOGISTIC, SOFTMAX or SOFTMAX_ZERO"
        ))),
    }
}

/// The error for a transform of a single score. The standard would apply it, but onnxruntime omits
/// it: the model's author saw one of the two.
pub fn single_score(transform: Transform) -> ModelError {
    ModelError(format!(
        "attribute post_transform is {transform:?}, and there is one score; expected NONE, \
         because runtimes disagree on what that means (put a Sigmoid behind the model)"
    ))
}

/// Adds a transform for rows of scores.
pub fn transformed(
    node: &mut Lowering<'_, '_>,
    scores: Value,
    transform: Option<Transform>,
) -> Made {
    let Some(transform) = transform else {
        return Ok(scores);
    };
    let (_, columns) = scores.matrix()?;
    let from = node.compiler.floats(&scores)?;
    let op = Op::Transform(transform, columns);
    let work = scores.len().saturating_mul(CURVE);
    node.compiler
        .emit(op, vec![from], scores.shape, Elem::F32, work)
}

/// Notes that runtimes differ for scores of 0 in a transform of linear scores.
fn zeros(node: &mut Lowering<'_, '_>, transform: Option<Transform>) {
    if transform == Some(Transform::SoftmaxZero) {
        node.compiler.doubt(format_args!(
            "SOFTMAX_ZERO of scores that are 0 is NaN in onnxruntime, and 0 or an equal share in \
             the standard's reference"
        ));
    }
}

/// Scores from weights and intercepts, for each of `targets`.
fn linear(
    node: &mut Lowering<'_, '_>,
    value: &Value,
    targets: usize,
    coefficients: &[f32],
    intercepts: &[f32],
) -> Made {
    let (rows, columns) = value.matrix()?;
    if targets.checked_mul(columns) != Some(coefficients.len()) {
        return Err(ModelError(format!(
            "{} coefficients for {targets} targets and {columns} values; expected one for each pair",
            coefficients.len()
        )));
    }
    if !intercepts.is_empty() && intercepts.len() != targets {
        return Err(ModelError(format!(
            "{} intercepts for {targets} targets; expected as many",
            intercepts.len()
        )));
    }
    node.compiler.count(
        coefficients.len().saturating_mul(8),
        rows.saturating_mul(coefficients.len()),
    )?;
    let mut dense = Dense::new(columns, targets, |input, output| {
        coefficients[output * columns + input]
    });
    if !intercepts.is_empty() {
        dense.set_bias(intercepts);
    }
    let from = node.compiler.floats(value)?;
    let op = Op::Dense(Box::new(Layer::new(dense, rows)));
    node.compiler
        .emit(op, vec![from], vec![rows, targets], Elem::F32, 0)
}

/// A weighted sum for each target.
pub fn linear_regressor(node: &mut Lowering<'_, '_>) -> Made {
    let targets = node.attributes.int("targets")?.unwrap_or(1);
    let coefficients = node.attributes.floats("coefficients")?;
    let intercepts = node.attributes.floats("intercepts")?;
    let transform = transform(node)?;
    let targets = usize::try_from(targets).ok().filter(|&targets| targets > 0);
    let targets = targets.ok_or_else(|| ModelError::new("attribute targets is not positive"))?;
    if let Some(transform) = transform.filter(|_| targets == 1) {
        return Err(single_score(transform));
    }
    if intercepts.is_empty() {
        node.compiler.doubt(format_args!(
            "LinearRegressor without intercepts has intercepts of 0 in onnxruntime, and is NaN in \
             the standard's reference"
        ));
    }
    zeros(node, transform);
    if transform.is_some() {
        node.compiler.doubt(format_args!(
            "post_transform of LinearRegressor is something that the standard's reference does not \
             compute, so nothing says whether runtimes agree on it"
        ));
    }
    let value = node.input(0)?.clone();
    let scores = linear(node, &value, targets, &coefficients, &intercepts)?;
    transformed(node, scores, transform)
}

/// The labels of a classifier.
pub fn labels(
    node: &mut Lowering<'_, '_>,
    ints: &str,
    texts: &str,
) -> Result<Rc<Labels>, ModelError> {
    let numbers = node.attributes.ints(ints)?;
    let strings = node.attributes.texts(texts)?;
    match (numbers.is_empty(), strings.is_empty()) {
        (false, true) => {
            if let Some(label) = numbers.iter().find(|label| label.unsigned_abs() > 1 << 53) {
                return Err(ModelError(format!(
                    "label {label} is too large to be sent as a double"
                )));
            }
            let numbers = numbers.iter().map(|&label| label as f64).collect();
            Ok(Rc::new(Labels::Numbers(numbers)))
        }
        (true, false) => Ok(Rc::new(Labels::Texts(strings.len()))),
        _ => Err(ModelError(format!(
            "expected one of the attributes {ints} and {texts}"
        ))),
    }
}

/// The label that the scores select.
pub fn pick(node: &mut Lowering<'_, '_>, scores: &Value, pick: Pick, labels: Rc<Labels>) -> Made {
    let from = node.compiler.floats(scores)?;
    let elem = Elem::Label(labels);
    node.compiler
        .emit(Op::Pick(pick), vec![from], vec![1], elem, 0)
}

/// The scores of two classes, computed from one score.
pub fn pair(node: &mut Lowering<'_, '_>, score: &Value, pair: Pair) -> Made {
    let from = node.compiler.floats(score)?;
    node.compiler
        .emit(Op::Pair(pair), vec![from], vec![1, 2], Elem::F32, 0)
}

/// Label and scores from weighted sums.
pub fn linear_classifier(node: &mut Lowering<'_, '_>) -> Result<[Option<Value>; 2], ModelError> {
    let coefficients = node.attributes.floats("coefficients")?;
    let intercepts = node.attributes.floats("intercepts")?;
    let labels = labels(node, "classlabels_ints", "classlabels_strings")?;
    let transform = transform(node)?;
    // It says how the model was trained, and does not affect the sums.
    let multi_class = node.attributes.int("multi_class")?.unwrap_or(0);
    let value = node.input(0)?.clone();
    value.row()?;
    let targets = intercepts.len();
    let fits = targets == labels.len() || (targets == 1 && labels.len() == 2);
    if !fits || labels.len() < 2 || !(0..=1).contains(&multi_class) {
        return Err(ModelError(format!(
            "{targets} intercepts, {} labels, multi_class {multi_class}; expected an intercept \
             for each of at least two labels, or one for two, and 0 or 1",
            labels.len()
        )));
    }
    let scores = linear(node, &value, targets, &coefficients, &intercepts)?;
    let chosen = match targets {
        1 => Pick::Above {
            index: 0,
            bound: 0.0,
        },
        classes => Pick::Largest { classes },
    };
    let label = match node.wants(0) {
        true => Some(pick(node, &scores, chosen, labels)?),
        false => None,
    };
    let scores = match (node.wants(1), targets, transform) {
        (false, _, _) => None,
        (true, 1, None) => {
            node.compiler.doubt(format_args!(
                "from one score x of two classes onnxruntime makes 1 - x and x, and the \
                 standard's reference -x and x"
            ));
            let kind = match node.compiler.reading {
                Reading::Runtime => Pair::Rest,
                Reading::Reference => Pair::Opposite,
            };
            Some(pair(node, &scores, kind)?)
        }
        (true, 1, Some(Transform::Logistic)) => Some(pair(node, &scores, Pair::Logistic)?),
        (true, 1, Some(other)) => return Err(single_score(other)),
        (true, _, _) => {
            zeros(node, transform);
            Some(transformed(node, scores, transform)?)
        }
    };
    Ok([label, scores])
}
