//! Buffers that share no cache line with anybody else's memory.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

const VALUES_PER_BLOCK: usize = 16;

/// Two cache lines: processors fetch them in pairs.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(128))]
struct Block([f64; VALUES_PER_BLOCK]);

/// A buffer of values for one thread. A plain boxed slice of two values would
/// lie in the heap beside another thread's, and both would fight for the line.
///
/// ```
/// let mut values = signal::pipeline::padded::Values::new(3);
/// values[2] = 1.0;
/// assert_eq!(&values[..], [0.0, 0.0, 1.0]);
/// ```
pub struct Values {
    blocks: Box<[Block]>,
    len: usize,
}

impl Values {
    /// So many zeros.
    pub fn new(len: usize) -> Self {
        let blocks = vec![Block::zeroed(); len.div_ceil(VALUES_PER_BLOCK)];
        Self {
            blocks: blocks.into_boxed_slice(),
            len,
        }
    }
}

impl Deref for Values {
    type Target = [f64];

    #[inline]
    fn deref(&self) -> &[f64] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }
}

impl DerefMut for Values {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
