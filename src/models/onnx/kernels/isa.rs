//! Which instructions this machine has.

use super::Lanes;
use super::dense::{self, Activation, Dense};

/// The instructions that the kernels use. Only [`detect`](Self::detect) can create
/// [`Avx2`](Self::Avx2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What every machine has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Detected),
}

/// Proof that the machine was checked.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detected(());

impl Isa {
    /// The best instruction set of this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Self::Avx2(Detected(()));
        }
        Self::Portable
    }

    /// Writes `act(W x + b)` to `to`, which has as many blocks as the outputs need.
    #[inline]
    pub fn dense(self, dense: &Dense, x: &[f32], to: &mut [Lanes]) {
        match self {
            Self::Portable => {
                dense::portable(dense, x, to);
                dense.activation().apply::<false>(to);
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: needs AVX2 and FMA. Only `detect` creates a `Detected`, after it has found
            // both on this machine.
            Self::Avx2(_) => unsafe { super::avx2::dense(dense, x, to) },
        }
    }

    /// Applies an activation in place.
    #[inline]
    pub fn activate(self, activation: Activation, values: &mut [Lanes]) {
        match self {
            Self::Portable => activation.apply::<false>(values),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: needs AVX2 and FMA. Only `detect` creates a `Detected`, after it has found
            // both on this machine.
            Self::Avx2(_) => unsafe { super::avx2::activate(activation, values) },
        }
    }
}

/// Clears the upper halves of the vector registers. If they stay in use, all code without AVX that
/// runs later on the thread is several times slower.
#[cfg(feature = "tract")]
pub fn clear_upper_halves() {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: needs AVX, which has just been found on this machine.
        unsafe { std::arch::x86_64::_mm256_zeroupper() };
    }
}
