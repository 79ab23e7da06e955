//! The process to which memory belongs that a child may have a copy of.
//!
//! A child must see to what it has of its parent before it uses it. One of its threads does so, and
//! the others wait or go without.
//!
//! The owner's number lies in that memory, where the kernel may put zeros in a child. Whether it does
//! is known from the first use on, and is noted elsewhere.

use super::{AtomicU8, AtomicU32, Ordering};

/// Together with a process' number, of which none is that large: one of its threads is seeing to what
/// it has of its parent.
const AT_IT: u32 = 1 << 31;
/// What a child finds where the kernel puts zeros.
const NOBODY: u32 = 0;

/// The process that has seen to what it has of its parent. Zeros are nobody's number.
#[derive(Debug)]
pub(crate) struct Owner(AtomicU32);

/// Whose the memory is, for the process that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Its own: it has seen to it, or has no parent that used it.
    Ours,
    /// Its own, soon: another of its threads is seeing to it.
    OursSoon,
    /// Its parent's, which this process has no copy of but shares.
    Shared,
}

impl Whose {
    pub(crate) fn is_ours(self) -> bool {
        self == Self::Ours
    }
}

impl Owner {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(NOBODY))
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self(AtomicU32::new(NOBODY))
    }

    /// Makes the process with the number `me` the owner, before [`Emptied::is_known`].
    pub(crate) fn set(&self, me: u32) {
        self.0.store(me, Ordering::Relaxed);
    }

    /// Whether this is a child's that no thread has begun to see to, where the kernel puts zeros.
    pub(crate) fn is_nobody(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOBODY
    }

    /// For a process with the number `me`. `emptied`: the kernel puts zeros in a child.
    ///
    /// # Errors
    ///
    /// Whose it is, if this thread is not the one that has to see to it.
    pub(crate) fn begin(&self, me: u32, emptied: bool) -> Result<SeeingTo<'_>, Whose> {
        let whose = |found| match found {
            _ if found == me => Some(Whose::Ours),
            _ if found == me | AT_IT => Some(Whose::OursSoon),
            // A process with another number that finds no zeros has no copy.
            _ if found != NOBODY && emptied => Some(Whose::Shared),
            _ => None,
        };
        let found = self.0.load(Ordering::Acquire);
        if let Some(whose) = whose(found) {
            return Err(whose);
        }
        let (taken, failed) = (Ordering::Relaxed, Ordering::Acquire);
        let mine = self.0.compare_exchange(found, me | AT_IT, taken, failed);
        match mine {
            Ok(_) => Ok(SeeingTo { owner: self, me }),
            Err(now) => Err(whose(now).unwrap_or(Whose::OursSoon)),
        }
    }

    /// As [`Owner::begin`], for a process that is a child for certain, and whose number may be its
    /// parent's: they are in two PID namespaces.
    pub(crate) fn begin_as_child(&self, me: u32) -> SeeingTo<'_> {
        self.0.store(me | AT_IT, Ordering::Relaxed);
        SeeingTo { owner: self, me }
    }
}

/// The right, and the duty, to see to what a child has of its parent. It has been done when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct SeeingTo<'a> {
    owner: &'a Owner,
    me: u32,
}

impl Drop for SeeingTo<'_> {
    fn drop(&mut self) {
        self.owner.0.store(self.me, Ordering::Release);
    }
}

/// Whether the kernel puts zeros in a child, once that is known.
#[derive(Debug)]
pub(crate) struct Emptied(AtomicU8);

const NOT_KNOWN: u8 = 0;
const ZEROS: u8 = 1;
const A_COPY: u8 = 2;

impl Emptied {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(NOT_KNOWN))
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self(AtomicU8::new(NOT_KNOWN))
    }

    /// Whoever knows it knows the owner too.
    pub(crate) fn is_known(&self, emptied: bool) {
        let to = if emptied { ZEROS } else { A_COPY };
        self.0.store(to, Ordering::Release);
    }

    /// Asked before the owner: until it is known, a number of 0 means nothing.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<bool> {
        match self.0.load(Ordering::Acquire) {
            NOT_KNOWN => None,
            known => Some(known == ZEROS),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PARENT: u32 = 7;
    const CHILD: u32 = 8;

    fn owned_by(process: u32) -> Owner {
        let owner = Owner::new();
        owner.set(process);
        owner
    }

    #[test]
    fn one_thread_of_a_child_sees_to_it_and_the_others_know_that_it_is_at_it() {
        for (found, emptied) in [(NOBODY, true), (PARENT, false)] {
            let owner = owned_by(found);
            assert_eq!(owner.is_nobody(), emptied);
            let seeing_to = owner.begin(CHILD, emptied).unwrap();
            assert!(!owner.is_nobody());
            assert_eq!(owner.begin(CHILD, emptied).unwrap_err(), Whose::OursSoon);
            drop(seeing_to);
            assert_eq!(owner.begin(CHILD, emptied).unwrap_err(), Whose::Ours);
        }
    }

    #[test]
    fn a_child_of_a_process_whose_thread_is_at_it_begins_anew() {
        const GRANDCHILD: u32 = 9;
        let owner = owned_by(PARENT);
        std::mem::forget(owner.begin(CHILD, false).unwrap());
        drop(owner.begin(GRANDCHILD, false).unwrap());
        assert_eq!(owner.begin(GRANDCHILD, false).unwrap_err(), Whose::Ours);
    }

    #[test]
    fn a_process_that_finds_anothers_number_where_zeros_should_be_shares_the_memory() {
        let owner = owned_by(PARENT);
        assert_eq!(owner.begin(CHILD, true).unwrap_err(), Whose::Shared);
        let emptied = owned_by(NOBODY);
        let _parent = emptied.begin(PARENT, true).unwrap();
        assert_eq!(emptied.begin(CHILD, true).unwrap_err(), Whose::Shared);
    }

    #[test]
    fn a_child_with_its_parents_number_begins_where_its_handler_knows() {
        let owner = owned_by(1);
        assert_eq!(owner.begin(1, false).unwrap_err(), Whose::Ours);
        let seeing_to = owner.begin_as_child(1);
        assert_eq!(owner.begin(1, false).unwrap_err(), Whose::OursSoon);
        drop(seeing_to);
        assert_eq!(owner.begin(1, false).unwrap_err(), Whose::Ours);
    }
}

/// Every order in which threads can meet, within loom's bounds.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn loom_nobody_takes_the_first_process_for_a_child() {
        loom::model(|| {
            let process = Arc::new((Owner::new(), Emptied::new()));
            let other = process.clone();
            let other = thread::spawn(move || {
                let (owner, emptied) = &*other;
                if let Some(emptied) = emptied.known() {
                    assert_eq!(owner.begin(7, emptied).unwrap_err(), Whose::Ours);
                }
            });
            let (owner, emptied) = &*process;
            owner.set(7);
            emptied.is_known(true);
            other.join().unwrap();
        });
    }

    /// What a child has of its parent. Loom fails if it is used while a thread sees to it.
    struct Child {
        owner: Owner,
        left: UnsafeCell<u32>,
    }

    // SAFETY: no thread uses `left` while another writes it; the test checks this.
    unsafe impl Sync for Child {}

    impl Child {
        fn use_it(&self) -> bool {
            match self.owner.begin(8, true) {
                Ok(_seeing_to) => {
                    // SAFETY: one thread sees to it, and no other thread uses it meanwhile.
                    self.left.with_mut(|left| unsafe { *left += 1 });
                    true
                }
                Err(Whose::Ours) => {
                    // SAFETY: the thread that has seen to it does not write any more.
                    assert_eq!(self.left.with(|left| unsafe { *left }), 1);
                    false
                }
                Err(whose) => {
                    assert_eq!(whose, Whose::OursSoon);
                    false
                }
            }
        }
    }

    #[test]
    fn loom_one_thread_sees_to_it_and_none_uses_it_before() {
        loom::model(|| {
            let child = Arc::new(Child {
                owner: Owner::new(),
                left: UnsafeCell::new(0),
            });
            let others = [(); 2].map(|()| {
                let child = child.clone();
                thread::spawn(move || child.use_it())
            });
            let mut saw_to_it = usize::from(child.use_it());
            for other in others {
                saw_to_it += usize::from(other.join().unwrap());
            }
            assert_eq!(saw_to_it, 1);
            assert!(!child.use_it());
        });
    }
}
