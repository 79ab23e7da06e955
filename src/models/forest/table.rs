//! All trees at once: one row of bit masks for each cell of each feature.
//!
//! The tests of all splits on a feature cut its number line into cells within which no test changes
//! its result. For each cell, and for NaN, a row holds a mask for each tree: the leaves that a
//! value in the cell can still reach. A run finds the cell of each feature and ANDs one row per
//! feature. What remains of each mask is a single bit, the tree's leaf. No step branches on the
//! data, rows are read in order, and the kind of test costs nothing at run time.
//!
//! The masks are those of QuickScorer (Lucchese et al., SIGIR 2015), precomputed for every cell.

use std::hint::select_unpredictable;

use super::split::{Child, Scalar, Split, Test};
use super::trees::Trees;
use crate::sync::prefetch::Parts;

/// The leaves of a tree as bits, independent of the mask type.
type Leaves = [u64; 4];

/// A mask with a bit for each leaf of a tree.
pub(super) trait Mask: Copy {
    /// All leaves.
    const ALL: Self;
    /// The mask without these leaves.
    fn without(self, out: &Leaves) -> Self;
    /// The leaves that are in both.
    fn and(self, other: Self) -> Self;
    /// Index of the lowest leaf.
    fn first(self) -> usize;
}

macro_rules! mask {
    ($mask:ident) => {
        impl Mask for $mask {
            const ALL: Self = $mask::MAX;

            fn without(self, out: &Leaves) -> Self {
                self & !(out[0] as $mask)
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }

            #[inline(always)]
            fn first(self) -> usize {
                self.trailing_zeros() as usize
            }
        }
    };
}

mask!(u32);
mask!(u64);

impl<const WORDS: usize> Mask for [u64; WORDS] {
    const ALL: Self = [u64::MAX; WORDS];

    fn without(self, out: &Leaves) -> Self {
        std::array::from_fn(|word| self[word] & !out[word])
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        std::array::from_fn(|word| self[word] & other[word])
    }

    #[inline(always)]
    fn first(self) -> usize {
        let mut leaf = 0;
        for word in (0..WORDS).rev() {
            let here = 64 * word + self[word].trailing_zeros() as usize;
            leaf = select_unpredictable(self[word] == 0, leaf, here);
        }
        leaf
    }
}

/// Maximum total size of the masks, bytes: this, plus `MAX_BYTES_EACH` for each split, which bounds
/// them by the size of the file.
const MAX_BYTES: usize = 16 << 20;
/// See `MAX_BYTES`.
const MAX_BYTES_EACH: usize = 320;

/// Maximum number of bytes of masks that a run reads for a tree. Measured on an AMD server core
/// with 100 trees over 60 features: masks win at 480 bytes (64 leaves: 13 ns a tree, the walk 19
/// ns) and lose at 960 (127 leaves: 32 ns, the walk 23 ns). Over 15 features, with 480 bytes for
/// 255 leaves, 30 trees take 17 ns each (the walk 24 ns), and 500 trees 20 ns each (the walk 57
/// ns).
const MAX_READ: usize = 640;

/// Maximum number of places where the result of one split, or of all splits on a feature, changes.
const MAX_CUTS: usize = 1 << 15;

/// Trees whose masks are ANDed together.
const BLOCK: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Block<M>([M; BLOCK]);

#[derive(Clone, Debug)]
struct Column {
    feature: usize,
    /// The last key of each cell except the last, ascending. The last cell is NaN's.
    bounds: Box<[i64]>,
    /// Index of its first row.
    row: usize,
}

/// Trees of at most `LEAVES` leaves; `LEAVES` is at most the number of bits of an `M`.
#[derive(Clone, Debug)]
pub(super) struct Table<T, V, M, const LEAVES: usize> {
    columns: Box<[Column]>,
    /// Number of blocks in a row.
    stride: usize,
    masks: Box<[Block<M>]>,
    leaves: Box<[[V; LEAVES]]>,
    /// The features of the last run, and below, where the row of each column starts.
    x: Box<[T]>,
    rows: Box<[usize]>,
}

impl<T: Scalar, V: Copy, M: Mask, const LEAVES: usize> Table<T, V, M, LEAVES> {
    /// The table of these trees, if it is small enough.
    pub(super) fn new(all: &Trees<T, V>) -> Option<Self> {
        let trees = all.iter().len();
        if all.iter().any(|(_, splits)| splits.len() >= LEAVES) {
            return None;
        }
        let stride = trees.div_ceil(BLOCK);
        let most = MAX_BYTES + MAX_BYTES_EACH * all.splits();
        let most = most / size_of::<Block<M>>() / stride.max(1);
        let mut cuts = vec![Vec::new(); all.features()];
        for split in all.iter().flat_map(|(_, splits)| splits) {
            let cuts = &mut cuts[split.feature];
            split.cuts(cuts)?;
            if cuts.len() >= 2 * MAX_CUTS {
                cuts.sort_unstable();
                cuts.dedup();
                if cuts.len() >= MAX_CUTS {
                    return None;
                }
            }
        }
        let mut columns = Vec::new();
        let mut column_of = vec![usize::MAX; cuts.len()];
        let mut rows = 0;
        for (feature, mut bounds) in cuts.into_iter().enumerate() {
            if bounds.is_empty() {
                continue;
            }
            bounds.sort_unstable();
            bounds.dedup();
            column_of[feature] = columns.len();
            let row = rows;
            rows += bounds.len() + 1;
            columns.push(Column {
                feature,
                bounds: bounds.into(),
                row: row * stride,
            });
        }
        if rows > most || columns.len() * size_of::<M>() > MAX_READ {
            return None;
        }
        let mut masks = vec![Block([M::ALL; BLOCK]); rows * stride];
        let mut leaves = Vec::with_capacity(trees);
        for (tree, (root, splits)) in all.iter().enumerate() {
            let sides = Sides::of(root, splits);
            for (split, [yes, no]) in splits.iter().zip(&sides.of) {
                let column = &columns[column_of[split.feature]];
                let cells = column.bounds.iter().chain([&i64::MAX]);
                for (cell, &last) in cells.enumerate() {
                    let out = if split.goes(T::of_key(last)) { no } else { yes };
                    let at = column.row + cell * stride + tree / BLOCK;
                    let mask = &mut masks[at].0[tree % BLOCK];
                    *mask = mask.without(out);
                }
            }
            // The bits above the leaves stay set, but the leaf's bit is below them.
            leaves.push(std::array::from_fn(|leaf| {
                sides.leaves[if leaf < sides.leaves.len() { leaf } else { 0 }]
            }));
        }
        Some(Self {
            stride,
            masks: masks.into(),
            leaves: leaves.into(),
            x: vec![T::NAN; all.features()].into(),
            rows: vec![0; columns.len()].into(),
            columns: columns.into(),
        })
    }

    /// The rows of the last run, and the bounds around its features; then leaves.
    pub(super) fn prefetch(&self, parts: &mut Parts) {
        parts.add(&*self.columns);
        for (column, &row) in self.columns.iter().zip(&self.rows) {
            let cell = row.saturating_sub(column.row) / self.stride.max(1);
            if let Some(bound) = column.bounds.get(cell).or(column.bounds.last()) {
                parts.add(bound);
            }
            if let Some(masks) = self.masks.get(row..row + self.stride) {
                parts.begin(masks);
            }
        }
        parts.add(&*self.leaves);
    }

    #[inline]
    pub(super) fn run(&mut self, features: impl IntoIterator<Item = T>, mut each: impl FnMut(V)) {
        for (to, x) in self.x.iter_mut().zip(features) {
            *to = x;
        }
        for (index, column) in self.columns.iter().enumerate() {
            let cell = rank(&column.bounds, self.x[column.feature].key());
            self.rows[index] = column.row + cell * self.stride;
        }
        for (block, leaves) in self.leaves.chunks(BLOCK).enumerate() {
            let mut left = [M::ALL; BLOCK];
            for &row in &self.rows {
                let masks = &self.masks[row + block].0;
                // With indices, so that the whole block stays in registers.
                for lane in 0..BLOCK {
                    left[lane] = left[lane].and(masks[lane]);
                }
            }
            for (lane, leaves) in leaves.iter().enumerate() {
                each(leaves[left[lane % BLOCK].first() % LEAVES]);
            }
        }
    }
}

/// How many of the ascending keys are below `key`. Branch-free.
#[inline(always)]
fn rank(keys: &[i64], key: i64) -> usize {
    let mut rest = keys;
    let mut below = 0;
    while rest.len() > 1 {
        let (low, high) = rest.split_at(rest.len() / 2);
        let skip = high[0] < key;
        below += select_unpredictable(skip, low.len(), 0);
        let start = select_unpredictable(skip, high, rest);
        rest = &start[..rest.len() - low.len()];
    }
    below + usize::from(rest.first().is_some_and(|&last| last < key))
}

/// Which leaves are on either side of each split of a tree.
struct Sides<V> {
    of: Vec<[Leaves; 2]>,
    leaves: Vec<V>,
}

impl<V: Copy> Sides<V> {
    fn of<T>(root: Child<V>, splits: &[Split<T, V>]) -> Self {
        let mut leaves = Vec::with_capacity(splits.len() + 1);
        let mut of = vec![[[0; 4]; 2]; splits.len()];
        let mut order = Vec::with_capacity(splits.len());
        match root {
            Child::Leaf(leaf) => leaves.push(leaf),
            Child::Split(index) => order.push(index),
        }
        // Parents come before their children in `order`, so that in reverse order everything below
        // a split is known when its turn comes.
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            next += 1;
            let split = &splits[index];
            for (side, child) in [split.yes, split.no].into_iter().enumerate() {
                match child {
                    Child::Split(index) => order.push(index),
                    Child::Leaf(leaf) => {
                        of[index][side][leaves.len() / 64] = 1 << (leaves.len() % 64);
                        leaves.push(leaf);
                    }
                }
            }
        }
        for &index in order.iter().rev() {
            let split = &splits[index];
            for (side, child) in [split.yes, split.no].into_iter().enumerate() {
                if let Child::Split(child) = child {
                    let [yes, no] = of[child];
                    of[index][side] = std::array::from_fn(|word| yes[word] | no[word]);
                }
            }
        }
        Self { of, leaves }
    }
}

impl<T: Scalar, V> Split<T, V> {
    /// Adds the last key before each place where the split's result may change, or returns `None`
    /// if there are too many.
    fn cuts(&self, keys: &mut Vec<i64>) -> Option<()> {
        // NaN's cell starts above infinity.
        keys.push(T::INFINITY.key());
        match &self.test {
            Test::Leq(t) | Test::Gt(t) => keys.push(t.key()),
            Test::Lt(t) | Test::Gte(t) => keys.push(t.key() - 1),
            Test::Eq(t) | Test::Neq(t) => keys.extend([t.key() - 1, t.key()]),
            Test::In(set) if set.len() > MAX_CUTS / 32 => return None,
            Test::In(set) => {
                let mut inside = false;
                for category in 0..=set.len() as u32 * 32 {
                    if super::split::has(set, category) == inside {
                        continue;
                    }
                    inside = !inside;
                    keys.push(match category {
                        0 => (-T::ONE).key(),
                        _ => T::of_category(category).key() - 1,
                    });
                }
            }
        }
        if self.zero >= T::ZERO {
            keys.extend([(-self.zero).key() - 1, self.zero.key()]);
        }
        Some(())
    }
}
