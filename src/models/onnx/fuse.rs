//! Combines a matrix product, the addition after it and an activation into one step.

use super::compile::{Draft, Slot};
use super::kernels::Activation;
use super::ops::{Arithmetic, Op, Reach};
use super::tensor::Numbers;

/// Fuses steps if nothing else reads the values between them.
pub fn fuse(drafts: &mut Vec<Draft>, slots: &[Slot], kept: &[usize]) {
    let mut readers = vec![0usize; slots.len()];
    let mut reader = vec![0usize; slots.len()];
    for (index, draft) in drafts.iter().enumerate() {
        for &slot in &draft.from {
            readers[slot] += 1;
            reader[slot] = index;
        }
    }
    for &slot in kept {
        readers[slot] += 1;
        reader[slot] = usize::MAX;
    }
    let mut gone = vec![false; drafts.len()];
    for index in 0..drafts.len() {
        while readers[drafts[index].to] == 1 {
            let next = reader[drafts[index].to];
            if next == usize::MAX || next <= index {
                break;
            }
            let (before, after) = drafts.split_at_mut(next);
            if !absorb(&mut before[index], &after[0], slots) {
                break;
            }
            before[index].to = after[0].to;
            gone[next] = true;
        }
    }
    let mut gone = gone.into_iter();
    drafts.retain(|_| !gone.next().expect("a flag for each"));
}

/// Moves the work of `next`, which reads the result of `draft`, into `draft`.
fn absorb(draft: &mut Draft, next: &Draft, slots: &[Slot]) -> bool {
    let Op::Dense(layer) = &mut draft.op else {
        return false;
    };
    if layer.dense.activation() != Activation::None {
        return false;
    }
    match &next.op {
        Op::Activate(activation) => {
            layer.dense.set_activation(*activation);
            true
        }
        // Sums are not reordered, so a layer that already has a bias gets no second one.
        Op::Binary(arithmetic, Reach::Each, Reach::Each) if !layer.dense.has_bias() => {
            let other = next.from.iter().position(|&slot| slot != draft.to);
            let Some(other) = other else {
                return false;
            };
            let Some(Numbers::F32(numbers)) = slots[next.from[other]].constant.as_deref() else {
                return false;
            };
            let sign = match (arithmetic, other) {
                (Arithmetic::Add, _) => 1.0,
                (Arithmetic::Sub, 1) => -1.0,
                _ => return false,
            };
            let outputs = layer.dense.outputs();
            let (first, rest) = numbers.split_at(outputs);
            if rest.chunks(outputs).any(|row| row != first) {
                return false;
            }
            let bias: Vec<f32> = first.iter().map(|bias| sign * bias).collect();
            layer.dense.set_bias(&bias);
            true
        }
        _ => false,
    }
}
