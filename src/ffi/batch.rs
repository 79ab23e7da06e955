//! Batches for C: many signals at once, read in place.

use std::ffi::{c_int, c_void};

use super::handle::{Handle, guarded, model_place, say_why_failed};
use super::handle_table::{self, Inside};
use super::signals::attend;
use super::types::{SIGNAL_ERROR_NULL, signal_result_t};

/// Writes at most `max` of the signals that are ready to `results`, oldest first, without
/// copying their values, and returns how many it wrote. It makes no callback: it is for
/// hosts that want none. The signals count as delivered.
///
/// The batch stays valid until the next `signal_poll_batch`, `signal_poll_callbacks` or
/// `signal_destroy` on this handle, and, where `deliver` is `on_data` and a callback is
/// set, the next `signal_on_data`. That call frees the batch; its pointers are invalid
/// from then on. A batch occupies its ring slots until it is freed. It holds at most
/// `rings.egress` minus one signals, so that one more can be published and an inlined
/// poll sees it. With `max` at 0 or less, and `results` not null, the call takes no
/// signal: it frees the batch and returns 0 (or `SIGNAL_ERROR_FAILED`, see below). A call that
/// returns no signal keeps inline stages warm as `signal_poll_callbacks` does.
///
/// Returns 0 inside a callback, and `SIGNAL_ERROR_NULL` if `results` is null, which leaves
/// the last batch valid. Returns `SIGNAL_ERROR_FAILED` once the engine has failed and every
/// signal was handed out; for an invalid or busy handle `SIGNAL_ERROR_NULL`,
/// `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.
///
/// # Safety
///
/// `results` is null or has room for `max` elements, at any alignment.
#[unsafe(no_mangle)]
#[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
pub unsafe extern "C" fn signal_poll_batch(
    handle: *mut c_void,
    results: *mut signal_result_t,
    max: c_int,
) -> c_int {
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    if results.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    if inside.is_nested() {
        return 0;
    }
    // SAFETY: the caller has room for `max` results.
    unsafe { fill(&inside, results, max) }
}

/// What `signal_poll_batch` does inside the handle's lock, outside any callback.
///
/// # Safety
///
/// `results` has room for `max` elements, at any alignment.
#[inline]
unsafe fn fill(inside: &Inside, results: *mut signal_result_t, max: c_int) -> c_int {
    let this = inside.handle();
    free(this);
    // Before the signals are counted, so that none is missed after a failure.
    let failed = this.runtime.control.needs_attention() && attend(this);
    let max = usize::try_from(max).unwrap_or(0);
    // SAFETY: this thread is inside the handle's lock, no callback runs, and
    // nothing called here calls back into the host.
    let poller = unsafe { &mut *this.poller.get() };
    let count = guarded(0, || poller.lend(max));
    if count == 0 {
        if failed && poller.ready() == 0 {
            return say_why_failed(this);
        }
        // SAFETY: as above; the feeder is not the poller.
        unsafe { &mut *this.feeder.get() }.idle();
        return 0;
    }
    for nth in 0..count {
        let Some((name, signal, age_ns)) = poller.lent_at(nth) else {
            return nth as c_int;
        };
        let result = signal_result_t {
            sequence: signal.sequence,
            symbol: name.as_ptr(),
            timestamp: signal.meta.timestamp,
            age_ns,
            values: signal.values.as_ptr(),
            count: signal.values.len() as c_int,
            model: model_place(signal.model),
        };
        // SAFETY: `nth` is below `max`, for which the caller has room.
        unsafe { results.add(nth).write_unaligned(result) };
    }
    count as c_int
}

/// Frees the previous batch. Every poll of the engine also does so by itself; this function
/// adds `publish_held`. Where this thread runs the stages, signals that waited for the
/// batch's slots are then published before the poll counts what is ready.
#[inline]
pub(super) fn free(this: &Handle) {
    guarded((), || {
        // SAFETY: this thread is inside the handle's lock, no callback runs, and
        // nothing called here calls back into the host.
        let poller = unsafe { &mut *this.poller.get() };
        if poller.has_lent() {
            poller.free_batch();
            // SAFETY: as above.
            unsafe { &mut *this.feeder.get() }.publish_held();
        }
    });
}
