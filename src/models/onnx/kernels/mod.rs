//! The code that a compiled model runs on: `f32` kernels, with AVX2 and FMA if the machine has
//! them.
//!
//! | file | what |
//! |---|---|
//! | `isa` | which instructions this machine has; the only unsafe code |
//! | `lanes` | blocks of eight numbers |
//! | `dense` | `act(W x + b)` with repacked weights |
//! | `avx2` | the dense inner loop with AVX2 and FMA |
//! | `curves` | exp, tanh and the sigmoid, for blocks |

#[cfg(target_arch = "x86_64")]
mod avx2;
mod curves;
mod dense;
mod isa;
mod lanes;
#[cfg(test)]
mod tests;

pub use curves::exp;
pub use dense::{Activation, Dense};
pub use isa::Isa;
#[cfg(feature = "tract")]
pub use isa::clear_upper_halves;
pub use lanes::{LANES, Lanes, blocks, flat, flat_mut};
