//! The kernels with AVX2 and FMA. This is safe code; the caller must know that the machine has
//! both, see [`Isa`](super::Isa).

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps,
};

use super::Lanes;
use super::dense::{Activation, Dense, Panel};

/// `act(W x + b)`.
#[target_feature(enable = "avx2,fma")]
pub fn dense(dense: &Dense, x: &[f32], to: &mut [Lanes]) {
    for (panel, to) in dense.panels(to) {
        // Eight sums in parallel, whatever the width, so that no multiplication waits for the one
        // before.
        match to.len() {
            4 => sums::<4, 2>(&panel, x, to),
            3 => sums::<3, 3>(&panel, x, to),
            2 => sums::<2, 4>(&panel, x, to),
            _ => sums::<1, 8>(&panel, x, to),
        }
    }
    activate(dense.activation(), to);
}

/// Applies an activation in place.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn activate(activation: Activation, values: &mut [Lanes]) {
    match activation {
        // Long code, which would lie in the middle of the others'.
        Activation::Tanh | Activation::Sigmoid => curve(activation, values),
        short => short.apply::<true>(values),
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn curve(activation: Activation, values: &mut [Lanes]) {
    activation.apply::<true>(values);
}

/// `B` blocks of outputs, `U` inputs at a time. Not inlined, so that a model passes the code of its
/// widths alone.
///
/// Uses indices, because with iterators the sums stay in memory rather than in registers.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
#[expect(
    clippy::needless_range_loop,
    reason = "the sums must stay in registers"
)]
fn sums<const B: usize, const U: usize>(panel: &Panel<'_>, x: &[f32], to: &mut [Lanes]) {
    let mut sums = [[_mm256_setzero_ps(); B]; U];
    let (rows, _) = panel.weights.as_chunks::<B>();
    let (groups, rest) = rows.as_chunks::<U>();
    let (xs, x_rest) = x.as_chunks::<U>();
    for group in 0..groups.len().min(xs.len()) {
        let (rows, xs) = (&groups[group], &xs[group]);
        for input in 0..U {
            let x = _mm256_set1_ps(xs[input]);
            for block in 0..B {
                let weights = bytemuck::cast(rows[input][block]);
                sums[input][block] = _mm256_fmadd_ps(weights, x, sums[input][block]);
            }
        }
    }
    for input in 0..rest.len().min(x_rest.len()) {
        let x = _mm256_set1_ps(x_rest[input]);
        for block in 0..B {
            let weights = bytemuck::cast(rest[input][block]);
            sums[0][block] = _mm256_fmadd_ps(weights, x, sums[0][block]);
        }
    }
    for block in 0..B {
        let mut sum: __m256 = bytemuck::cast(panel.bias[block]);
        for input in 0..U {
            sum = _mm256_add_ps(sum, sums[input][block]);
        }
        to[block] = bytemuck::cast(sum);
    }
}
