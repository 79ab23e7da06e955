//! Where handles live: a table that is never freed.
//!
//! What the host holds is no pointer but a token: 12 bits that say it is ours,
//! 16 that tell copies of this library in one process apart, 26 that count a
//! slot's handles, and the slot. A token is compared before anything is read
//! through it, so what is foreign, garbage or dead is refused and never
//! followed. What a host may look at or run into too late (the seat, the words
//! of the inlined poll) lies in the table itself.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::handle::{Handle, guarded};
use super::slot::{BURIED, FREE, LIVE, MAKING, NEXT, Slot, TAKEN};
use super::types::{SIGNAL_ERROR_BUSY, SIGNAL_ERROR_HANDLE, SIGNAL_ERROR_NULL};
use super::{calibration, door, last_error};
use crate::os::files;
use crate::os::this_thread::{self, Key};
use crate::sync::biased_lock::{CallingBack, Entered};
use crate::sync::membarrier;
use crate::sync::ring::cursors::{AtHost, Users, Word};

/// Handles that can live at once.
pub(super) const SLOTS: usize = 256;

const SLOT_BITS: u32 = 10;
const GENERATION_BITS: u32 = 26;
const COPY_BITS: u32 = 16;
const TAG: u64 = 0x534;
const _: () = assert!(SLOTS <= 1 << SLOT_BITS);
const _: () = assert!(TAG < 1 << (64 - SLOT_BITS - GENERATION_BITS - COPY_BITS));

static TABLE: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];
/// Slots that were ever used are below this one.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Calls with an invalid handle.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Why a handle was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Null,
    Dead,
    Busy,
}

impl Refused {
    pub(super) fn code(self) -> c_int {
        match self {
            Self::Null => SIGNAL_ERROR_NULL,
            Self::Dead => SIGNAL_ERROR_HANDLE,
            Self::Busy => SIGNAL_ERROR_BUSY,
        }
    }
}

/// A thread inside a handle's seat.
pub(super) struct Inside {
    // No reference: it would outlive what `destroy` frees.
    handle: NonNull<Handle>,
    slot: &'static Slot,
    token: u64,
    entered: Entered<'static>,
    // After `entered`: whoever gets the slot next finds the seat empty.
    freed: Freed,
}

/// Frees a slot when dropped, if there is one to free.
#[derive(Default)]
struct Freed(Cell<Option<&'static Slot>>);

impl Drop for Freed {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.0.get() {
            slot.state.store(FREE, Ordering::Release);
        }
    }
}

impl Inside {
    #[inline]
    pub(super) fn handle(&self) -> &Handle {
        // SAFETY: `enter` saw the token of this handle while inside its seat, and
        // only `destroy`, the last thing done with this value, frees it.
        unsafe { self.handle.as_ref() }
    }

    /// Whether this is from inside a callback.
    #[inline]
    pub(super) fn is_nested(&self) -> bool {
        self.entered.is_nested()
    }

    /// Lets this thread enter again until the value is dropped.
    #[inline]
    pub(super) fn call_back(&self) -> CallingBack<'_> {
        self.entered.call_back()
    }

    /// Whether the handle still is one: a callback may have destroyed it, or
    /// forked this process.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.slot.token.is(self.token)
    }

    /// Makes the handle none: from now on every function refuses it.
    pub(super) fn take_down(&self) {
        self.slot.token.take_down();
    }

    /// Ends a handle that was taken down; its slot is free when this value is
    /// dropped, and [`Inside::handle`] must not be called any more.
    #[cold]
    #[inline(never)]
    pub(super) fn destroy(&self) {
        door::through((), || self.destroy_inside());
    }

    fn destroy_inside(&self) {
        let slot = self.slot;
        // A fork between taking down and here: the lanes are the parent's.
        if slot.state.load(Ordering::Relaxed) == BURIED {
            return;
        }
        if !slot.wait_for_readers() {
            crate::os::stderr::say(
                "a handle was destroyed while a call on it was interrupted: its memory is kept",
            );
            let handle = self.handle();
            guarded((), || {
                // SAFETY: this thread is inside the handle's seat, no callback runs,
                // and readers look at neither end.
                let ends = unsafe { (&mut *handle.feeder.get(), &mut *handle.poller.get()) };
                handle.base.end(ends.0, ends.1);
            });
            slot.state.store(BURIED, Ordering::Release);
            return;
        }
        let value = slot.value.swap(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `value` came from `Box::into_raw` in `Reserved::publish` and is
        // taken out once. Nobody else reads through it: this thread is inside the
        // seat, the token is down and there are no readers.
        let owned = unsafe { Box::from_raw(value) };
        let all = guarded(false, || owned.base.end_lanes());
        guarded((), || drop(owned));
        if !all {
            // A lane that was left behind may still write the slot's words.
            slot.state.store(BURIED, Ordering::Release);
            return;
        }
        slot.empty_words();
        self.freed.0.set(Some(slot));
    }
}

fn say_once_that_calls_are_slower() {
    static SAID: AtomicU8 = AtomicU8::new(0);
    if SAID.swap(1, Ordering::Relaxed) == 0 {
        crate::os::stderr::say(
            "the kernel refuses membarrier (a sandbox, or Linux before 4.14): each call on a handle takes \
             about 20 ns more, and a handle that moves between threads 2 ms each time",
        );
    }
}

/// A slot for a handle that is being made; given back when dropped.
pub(super) struct Reserved {
    slot: &'static Slot,
    index: usize,
    /// Who holds the slot's words.
    users: Users,
}

impl Reserved {
    /// # Errors
    ///
    /// A sentence that says that the table is full.
    pub(super) fn new() -> Result<Self, String> {
        let biased = membarrier::available();
        if !biased {
            say_once_that_calls_are_slower();
        }
        // One thread's own seats are the faster ones.
        for wants_own in [true, false] {
            for (index, slot) in TABLE.iter().enumerate() {
                if wants_own && biased && slot.seat.is_shared() {
                    continue;
                }
                if slot
                    .state
                    .compare_exchange(FREE, MAKING, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    USED.fetch_max(index + 1, Ordering::Relaxed);
                    if !biased {
                        slot.seat.share();
                    }
                    slot.prepare();
                    return Ok(Self {
                        slot,
                        index,
                        users: Users::default(),
                    });
                }
            }
        }
        Err(format!(
            "there are {SLOTS} handles already, the most that can be; destroy one first"
        ))
    }

    /// The words for an engine that will live here.
    pub(super) fn words(&self) -> AtHost {
        let hosts = &self.slot.hosts;
        AtHost {
            published: Word::at(&self.slot.published, &self.users),
            taken: Word::at(&hosts[TAKEN], &self.users),
            next: Word::at(&hosts[NEXT], &self.users),
        }
    }

    /// Puts the handle into the slot; null if this process was forked meanwhile.
    pub(super) fn publish(self, handle: Box<Handle>) -> *mut c_void {
        let (slot, index) = (self.slot, self.index);
        slot.value.store(Box::into_raw(handle), Ordering::Relaxed);
        if slot
            .state
            .compare_exchange(MAKING, LIVE, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return std::ptr::null_mut();
        }
        let generation = slot.generation.fetch_add(1, Ordering::Relaxed);
        let token = token(index, generation);
        slot.token.put_up(token);
        std::ptr::without_provenance_mut(token as usize)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // A lane that a failed create has left behind may still write the words.
        let next = match self.users.are_gone() {
            true => FREE,
            false => BURIED,
        };
        // A slot whose handle was published is no longer being made.
        let _ =
            self.slot
                .state
                .compare_exchange(MAKING, next, Ordering::Release, Ordering::Relaxed);
    }
}

/// The token of a slot's next handle. Where it starts counting depends on the
/// copy of the library, so two copies' tokens differ in more than 16 bits.
fn token(index: usize, generation: u32) -> u64 {
    let mut hash = (&raw const TABLE).addr() as u64;
    for _ in 0..2 {
        hash = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let copy = hash >> (64 - COPY_BITS);
    let generation = (u64::from(generation) + (hash & 0xffff_ffff)) & ((1 << GENERATION_BITS) - 1);
    (((TAG << COPY_BITS | copy) << GENERATION_BITS | generation) << SLOT_BITS) | index as u64
}

/// Has this thread's name taken out of every seat when the thread ends: one that
/// comes later may have its control block, and so its name. False if that cannot be
/// promised.
fn name_ends_with_the_thread() -> bool {
    unsafe extern "C" fn end(_: *mut c_void) {
        let used = USED.load(Ordering::Relaxed).min(SLOTS);
        let me = this_thread::name();
        for slot in &TABLE[..used] {
            slot.seat.give_up(me);
        }
        // What else runs at the thread's end may call in: it gets no seat of its own.
        // ThreadSanitizer has forgotten the thread when a last round asks again.
        if !cfg!(thread_sanitizer) {
            NAME.set(ENDED);
        }
    }
    static NAME: Key = Key::new(Some(end));
    const OWNS: *const c_void = std::ptr::without_provenance(1);
    const ENDED: *const c_void = std::ptr::without_provenance(2);
    NAME.get().cast_const() != ENDED && NAME.set(OWNS)
}

#[inline(always)]
fn find(handle: *mut c_void) -> Result<(&'static Slot, u64), Refused> {
    let token = handle.addr() as u64;
    let index = (token & ((1 << SLOT_BITS) - 1)) as usize;
    match TABLE.get(index) {
        Some(slot) if slot.token.is(token) && token != 0 => Ok((slot, token)),
        _ => Err(refuse(token)),
    }
}

/// For the functions that belong to the host's thread: gets this thread in.
// Called, it would hand its result over through memory, at more than its cost.
#[inline(always)]
pub(super) fn enter(handle: *mut c_void) -> Result<Inside, Refused> {
    let (slot, token) = find(handle)?;
    let Ok(entered) = slot
        .seat
        .enter(this_thread::name(), name_ends_with_the_thread)
    else {
        return Err(refuse_busy(slot));
    };
    // It may have been destroyed on the way in.
    if !slot.token.is(token) {
        return Err(refuse(token));
    }
    let Some(handle) = NonNull::new(slot.value.load(Ordering::Relaxed)) else {
        return Err(refuse(token));
    };
    Ok(Inside {
        handle,
        slot,
        token,
        entered,
        freed: Freed::default(),
    })
}

/// For the functions that any thread may call: keeps the handle from being
/// freed while `body` runs.
pub(super) fn read<R>(
    handle: *mut c_void,
    body: impl FnOnce(&Handle, &'static Slot) -> R,
) -> Result<R, Refused> {
    let (slot, token) = find(handle)?;
    let Some(_reading) = slot.readers.begin(&slot.token, token) else {
        return Err(refuse(token));
    };
    // SAFETY: the slot holds this token's handle, and destroy waits for readers
    // before it frees anything.
    let handle = unsafe { &*slot.value.load(Ordering::Relaxed) };
    guarded(None, || Some(body(handle, slot))).ok_or(Refused::Null)
}

/// Counts the use of an invalid handle, and gives the reason to `signal_last_error`.
#[cold]
#[inline(never)]
fn refuse(token: u64) -> Refused {
    if token == 0 {
        return Refused::Null;
    }
    REFUSED.fetch_add(1, Ordering::Relaxed);
    let before_fork = TABLE
        .get((token & ((1 << SLOT_BITS) - 1)) as usize)
        .is_some_and(|slot| slot.before_fork.load(Ordering::Relaxed) == token);
    last_error::set_static(if before_fork {
        c"the handle was made before fork(): it belongs to the parent process; create one here"
    } else {
        c"not a live handle of this library: expected what signal_create returned, before signal_destroy"
    });
    Refused::Dead
}

#[cold]
#[inline(never)]
fn refuse_busy(slot: &Slot) -> Refused {
    slot.refused.fetch_add(1, Ordering::Relaxed);
    last_error::set_static(
        c"another call on this handle is under way: expected one thread at a time",
    );
    Refused::Busy
}

/// Calls refused for their handle.
pub(super) fn refused() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// Whether this thread is inside a handle's function, outside any callback.
pub(super) fn this_thread_is_inside() -> bool {
    let used = USED.load(Ordering::Relaxed).min(SLOTS);
    let me = this_thread::name();
    TABLE[..used].iter().any(|slot| slot.seat.runs(me))
}

/// Has every handle of the process refused in a child that is forked from it: the
/// child has none of its threads.
///
/// # Errors
///
/// A sentence that says what failed.
pub(super) fn watch_forks() -> Result<(), String> {
    static WATCHED: AtomicU8 = AtomicU8::new(0);
    extern "C" fn in_child() {
        let used = USED.load(Ordering::Relaxed).min(SLOTS);
        for slot in &TABLE[..used] {
            slot.leave_to_parent();
        }
        calibration::leave_to_parent();
        files::leave_to_parent();
    }
    if WATCHED.swap(1, Ordering::Relaxed) == 1 {
        return Ok(());
    }
    // SAFETY: the handler stores into static atomics and closes descriptors of ours,
    // and this library is never unloaded (`build.rs`).
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        error => {
            WATCHED.store(0, Ordering::Relaxed);
            let error = std::io::Error::from_raw_os_error(error);
            Err(format!("cannot watch for fork(): {error}"))
        }
    }
}

#[cfg(test)]
mod tests;
