//! The kernels with AVX2 and FMA. Safe code: that the machine has both is for
//! the caller to know, see [`Isa`](super::Isa).

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps,
};

use super::Lanes;
use super::dense::{Activation, Dense};

/// `act(W x + b)`.
#[target_feature(enable = "avx2,fma")]
pub fn dense(dense: &Dense, x: &[f32], to: &mut [Lanes]) {
    for (panel, to) in dense.panels(to) {
        // Eight sums at once, whatever the width, so that no multiplication
        // waits for the one before.
        match to.len() {
            4 => sums::<4, 2>(panel.bias, panel.weights, x, to),
            3 => sums::<3, 3>(panel.bias, panel.weights, x, to),
            2 => sums::<2, 4>(panel.bias, panel.weights, x, to),
            _ => sums::<1, 8>(panel.bias, panel.weights, x, to),
        }
    }
    dense.activation().apply::<true>(to);
}

/// Applies an activation in place.
#[target_feature(enable = "avx2,fma")]
pub fn activate(activation: Activation, values: &mut [Lanes]) {
    activation.apply::<true>(values);
}

/// `B` blocks of outputs, `U` inputs at a time.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sums<const B: usize, const U: usize>(
    bias: &[Lanes],
    weights: &[Lanes],
    x: &[f32],
    to: &mut [Lanes],
) {
    let mut sums = [[_mm256_setzero_ps(); B]; U];
    let (rows, _) = weights.as_chunks::<B>();
    let (groups, rest) = rows.as_chunks::<U>();
    let (xs, x_rest) = x.as_chunks::<U>();
    for (rows, xs) in groups.iter().zip(xs) {
        for ((sums, row), &x) in sums.iter_mut().zip(rows).zip(xs) {
            step(sums, row, x);
        }
    }
    for ((sums, row), &x) in sums.iter_mut().zip(rest).zip(x_rest) {
        step(sums, row, x);
    }
    for (block, (to, bias)) in to.iter_mut().zip(bias).enumerate() {
        let mut sum: __m256 = bytemuck::cast(*bias);
        for sums in &sums {
            sum = _mm256_add_ps(sum, sums[block]);
        }
        *to = bytemuck::cast(sum);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step<const B: usize>(sums: &mut [__m256; B], row: &[Lanes; B], x: f32) {
    let x = _mm256_set1_ps(x);
    for (sum, weights) in sums.iter_mut().zip(row) {
        *sum = _mm256_fmadd_ps(bytemuck::cast(*weights), x, *sum);
    }
}
