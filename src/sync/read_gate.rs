//! Readers of something that may end: reading keeps it alive, and the thread that ends it
//! waits for the readers.
//!
//! A token identifies what can be read. A reader first counts itself, then checks that the
//! token is still up. The thread that ends the thing first takes the token down, then looks
//! for readers. Each side stores before it loads, with a full fence between the two, so at
//! least one of them sees the other. The fences guarantee this; the loads and stores around
//! them need no order of their own.

use super::{AtomicU64, Ordering, fence};

/// The token of what can be read now; 0 if there is none.
#[derive(Debug)]
pub(crate) struct Token(AtomicU64);

impl Token {
    /// No token.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// No token.
    #[cfg(loom)]
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether this token is up. If so, everything stored before it was put up is visible.
    #[inline(always)]
    pub(crate) fn is(&self, token: u64) -> bool {
        self.0.load(Ordering::Acquire) == token
    }

    /// Puts the token up: from now on it can be read.
    pub(crate) fn put_up(&self, token: u64) {
        self.0.store(token, Ordering::Release);
    }

    /// Takes the token down and returns it. Readers that come from now on are refused.
    pub(crate) fn take_down(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The number of readers now.
#[derive(Debug)]
pub(crate) struct Readers(AtomicU64);

impl Readers {
    /// No reader.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// No reader.
    #[cfg(loom)]
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Begins to read what has the token `mine`, unless that has been taken down. Until the
    /// returned value is dropped, [`Readers::any`] is true.
    pub(crate) fn begin(&self, token: &Token, mine: u64) -> Option<Reading<'_>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let reading = Reading(self);
        fence(Ordering::SeqCst);
        token.is(mine).then_some(reading)
    }

    /// Whether anyone still reads what was taken down. Once this is false, everything that
    /// the readers did has happened.
    pub(crate) fn any(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Acquire) != 0
    }
}

/// A read in progress; ends when dropped.
#[derive(Debug)]
pub(crate) struct Reading<'a>(&'a Readers);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_of_the_token_are_counted_and_others_are_turned_away() {
        let (token, readers) = (Token::new(), Readers::new());
        assert!(token.is(0) && !token.is(7) && !readers.any());
        token.put_up(7);
        assert!(token.is(7) && !token.is(8) && !token.is(0));
        let one = readers.begin(&token, 7).unwrap();
        let two = readers.begin(&token, 7).unwrap();
        assert!(readers.begin(&token, 8).is_none());
        assert_eq!(token.take_down(), 7);
        assert!(readers.begin(&token, 7).is_none());
        drop(one);
        assert!(readers.any());
        drop(two);
        assert!(!readers.any());
        assert!(token.is(0));
        assert_eq!(token.take_down(), 0);
    }
}

/// Every order in which threads can meet, within loom's bounds.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// What the token identifies. Loom fails if it is read while it is being ended, or before
    /// it is there.
    struct Slot {
        token: Token,
        readers: Readers,
        value: UnsafeCell<u32>,
    }

    // SAFETY: no thread reads `value` while another writes it; the test checks this.
    unsafe impl Sync for Slot {}

    impl Slot {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                token: Token::new(),
                readers: Readers::new(),
                value: UnsafeCell::new(0),
            })
        }

        fn write(&self, to: u32) {
            // SAFETY: the token is down and no thread reads.
            self.value.with_mut(|value| unsafe { *value = to });
        }

        fn read(&self, token: u64) -> Option<u32> {
            let _reading = self.readers.begin(&self.token, token)?;
            // SAFETY: the writer waits for readers.
            Some(self.value.with(|value| unsafe { *value }))
        }

        fn end(&self) {
            self.token.take_down();
            while self.readers.any() {
                thread::yield_now();
            }
        }
    }

    fn check(body: impl Fn() + Sync + Send + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(body);
    }

    #[test]
    fn loom_what_is_read_is_neither_ended_nor_another() {
        check(|| {
            let slot = Slot::new();
            slot.write(70);
            slot.token.put_up(7);
            let reader = {
                let slot = slot.clone();
                thread::spawn(move || (slot.read(7), slot.read(8)))
            };
            slot.end();
            // The next one is in the same place with another token.
            slot.write(80);
            slot.token.put_up(8);
            let (old, new) = reader.join().unwrap();
            assert!(matches!(old, None | Some(70)), "{old:?}");
            assert!(matches!(new, None | Some(80)), "{new:?}");
            assert_eq!(slot.read(7), None);
            assert_eq!(slot.read(8), Some(80));
        });
    }

    #[test]
    fn loom_an_end_waits_for_all_readers() {
        check(|| {
            let slot = Slot::new();
            slot.write(70);
            slot.token.put_up(7);
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let slot = slot.clone();
                    thread::spawn(move || slot.read(7))
                })
                .collect();
            slot.end();
            slot.write(0);
            for reader in readers {
                let read = reader.join().unwrap();
                assert!(matches!(read, None | Some(70)), "{read:?}");
            }
        });
    }
}
