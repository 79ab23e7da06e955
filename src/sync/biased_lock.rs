//! A seat: at most one thread is in it, and finding that out costs no locked
//! instruction while it is always the same thread.
//!
//! The thread that used the seat last owns it: it enters with a plain store,
//! then looks whether it still is the owner. Another thread claims the seat: it
//! takes the owner's name away, puts a barrier between that and what comes next
//! on every thread ([`membarrier::heavy`]), and only then looks whether the former
//! owner is inside. If so the claim is given back and refused.
//!
//! Each owner has a word of its own to say that it is inside, so a thread that
//! was held up half-way writes where nobody looks any more. Words are not used
//! twice: a seat that has changed hands [`ROUNDS`] times is shared from then on,
//! and each entry takes a locked instruction.
//!
//! The word counts: odd while a function runs, even while nobody is inside or
//! that function has called back into the host. So the owner may enter again
//! from inside a callback, and may not from a signal handler that interrupted it.

use super::{AtomicBool, AtomicU8, AtomicU64, Ordering, membarrier};

/// Threads' names take the bits below this one, the round those above.
const ROUND_SHIFT: u32 = 58;
const THREAD: u64 = (1 << ROUND_SHIFT) - 1;
/// How often a seat may change hands before it is shared.
#[cfg(not(loom))]
pub(crate) const ROUNDS: usize = 1 << (64 - ROUND_SHIFT);
#[cfg(loom)]
const ROUNDS: usize = 2;

/// Values of `owner` that are no thread's.
const NOBODY: u64 = 0;
const CLAIMED: u64 = 1;
const SHARED: u64 = 2;

/// Steps that a thread waits for another's claim, a few microseconds (a pause
/// takes 10 to 50 ns), before it is refused: it may have interrupted that very
/// claim.
#[cfg(not(loom))]
const PATIENCE: usize = 128;
#[cfg(loom)]
const PATIENCE: usize = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Seat {
    /// The owner's name and round, or one of the values above.
    owner: AtomicU64,
    inside: [AtomicU8; ROUNDS],
    /// Held while the owner changes.
    claim: AtomicBool,
    /// Who is inside a shared seat, and how deep.
    holder: AtomicU64,
    held: AtomicU8,
}

/// Somebody else is inside, or the same thread where it must not enter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

impl Seat {
    /// An empty seat.
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

    /// An empty seat.
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
    /// living thread is called, above 2 and below 2^58.
    ///
    /// # Errors
    ///
    /// [`Taken`].
    #[inline(always)]
    pub(crate) fn enter(&self, me: u64) -> Result<Entered<'_>, Taken> {
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
        self.enter_slowly(me)
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, me: u64) -> Result<Entered<'_>, Taken> {
        // Acquires what was done before the seat became shared.
        if self.owner.load(Ordering::Acquire) == SHARED {
            return self.enter_shared(me);
        }
        let _claim = Claim::new(&self.claim)?;
        let owner = self.owner.load(Ordering::Relaxed);
        match owner {
            SHARED => self.enter_shared(me),
            NOBODY => {
                self.owner.store(me, Ordering::Relaxed);
                self.sit(0)
            }
            _ if owner & THREAD == me => self.sit(round(owner)),
            _ => {
                self.owner.store(CLAIMED, Ordering::Relaxed);
                membarrier::heavy();
                // Acquires what the former owner did inside.
                if self.inside[round(owner)].load(Ordering::Acquire) != 0 {
                    self.owner.store(owner, Ordering::Relaxed);
                    return Err(Taken);
                }
                let next = round(owner) + 1;
                if next == ROUNDS {
                    self.owner.store(SHARED, Ordering::Release);
                    return self.enter_shared(me);
                }
                let name = me | (next as u64) << ROUND_SHIFT;
                self.owner.store(name, Ordering::Relaxed);
                self.sit(next)
            }
        }
    }

    /// For the owner, while it holds the claim: nobody else looks meanwhile.
    fn sit(&self, round: usize) -> Result<Entered<'_>, Taken> {
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
impl Seat {
    /// Shares a seat that nobody may enter now: for a machine without the kernel's
    /// barrier. Its last owner has left it before the caller got the right to it.
    pub(crate) fn share(&self) {
        let Ok(_claim) = Claim::new(&self.claim) else {
            return;
        };
        let owner = self.owner.load(Ordering::Relaxed);
        let is_free = match owner {
            NOBODY => true,
            CLAIMED | SHARED => false,
            _ => self.inside[round(owner)].load(Ordering::Acquire) == 0,
        };
        if is_free {
            self.owner.store(SHARED, Ordering::Release);
        }
    }

    /// Whether entering takes a locked instruction.
    pub(crate) fn is_shared(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == SHARED
    }

    /// Whether this thread is inside, running a function.
    pub(crate) fn runs(&self, me: u64) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let inside = match owner {
            SHARED if self.holder.load(Ordering::Relaxed) == me => &self.held,
            _ if owner & THREAD == me => &self.inside[round(owner)],
            _ => return false,
        };
        inside.load(Ordering::Relaxed) & 1 != 0
    }

    /// Whether nobody is inside or about to be. Certain only where no other
    /// thread is left, as in the child of a fork.
    pub(crate) fn is_empty(&self) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let inside = match owner {
            CLAIMED => return false,
            NOBODY | SHARED => 0,
            _ => self.inside[round(owner)].load(Ordering::Relaxed),
        };
        inside == 0
            && self.holder.load(Ordering::Relaxed) == 0
            && !self.claim.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests;
