//! Takes events, and delivers their signals if `deliver` is `on_data`.

use std::ffi::{c_int, c_void};

use super::batch;
use super::handle::{Handle, guarded};
use super::handle_table::{self, Inside};
use super::signals::{Poll, hand_out};
use crate::abi::{EventKind, HostEvent};
use crate::engine::Wait;
use crate::telemetry::counters::Counter;

/// Takes one event. `type` is one of `SIGNAL_TYPE_*`, `data` points to its struct.
///
/// The call copies what it needs from `data`. It takes no lock, allocates nothing, makes
/// no system call and does not wait, apart from these cases:
///
/// - Where `overload.ingest` is `block` and the ring is full, it spins and yields the core
///   for at most `overload.block_ms`.
/// - Where `deliver` is `on_data`, it may wait for signals, or do a lane's work: see below.
/// - Where stages run inline, it runs the factors and models before it returns. It writes
///   one line to stderr when a second instrument with the same name appears, when two
///   spellings turn out to be one instrument, and when a factor set or model panics. A panic
///   also allocates.
///   Where `deliver` is `on_data` too, an event without a signal now and then has it run factor
///   sets and models on a past event, as `signal_poll_callbacks` does (key `warm`).
/// - The first call on another thread asks the kernel for a memory barrier: see "Threads"
///   at the head of `signal.h`.
/// - Where the handle reads the time by system calls, this call does.
///
/// Null `data`, other types and bad content are counted and dropped. A null handle is
/// ignored; another invalid handle is refused and counted. If another call on the handle is
/// in progress, the event is lost: it is counted in `refused_concurrent` alone.
///
/// Where `deliver` is `on_data` and a callback is set, the call then makes callbacks, as
/// `signal_poll_callbacks` does, for the signals that are ready. It also waits for the
/// event's signals, spinning for at most `deliver_budget_us`, if the event is of a kind that
/// triggers and was put into the ring, every lane spins, and the process has more than one
/// core. If the only lane has not begun the event for `stand_in_us`, because something else
/// runs on its core, the call does the lane's work, where the configuration allows that
/// (docs/hosts.md): the call then lasts as long as that work, and may write the lines that it
/// would write inline. If the ring to that lane is full, the call does some of the lane's work
/// at once, also inside a callback. Only if there is still no room does `overload.ingest`
/// decide. Inside a callback the call makes no callbacks. If a callback throws, the exception
/// passes through. The library has taken the event by then: do not pass it again.
///
/// # Safety
///
/// `data` is null or points to the struct of `type`, at any alignment, readable during
/// the call.
#[unsafe(no_mangle)]
#[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
pub unsafe extern "C-unwind" fn signal_on_data(
    handle: *mut c_void,
    r#type: c_int,
    data: *const c_void,
) {
    let Ok(inside) = handle_table::enter(handle) else {
        return;
    };
    let this = inside.handle();
    let taken = guarded(None, || {
        // SAFETY: this thread is inside the handle's lock, outside any callback
        // made from here: nothing that runs while the feeder is borrowed calls
        // back into the host.
        let feeder = unsafe { &mut *this.feeder.get() };
        if data.is_null() {
            feeder.refuse(Counter::RefusedNullData);
            return None;
        }
        let Some(kind) = EventKind::from_type(r#type) else {
            feeder.refuse(Counter::RefusedUnknownType);
            return None;
        };
        // SAFETY: the caller says that `data` points to the struct of `type`;
        // host structs have alignment 1 and any bytes are valid for them. The
        // borrow ends with this call.
        let event = unsafe {
            match kind {
                EventKind::Depth => HostEvent::Depth(&*data.cast()),
                EventKind::Ticker => HostEvent::Ticker(&*data.cast()),
                EventKind::Trade => HostEvent::Trade(&*data.cast()),
                EventKind::IndexPrice => HostEvent::IndexPrice(&*data.cast()),
            }
        };
        feeder.on_event(event).then_some(kind)
    });
    if this.delivers_on_data {
        deliver(&inside, taken);
    }
}

/// Delivers signals from `signal_on_data`, after an event of kind `taken` if it was taken.
#[inline(never)]
fn deliver(inside: &Inside, taken: Option<EventKind>) {
    let this = inside.handle();
    if inside.is_nested() || this.callback.get().0.is_none() {
        return;
    }
    batch::free(this);
    // SAFETY: this thread is inside the handle's lock; nothing called here calls
    // back into the host.
    let sequence = unsafe { &*this.feeder.get() }.sequence();
    let mut wait = this.runtime.delivery.wait(taken, sequence);
    let mut ready = ready_in_time(this, &mut wait);
    if ready == 0 {
        // SAFETY: as above; stages call nothing of the host's.
        unsafe { &mut *this.feeder.get() }.idle();
        return;
    }
    // Ends the delivery also when an exception passes through.
    let _poll = Poll(inside);
    while ready > 0 {
        let made = hand_out(inside, ready, |signal| wait.taken(signal.input));
        // The handle was destroyed, or the callback was removed, or all were too old (and a callback
        // can remove itself).
        let is_removed = this.callback.get().0.is_none();
        if made == 0 || is_removed || !inside.is_live() || wait.is_over() {
            return;
        }
        ready = ready_in_time(this, &mut wait);
    }
}

fn ready_in_time(this: &Handle, wait: &mut Wait<'_>) -> usize {
    // SAFETY: this thread is inside the handle's lock, in its outermost delivery,
    // and no callback runs.
    guarded(0, || wait.ready(unsafe { &mut *this.poller.get() }))
}
