//! A compiled model: steps over one buffer.

use super::kernels::{Isa, Lanes, blocks, flat, flat_mut};
use super::ops::Op;
use crate::sync::prefetch::Parts;

/// Where a tensor is in the buffer. Each tensor begins at a block of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub start: usize,
    /// Number of numbers; the last block may be only partly used.
    pub len: usize,
}

impl Region {
    fn range(self) -> std::ops::Range<usize> {
        self.start..self.start + blocks(self.len)
    }
}

/// One operation. Its inputs lie before its result in the buffer.
#[derive(Clone, Debug)]
pub struct Step {
    pub op: Op,
    pub from: Vec<Region>,
    pub to: Region,
}

/// The inputs of a step.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    before: &'a [Lanes],
    regions: &'a [Region],
}

impl<'a> Sources<'a> {
    /// The numbers of a source.
    #[inline]
    pub fn get(self, index: usize) -> &'a [f32] {
        let region = self.regions[index];
        &flat(&self.before[region.range()])[..region.len]
    }

    /// The blocks of a source.
    #[inline]
    pub fn blocks(self, index: usize) -> &'a [Lanes] {
        &self.before[self.regions[index].range()]
    }
}

/// The buffer, and the steps over it in their order.
#[derive(Clone, Debug)]
pub struct Plan {
    isa: Isa,
    buffer: Box<[Lanes]>,
    steps: Vec<Step>,
}

impl Plan {
    /// A plan over a buffer that holds the constants.
    pub fn new(isa: Isa, buffer: Box<[Lanes]>, steps: Vec<Step>) -> Self {
        Self { isa, buffer, steps }
    }

    /// The steps.
    #[cfg(test)]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The numbers of a tensor.
    #[inline]
    pub fn numbers(&self, region: Region) -> &[f32] {
        &flat(&self.buffer[region.range()])[..region.len]
    }

    /// The numbers of a tensor.
    #[inline]
    pub fn numbers_mut(&mut self, region: Region) -> &mut [f32] {
        &mut flat_mut(&mut self.buffer[region.range()])[..region.len]
    }

    /// Prefetches what a run touches, in its order.
    pub fn prefetch(&self, parts: &mut Parts) {
        parts.add(&*self.steps);
        parts.begin(&*self.buffer);
        for step in &self.steps {
            if parts.are_spent() {
                break;
            }
            step.op.prefetch(parts);
        }
    }

    /// Runs the steps.
    #[inline]
    pub fn run(&mut self) {
        for step in &mut self.steps {
            let (before, rest) = self.buffer.split_at_mut(step.to.start);
            let to = &mut rest[..blocks(step.to.len)];
            let from = Sources {
                before,
                regions: &step.from,
            };
            step.op.run(self.isa, from, to, step.to.len);
        }
    }
}
