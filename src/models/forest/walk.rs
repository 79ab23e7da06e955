//! Goes from root to leaf, several trees at a time.
//!
//! A step is a load of a node, one comparison of integers and an addition; it does not branch on
//! the features. How a split treats NaN and zeros is part of the key that it reads: each feature
//! has one key for each such treatment. A leaf leads to itself, so that trees in flight together
//! may differ in depth.

use rustc_hash::FxHashMap;

use super::split::{Child, Scalar, Split, Test};
use super::trees::Trees;
use crate::sync::prefetch::Parts;

/// Number of trees in flight: their loads overlap.
const LANES: usize = 8;

/// Nodes of each tree that are prefetched: a line, or two if the tree begins within one.
const FIRST_NODES: usize = 4;

/// Steps between two checks whether all trees in flight are at a leaf.
const STEPS: usize = 4;

/// The slot whose key is below all others; leaves read it.
const LOWEST: u32 = 0;

/// Used instead of a slot: a split whose test is evaluated as the format states it.
const STATED: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Node {
    /// The next node is `child` if the key in `slot` is at most this, else the node after `child`.
    /// For a leaf, this is the leaf's index; for a stated split, the split's index.
    key: i64,
    slot: u32,
    child: u32,
}

/// How a slot's key is computed.
#[derive(Clone, Copy, Debug)]
struct Slot<T> {
    feature: usize,
    /// Values within this distance of 0 count as NaN; NaN if there is no such distance.
    zero: T,
    /// The key of NaN: below or above the keys of all numbers.
    nan: i64,
}

/// Trees of any size.
#[derive(Clone, Debug)]
pub(super) struct Walk<T, V> {
    nodes: Box<[Node]>,
    /// One root node per tree, then any leaf, up to a multiple of `LANES`.
    roots: Box<[u32]>,
    trees: usize,
    leaves: Box<[V]>,
    /// Without the first slot, `LOWEST`.
    slots: Box<[Slot<T>]>,
    pub(super) stated: Box<[Split<T, ()>]>,
    /// The features of the last run, and below, the key of each slot.
    x: Box<[T]>,
    keys: Box<[i64]>,
}

impl<T: Scalar, V: Copy> Walk<T, V> {
    /// Builds the walk for any trees: the builder has checked that there are not too many splits.
    pub(super) fn new(trees: &Trees<T, V>) -> Self {
        Layout::default().walk(trees)
    }

    #[inline]
    pub(super) fn run(&mut self, features: impl IntoIterator<Item = T>, each: impl FnMut(V)) {
        for (to, x) in self.x.iter_mut().zip(features) {
            *to = x;
        }
        for (to, slot) in self.keys[1..].iter_mut().zip(&self.slots) {
            *to = slot.key(self.x[slot.feature]);
        }
        if self.stated.is_empty() {
            self.leaves::<false>(each);
        } else {
            self.leaves::<true>(each);
        }
    }

    /// What each run touches, and the first nodes of each tree.
    pub(super) fn prefetch(&self, parts: &mut Parts) {
        parts.add(&*self.slots);
        parts.add(&*self.keys);
        parts.add(&*self.roots);
        for &root in &self.roots[..self.trees] {
            if parts.are_spent() {
                break;
            }
            let nodes = &self.nodes[root as usize..];
            parts.add(&nodes[..nodes.len().min(FIRST_NODES)]);
        }
    }

    /// `ANY` says whether there are stated splits.
    #[inline(always)]
    fn leaves<const ANY: bool>(&self, mut each: impl FnMut(V)) {
        for (group, roots) in self.roots.as_chunks::<LANES>().0.iter().enumerate() {
            let mut at = *roots;
            loop {
                for _ in 1..STEPS {
                    at = at.map(|at| self.step::<ANY>(at));
                }
                let before = at;
                at = at.map(|at| self.step::<ANY>(at));
                if at == before {
                    break;
                }
            }
            let trees = self.trees - group * LANES;
            for &at in at.iter().take(trees) {
                each(self.leaves[self.nodes[at as usize].key as usize]);
            }
        }
    }

    /// The node after this one.
    #[inline(always)]
    fn step<const ANY: bool>(&self, at: u32) -> u32 {
        let node = &self.nodes[at as usize];
        if ANY && node.slot == STATED {
            let split = &self.stated[node.key as usize];
            return node.child + u32::from(!split.goes(self.x[split.feature]));
        }
        node.child + u32::from(self.keys[node.slot as usize] > node.key)
    }
}

impl<T: Scalar> Slot<T> {
    #[inline(always)]
    fn key(&self, x: T) -> i64 {
        let missing = x.is_nan() | ((x >= -self.zero) & (x <= self.zero));
        std::hint::select_unpredictable(missing, self.nan, x.key())
    }
}

/// Fills the last group of trees in flight with trees that are already at a leaf.
fn fill_last_group(roots: &mut Vec<u32>, leaf: u32) {
    roots.resize(roots.len().next_multiple_of(LANES), leaf);
}

struct Layout<T, V> {
    nodes: Vec<Node>,
    leaves: Vec<V>,
    slots: Vec<Slot<T>>,
    /// By feature, key of the zero distance, and whether NaN is below all numbers.
    slot_of: FxHashMap<(usize, i64, bool), u32>,
    stated: Vec<Split<T, ()>>,
}

impl<T, V> Default for Layout<T, V> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            leaves: Vec::new(),
            slots: Vec::new(),
            slot_of: FxHashMap::default(),
            stated: Vec::new(),
        }
    }
}

impl<T: Scalar, V: Copy> Layout<T, V> {
    fn walk(mut self, trees: &Trees<T, V>) -> Walk<T, V> {
        let count = trees.iter().len();
        self.nodes.reserve_exact(2 * trees.splits() + count);
        self.leaves.reserve_exact(trees.splits() + count);
        let mut roots = Vec::with_capacity(count.next_multiple_of(LANES));
        let mut open = Vec::new();
        for (root, splits) in trees.iter() {
            roots.push(self.place(1));
            open.push((root, self.nodes.len() - 1));
            while let Some((child, at)) = open.pop() {
                match child {
                    Child::Leaf(leaf) => {
                        self.nodes[at] = Node {
                            key: self.leaves.len() as i64,
                            slot: LOWEST,
                            child: at as u32,
                        };
                        self.leaves.push(leaf);
                    }
                    Child::Split(index) => {
                        let split = &splits[index];
                        let (mut node, swap) = self.node(split);
                        node.child = self.place(2);
                        self.nodes[at] = node;
                        let [first, second] = if swap {
                            [split.no, split.yes]
                        } else {
                            [split.yes, split.no]
                        };
                        let at = node.child as usize;
                        open.extend([(second, at + 1), (first, at)]);
                    }
                }
            }
        }
        if let Some(leaf) = self.nodes.iter().position(|node| node.slot == LOWEST) {
            fill_last_group(&mut roots, leaf as u32);
        }
        Walk {
            nodes: self.nodes.into(),
            roots: roots.into(),
            trees: count,
            leaves: self.leaves.into(),
            stated: self.stated.into(),
            x: vec![T::NAN; trees.features()].into(),
            keys: vec![i64::MIN; self.slots.len() + 1].into(),
            slots: self.slots.into(),
        }
    }

    /// Reserves `count` nodes.
    fn place(&mut self, count: usize) -> u32 {
        let at = self.nodes.len();
        let node = Node {
            key: 0,
            slot: LOWEST,
            child: 0,
        };
        self.nodes.resize(at + count, node);
        at as u32
    }

    /// The node of a split, whose child is not yet known, and whether its first child is `no`.
    fn node(&mut self, split: &Split<T, V>) -> (Node, bool) {
        let (key, swap) = match split.test {
            Test::Leq(t) if !t.is_nan() => (t.key(), false),
            Test::Lt(t) if !t.is_nan() => (t.key() - 1, false),
            Test::Gte(t) if !t.is_nan() => (t.key() - 1, true),
            Test::Gt(t) if !t.is_nan() => (t.key(), true),
            _ => {
                let key = self.stated.len() as i64;
                self.stated.push(split.question());
                let node = Node {
                    key,
                    slot: STATED,
                    child: 0,
                };
                return (node, false);
            }
        };
        let below = split.nan != swap;
        let slots = &mut self.slots;
        let slot = *self
            .slot_of
            .entry((split.feature, split.zero.key(), below))
            .or_insert_with(|| {
                slots.push(Slot {
                    feature: split.feature,
                    zero: split.zero,
                    nan: if below { i64::MIN } else { i64::MAX },
                });
                slots.len() as u32
            });
        (
            Node {
                key,
                slot,
                child: 0,
            },
            swap,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_group_is_filled_whatever_room_there_is() {
        for (trees, filled) in [(1, 8), (3, 8), (8, 8), (9, 16)] {
            for room in [0, 100] {
                let mut roots = Vec::with_capacity(room);
                roots.extend(0..trees);
                fill_last_group(&mut roots, 7);
                assert_eq!(roots.len(), filled);
                assert!(roots[trees as usize..].iter().all(|&root| root == 7));
            }
        }
    }
}
