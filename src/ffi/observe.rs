//! What an engine is, how it is doing and what it has counted.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt::{self, Display, Write};

use super::handle::Handle;
use super::handle_table::{self, Refused};
use super::types::{
    SIGNAL_ALL_MODELS, SIGNAL_ERROR_NULL, SIGNAL_HEALTH_DEGRADED, SIGNAL_HEALTH_FAILED,
    SIGNAL_HEALTH_OK, SIGNAL_HEALTH_OVERLOADED, SIGNAL_HEALTH_QUARANTINED, SIGNAL_HEALTH_SILENT,
    SIGNAL_HEALTH_STALLED, SIGNAL_NO_CORE, signal_hop_t, signal_lane_t, signal_ring_t,
    signal_stats_t,
};
use super::{door, last_error};
use crate::os::{stderr, tsc};
use crate::report::HealthState;
use crate::telemetry::counters::{Counter, Snapshot};
use crate::telemetry::hops::MAX_NS;

const _: () = assert!(super::types::SIGNAL_LATENCY_BOUND_NS == MAX_NS);

/// Why the last `signal_create` on this thread returned null, why
/// `signal_register_callback` was refused, why a poll
/// returned `SIGNAL_ERROR_FAILED`, or what `signal_health` found; null if that
/// call had nothing to say. Valid until the next such call on this thread: copy
/// it, never free it.
#[unsafe(no_mangle)]
pub extern "C" fn signal_last_error() -> *const c_char {
    last_error::get()
}

/// Calls that were refused because their handle is none of this library's:
/// foreign, destroyed, or made before `fork`. All handles, since the library was
/// loaded. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn signal_refused_handles() -> u64 {
    handle_table::refused()
}

/// Lines for stderr that could not be written at once and are lost: a full pipe, a
/// reader that is gone, a full disk, a descriptor 2 that is not stderr any more. All
/// handles, since the library was loaded. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn signal_lost_lines() -> u64 {
    stderr::lost()
}

/// Fills in the counters while the engine runs. Returns 0; `SIGNAL_ERROR_NULL`
/// for a null handle, null `stats` or a `size` too small for a single counter;
/// `SIGNAL_ERROR_HANDLE` for any other handle that is none. `stats` is then left
/// as it was.
///
/// # Safety
///
/// `stats` is null or points to at least
/// `stats->size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_stats(handle: *mut c_void, stats: *mut signal_stats_t) -> c_int {
    if stats.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    // SAFETY: `stats` is not null, and its first field is always there.
    let given = unsafe { (&raw const (*stats).size).read_unaligned() };
    if given < 2 * size_of::<u64>() as u64 {
        return SIGNAL_ERROR_NULL;
    }
    let read = handle_table::read(handle, |this, slot| {
        let known = size_of::<signal_stats_t>();
        let size = usize::try_from(given).map_or(known, |given| given.min(known));
        // Before the counters: what is counted as failed has failed.
        let failed = this.base.failure().is_some();
        let values = stats_of(&this.base.counters(), slot.refused(), failed, size as u64);
        // SAFETY: the caller has `given` writable bytes there, and `size` is at
        // most that and at most the source's size.
        unsafe {
            std::ptr::copy_nonoverlapping(
                std::ptr::from_ref(&values).cast::<u8>(),
                stats.cast::<u8>(),
                size,
            );
        }
        0
    });
    read.unwrap_or_else(Refused::code)
}

fn stats_of(
    counters: &Snapshot,
    refused_concurrent: u64,
    failed: bool,
    size: u64,
) -> signal_stats_t {
    let count = |counter| counters.get(counter);
    signal_stats_t {
        size,
        events_depth: count(Counter::EventsDepth),
        events_ticker: count(Counter::EventsTicker),
        events_trade: count(Counter::EventsTrade),
        events_index_price: count(Counter::EventsIndexPrice),
        refused_null_data: count(Counter::RefusedNullData),
        refused_unknown_type: count(Counter::RefusedUnknownType),
        refused_bad_symbol: count(Counter::RefusedBadSymbol),
        refused_bad_price: count(Counter::RefusedBadPrice),
        refused_bad_size: count(Counter::RefusedBadSize),
        refused_too_many_instruments: count(Counter::RefusedTooManyInstruments),
        refused_failed: count(Counter::RefusedFailed),
        dropped_ingest_ring_full: count(Counter::DroppedIngestRingFull),
        dropped_egress_ring_full: count(Counter::DroppedEgressRingFull),
        ingest_gap: count(Counter::IngestGap),
        updates: count(Counter::Updates),
        triggered: count(Counter::Triggered),
        predicted: count(Counter::Predicted),
        signals: count(Counter::Signals),
        delivered: count(Counter::Delivered),
        egress_gap: count(Counter::EgressGap),
        ring_waits: count(Counter::RingWaits),
        in_flight: counters.in_flight(),
        refused_not_an_asset: count(Counter::RefusedNotAnAsset),
        answered: count(Counter::Answered),
        refused_quarantined: count(Counter::RefusedQuarantined),
        dropped_ingest_timeout: count(Counter::DroppedIngestTimeout),
        dropped_stage_stopped: count(Counter::DroppedStageStopped),
        dropped_egress_timeout: count(Counter::DroppedEgressTimeout),
        dropped_egress_stopped: count(Counter::DroppedEgressStopped),
        conflated_egress: count(Counter::ConflatedEgress),
        queued: counters.queued(),
        panics: count(Counter::Panics),
        refused_concurrent,
        model_vectors_missed: count(Counter::ModelVectorsMissed),
        capture_written: count(Counter::CaptureWritten),
        capture_missed: count(Counter::CaptureMissed),
        capture_failed: count(Counter::CaptureFailed),
        dropped_ingest_stopped: count(Counter::DroppedIngestStopped),
        lost_stage_parts: count(Counter::LostStageParts),
        failed: u64::from(failed),
        index_copies: count(Counter::Copies),
        index_copies_ended: count(Counter::CopiesEnded),
        latency_beyond: count(Counter::LatencyBeyond),
        report_ended: count(Counter::ReportEnded),
    }
}

/// Number of models, in the order of the configuration; `SIGNAL_ERROR_NULL` or
/// `SIGNAL_ERROR_HANDLE` for a handle that is none.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_models(handle: *mut c_void) -> c_int {
    handle_table::read(handle, |this, _| this.models.len() as c_int).unwrap_or_else(Refused::code)
}

/// The name of a model, by its place from 0. Owned by the handle and valid until
/// `signal_destroy`; null if there is no such model.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_model_name(handle: *mut c_void, model: c_int) -> *const c_char {
    text(handle, |this| {
        let names = this.models.get(usize::try_from(model).ok()?)?;
        Some(&names.name)
    })
}

/// The name of `values[index]` in a callback with this model's values, or with
/// all models' values (`SIGNAL_ALL_MODELS`). Owned by the handle and valid until
/// `signal_destroy`; null if there is no such value.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_value_name(
    handle: *mut c_void,
    model: c_int,
    index: c_int,
) -> *const c_char {
    text(handle, |this| {
        let index = usize::try_from(index).ok()?;
        let name = if model == SIGNAL_ALL_MODELS {
            let mut all = this.models.iter().flat_map(|names| &names.values);
            all.nth(index)
        } else {
            let names = this.models.get(usize::try_from(model).ok()?)?;
            names.values.get(index)
        };
        name.map(CString::as_c_str)
    })
}

/// Writes at most `max` hops that have been timed, in the order of the path,
/// and returns how many; -1 for a null pointer. Not for the hot path: it waits
/// up to 100 ms for the lanes. 0 inside a callback. A value that is equal to
/// `SIGNAL_LATENCY_BOUND_NS` is a lower bound.
///
/// # Safety
///
/// `hops` is null or has room
/// for `max` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_latency(
    handle: *mut c_void,
    hops: *mut signal_hop_t,
    max: c_int,
) -> c_int {
    let written = door::through(SIGNAL_ERROR_NULL, || {
        // SAFETY: as the caller's.
        unsafe { latency(handle, hops, max) }
    });
    door::end_if_cancelled();
    written
}

/// # Safety
///
/// As [`signal_latency`].
unsafe fn latency(handle: *mut c_void, hops: *mut signal_hop_t, max: c_int) -> c_int {
    if hops.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    if inside.is_nested() {
        return 0;
    }
    let this = inside.handle();
    // SAFETY: this thread is inside the handle's seat, no poll is under way, and nothing
    // called here calls back into the host.
    let (feeder, poller) = unsafe { (&mut *this.feeder.get(), &mut *this.poller.get()) };
    let latency = this.base.latency(feeder, poller);
    let rows = latency.summaries().map(|row| signal_hop_t {
        name: c_name(row.hop.name()),
        count: row.count,
        p50_ns: row.p50_ns,
        p99_ns: row.p99_ns,
        p999_ns: row.p999_ns,
        max_ns: row.max_ns,
    });
    // SAFETY: the caller has room for `max` hops.
    unsafe { write_rows(rows, hops, max) }
}

/// The engine's state in a word, one of `SIGNAL_HEALTH_`: where several hold, the
/// worst, which is not the greatest number: from best to worst `OK`, `DEGRADED`,
/// `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`, `FAILED`. `signal_last_error`
/// then says on this thread what it is concluded from, and what a person should know
/// in any state: instruments of one name, assets that have not occurred; null if there
/// is nothing to say of `SIGNAL_HEALTH_OK`. "Since the last look" is since the
/// last call on this handle, by whichever thread. It takes no memory and never waits:
/// while another thread looks, or where a signal handler has interrupted a look, it
/// says what the look before has found. Texts longer than 4,095 bytes are cut off. Not
/// for the hot path.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_health(handle: *mut c_void) -> c_int {
    let found = door::through_as_allowed(SIGNAL_ERROR_NULL, || {
        let _tsc = tsc::Allowed::as_before();
        health(handle)
    });
    door::end_if_cancelled();
    found
}

/// Takes no memory and waits for nobody: it may be called from a signal handler.
fn health(handle: *mut c_void) -> c_int {
    let found = handle_table::read(handle, |this, _| {
        let findings = this.base.monitor().look();
        let state = findings.state();
        let has_words = findings.has_words();
        if state == HealthState::Ok && !has_words {
            last_error::clear();
        } else {
            last_error::write(|text| {
                text.write_str(state.name())?;
                match has_words {
                    true => write!(text, ": {findings}"),
                    false => Ok(()),
                }
            });
        }
        match state {
            HealthState::Ok => SIGNAL_HEALTH_OK,
            HealthState::Degraded => SIGNAL_HEALTH_DEGRADED,
            HealthState::Quarantined => SIGNAL_HEALTH_QUARANTINED,
            HealthState::Silent => SIGNAL_HEALTH_SILENT,
            HealthState::Overloaded => SIGNAL_HEALTH_OVERLOADED,
            HealthState::Stalled => SIGNAL_HEALTH_STALLED,
            HealthState::Failed => SIGNAL_HEALTH_FAILED,
        }
    });
    found.unwrap_or_else(Refused::code)
}

/// What was put in quarantine as the `index`th, and why; null if fewer were, or
/// if it is beyond the 64 that are kept. Owned by the handle and valid until
/// `signal_destroy`.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_incident(handle: *mut c_void, index: c_int) -> *const c_char {
    text(handle, |this| {
        this.base.incident(usize::try_from(index).ok()?)
    })
}

/// Writes at most `max` lanes, in the order of the path, and returns how many;
/// a negative `SIGNAL_ERROR_` for a null pointer or a handle
/// that is none.
///
/// # Safety
///
/// `lanes` is null or has room for `max` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_lanes(
    handle: *mut c_void,
    lanes: *mut signal_lane_t,
    max: c_int,
) -> c_int {
    let written = door::through(SIGNAL_ERROR_NULL, || {
        // SAFETY: as the caller's.
        unsafe { lanes_of(handle, lanes, max) }
    });
    door::end_if_cancelled();
    written
}

/// # Safety
///
/// As [`signal_lanes`].
unsafe fn lanes_of(handle: *mut c_void, lanes: *mut signal_lane_t, max: c_int) -> c_int {
    if lanes.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    let written = handle_table::read(handle, |this, _| {
        let rows = this.base.monitor().each_lane();
        let rows = rows.map(|(plan, vitals)| signal_lane_t {
            name: c_name(plan),
            core: plan.core.map_or(SIGNAL_NO_CORE, |core| core as u64),
            beats: vitals.beats(),
            longest_duty_ns: vitals.longest_ns(),
            stalls: vitals.stalls(),
            silence_ns: vitals.silence_ns(),
        });
        // SAFETY: the caller has room for `max` lanes.
        unsafe { write_rows(rows, lanes, max) }
    });
    written.unwrap_or_else(Refused::code)
}

/// Writes at most `max` rings, in the order of the path, and returns how many;
/// a negative `SIGNAL_ERROR_` for a null pointer or a handle that is none.
///
/// # Safety
///
/// `rings` is null or has room for `max` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_rings(
    handle: *mut c_void,
    rings: *mut signal_ring_t,
    max: c_int,
) -> c_int {
    let written = door::through(SIGNAL_ERROR_NULL, || {
        // SAFETY: as the caller's.
        unsafe { rings_of(handle, rings, max) }
    });
    door::end_if_cancelled();
    written
}

/// # Safety
///
/// As [`signal_rings`].
unsafe fn rings_of(handle: *mut c_void, rings: *mut signal_ring_t, max: c_int) -> c_int {
    if rings.is_null() {
        return SIGNAL_ERROR_NULL;
    }
    let written = handle_table::read(handle, |this, _| {
        let rows = this.base.monitor().each_ring();
        let rows = rows.map(|(name, gauge)| signal_ring_t {
            name: c_name(name),
            capacity: gauge.capacity() as u64,
            high_water: gauge.high_water() as u64,
        });
        // SAFETY: the caller has room for `max` rings.
        unsafe { write_rows(rows, rings, max) }
    });
    written.unwrap_or_else(Refused::code)
}

/// What one clock stamp costs, ns, measured now in well under a millisecond;
/// -1 for a handle that is none.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_stamp_ns(handle: *mut c_void) -> f64 {
    let cost = door::through(-1.0, || {
        handle_table::read(handle, |this, _| this.base.stamp_cost_ns()).unwrap_or(-1.0)
    });
    door::end_if_cancelled();
    cost
}

/// A text that the handle owns, or null.
fn text(
    handle: *mut c_void,
    of: impl for<'a> FnOnce(&'a Handle) -> Option<&'a CStr>,
) -> *const c_char {
    let found = handle_table::read(handle, |this, _| of(this).map(CStr::as_ptr));
    found.ok().flatten().unwrap_or(std::ptr::null())
}

/// A name as a NUL-terminated field; what is too long is cut. Takes no memory.
fn c_name<const LEN: usize>(name: impl Display) -> [c_char; LEN] {
    struct Field<const LEN: usize>([c_char; LEN], usize);
    impl<const LEN: usize> Write for Field<LEN> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let Self(field, len) = self;
            for (to, from) in field[*len..LEN - 1].iter_mut().zip(text.bytes()) {
                *to = from as c_char;
                *len += 1;
            }
            Ok(())
        }
    }
    let mut field = Field([0; LEN], 0);
    // A field takes whatever comes.
    let _ = write!(field, "{name}");
    field.0
}

/// Writes at most `max` rows; how many.
///
/// # Safety
///
/// `out` has room for `max` rows, at any alignment.
unsafe fn write_rows<T>(rows: impl Iterator<Item = T>, out: *mut T, max: c_int) -> c_int {
    let mut count = 0;
    for row in rows.take(usize::try_from(max).unwrap_or(0)) {
        // SAFETY: `count` is below `max`, for which the caller has room.
        unsafe { out.add(count).write_unaligned(row) };
        count += 1;
    }
    count as c_int
}
