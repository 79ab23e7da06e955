//! Batches for C: signals in place, many at once.

use std::ffi::c_int;

use super::handle::{Handle, guarded, model_place, say_why_failed};
use super::handle_table::Inside;
use super::types::signal_result_t;

/// What `signal_poll_batch` does once it is inside, outside any callback.
///
/// # Safety
///
/// `results` has room for `max` elements, at any alignment.
#[inline]
pub(super) unsafe fn fill(inside: &Inside, results: *mut signal_result_t, max: c_int) -> c_int {
    let this = inside.handle();
    free(this);
    // Before the signals are counted.
    let failed = this.base.has_failed_for_good();
    let max = usize::try_from(max).unwrap_or(0);
    // SAFETY: this thread is inside the handle's seat, no callback runs, and
    // nothing called here calls back into the host.
    let poller = unsafe { &mut *this.poller.get() };
    let count = guarded(0, || poller.lend(max));
    if count == 0 && failed && poller.ready() == 0 {
        return say_why_failed(this);
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

/// Frees the batch before. Every poll of the engine does so by itself; this is for
/// `publish_held`: where this thread runs the stages, what waited for the batch's
/// room is published before the poll counts what is ready.
#[inline]
pub(super) fn free(this: &Handle) {
    guarded((), || {
        // SAFETY: this thread is inside the handle's seat, no callback runs, and
        // nothing called here calls back into the host.
        let poller = unsafe { &mut *this.poller.get() };
        if poller.has_lent() {
            poller.free_batch();
            // SAFETY: as above.
            unsafe { &mut *this.feeder.get() }.publish_held();
        }
    });
}
