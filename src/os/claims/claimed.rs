//! What is claimed: bytes of the file, by the whole copy of the library and by one handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many handles of this copy have claimed each byte. A byte with a count of 0 is still locked
/// because another copy uses it.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// In ascending order of the bytes.
    counts: Vec<(u64, usize)>,
    /// How many bytes all handles together may claim.
    room: usize,
}

impl Claimed {
    /// Takes memory for another handle's bytes. Handles that share bytes now may have other ones
    /// later, each its own.
    pub(super) fn reserve(&mut self, room: usize) {
        self.room += room;
        self.counts.reserve(self.room);
    }

    /// A handle needs its room no more.
    pub(super) fn give_back(&mut self, room: usize) {
        self.room = self.room.saturating_sub(room);
    }

    fn place(&self, byte: u64) -> Result<usize, usize> {
        self.counts.binary_search_by_key(&byte, |(byte, _)| *byte)
    }

    /// Whether this byte can be counted without more memory.
    pub(super) fn has_room(&self, byte: u64) -> bool {
        self.counts.len() < self.counts.capacity() || self.place(byte).is_ok()
    }

    /// Counts one more. Takes no memory: false if there is no room.
    pub(super) fn add(&mut self, byte: u64) -> bool {
        match self.place(byte) {
            Ok(place) => self.counts[place].1 += 1,
            Err(_) if !self.has_room(byte) => return false,
            Err(place) => self.counts.insert(place, (byte, 1)),
        }
        true
    }

    /// Counts one less.
    pub(super) fn take(&mut self, byte: u64) {
        if let Ok(place) = self.place(byte) {
            let (_, count) = &mut self.counts[place];
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets those that `keep` does not keep.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        self.counts.retain(|&(byte, count)| keep(byte, count));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// All of them, in ascending order.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().map(|(byte, _)| *byte)
    }

    /// Those that a handle has claimed.
    pub(super) fn in_use(&self) -> impl Iterator<Item = u64> {
        let claimed = self.counts.iter().filter(|(_, count)| *count > 0);
        claimed.map(|(byte, _)| *byte)
    }
}

/// Stands for no byte, in a place for one.
const NONE: u64 = u64::MAX;
/// Stands for no place: the handle has ended.
const GONE: u64 = u64::MAX - 1;

/// The bytes that one handle has claimed, and room for those that it may claim when its lanes are
/// moved. They change only while [`STATE`](super::STATE) is locked.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(Arc<[AtomicU64]>);

impl Bytes {
    /// With room for `room` bytes at least.
    pub(super) fn new(claimed: &[u64], room: usize) -> Self {
        let none = std::iter::repeat_n(NONE, room.saturating_sub(claimed.len()));
        let places = claimed.iter().copied().chain(none);
        Self(places.map(AtomicU64::new).collect())
    }

    /// How many there may be.
    pub(super) fn room(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + Clone {
        let bytes = self.0.iter().map(|place| place.load(Ordering::Relaxed));
        bytes.filter(|&byte| byte < GONE)
    }

    pub(super) fn contains(&self, byte: u64) -> bool {
        self.iter().any(|other| other == byte)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Gives up all of them. No byte finds a place from then on.
    pub(super) fn take_all(&self) -> impl Iterator<Item = u64> {
        let bytes = self
            .0
            .iter()
            .map(|place| place.swap(GONE, Ordering::Relaxed));
        bytes.filter(|&byte| byte < GONE)
    }

    pub(super) fn are_given_up(&self) -> bool {
        let mut places = self.0.iter();
        places.all(|place| place.load(Ordering::Relaxed) == GONE)
    }

    /// Puts another byte, or none, in this one's place; false if there is no such place.
    fn replace(&self, byte: u64, by: u64) -> bool {
        let mut places = self.0.iter();
        let place = places.find(|place| place.load(Ordering::Relaxed) == byte);
        place
            .map(|place| place.store(by, Ordering::Relaxed))
            .is_some()
    }

    pub(super) fn add(&self, byte: u64) -> bool {
        self.replace(NONE, byte)
    }

    pub(super) fn remove(&self, byte: u64) {
        self.replace(byte, NONE);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_in_order_within_the_memory_that_there_is() {
        let mut claimed = Claimed::default();
        assert!(!claimed.add(7) && claimed.is_empty());
        claimed.reserve(3);
        let room = claimed.counts.capacity() as u64;
        for byte in (0..room).rev() {
            assert!(claimed.add(byte));
        }
        assert!(!claimed.add(room) && claimed.add(0));
        assert!(claimed.bytes().eq(0..room) && claimed.in_use().eq(0..room));
        claimed.take(0);
        claimed.take(1);
        claimed.take(1);
        assert!(claimed.in_use().eq((0..room).filter(|&byte| byte != 1)));
        claimed.retain(|_, count| count > 0);
        assert!(claimed.bytes().eq((0..room).filter(|&byte| byte != 1)));
    }

    #[test]
    fn handles_that_share_a_byte_have_room_for_each_its_own() {
        let mut claimed = Claimed::default();
        for _ in 0..40 {
            claimed.reserve(1);
            assert!(claimed.add(0));
        }
        for byte in 1..=40 {
            claimed.take(0);
            assert!(claimed.has_room(byte) && claimed.add(byte), "{byte}");
        }
        // The room of handles that have ended is others'.
        for _ in 0..100 {
            claimed.reserve(1);
            claimed.give_back(1);
        }
        assert!(claimed.counts.capacity() < 200);
    }

    #[test]
    fn a_handle_has_room_for_as_many_bytes_as_it_was_made_for() {
        let bytes = Bytes::new(&[4, 9], 3);
        assert!(bytes.iter().eq([4, 9]) && bytes.contains(9) && !bytes.contains(NONE));
        assert!(bytes.add(5) && !bytes.add(6));
        bytes.remove(9);
        bytes.remove(100);
        assert!(bytes.iter().eq([4, 5]) && bytes.add(6));
        assert!(bytes.take_all().eq([4, 6, 5]));
        assert!(bytes.are_given_up() && bytes.is_empty() && !bytes.add(7));
        assert!(!Bytes::new(&[], 1).are_given_up());
        assert!(Bytes::new(&[], 1).is_empty() && Bytes::new(&[1, 2], 0).iter().eq([1, 2]));
    }
}
