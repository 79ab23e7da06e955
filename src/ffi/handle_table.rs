//! Where handles live: a table that is never freed.
//!
//! What the host holds is not a pointer but a token: 12 bits that mark it as ours, 16 that tell
//! copies of this library in one process apart, 26 that count the handles of a slot, and the slot's
//! index. A token is compared before anything is read through it, so a foreign, garbage or dead
//! token is refused and never followed. What a host may read or enter too late (the lock, the
//! cursors of the inlined poll) is in the table itself, or in that of the entrances.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::entrance::{self, Entrance, SLOTS};
use super::handle::{Handle, guarded};
use super::slot::{BURIED, FREE, LIVE, MAKING, NEXT, Slot, TAKEN};
use super::types::{SIGNAL_ERROR_BUSY, SIGNAL_ERROR_HANDLE, SIGNAL_ERROR_NULL};
use super::{departure, door, forks, last_error};
use crate::os::this_thread::{self, Key};
use crate::sync::biased_lock::{CallingBack, Entered};
use crate::sync::membarrier;
use crate::sync::ring::cursors::{Cursor, HostCursors, Users};

const SLOT_BITS: u32 = 10;
const GENERATION_BITS: u32 = 26;
const COPY_BITS: u32 = 16;
const TAG: u64 = 0x534;
const _: () = assert!(SLOTS <= 1 << SLOT_BITS);
const _: () = assert!(TAG < 1 << (64 - SLOT_BITS - GENERATION_BITS - COPY_BITS));

static TABLE: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];
/// All slots that were ever used have an index below this.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Number of calls with an invalid handle.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Why a handle was refused.
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

/// A thread inside a handle's lock.
pub(super) struct Inside {
    // Not a reference, which would outlive what `destroy` frees.
    handle: NonNull<Handle>,
    entrance: &'static Entrance,
    token: u64,
    entered: Entered<'static>,
    // Declared after `entered`, so dropped after it: the next user of the slot finds the lock
    // empty.
    freed: Freed,
}

/// Frees the slot that it holds, if any, when dropped.
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
        // SAFETY: `enter` saw this handle's token while inside its lock. Only `destroy` frees the
        // handle, and it is the last call on this value.
        unsafe { self.handle.as_ref() }
    }

    /// Whether this call comes from inside a callback.
    #[inline]
    pub(super) fn is_nested(&self) -> bool {
        self.entered.is_nested()
    }

    /// Lets this thread enter again until the value is dropped.
    #[inline]
    pub(super) fn call_back(&self) -> CallingBack<'_> {
        self.entered.call_back()
    }

    /// Whether the handle is still valid: a callback may have destroyed it, or forked this process.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.entrance.token.is(self.token)
    }

    /// Invalidates the handle: from now on every function refuses it.
    pub(super) fn take_down(&self) {
        self.entrance.token.take_down();
    }

    /// Frees a handle that was taken down. Its slot becomes free when this value is dropped.
    /// [`Inside::handle`] must not be called after this.
    #[cold]
    #[inline(never)]
    pub(super) fn destroy(&self) {
        door::through((), || self.destroy_inside());
    }

    fn destroy_inside(&self) {
        let slot = slot_of(self.token);
        // The process was forked after `take_down`: the lanes are the parent's.
        let is_parents =
            || !forks::notice().is_ours() || slot.state.load(Ordering::Relaxed) == BURIED;
        if is_parents() {
            return;
        }
        let none_reads = slot.wait_for_readers();
        // Or a signal handler that interrupted the wait has made this child.
        if is_parents() {
            return;
        }
        if !none_reads {
            crate::os::stderr::say(
                "a handle was destroyed while a call on it was interrupted: its memory is kept",
            );
            // SAFETY: this thread is inside the handle's lock, no callback runs, and readers use
            // neither end.
            unsafe { at_exit::end_and_bury(slot, self.handle()) };
            return;
        }
        let value = &self.entrance.value;
        // Null in the child of a signal handler that has just interrupted this. The child's next
        // call buries the slot.
        let Some(value) = NonNull::new(value.swap(std::ptr::null_mut(), Ordering::Relaxed)) else {
            return;
        };
        // SAFETY: `value` came from `Box::into_raw` in `Reserved::publish` and is
        // taken out once. Nobody else reads through it: this thread is inside the
        // lock, the token is down and there are no readers.
        let owned = unsafe { Box::from_raw(value.as_ptr()) };
        let all = guarded(false, || owned.runtime.end_lanes());
        guarded((), || drop(owned));
        departure::handle_has_ended();
        if !all {
            // A lane that could not be joined may still write the slot's cursors.
            slot.state.store(BURIED, Ordering::Release);
            return;
        }
        slot.reset_cursors();
        self.freed.0.set(Some(slot));
    }
}

fn say_once_that_calls_are_slower() {
    static SAID: AtomicU8 = AtomicU8::new(0);
    if SAID.swap(1, Ordering::Relaxed) == 0 {
        crate::os::stderr::say(
            "the kernel refuses membarrier (a sandbox, or Linux before 4.14): each call on a new handle takes \
             about 20 ns more; an older handle takes 2 ms more each time that it moves between threads",
        );
    }
}

/// A slot reserved for a handle that is being created; released when dropped.
pub(super) struct Reserved {
    slot: &'static Slot,
    index: usize,
    /// Counts the holders of the slot's cursors.
    users: Users,
}

impl Reserved {
    /// # Errors
    ///
    /// A sentence that says that the table is full.
    #[inline(never)]
    pub(super) fn new() -> Result<Self, String> {
        let biased = membarrier::available();
        if !biased {
            say_once_that_calls_are_slower();
        }
        // First slots whose lock is still biased to one thread: those are faster.
        for wants_own in [true, false] {
            for (index, slot) in TABLE.iter().enumerate() {
                let lock = &entrance::all()[index].lock;
                if wants_own && biased && lock.is_shared() {
                    continue;
                }
                if slot
                    .state
                    .compare_exchange(FREE, MAKING, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    USED.fetch_max(index + 1, Ordering::Relaxed);
                    if !biased {
                        lock.share();
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
            "there are {SLOTS} handles already, the maximum; destroy one first"
        ))
    }

    /// The cursors for an engine that will use this slot.
    pub(super) fn cursors(&self) -> HostCursors {
        let hosts = &self.slot.hosts;
        HostCursors {
            published: Cursor::at(&self.slot.published, &self.users),
            taken: Cursor::at(&hosts[TAKEN], &self.users),
            next: Cursor::at(&hosts[NEXT], &self.users),
        }
    }

    /// Puts the handle into the slot; null if this process was forked meanwhile.
    #[inline(never)]
    pub(super) fn publish(self, handle: Box<Handle>) -> *mut c_void {
        let is_ours = forks::notice().is_ours();
        let (slot, index) = (self.slot, self.index);
        let entrance = &entrance::all()[index];
        entrance
            .value
            .store(Box::into_raw(handle), Ordering::Relaxed);
        let live = slot
            .state
            .compare_exchange(MAKING, LIVE, Ordering::Relaxed, Ordering::Relaxed);
        if !is_ours || live.is_err() {
            return std::ptr::null_mut();
        }
        let generation = slot.generation.fetch_add(1, Ordering::Relaxed);
        let token = token(index, generation);
        entrance.token.put_up(token);
        std::ptr::without_provenance_mut(token as usize)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // A lane that a failed create has left running may still write the cursors.
        let next = match self.users.are_gone() {
            true => FREE,
            false => BURIED,
        };
        // Fails, as it should, if the handle was published: the slot is then no longer `MAKING`.
        let _ =
            self.slot
                .state
                .compare_exchange(MAKING, next, Ordering::Release, Ordering::Relaxed);
    }
}

/// The token of a slot's next handle. The count's start depends on the copy of the library, so the
/// tokens of two copies differ in more than 16 bits.
fn token(index: usize, generation: u32) -> u64 {
    let mut hash = (&raw const TABLE).addr() as u64;
    for _ in 0..2 {
        hash = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let copy = hash >> (64 - COPY_BITS);
    let generation = (u64::from(generation) + (hash & 0xffff_ffff)) & ((1 << GENERATION_BITS) - 1);
    (((TAG << COPY_BITS | copy) << GENERATION_BITS | generation) << SLOT_BITS) | index as u64
}

/// The token of a slot's latest handle.
fn latest_token(index: usize, slot: &Slot) -> u64 {
    let next = slot.generation.load(Ordering::Relaxed);
    token(index, next.wrapping_sub(1))
}

/// Registers this thread so that its name is removed from every lock when the thread ends: a later
/// thread may get the same control block, and so the same name. False if that cannot be guaranteed.
fn name_ends_with_the_thread() -> bool {
    unsafe extern "C" fn end(_: *mut c_void) {
        let used = USED.load(Ordering::Relaxed).min(SLOTS);
        let me = this_thread::name();
        for entrance in &entrance::all()[..used] {
            entrance.lock.give_up(me);
        }
        // Other code that runs at the thread's end may still call in; it gets no biased lock.
        // ThreadSanitizer has already forgotten the thread if a last round of destructors asks
        // again.
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
fn index(token: u64) -> usize {
    (token & ((1 << SLOT_BITS) - 1)) as usize
}

/// The slot of a token that was found.
fn slot_of(token: u64) -> &'static Slot {
    &TABLE[index(token)]
}

#[inline(always)]
fn find(handle: *mut c_void) -> Result<(&'static Entrance, u64), Refused> {
    let token = handle.addr() as u64;
    match entrance::all().get(index(token)) {
        Some(entrance) if entrance.token.is(token) && token != 0 => Ok((entrance, token)),
        _ => Err(refuse(token)),
    }
}

/// For the functions that belong to the host's thread: enters the handle's lock.
// Inlined, because a call would return the result through memory, which costs more than the work.
#[inline(always)]
pub(super) fn enter(handle: *mut c_void) -> Result<Inside, Refused> {
    let (entrance, token) = find(handle)?;
    let Ok(entered) = entrance
        .lock
        .enter(this_thread::name(), name_ends_with_the_thread)
    else {
        return Err(refuse_busy(token));
    };
    // The handle may have been destroyed before this thread got in.
    if !entrance.token.is(token) {
        return Err(refuse(token));
    }
    let Some(handle) = NonNull::new(entrance.value.load(Ordering::Relaxed)) else {
        return Err(refuse(token));
    };
    Ok(Inside {
        handle,
        entrance,
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
    forks::look();
    let (entrance, token) = find(handle)?;
    let slot = slot_of(token);
    let Some(_reading) = slot.readers.begin(&entrance.token, token) else {
        return Err(refuse(token));
    };
    // Null in the child of a signal handler that has just interrupted this.
    let Some(handle) = NonNull::new(entrance.value.load(Ordering::Relaxed)) else {
        return Err(refuse(token));
    };
    // SAFETY: the slot holds this token's handle, and destroy waits for readers
    // before it frees anything.
    let handle = unsafe { handle.as_ref() };
    guarded(None, || Some(body(handle, slot))).ok_or(Refused::Null)
}

/// The handles that there are now.
fn live() -> impl Iterator<Item = *mut c_void> {
    let used = USED.load(Ordering::Relaxed).min(SLOTS);
    TABLE[..used]
        .iter()
        .enumerate()
        .filter_map(|(index, slot)| {
            let is_live = slot.state.load(Ordering::Relaxed) == LIVE;
            is_live.then(|| std::ptr::without_provenance_mut(latest_token(index, slot) as usize))
        })
}

/// Cores for a thread that must disturb none of a handle's; `None` if there is no handle.
pub(super) fn aside() -> Option<Vec<usize>> {
    let of = |handle| read(handle, |handle, _| handle.runtime.aside.clone()).ok();
    live().find_map(of)
}

/// Destroys every handle. One that a thread has left in the midst of a call stays.
pub(super) fn destroy_all() {
    for handle in live() {
        if let Ok(inside) = enter(handle) {
            inside.take_down();
            inside.destroy();
        }
    }
}

/// Counts the use of an invalid handle and sets the reason for `signal_last_error`.
#[cold]
#[inline(never)]
fn refuse(token: u64) -> Refused {
    if token == 0 {
        return Refused::Null;
    }
    REFUSED.fetch_add(1, Ordering::Relaxed);
    forks::notice_emptied();
    let before_fork = TABLE
        .get(index(token))
        .is_some_and(|slot| slot.before_fork.load(Ordering::Relaxed) == token);
    last_error::set_static(if before_fork {
        c"the handle was made before fork() or clone(): it belongs to the parent process; create one here"
    } else {
        c"not a live handle of this library: expected what signal_create returned, before signal_destroy"
    });
    Refused::Dead
}

#[cold]
#[inline(never)]
fn refuse_busy(token: u64) -> Refused {
    slot_of(token).refused.fetch_add(1, Ordering::Relaxed);
    last_error::set_static(
        c"another call on this handle is in progress: expected one thread at a time",
    );
    Refused::Busy
}

/// Number of calls refused because of an invalid handle.
pub(super) fn refused() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// Whether this thread is inside a handle's function, outside any callback.
pub(super) fn this_thread_is_inside() -> bool {
    let used = USED.load(Ordering::Relaxed).min(SLOTS);
    let me = this_thread::name();
    entrance::all()[..used]
        .iter()
        .any(|entrance| entrance.lock.runs(me))
}

/// The slots that were ever used, and their entrances.
fn used_slots() -> impl Iterator<Item = (&'static Slot, &'static Entrance)> {
    let used = USED.load(Ordering::Relaxed).min(SLOTS);
    TABLE.iter().zip(entrance::all()).take(used)
}

mod at_exit;
mod children;

pub(super) use children::{leave_to_parent, note_empty_locks};

#[cfg(test)]
mod tests;
