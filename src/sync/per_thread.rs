//! One pointer per thread, in a table of fixed size: for where thread-local storage would
//! allocate.
//!
//! A thread is identified by the address of its control block and by its number. A thread
//! that has ended leaves its place in the table. A new thread takes over the place of one
//! whose control block had the same address, or an unused place. If there is none, it takes
//! over the place of any thread that has ended.

use super::{AtomicPtr, AtomicU64, Ordering};

/// Thread numbers are below 2^22 on every Linux.
const ID_BITS: u32 = 22;

/// A living thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who(u64);

impl Who {
    /// The thread with the number `id` whose control block is at `block`.
    pub(crate) fn new(block: u64, id: u32) -> Self {
        // Blocks are aligned to 64 bytes.
        Self((block >> 6) << ID_BITS | u64::from(id) & ((1 << ID_BITS) - 1))
    }

    fn block(self) -> u64 {
        self.0 >> ID_BITS
    }

    fn id(self) -> u32 {
        (self.0 & ((1 << ID_BITS) - 1)) as u32
    }
}

struct Place<T> {
    /// The thread that has or had this place; 0 if none ever had.
    who: AtomicU64,
    pointer: AtomicPtr<T>,
}

/// See the module.
pub(crate) struct PerThread<T, const PLACES: usize>([Place<T>; PLACES]);

impl<T, const PLACES: usize> PerThread<T, PLACES> {
    /// An empty table.
    pub(crate) const fn new() -> Self {
        Self(
            [const {
                Place {
                    who: AtomicU64::new(0),
                    pointer: AtomicPtr::new(std::ptr::null_mut()),
                }
            }; PLACES],
        )
    }

    /// The places in the order in which this thread searches them.
    fn places(&self, me: Who) -> impl Iterator<Item = &Place<T>> {
        let hash = me.block().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (before, from) = self.0.split_at(hash as usize % PLACES);
        from.iter().chain(before)
    }

    /// This thread's pointer; `None` if it has no place.
    pub(crate) fn find(&self, me: Who) -> Option<&AtomicPtr<T>> {
        // A place that was used once never becomes unused again.
        self.places(me)
            .map(|place| (place.who.load(Ordering::Relaxed), place))
            .take_while(|(who, _)| *who != 0)
            .find_map(|(who, place)| (who == me.0).then_some(&place.pointer))
    }

    /// This thread's pointer, null in a new place; `None` if no place is left. `is_alive`
    /// says whether a thread with that number exists.
    pub(crate) fn claim(&self, me: Who, is_alive: impl Fn(u32) -> bool) -> Option<&AtomicPtr<T>> {
        self.find(me)
            .or_else(|| self.take(me, |who| who.0 == 0 || who.block() == me.block()))
            .or_else(|| self.take(me, |who| !is_alive(who.id())))
    }

    fn take(&self, me: Who, is_free: impl Fn(Who) -> bool) -> Option<&AtomicPtr<T>> {
        for place in self.places(me) {
            let who = place.who.load(Ordering::Relaxed);
            if !is_free(Who(who)) {
                continue;
            }
            let taken = place
                .who
                .compare_exchange(who, me.0, Ordering::Relaxed, Ordering::Relaxed);
            match taken {
                Ok(_) => {
                    place.pointer.store(std::ptr::null_mut(), Ordering::Relaxed);
                    return Some(&place.pointer);
                }
                // A signal handler of this same thread took the place in between.
                Err(now) if now == me.0 => return Some(&place.pointer),
                Err(_) => (),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn who(number: u64) -> Who {
        Who::new(0x7f00_0000_0000 + number * 0x1040, number as u32 + 1)
    }

    #[test]
    fn each_thread_has_a_place_until_there_are_no_more() {
        let table = PerThread::<u64, 16>::new();
        let values: Vec<u64> = (0..16).collect();
        let mut places = BTreeSet::new();
        for (number, value) in (0..).zip(&values) {
            assert!(table.find(who(number)).is_none());
            let place = table.claim(who(number), |_| true).unwrap();
            assert!(place.load(Ordering::Relaxed).is_null());
            place.store(std::ptr::from_ref(value).cast_mut(), Ordering::Relaxed);
            places.insert(std::ptr::from_ref(place).addr());
        }
        assert_eq!(places.len(), 16);
        for (number, value) in (0..).zip(&values) {
            let found = table.find(who(number)).unwrap();
            assert!(std::ptr::eq(found.load(Ordering::Relaxed), value));
            assert!(std::ptr::eq(
                table.claim(who(number), |_| true).unwrap(),
                found
            ));
        }
        assert!(table.claim(who(16), |_| true).is_none());
    }

    #[test]
    fn a_place_is_taken_over_once_its_thread_has_ended() {
        let table = PerThread::<u64, 4>::new();
        let mut value = 7;
        for number in 0..4 {
            let place = table.claim(who(number), |_| true).unwrap();
            place.store(&raw mut value, Ordering::Relaxed);
        }
        // A thread at the same address with another number: the first has ended.
        let next = Who::new(0x7f00_0000_0000, 77);
        assert!(table.find(next).is_none());
        let place = table.claim(next, |_| unreachable!()).unwrap();
        assert!(place.load(Ordering::Relaxed).is_null());
        assert!(table.find(who(0)).is_none());
        // At another address, the number decides.
        let place = table.claim(who(9), |id| id != 3).unwrap();
        assert!(place.load(Ordering::Relaxed).is_null());
        assert!(table.find(who(2)).is_none() && table.find(who(3)).is_some());
        assert!(table.find(next).is_some() && table.find(who(9)).is_some());
    }

    #[test]
    fn a_handler_of_the_same_thread_that_is_first_shares_its_place() {
        let table = PerThread::<u64, 4>::new();
        for number in 0..4 {
            table.claim(who(number), |_| true).unwrap();
        }
        // The check whether a thread is alive is where a signal may come in between.
        let value = 7;
        let handled = std::cell::Cell::new(None);
        let place = table.claim(who(9), |_| {
            if handled.get().is_none() {
                let place = table.claim(who(9), |_| false).unwrap();
                place.store(std::ptr::from_ref(&value).cast_mut(), Ordering::Relaxed);
                handled.set(Some(std::ptr::from_ref(place)));
            }
            false
        });
        let place = place.unwrap();
        assert_eq!(handled.get(), Some(std::ptr::from_ref(place)));
        // What the handler left in the place stays.
        assert!(std::ptr::eq(place.load(Ordering::Relaxed), &value));
    }
}
