//! A split as a format states it.

use std::fmt::Debug;

/// Where a side of a split leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Child<V> {
    /// The split of this index in the tree.
    Split(usize),
    /// A leaf.
    Leaf(V),
}

/// What a split asks of its feature.
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
    /// `x`, truncated towards 0, is in the set: bit `c % 32` of word `c / 32` for
    /// the category `c`. Negative ones, and those beyond the words, are not.
    In(Box<[u32]>),
}

/// An inner node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split<T, V> {
    /// Index of its feature.
    pub(crate) feature: usize,
    /// What it asks.
    pub(crate) test: Test<T>,
    /// Whether NaN goes to `yes`; the test is not asked.
    pub(crate) nan: bool,
    /// Whether values within this distance of 0 go where NaN goes; NaN for none.
    pub(crate) zero: T,
    /// Where a value goes that passes.
    pub(crate) yes: Child<V>,
    /// Where any other goes.
    pub(crate) no: Child<V>,
}

impl<T: Scalar, V> Split<T, V> {
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
            Test::In(set) => x.category().is_some_and(|c| {
                set.get(c as usize / 32)
                    .is_some_and(|word| word >> (c % 32) & 1 == 1)
            }),
        }
    }
}

/// The number types of features and thresholds.
pub(crate) trait Scalar: Copy + Debug + PartialOrd + std::ops::Neg<Output = Self> {
    /// Not a number.
    const NAN: Self;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;
    /// Truncated towards 0, if that is a category.
    fn category(self) -> Option<u32>;
}

macro_rules! scalar {
    ($float:ident) => {
        impl Scalar for $float {
            const NAN: Self = $float::NAN;

            fn is_nan(self) -> bool {
                $float::is_nan(self)
            }

            fn category(self) -> Option<u32> {
                (self > -1.0 && self < 2_147_483_648.0).then_some(self as u32)
            }
        }
    };
}

scalar!(f32);
scalar!(f64);
