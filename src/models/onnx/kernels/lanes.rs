//! Blocks of eight numbers.

use bytemuck::{Pod, Zeroable};

/// Numbers in a block: as many as an AVX2 register holds.
pub const LANES: usize = 8;

/// A block, aligned like a register.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(32))]
pub struct Lanes(pub [f32; LANES]);

/// Number of blocks that `numbers` numbers need.
pub const fn blocks(numbers: usize) -> usize {
    numbers.div_ceil(LANES)
}

/// The blocks as one slice of numbers.
pub fn flat(blocks: &[Lanes]) -> &[f32] {
    bytemuck::cast_slice(blocks)
}

/// The blocks as one slice of numbers.
pub fn flat_mut(blocks: &mut [Lanes]) -> &mut [f32] {
    bytemuck::cast_slice_mut(blocks)
}
