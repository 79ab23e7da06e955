//! A split as the format states it.

use std::fmt::Debug;

/// Where one side of a split leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Child<V> {
    /// The split with this index in the tree.
    Split(usize),
    /// A leaf.
    Leaf(V),
}

/// The test that a split applies to its feature.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test<T> {
    /// `x <= t`
    Leq(T),
    /// `x < t`
    Lt(T),
    /// `x >= t`
    Gte(T),
    /// `x > t`
    Gt(T),
    /// `x == t`
    Eq(T),
    /// `x != t`
    Neq(T),
    /// `x`, truncated towards 0, is in the set: bit `c % 32` of word `c / 32` is set for the
    /// category `c`. Negative categories, and those beyond the words, are not in the set.
    In(Box<[u32]>),
}

/// An inner node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split<T, V> {
    /// Index of its feature.
    pub(crate) feature: usize,
    /// The test.
    pub(crate) test: Test<T>,
    /// Whether NaN goes to `yes`; the test is then skipped.
    pub(crate) nan: bool,
    /// Values within this distance of 0 go where NaN goes; NaN if there is no such distance.
    pub(crate) zero: T,
    /// Where values go that pass the test.
    pub(crate) yes: Child<V>,
    /// Where all other values go.
    pub(crate) no: Child<V>,
}

impl<T: Scalar, V> Split<T, V> {
    /// The same test without the children.
    pub(super) fn question(&self) -> Split<T, ()> {
        Split {
            feature: self.feature,
            test: self.test.clone(),
            nan: self.nan,
            zero: self.zero,
            yes: Child::Leaf(()),
            no: Child::Leaf(()),
        }
    }

    /// Whether `x` goes to `yes`.
    pub(super) fn goes(&self, x: T) -> bool {
        if x.is_nan() || (x >= -self.zero && x <= self.zero) {
            return self.nan;
        }
        match &self.test {
            Test::Leq(t) => x <= *t,
            Test::Lt(t) => x < *t,
            Test::Gte(t) => x >= *t,
            Test::Gt(t) => x > *t,
            Test::Eq(t) => x == *t,
            Test::Neq(t) => x != *t,
            Test::In(set) => x.category().is_some_and(|category| has(set, category)),
        }
    }
}

/// Whether the set contains the category.
pub(super) fn has(set: &[u32], category: u32) -> bool {
    set.get(category as usize / 32)
        .is_some_and(|word| word >> (category % 32) & 1 == 1)
}

/// The number types of features and thresholds.
///
/// A key orders numbers as integers: `x < y` is `x.key() < y.key()`, both zeros share a key, and
/// NaN comes last. Keys have three advantages: integers compare faster, the key of the next lower
/// number is one less, and a host that flushes denormals changes nothing.
pub(crate) trait Scalar: Copy + Debug + PartialOrd + std::ops::Neg<Output = Self> {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Not a number.
    const NAN: Self;
    /// Infinity.
    const INFINITY: Self;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;
    /// The value truncated towards 0, if that is a category.
    fn category(self) -> Option<u32>;
    /// The smallest number that truncates to a category other than 0.
    fn of_category(category: u32) -> Self;
    /// Its position in the order of all numbers.
    fn key(self) -> i64;
    /// The number with this key: NaN for a key above infinity's.
    fn of_key(key: i64) -> Self;
}

macro_rules! scalar {
    ($float:ident, $bits:ident) => {
        impl Scalar for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = $float::NAN;
            const INFINITY: Self = $float::INFINITY;

            fn is_nan(self) -> bool {
                $float::is_nan(self)
            }

            fn category(self) -> Option<u32> {
                (self > -1.0 && self < 2_147_483_648.0).then_some(self as u32)
            }

            fn of_category(category: u32) -> Self {
                let near = category as $float;
                // An `f32` cannot hold every category: take the next number above it.
                if f64::from(near) < f64::from(category) {
                    near.next_up()
                } else {
                    near
                }
            }

            #[inline(always)]
            fn key(self) -> i64 {
                let bits = self.to_bits() as $bits;
                let size = bits & $bits::MAX;
                let key = if bits < 0 { -size } else { size };
                if size > $float::INFINITY.to_bits() as $bits {
                    i64::MAX
                } else {
                    i64::from(key)
                }
            }

            fn of_key(key: i64) -> Self {
                let infinity = Self::INFINITY.key();
                let size = key.unsigned_abs();
                if size > infinity.unsigned_abs() {
                    return $float::NAN;
                }
                let size = $float::from_bits(size as _);
                if key < 0 { -size } else { size }
            }
        }
    };
}

scalar!(f32, i32);
scalar!(f64, i64);
