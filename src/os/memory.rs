//! Asks for memory before it is taken: a failed allocation of Rust's would end
//! the host's process.
//!
//! | file | what |
//! |---|---|
//! | `bound` | what bounds the process' memory, and whether a need is within |
//! | `mapping` | asks the kernel for room without filling any |
//!
//! Between the question and the taking another thread of the host may take the memory:
//! that cannot be helped, and is said in `include/signal.h`.

use std::fmt;

use super::machine::{GroupMemory, group_memory};
use super::threads::stack_bytes;
use crate::error::Error;
use bound::Bound;
pub(crate) use bound::limit;
pub(crate) use mapping::Reserved;

mod bound;
mod mapping;

const MIB: usize = 1 << 20;

/// What a create takes besides what its configuration asks for: names, histograms,
/// messages.
const SMALL: usize = 8 * MIB;
/// What a thread takes beside its stack: its histograms, and pages of its own where glibc
/// finds no room for a heap of its own.
const BESIDE_STACK: usize = MIB;
/// What is still there for the calling thread when a new one has taken room for a heap.
const WHILE_STARTING: usize = 2 * MIB;
/// Mappings that a create takes, and each of its threads.
const MAPPINGS: usize = 24;
const MAPPINGS_EACH: usize = 8;

/// What is going to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    /// Bytes of address space.
    room: usize,
    /// Bytes that are written to.
    filled: usize,
    /// Bytes of stacks: room, of which little is filled unless the host locks it.
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

    /// What of it is not to be had, and why. Takes no memory.
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

    /// As [`Need::refused`], with the control groups' limits, whose files take memory to
    /// be read.
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

/// A need that cannot be had.
pub(crate) struct Refusal {
    need: usize,
    bound: Bound,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let need = self.need.div_ceil(MIB);
        write!(f, "needs {need} MiB, which cannot be had: {}", self.bound)
    }
}

fn named(what: &str) -> impl Fn(Refusal) -> Error + '_ {
    move |refusal| Error::Memory(format!("{what} {refusal}"))
}

/// Whether there is the least that any engine needs, made from so many bytes of
/// configuration. Takes no memory to find out.
pub(crate) fn check_start(bytes: usize) -> Result<(), Refusal> {
    /// What reading JSON takes, in its own size.
    const READING: usize = 32;
    let need = Need::new(bytes.saturating_mul(READING), 1);
    need.refused().map_or(Ok(()), Err)
}

/// Whether the process' allocator, which may be the host's own, gives anything.
pub(crate) fn allocator_gives_some() -> bool {
    const SOME: usize = 64 << 10;
    // SAFETY: what is taken is given back, and nothing else is done with it.
    unsafe {
        let some = libc::malloc(SOME);
        let is_there = !std::hint::black_box(some).is_null();
        libc::free(some);
        is_there
    }
}

/// Whether so many bytes can be had now, which are taken next.
///
/// # Errors
///
/// [`Error::Memory`], naming the need and the limit.
pub(crate) fn check(what: &str, bytes: usize) -> Result<(), Error> {
    let refused = Need::new(bytes, 0).refused_by_any();
    refused.map(named(what)).map_or(Ok(()), Err)
}

/// As [`check`], for bytes and threads. The room stays reserved: a new thread takes
/// room for a heap of its own, 64 MiB if they are there.
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

/// What a thread that is started next takes of what [`reserve`] has kept.
pub(crate) fn of_a_thread() -> usize {
    stack_bytes() + BESIDE_STACK
}

/// Room that a new thread leaves to the one that waits for it.
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
        assert!(error.contains("which cannot be had: "), "{error}");
        check_start(0).map_err(|why| why.to_string()).unwrap();
        let error = check_start(usize::MAX).unwrap_err().to_string();
        assert!(error.contains("which cannot be had: "), "{error}");
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
