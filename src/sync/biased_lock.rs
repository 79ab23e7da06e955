//! A biased lock: at most one thread is inside, and entering takes no locked
//! instruction as long as it is always the same thread. Nobody waits: an entry that
//! would have to is refused.
//!
//! The thread that used the lock last owns it. The owner enters with a plain store,
//! then checks whether it still is the owner. Another thread claims the lock: it marks
//! the owner's name, runs a barrier on every thread ([`membarrier::heavy`]), and then
//! checks whether the former owner is inside. If so, it removes the mark and is refused.
//!
//! A thread that ends gives up its name ([`BiasedLock::give_up`]). A later thread with
//! the same name therefore does not own a lock that it has not claimed.
//!
//! Each owner has its own word that says whether it is inside. A former owner that was
//! interrupted half-way writes to a word that nobody reads any more. Words are not
//! reused: after [`ROUNDS`] changes of owner the lock is shared for good, and each entry
//! takes a locked instruction.
//!
//! The word counts entries. It is odd while a function runs, and even while nobody is
//! inside or while that function has called back into the host. So the owner may enter
//! again from inside a callback, but not from a signal handler that interrupted it.

use super::{AtomicBool, AtomicU8, AtomicU64, Ordering, membarrier};

/// Threads' names take the bits below this one, the round those above.
const ROUND_SHIFT: u32 = 58;
const THREAD: u64 = (1 << ROUND_SHIFT) - 1;
/// How often a lock may change hands before it is shared.
#[cfg(not(loom))]
pub(crate) const ROUNDS: usize = 1 << (64 - ROUND_SHIFT);
#[cfg(loom)]
const ROUNDS: usize = 2;

/// The bit of `owner` that says that a thread claims the lock.
const CLAIMED: u64 = 1;
/// The bits that say whose it is.
const NAME: u64 = THREAD & !CLAIMED;
/// Values there that are no thread's.
const NOBODY: u64 = 0;
const SHARED: u64 = 2;
/// `holder` of a shared lock whose thread ended inside.
const DEAD: u64 = 4;

/// Steps that a thread waits for another's claim, a few microseconds (a pause
/// takes 10 to 50 ns), before it is refused: it may have interrupted that very
/// claim.
#[cfg(not(loom))]
const PATIENCE: usize = 128;
#[cfg(loom)]
const PATIENCE: usize = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct BiasedLock {
    /// The owner's name, `NOBODY` or `SHARED`, with the round and the mark of a claim.
    owner: AtomicU64,
    inside: [AtomicU8; ROUNDS],
    /// Held while the owner changes.
    claim: AtomicBool,
    /// Who is inside a shared lock, and how deep.
    holder: AtomicU64,
    held: AtomicU8,
}

/// Somebody else is inside, or the same thread where it must not enter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

impl BiasedLock {
    /// An empty lock.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            owner: AtomicU64::new(NOBODY),
            inside: [const { AtomicU8::new(0) }; ROUNDS],
            claim: AtomicBool::new(false),
            holder: AtomicU64::new(0),
            held: AtomicU8::new(0),
        }
    }

    /// An empty lock.
    #[cfg(loom)]
    fn new() -> Self {
        Self {
            owner: AtomicU64::new(NOBODY),
            inside: std::array::from_fn(|_| AtomicU8::new(0)),
            claim: AtomicBool::new(false),
            holder: AtomicU64::new(0),
            held: AtomicU8::new(0),
        }
    }

    /// Enters, if nobody is inside but `me` in a callback. `me` is what no other
    /// living thread is called: even, above 4 and below 2^58. `ends` promises that
    /// [`give_up`](Self::give_up) will be called when this thread ends; without that
    /// promise the thread never owns the lock, which is shared from then on.
    ///
    /// # Errors
    ///
    /// [`Taken`].
    #[inline(always)]
    pub(crate) fn enter(&self, me: u64, ends: fn() -> bool) -> Result<Entered<'_>, Taken> {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner & THREAD == me {
            let inside = &self.inside[(owner >> ROUND_SHIFT) as usize];
            let before = inside.load(Ordering::Relaxed);
            if before & 1 != 0 {
                return Err(Taken);
            }
            inside.store(before + 1, Ordering::Relaxed);
            membarrier::light();
            if self.owner.load(Ordering::Relaxed) == owner {
                return Ok(Entered::new(inside, before, None));
            }
            inside.store(before, Ordering::Release);
        }
        self.enter_slowly(me, ends)
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, me: u64, ends: fn() -> bool) -> Result<Entered<'_>, Taken> {
        // Acquires what was done before the lock became shared.
        if self.owner.load(Ordering::Acquire) == SHARED {
            return self.enter_shared(me);
        }
        let _claim = Claim::new(&self.claim)?;
        // Acquires what a thread did inside that has given its name up.
        let owner = self.owner.load(Ordering::Acquire);
        match owner & NAME {
            SHARED => self.enter_shared(me),
            NOBODY => {
                let round = round(owner);
                // Whoever ended inside never leaves.
                if self.inside[round].load(Ordering::Relaxed) != 0 {
                    return Err(Taken);
                }
                self.take(me, round, ends)
            }
            name if name == me => self.enter_as_owner(round(owner)),
            _ => {
                // It may have been given up since.
                let owner = self.owner.fetch_or(CLAIMED, Ordering::AcqRel);
                membarrier::heavy();
                // Acquires what the former owner did inside.
                if self.inside[round(owner)].load(Ordering::Acquire) != 0 {
                    self.owner.fetch_and(!CLAIMED, Ordering::Relaxed);
                    return Err(Taken);
                }
                self.take(me, round(owner) + 1, ends)
            }
        }
    }

    /// Makes `me` the owner, while it holds the claim and nobody is inside.
    fn take(&self, me: u64, round: usize, ends: fn() -> bool) -> Result<Entered<'_>, Taken> {
        // Exchanged, not stored: a thread that gives its name up meanwhile changes what
        // came before, or nothing.
        if round == ROUNDS || !ends() {
            self.owner.swap(SHARED, Ordering::AcqRel);
            return self.enter_shared(me);
        }
        let name = me | (round as u64) << ROUND_SHIFT;
        self.owner.swap(name, Ordering::AcqRel);
        self.enter_as_owner(round)
    }

    /// For a thread that ends: what is called `me` from now on is another.
    pub(crate) fn give_up(&self, me: u64) {
        let mut owner = self.owner.load(Ordering::Relaxed);
        while owner & NAME == me {
            // Releases what this thread did inside.
            let given_up = self.owner.compare_exchange(
                owner,
                owner & !NAME,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match given_up {
                Ok(_) => break,
                Err(now) => owner = now,
            }
        }
        let _ = self
            .holder
            .compare_exchange(me, DEAD, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// For the owner, while it holds the claim: nobody else looks meanwhile.
    fn enter_as_owner(&self, round: usize) -> Result<Entered<'_>, Taken> {
        let inside = &self.inside[round];
        let before = inside.load(Ordering::Relaxed);
        if before & 1 != 0 {
            return Err(Taken);
        }
        inside.store(before + 1, Ordering::Relaxed);
        Ok(Entered::new(inside, before, None))
    }

    fn enter_shared(&self, me: u64) -> Result<Entered<'_>, Taken> {
        if self.holder.load(Ordering::Relaxed) == me {
            let before = self.held.load(Ordering::Relaxed);
            if before & 1 != 0 {
                return Err(Taken);
            }
            self.held.store(before + 1, Ordering::Relaxed);
            return Ok(Entered::new(&self.held, before, None));
        }
        self.holder
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Taken)?;
        self.held.store(1, Ordering::Relaxed);
        Ok(Entered::new(&self.held, 0, Some(&self.holder)))
    }
}

#[cfg(not(loom))]
impl BiasedLock {
    /// Shares a lock that nobody may enter now: for a machine without the kernel's
    /// barrier. Its last owner has left it before the caller got the right to it.
    pub(crate) fn share(&self) {
        let Ok(_claim) = Claim::new(&self.claim) else {
            return;
        };
        let owner = self.owner.load(Ordering::Acquire);
        if self.inside[round(owner)].load(Ordering::Acquire) == 0 {
            self.owner.store(SHARED, Ordering::Release);
        }
    }

    /// Whether entering takes a locked instruction.
    pub(crate) fn is_shared(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == SHARED
    }

    /// Whether the lock has this name, claimed or not.
    #[cfg(test)]
    pub(crate) fn is_owned_by(&self, name: u64) -> bool {
        self.owner.load(Ordering::Relaxed) & NAME == name
    }

    /// Whether this thread is inside, running a function.
    pub(crate) fn runs(&self, me: u64) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let inside = match owner {
            SHARED if self.holder.load(Ordering::Relaxed) == me => &self.held,
            _ if owner & NAME == me => &self.inside[round(owner)],
            _ => return false,
        };
        inside.load(Ordering::Relaxed) & 1 != 0
    }

    /// Whether nobody is inside or about to be. Certain only where no other
    /// thread is left, as in the child of a fork.
    pub(crate) fn is_empty(&self) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        owner & CLAIMED == 0
            && (owner == SHARED || self.inside[round(owner)].load(Ordering::Relaxed) == 0)
            && self.holder.load(Ordering::Relaxed) == 0
            && !self.claim.load(Ordering::Relaxed)
    }

    /// In the child of a fork, which has no other thread but `me`: every other name
    /// may be a new thread's.
    pub(crate) fn forget_all_but(&self, me: u64) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != SHARED && owner & NAME != me {
            self.owner.store(owner & !NAME, Ordering::Relaxed);
        }
    }
}

fn round(owner: u64) -> usize {
    (owner >> ROUND_SHIFT) as usize
}

/// Being inside; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    inside: &'a AtomicU8,
    // A byte would leave a hole, and moving holes costs more than it holds.
    before: u64,
    holder: Option<&'a AtomicU64>,
}

impl<'a> Entered<'a> {
    #[inline(always)]
    fn new(inside: &'a AtomicU8, before: u8, holder: Option<&'a AtomicU64>) -> Self {
        Self {
            inside,
            before: u64::from(before),
            holder,
        }
    }

    /// Whether this is from inside a callback.
    #[inline]
    pub(crate) fn is_nested(&self) -> bool {
        self.before != 0
    }

    /// Lets this thread enter again until the value is dropped.
    #[inline]
    pub(crate) fn call_back(&self) -> CallingBack<'_> {
        self.inside.store(self.before as u8 + 2, Ordering::Relaxed);
        CallingBack(self)
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.inside.store(self.before as u8, Ordering::Release);
        if let Some(holder) = self.holder {
            holder.store(0, Ordering::Release);
        }
    }
}

/// A callback that is running.
pub(crate) struct CallingBack<'a>(&'a Entered<'a>);

impl Drop for CallingBack<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0
            .inside
            .store(self.0.before as u8 + 1, Ordering::Relaxed);
    }
}

/// The right to change the owner.
struct Claim<'a>(&'a AtomicBool);

impl<'a> Claim<'a> {
    fn new(claim: &'a AtomicBool) -> Result<Self, Taken> {
        for _ in 0..PATIENCE {
            let held = claim.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            if held.is_ok() {
                return Ok(Self(claim));
            }
            #[cfg(not(loom))]
            std::hint::spin_loop();
            #[cfg(loom)]
            loom::thread::yield_now();
        }
        Err(Taken)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
