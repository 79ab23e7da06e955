//! Dense layers.

use super::onnx::{self, Attribute};
use crate::cases::events::Random;
use crate::cases::models::FACTORS;

/// Layers of these widths behind the factors, ReLU between them, as PyTorch
/// exports them.
pub fn dense(widths: &[usize]) -> Vec<u8> {
    let mut random = Random::new(4);
    let (mut nodes, mut stored) = (Vec::new(), Vec::new());
    let (mut value, mut width) = ("x".to_owned(), FACTORS);
    for (number, &next) in widths.iter().enumerate() {
        let is_last = number + 1 == widths.len();
        let mut weights = |count: usize| -> Vec<f32> {
            (0..count).map(|_| random.number() as f32 - 0.5).collect()
        };
        let (weight, bias) = (format!("{number}.weight"), format!("{number}.bias"));
        stored.push(onnx::tensor(
            &weight,
            &[next, width],
            &weights(next * width),
        ));
        stored.push(onnx::tensor(&bias, &[next], &weights(next)));
        let sum = if is_last {
            "y".to_owned()
        } else {
            format!("gemm{number}")
        };
        let transposed = [("transB", Attribute::Int(1))];
        nodes.push(onnx::node(
            "",
            "Gemm",
            &[&value, &weight, &bias],
            &sum,
            &transposed,
        ));
        if !is_last {
            value = format!("relu{number}");
            nodes.push(onnx::node("", "Relu", &[&sum], &value, &[]));
        }
        width = next;
    }
    onnx::model(FACTORS, &nodes, &stored)
}
