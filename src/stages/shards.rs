//! Shards: which of several equal factor stages keeps an instrument, and at which place.

use crate::messages::InstrumentId;

/// How instruments are assigned to shards: in turn, by their numbers.
///
/// ```
/// use signal::messages::InstrumentId;
/// use signal::stages::Shards;
/// let shards = Shards::new(4);
/// assert_eq!(shards.shard(InstrumentId(6)), 2);
/// assert_eq!(shards.local(InstrumentId(6)), 1);
/// assert_eq!(shards.global(2, 1), InstrumentId(6));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    count: u32,
    /// 2^32 divided by `count`, rounded up: a multiplication costs a third of a division.
    inverse: u64,
}

impl Shards {
    /// Most shards that one engine can have.
    pub const MAX: usize = 16;

    /// `count` shards.
    ///
    /// # Panics
    ///
    /// If there is none, or more than [`Shards::MAX`].
    pub fn new(count: usize) -> Self {
        assert!(
            (1..=Self::MAX).contains(&count),
            "the engine checks the number of shards"
        );
        let count = count as u32;
        Self {
            count,
            inverse: (1u64 << 32).div_ceil(count.into()),
        }
    }

    /// Number of shards.
    pub fn count(self) -> usize {
        self.count as usize
    }

    /// The shard that keeps the instrument.
    #[inline]
    pub fn shard(self, id: InstrumentId) -> usize {
        (id.0 - self.local(id) * self.count) as usize
    }

    /// The instrument's place among those of its shard.
    ///
    /// Exact for all numbers that an engine assigns, those below 2^28: the rounding adds less
    /// than a sixteenth.
    #[inline]
    pub fn local(self, id: InstrumentId) -> u32 {
        ((u64::from(id.0) * self.inverse) >> 32) as u32
    }

    /// The instrument that has the place `local` in `shard`.
    #[inline]
    pub fn global(self, shard: usize, local: u32) -> InstrumentId {
        InstrumentId(local * self.count + shard as u32)
    }

    /// Most instruments that one shard has, if there are `instruments` in all.
    pub fn share(self, instruments: usize) -> usize {
        instruments.div_ceil(self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_INSTRUMENTS;

    #[test]
    fn dealing_is_division_with_remainder() {
        for count in 1..=Shards::MAX {
            let shards = Shards::new(count);
            // All numbers that there can be, and the last for which it is promised.
            for id in (0..MAX_INSTRUMENTS as u32).chain((1 << 28) - 99..1 << 28) {
                let (local, shard) = (id / count as u32, id as usize % count);
                let id = InstrumentId(id);
                assert_eq!((shards.local(id), shards.shard(id)), (local, shard));
                assert_eq!(shards.global(shard, local), id);
            }
        }
    }

    #[test]
    fn each_shard_has_room_for_its_instruments() {
        for (count, instruments) in [(1, 7), (2, 7), (3, 7), (16, 7), (4, 8)] {
            let shards = Shards::new(count);
            let share = shards.share(instruments);
            let last = InstrumentId(instruments as u32 - 1);
            assert!((shards.local(last) as usize) < share);
            assert!(share * count < instruments + count, "none to spare");
        }
    }
}
