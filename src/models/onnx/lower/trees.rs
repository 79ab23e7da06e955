//! TreeEnsembleRegressor, TreeEnsembleClassifier.

use super::classical::{labels, pair, pick, single_score, transform, transformed};
use super::nodes::Nodes;
use super::{Lowering, Made};
use crate::models::ModelError;
use crate::models::onnx::ops::{Aggregate, Op, Pair, Pick, Transform, Trees, Votes};
use crate::models::onnx::value::{Elem, Value};

/// Adds the step. With `flags`, its result is twice as long. With `everywhere`, each score gets its
/// base value. See [`Trees`].
fn emit(
    node: &mut Lowering<'_, '_>,
    value: &Value,
    (votes, trees, scores): (Votes, usize, usize),
    aggregate: Aggregate,
    base: Vec<f32>,
    [flags, everywhere]: [bool; 2],
) -> Made {
    let from = node.compiler.floats(value)?;
    let work = trees;
    let trees = Trees::new(votes, [trees, scores], aggregate, base, [flags, everywhere]);
    let op = Op::Trees(Box::new(trees));
    let shape = vec![1, if flags { 2 * scores } else { scores }];
    node.compiler.emit(op, vec![from], shape, Elem::F32, work)
}

/// Maximum number of values that an ensemble reads. It copies all of them, even if its trees use
/// only a few.
const MAX_FEATURES: usize = 1 << 16;

/// The number of values in a row, counted against the limits before the trees are built.
fn features(node: &mut Lowering<'_, '_>, value: &Value) -> Result<usize, ModelError> {
    let features = value.row()?;
    if features > MAX_FEATURES {
        return Err(ModelError(format!(
            "its input has {features} values; expected at most {MAX_FEATURES}"
        )));
    }
    node.compiler.count(features, features)?;
    Ok(features)
}

fn refuse_doubles(node: &Lowering<'_, '_>) -> Result<(), ModelError> {
    for name in [
        "nodes_values_as_tensor",
        "base_values_as_tensor",
        "target_weights_as_tensor",
        "class_weights_as_tensor",
    ] {
        if node.attributes.has(name) {
            return Err(ModelError(format!(
                "attribute {name} is for trees in double; expected float \
                 (export the model with float inputs)"
            )));
        }
    }
    Ok(())
}

/// Sum, mean, minimum or maximum of the votes for each target.
pub fn regressor(node: &mut Lowering<'_, '_>) -> Made {
    refuse_doubles(node)?;
    let value = node.input(0)?.clone();
    let features = features(node, &value)?;
    let aggregate = match node.attributes.text("aggregate_function")?.unwrap_or("SUM") {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => {
            return Err(ModelError(format!(
                "attribute aggregate_function is {other}; expected SUM, AVERAGE, MIN or MAX"
            )));
        }
    };
    let transform = transform(node)?;
    let base = node.attributes.floats("base_values")?;
    let targets = node.attributes.int("n_targets")?;
    let mut nodes = Nodes::new(node)?;
    // The standard does not require it; onnxruntime does.
    let targets = targets.ok_or_else(|| {
        ModelError::new("attribute n_targets is missing; expected the number of targets")
    })?;
    // Targets without votes would be constants, so there cannot be more targets than nodes.
    let most = nodes.len();
    let targets = usize::try_from(targets)
        .ok()
        .filter(|targets| (1..=most).contains(targets));
    let targets = targets.ok_or_else(|| {
        ModelError(format!(
            "attribute n_targets is out of bounds; expected 1 to {most}, the number of nodes"
        ))
    })?;
    if !base.is_empty() && base.len() != targets {
        return Err(ModelError(format!(
            "{} base_values; expected {targets}, one for each target",
            base.len()
        )));
    }
    if let Some(transform) = transform.filter(|_| targets == 1) {
        return Err(single_score(transform));
    }
    let ballot = nodes.vote(node, "target", targets)?;
    nodes.missing_differs(node);
    let extreme = matches!(aggregate, Aggregate::Min | Aggregate::Max);
    if (extreme || base.iter().any(|&base| base != 0.0)) && !nodes.all_voted(&ballot, targets) {
        node.compiler.doubt(format_args!(
            "for some values no tree votes for a target, which is then 0 in onnxruntime, and its \
             base value or the largest number in the standard's reference"
        ));
    }
    let votes = nodes.votes(ballot, features, targets)?;
    let scores = emit(
        node,
        &value,
        (votes, nodes.count(), targets),
        aggregate,
        base,
        [false, false],
    )?;
    transformed(node, scores, transform)
}

/// Label and scores from the votes for classes.
pub fn classifier(node: &mut Lowering<'_, '_>) -> Result<[Option<Value>; 2], ModelError> {
    refuse_doubles(node)?;
    let value = node.input(0)?.clone();
    let features = features(node, &value)?;
    let labels = labels(node, "classlabels_int64s", "classlabels_strings")?;
    let transform = transform(node)?;
    let base = node.attributes.floats("base_values")?;
    let mut nodes = Nodes::new(node)?;
    let classes = labels.len();
    if classes < 2 {
        return Err(ModelError::new("it has one label; expected two or more"));
    }
    let ballot = nodes.vote(node, "class", classes)?;
    nodes.missing_differs(node);
    let first = ballot.list[0].0;
    let lone = ballot.list.iter().all(|&(class, _)| class == first);
    let positive = ballot.list.iter().all(|&(_, weight)| weight >= 0.0);
    let bound = if positive { 0.5 } else { 0.0 };
    let sum = Aggregate::Sum;

    if classes == 2 && lone && first == 0 {
        // The usual form with two classes: one score, that of the second class.
        if base.len() > 1 {
            return Err(two_bases());
        }
        let kind = match (transform, positive) {
            (None, true) => Pair::Rest,
            (None, false) => {
                node.compiler.doubt(format_args!(
                    "a score x of two classes that may be negative is -x and x in onnxruntime, \
                     and 1 - x and x in the standard's reference, and labels differ"
                ));
                Pair::Opposite
            }
            (Some(Transform::Logistic), false) => Pair::Logistic,
            (Some(other), _) => return Err(single_score(other)),
        };
        let votes = nodes.votes(ballot, features, 1)?;
        let score = emit(
            node,
            &value,
            (votes, nodes.count(), 1),
            sum,
            base,
            [false, true],
        )?;
        let above = Pick::Above { index: 0, bound };
        let label = match node.wants(0) {
            true => Some(pick(node, &score, above, labels)?),
            false => None,
        };
        let scores = match node.wants(1) {
            true => Some(pair(node, &score, kind)?),
            false => None,
        };
        return Ok([label, scores]);
    }

    let all_vote = ballot.list.len() == nodes.leaves() * classes;
    if classes == 2 && !lone && !all_vote {
        return Err(ModelError::new(
            "some leaves vote for one of two classes and others for the other, and runtimes \
             disagree on the score of a class for which none votes; expected every leaf to vote \
             for both, or all for the first",
        ));
    }
    let chosen = match classes {
        2 if !base.is_empty() => return Err(two_bases()),
        2 if lone => {
            node.compiler.doubt(format_args!(
                "votes for the second of two classes alone count in onnxruntime, and not in the \
                 standard's reference"
            ));
            Pick::Above { index: 1, bound }
        }
        2 if node.wants(0) => {
            return Err(ModelError::new(
                "leaves vote for both of two classes, and runtimes disagree on the label then; \
                 choose the scores as the only output",
            ));
        }
        _ => Pick::Largest { classes },
    };
    if !base.is_empty() && base.len() != classes {
        return Err(ModelError(format!(
            "{} base_values; expected {classes}, one for each class",
            base.len()
        )));
    }
    // A class without any votes cannot win, even against negative scores.
    let flags = classes > 2 && node.wants(0) && base.is_empty() && !all_vote;
    if flags && !positive && !nodes.all_voted(&ballot, classes) {
        node.compiler.doubt(format_args!(
            "a class for which no tree votes can be the label in the standard's reference, and \
             cannot in onnxruntime, where others are below 0"
        ));
    }
    let votes = nodes.votes(ballot, features, classes)?;
    let raw = emit(
        node,
        &value,
        (votes, nodes.count(), classes),
        sum,
        base,
        [flags, true],
    )?;
    let (scores, chosen) = match flags {
        false => (raw.clone(), chosen),
        true => {
            let from = node.compiler.floats(&raw)?;
            let op = Op::Concat([classes].into());
            let scores = node
                .compiler
                .emit(op, vec![from], vec![1, classes], Elem::F32, 0)?;
            (scores, Pick::LargestVoted { classes })
        }
    };
    let label = match node.wants(0) {
        true => Some(pick(node, &raw, chosen, labels)?),
        false => None,
    };
    let scores = match node.wants(1) {
        true => Some(transformed(node, scores, transform)?),
        false => None,
    };
    Ok([label, scores])
}

fn two_bases() -> ModelError {
    ModelError::new(
        "base_values of two classes that are more than one value, or whose leaves vote for the \
         second; expected one value and votes for the first, because runtimes disagree on others",
    )
}
