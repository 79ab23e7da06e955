//! Buffers that share no cache line with other memory.

use std::fmt;
use std::iter;
use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

const VALUES_PER_BLOCK: usize = 16;

/// Two cache lines: processors fetch them in pairs.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(128))]
struct Block([f64; VALUES_PER_BLOCK]);

/// A buffer of values for one thread. A plain boxed slice of two values could share a cache
/// line with another thread's, and the two threads would contend for it.
///
/// ```
/// let mut values = signal::sync::padded::Values::new(3);
/// values[2] = 1.0;
/// assert_eq!(&values[..], [0.0, 0.0, 1.0]);
/// ```
pub struct Values {
    blocks: Box<[Block]>,
    len: usize,
}

impl Values {
    /// `len` zeros.
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

/// Bytes that keep a slice's items away from the cache lines of other memory.
const MARGIN_BYTES: usize = 128;

/// Items for one thread, with unused ones before the first and after the last, so that they
/// share no cache line with other memory.
///
/// ```
/// let mut items = signal::sync::padded::Items::new(3, || 7u8);
/// items[2] = 1;
/// assert_eq!(items[..], [7, 7, 1]);
/// ```
pub struct Items<T> {
    all: Box<[T]>,
    margin: usize,
}

impl<T> Items<T> {
    /// `len` items, each from `make`.
    ///
    /// # Panics
    ///
    /// If there is not enough memory.
    pub fn new(len: usize, make: impl FnMut() -> T) -> Self {
        let margin = MARGIN_BYTES.div_ceil(size_of::<T>().max(1));
        let Some(all) = len.checked_add(2 * margin) else {
            panic!("a buffer of {len} items");
        };
        Self {
            all: iter::repeat_with(make).take(all).collect(),
            margin,
        }
    }

    /// Bytes that `len` items take.
    pub fn bytes(len: usize) -> usize {
        len.saturating_mul(size_of::<T>())
            .saturating_add(2 * (MARGIN_BYTES + size_of::<T>()))
    }
}

impl<T> Deref for Items<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.all[self.margin..self.all.len() - self.margin]
    }
}

impl<T> DerefMut for Items<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let end = self.all.len() - self.margin;
        &mut self.all[self.margin..end]
    }
}

impl<T: fmt::Debug> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn values_begin_at_zero_and_lie_alone() {
        for len in [0, 1, 16, 17] {
            let mut values = Values::new(len);
            assert_eq!(values[..], vec![0.0; len]);
            assert!(values.as_ptr().addr().is_multiple_of(128));
            for (index, value) in values.iter_mut().enumerate() {
                *value = index as f64 + 0.5;
            }
            let written: Vec<_> = (0..len).map(|index| index as f64 + 0.5).collect();
            assert_eq!(values[..], written);
            assert_eq!(format!("{values:?}"), format!("{written:?}"));
        }
    }

    #[test]
    fn items_have_a_margin_on_either_side() {
        let mut next = 0u32;
        let mut items = Items::new(3, || {
            next += 1;
            next
        });
        let (first, last) = (items.all.as_ptr_range(), items.as_ptr_range());
        assert_eq!(last.start.addr() - first.start.addr(), MARGIN_BYTES);
        assert_eq!(first.end.addr() - last.end.addr(), MARGIN_BYTES);
        assert_eq!(items[..], [33, 34, 35]);
        items[1] = 7;
        assert_eq!(items[..], [33, 7, 35]);
        assert_eq!(format!("{items:?}"), "[33, 7, 35]");
    }

    #[test]
    fn the_bytes_of_items_are_counted_with_their_margins() {
        let items = Items::new(3, || [0u8; 24]);
        assert!(size_of_val(&*items.all) <= Items::<[u8; 24]>::bytes(3));
        assert_eq!(Items::<[u8; 24]>::bytes(3), 3 * 24 + 2 * (128 + 24));
        assert_eq!(Items::<u64>::bytes(usize::MAX), usize::MAX);
    }
}
