//! Hands signals out, one per callback: the poll, and what a callback may ask.

use std::ffi::{c_char, c_int, c_longlong, c_void};

use super::handle::{Handle, guarded, model_place, say_why_failed};
use super::handle_table::{self, Inside};
use super::types::{
    SIGNAL_ERROR_NULL, SIGNAL_NO_INSTRUMENT, SIGNAL_NO_MODEL, signal_egress_t, signal_instrument_t,
};
use super::{batch, forks};
use crate::engine::Poller;
use crate::messages::InstrumentId;

/// Calls the callback on this thread for every signal that is ready, oldest first.
/// Callbacks run only in this function and, where `deliver` is `on_data`, in
/// `signal_on_data`. This function first frees the batch that `signal_poll_batch` returned.
///
/// Apart from what callbacks do, and as long as the engine has not failed, it takes no lock,
/// allocates nothing, makes no system call and does not wait, except for the barrier after a
/// move to another thread, and for clock readings that are system calls. Where stages run
/// inline, if no signal is ready, it now and then runs factor sets and models on a past
/// event, without effect, to keep them warm (key `warm`). A panic there writes one line to
/// stderr and allocates.
///
/// Returns the number of callbacks made: 0 inside a callback, or if none is set. Returns
/// `SIGNAL_ERROR_FAILED` once the engine has failed and every signal was handed out; for an
/// invalid or busy handle `SIGNAL_ERROR_NULL`, `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.
#[unsafe(no_mangle)]
#[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
pub extern "C-unwind" fn signal_poll_callbacks(handle: *mut c_void) -> c_int {
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    if inside.is_nested() {
        return 0;
    }
    let this = inside.handle();
    batch::free(this);
    // Before the signals are counted, so that none is missed after a failure.
    let failed = this.runtime.control.needs_attention() && attend(this);
    // SAFETY: this thread is inside the handle's lock, in its outermost poll, and
    // no callback runs.
    let ready = unsafe { &mut *this.poller.get() }.begin();
    if ready == 0 && !failed {
        // SAFETY: as above; stages call nothing of the host's.
        unsafe { &mut *this.feeder.get() }.idle();
        return 0;
    }
    // Ends the poll also when an exception passes through.
    let _poll = Poll(&inside);
    if ready == 0 {
        return say_why_failed(this);
    }
    hand_out(&inside, ready, |_| ()) as c_int
}

/// The part of a poll other than handing out signals, for a handle whose lock this thread is
/// inside, in its outermost poll. Returns whether the engine has failed for good.
#[cold]
#[inline(never)]
pub(super) fn attend(this: &Handle) -> bool {
    // SAFETY: this thread is inside the handle's lock, in its outermost poll: no
    // callback runs, and nothing called here calls back into the host.
    let (feeder, poller) = unsafe { (&mut *this.feeder.get(), &mut *this.poller.get()) };
    this.runtime.attend(feeder, poller);
    this.runtime.control.has_failed_for_good()
}

/// Inside a callback: the index of the model that made the signal, or
/// `SIGNAL_ALL_MODELS` if its values are those of all models. Outside a callback
/// `SIGNAL_NO_MODEL`; for an invalid or busy handle `SIGNAL_ERROR_NULL`,
/// `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn signal_current_model(handle: *mut c_void) -> c_int {
    forks::look();
    match handle_table::enter(handle) {
        Ok(inside) => inside.handle().current_model.get(),
        Err(refused) => refused.code(),
    }
}

/// Inside a callback: the signal's sequence number. The engine numbers its signals 1, 2,
/// 3 and so on. A dropped or conflated signal uses up a number. So a gap shows how many
/// signals were lost, and where. 0 outside a callback, and for an invalid or busy handle.
#[unsafe(no_mangle)]
pub extern "C" fn signal_current_sequence(handle: *mut c_void) -> u64 {
    forks::look();
    handle_table::enter(handle).map_or(0, |inside| inside.handle().current_sequence.get())
}

/// Inside a callback: describes the signal's instrument in `instrument`.
///
/// Returns 0; `SIGNAL_NO_INSTRUMENT` outside a callback; `SIGNAL_ERROR_NULL` if
/// `instrument` or the handle is null; `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY` for
/// another invalid or a busy handle. `instrument` is written only when it returns 0.
///
/// # Safety
///
/// `instrument` is null or points to a writable struct, at any alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_current_instrument(
    handle: *mut c_void,
    instrument: *mut signal_instrument_t,
) -> c_int {
    forks::look();
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    let id = inside.handle().current_instrument.get();
    // SAFETY: the caller has room for the struct, or passes null.
    unsafe { tell(&inside, |_| Some(id), instrument) }
}

/// Describes in `instrument` the instrument of signal `index`, counted from 0, of the
/// last batch that `signal_poll_batch` returned.
///
/// Returns 0; `SIGNAL_NO_INSTRUMENT` if that batch has no such signal or was freed;
/// `SIGNAL_ERROR_NULL` if `instrument` or the handle is null; `SIGNAL_ERROR_HANDLE` or
/// `SIGNAL_ERROR_BUSY` for another invalid or a busy handle. `instrument` is written only
/// when it returns 0.
///
/// # Safety
///
/// `instrument` is null or points to a writable struct, at any alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_batch_instrument(
    handle: *mut c_void,
    index: c_int,
    instrument: *mut signal_instrument_t,
) -> c_int {
    forks::look();
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    let of = |poller: &Poller| poller.lent_instrument(usize::try_from(index).ok()?);
    // SAFETY: the caller has room for the struct, or passes null.
    unsafe { tell(&inside, of, instrument) }
}

/// Writes the description of an instrument.
///
/// # Safety
///
/// `out` is null or points to a writable struct, at any alignment.
unsafe fn tell(
    inside: &Inside,
    of: impl FnOnce(&Poller) -> Option<InstrumentId>,
    out: *mut signal_instrument_t,
) -> c_int {
    if out.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    guarded(SIGNAL_NO_INSTRUMENT, || {
        // SAFETY: this thread is inside the handle's lock; code that takes signals ends its borrow
        // of the poller before a callback runs, and nothing called here calls back into the host.
        let poller = unsafe { &*inside.handle().poller.get() };
        let Some((name, found)) = of(poller).and_then(|id| poller.instrument(id)) else {
            return SIGNAL_NO_INSTRUMENT;
        };
        let told = signal_instrument_t {
            name: name.as_ptr(),
            symbol: found.symbol().as_ptr(),
            exchange: found.exchange_c_str().as_ptr(),
            instrument_type: found.instrument_type().into(),
        };
        // SAFETY: `out` is not null, and the caller has room for the struct there.
        unsafe { out.write_unaligned(told) };
        0
    })
}

/// What an inlined poll reads: pass it to `signal_poll`. It belongs to the library and
/// stays readable for ever. After `signal_destroy` an inlined poll either finds no
/// signal in it, or calls the library, which refuses the handle. Null for an invalid
/// handle.
#[unsafe(no_mangle)]
pub extern "C" fn signal_egress(handle: *mut c_void) -> *const signal_egress_t {
    handle_table::read(handle, |_, slot| slot.egress()).unwrap_or(std::ptr::null())
}

/// Hands `ready` signals to the callback and returns how many it got. That is fewer if the handle
/// was destroyed, if this is the child of a fork, if the callback was removed, or if some were too
/// old.
#[inline]
pub(super) fn hand_out(inside: &Inside, ready: usize, mut taken: impl FnMut(&CSignal)) -> usize {
    let this = inside.handle();
    let mut made = 0;
    for _ in 0..ready {
        let (Some(callback), user_data) = this.callback.get() else {
            break;
        };
        let Some(signal) = take(this) else { break };
        made += 1;
        taken(&signal);
        this.current_model.set(signal.model);
        this.current_sequence.set(signal.sequence);
        this.current_instrument.set(signal.instrument);
        let calling = inside.call_back();
        // SAFETY: the host registered the callback for this. Nothing of the engine is borrowed
        // while it runs. The symbol and the values are in memory that stays unchanged until the
        // next take, which only the outermost delivery does, and destroying is deferred until that
        // delivery ends.
        unsafe {
            callback(
                signal.symbol,
                signal.timestamp,
                signal.values,
                signal.count,
                user_data,
            );
        }
        drop(calling);
        // The handle was destroyed, or this is the child of a fork.
        if !inside.is_live() {
            break;
        }
    }
    made
}

/// One signal in the form that the callback takes.
pub(super) struct CSignal {
    symbol: *const c_char,
    timestamp: c_longlong,
    model: c_int,
    sequence: u64,
    instrument: InstrumentId,
    /// Number of the event that caused it.
    pub(super) input: u64,
    values: *const f64,
    count: c_int,
}

#[inline]
fn take(handle: &Handle) -> Option<CSignal> {
    guarded(None, || {
        let mut taken = None;
        // SAFETY: the one caller is the outermost delivery, inside the handle's lock,
        // and this use of the poller ends before the callback runs.
        let poller = unsafe { &mut *handle.poller.get() };
        poller.take(|name, signal| {
            taken = Some(CSignal {
                symbol: name.as_ptr(),
                timestamp: signal.meta.timestamp,
                model: model_place(signal.model),
                sequence: signal.sequence,
                instrument: signal.meta.instrument,
                input: signal.meta.input_sequence,
                values: signal.values.as_ptr(),
                count: signal.values.len() as c_int,
            });
        });
        taken
    })
}

/// An outermost delivery, from a poll or from `on_data`. When it ends, even by an exception, it
/// destroys the handle if a callback asked for that.
pub(super) struct Poll<'a>(pub(super) &'a Inside);

impl Drop for Poll<'_> {
    #[inline]
    fn drop(&mut self) {
        let this = self.0.handle();
        // SAFETY: this thread is inside the handle's lock, and no callback runs any more.
        guarded((), || unsafe { &mut *this.poller.get() }.record_last());
        // SAFETY: as above; nothing that runs here calls back into the host.
        guarded((), || unsafe { &mut *this.feeder.get() }.publish_held());
        this.current_model.set(SIGNAL_NO_MODEL);
        this.current_sequence.set(0);
        this.current_instrument.set(InstrumentId::NONE);
        if this.destroy_after_poll.get() {
            self.0.destroy();
        }
    }
}
