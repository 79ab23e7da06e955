//! Blocks of eight numbers.

use bytemuck::{Pod, Zeroable};

/// Numbers in a block: what an AVX2 register holds.
pub const LANES: usize = 8;

/// A block, aligned as a register is.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(32))]
pub struct Lanes(pub [f32; LANES]);

/// Blocks that so many numbers take.
pub const fn blocks(numbers: usize) -> usize {
    numbers.div_ceil(LANES)
}

/// The numbers of some blocks.
pub fn flat(blocks: &[Lanes]) -> &[f32] {
    bytemuck::cast_slice(blocks)
}

/// The numbers of some blocks.
pub fn flat_mut(blocks: &mut [Lanes]) -> &mut [f32] {
    bytemuck::cast_slice_mut(blocks)
}
