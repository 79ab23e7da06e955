//! Numbers of instruments, of their pairs and of models.

/// An instrument's number: consecutive from 0, in order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstrumentId(pub u32);

impl InstrumentId {
    /// The number as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl InstrumentId {
    /// No instrument: an index price belongs to a [`PairId`].
    pub const NONE: Self = Self(u32::MAX);

    /// No instrument: that of a message which is rehearsed. Factor sets then use a state that
    /// belongs to no instrument. It is not an index.
    pub const SHADOW: Self = Self(u32::MAX - 1);
}

/// The number of an exchange and a symbol, whatever the instrument type. An index price
/// belongs to one of these. Consecutive from 0, in order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId(pub u32);

impl PairId {
    /// The number as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a configured model, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub u8);

impl ModelId {
    /// Most models that one engine can run.
    pub const MAX: usize = 64;

    /// The number as an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
