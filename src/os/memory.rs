//! Checks for memory before it is allocated, because a failed allocation in Rust would end the
//! host's process.
//!
//! | file | what |
//! |---|---|
//! | `emptied` | pages that a child of this process finds emptied |
//! | `bound` | what limits the process' memory, and whether a need is within these limits |
//! | `mapping` | asks the kernel for address space without filling any |
//!
//! Between the check and the allocation, another thread of the host may take the memory. That
//! cannot be prevented, and is stated in `include/signal.h`.

use std::fmt;

use super::machine::{GroupMemory, group_memory};
use super::threads::stack_bytes;
use crate::error::Error;
use bound::Bound;
pub(crate) use emptied::emptied_in_children;
pub(crate) use mapping::Reserved;

mod bound;
mod emptied;
mod mapping;

const MIB: usize = 1 << 20;

/// What a create allocates besides what its configuration asks for: names, histograms, messages.
const SMALL: usize = 8 * MIB;
/// What a thread allocates besides its stack: its histograms, and pages of its own if glibc finds
/// no room for a separate heap.
const BESIDE_STACK: usize = MIB;
/// What remains for the calling thread once a new thread has taken room for its heap.
const WHILE_STARTING: usize = 2 * MIB;
/// Number of mappings for a create, and for each of its threads.
const MAPPINGS: usize = 24;
const MAPPINGS_EACH: usize = 8;

/// Memory that is about to be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    /// Bytes of address space.
    room: usize,
    /// Bytes that are written to.
    filled: usize,
    /// Bytes of stacks: address space, of which little is filled unless the host locks its memory.
    stacks: usize,
    mappings: usize,
}

impl Need {
    fn new(bytes: usize, threads: usize) -> Self {
        let filled = threads
            .saturating_mul(BESIDE_STACK)
            .saturating_add(SMALL)
            .saturating_add(bytes);
        let stacks = threads.saturating_mul(stack_bytes());
        Self {
            room: filled.saturating_add(stacks),
            filled,
            stacks,
            mappings: MAPPINGS + MAPPINGS_EACH * threads,
        }
    }

    /// The part of the need that is not available, and why. Does not allocate.
    fn refused(self) -> Option<Refusal> {
        let bound = match allocator_gives_some() {
            true => bound::met(self.room, self.mappings)?,
            false => Bound::Allocator,
        };
        Some(Refusal {
            need: self.room,
            bound,
        })
    }

    /// As [`Need::refused`], including the control groups' limits; reading their files allocates.
    fn refused_by_any(self) -> Option<Refusal> {
        self.refused().or_else(|| self.refused_by(group_memory()?))
    }

    fn refused_by(self, group: GroupMemory) -> Option<Refusal> {
        let stacks = if bound::is_locked() { self.stacks } else { 0 };
        let need = self.filled.saturating_add(stacks);
        (need as u64 > group.left).then_some(Refusal {
            need,
            bound: Bound::Group(group),
        })
    }
}

/// A need that cannot be met.
pub(crate) struct Refusal {
    need: usize,
    bound: Bound,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let need = self.need.div_ceil(MIB);
        write!(
            f,
            "needs {need} MiB, which is not available: {}",
            self.bound
        )
    }
}

fn named(what: &str) -> impl Fn(Refusal) -> Error + '_ {
    move |refusal| Error::Memory(format!("{what} {refusal}"))
}

/// Memory that reading JSON takes, as a multiple of the text's size.
pub(crate) const READING_JSON: usize = 32;

/// Whether there is the minimum that any engine needs, created from `bytes` bytes of configuration.
/// Does not allocate.
pub(crate) fn check_start(bytes: usize) -> Result<(), Refusal> {
    let need = Need::new(bytes.saturating_mul(READING_JSON), 1);
    need.refused().map_or(Ok(()), Err)
}

/// Whether the process' allocator, which may be the host's own, still returns memory.
pub(crate) fn allocator_gives_some() -> bool {
    const SOME: usize = 64 << 10;
    // SAFETY: the memory is freed, and not used otherwise.
    unsafe {
        let some = libc::malloc(SOME);
        let is_there = !std::hint::black_box(some).is_null();
        libc::free(some);
        is_there
    }
}

/// Whether `bytes` bytes, which are allocated next, are available now.
///
/// # Errors
///
/// [`Error::Memory`], naming the need and the limit.
pub(crate) fn check(what: &str, bytes: usize) -> Result<(), Error> {
    let refused = Need::new(bytes, 0).refused_by_any();
    refused.map(named(what)).map_or(Ok(()), Err)
}

/// As [`check`], for bytes and threads. The address space stays reserved, because a new thread
/// takes room for a heap of its own, 64 MiB if available.
///
/// # Errors
///
/// [`Error::Memory`], naming the need and the limit.
pub(crate) fn reserve(what: &str, bytes: usize, threads: usize) -> Result<Reserved, Error> {
    let need = Need::new(bytes, threads);
    let refused = need.refused_by_any().map(named(what));
    refused.map_or(Ok(()), Err)?;
    Ok(Reserved::new(need.room))
}

/// How much of the room that [`reserve`] keeps the next thread takes.
pub(crate) fn of_a_thread() -> usize {
    stack_bytes() + BESIDE_STACK
}

/// Room that a new thread must leave to the thread that waits for it.
pub(crate) fn reserve_while_starting() -> Reserved {
    Reserved::new(WHILE_STARTING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_is_and_what_cannot_is_named() {
        check("a test", 1 << 20).unwrap();
        drop(reserve("a test", 1 << 20, 4).unwrap());
        let error = check("a test", usize::MAX / 2).unwrap_err().to_string();
        assert!(error.starts_with("memory: a test needs "), "{error}");
        assert!(error.contains("which is not available: "), "{error}");
        check_start(0).map_err(|why| why.to_string()).unwrap();
        let error = check_start(usize::MAX).unwrap_err().to_string();
        assert!(error.contains("which is not available: "), "{error}");
    }

    #[test]
    fn a_groups_limit_bounds_what_is_filled() {
        let group = |left| GroupMemory {
            left,
            limit: 64 << 20,
            file: "/g/memory.max".into(),
        };
        let need = Need::new(10 * MIB, 2);
        assert!(need.filled < need.room);
        assert!(need.refused_by(group(need.room as u64)).is_none());
        let refused = need.refused_by(group(need.filled as u64 - 1)).unwrap();
        let text = refused.to_string();
        assert!(text.contains("64 MiB (/g/memory.max)"), "{text}");
    }
}
