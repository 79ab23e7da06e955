//! What an engine consists of, its health and its counters.

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
use super::{door, forks, last_error};
use crate::os::{stderr, tsc};
use crate::report::HealthState;
use crate::telemetry::counters::{Counter, Snapshot};
use crate::telemetry::heartbeat::Away;
use crate::telemetry::hops::MAX_NS;

const _: () = assert!(super::types::SIGNAL_LATENCY_BOUND_NS == MAX_NS);

/// The text of this thread's latest failure or health check. It is set by a `signal_create`
/// that returns null, a call that refuses its handle (busy, or invalid but not null), a poll
/// that returns `SIGNAL_ERROR_FAILED`, and `signal_health`. `signal_create`,
/// `signal_register_callback` and `signal_health` reset it to null if they have nothing to
/// report. Other successful calls leave it unchanged. Valid until the next call on this
/// thread that sets or resets it: copy it, never free it.
#[unsafe(no_mangle)]
pub extern "C" fn signal_last_error() -> *const c_char {
    last_error::get()
}

/// Number of calls refused because of an invalid handle other than null: one that was
/// destroyed, one of a parent process, or one that this library never returned. Counts all
/// handles since the library was loaded. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn signal_refused_handles() -> u64 {
    handle_table::refused()
}

/// Number of stderr lines lost because they could not be written at once: a full pipe, a
/// closed reader, a full disk, or a descriptor 2 that is no longer stderr. Counts all
/// handles since the library was loaded. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn signal_lost_lines() -> u64 {
    stderr::lost()
}

/// Fills in the counters, while the engine runs and after it has failed. Returns 0, or
/// `SIGNAL_ERROR_NULL` if the handle or `stats` is null or `size` is too small for itself and
/// one counter, or `SIGNAL_ERROR_HANDLE` for another invalid handle. `stats` is written only
/// when it returns 0.
///
/// With a latency report, the call also asks the system whether the report's thread still
/// lives. Where the kernel does not empty pages in children, it asks for the process' number.
/// It makes no other system call.
///
/// # Safety
///
/// `stats` is null or points to at least `stats->size` writable bytes.
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
        // No half of a counter.
        let size = size - size % size_of::<u64>();
        // Read before the counters: if `failed` is 1, the counters are from after the failure.
        let failed = this.runtime.control.failure().is_some();
        let monitor = &this.runtime.monitor;
        let (counters, away) = (monitor.counters(), monitor.away());
        let values = stats_of(&counters, slot.refused(), failed, away, size as u64);
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

/// Declares the struct with these counters; each is the [`Counter`] of the same name.
macro_rules! stats {
    ($counters:expr, $($counter:ident)*; $($other:ident: $value:expr,)*) => {
        signal_stats_t {
            $($counter: $counters.get(const { Counter::of_name(stringify!($counter)) }),)*
            $($other: $value,)*
        }
    };
}

fn stats_of(
    counters: &Snapshot,
    refused_concurrent: u64,
    failed: bool,
    away: Away,
    size: u64,
) -> signal_stats_t {
    stats! {
        counters,
        events_depth events_ticker events_trade events_index_price refused_null_data
        refused_unknown_type refused_bad_symbol refused_bad_price refused_bad_size
        refused_too_many_instruments refused_failed dropped_ingest_ring_full
        dropped_egress_ring_full ingest_gap updates triggered predicted signals delivered
        egress_gap ring_waits refused_not_an_asset answered refused_quarantined
        dropped_ingest_timeout dropped_stage_stopped dropped_egress_timeout dropped_egress_stopped
        conflated_egress panics model_vectors_missed capture_written capture_missed capture_failed
        dropped_ingest_stopped lost_stage_parts index_copies index_copies_ended latency_beyond
        report_ended deliver_late rehearsals stood_in deliver_late_begun
        dropped_egress_too_old;
        size: size,
        in_flight: counters.in_flight(),
        queued: counters.queued(),
        refused_concurrent: refused_concurrent,
        failed: u64::from(failed),
        lane_away: away.times,
        lane_away_ns: away.ns,
    }
}

/// Number of models. They are numbered from 0 in the order of the configuration.
/// `SIGNAL_ERROR_NULL` or `SIGNAL_ERROR_HANDLE` for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn signal_models(handle: *mut c_void) -> c_int {
    handle_table::read(handle, |this, _| this.models.len() as c_int).unwrap_or_else(Refused::code)
}

/// Name of model `model`, counted from 0. It belongs to the handle and is valid until
/// `signal_destroy`. Null if there is no such model.
#[unsafe(no_mangle)]
pub extern "C" fn signal_model_name(handle: *mut c_void, model: c_int) -> *const c_char {
    text(handle, |this| {
        let names = this.models.get(usize::try_from(model).ok()?)?;
        Some(&names.name)
    })
}

/// Name of `values[index]` in a callback with the values of model `model`, or with those
/// of all models (`SIGNAL_ALL_MODELS`). It belongs to the handle and is valid until
/// `signal_destroy`. Null if there is no such value.
#[unsafe(no_mangle)]
pub extern "C" fn signal_value_name(
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

/// Writes at most `max` hops that have recorded latencies to `hops`, in pipeline order,
/// and returns how many it wrote. If it returns `max`, there may be more. A value equal to
/// `SIGNAL_LATENCY_BOUND_NS` is a lower bound. Not for the hot path: it waits up to 100 ms
/// for the lanes.
///
/// Returns 0 inside a callback; `SIGNAL_ERROR_NULL` if `hops` or the handle is null;
/// `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY` for another invalid or a busy handle.
///
/// # Safety
///
/// `hops` is null or has room for `max` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_latency(
    handle: *mut c_void,
    hops: *mut signal_hop_t,
    max: c_int,
) -> c_int {
    let written = door::through(SIGNAL_ERROR_NULL, || {
        // SAFETY: the caller's contract is the same.
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
    forks::look();
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    if inside.is_nested() {
        return 0;
    }
    let this = inside.handle();
    // SAFETY: this thread is inside the handle's lock, no poll is under way, and nothing
    // called here calls back into the host.
    let (feeder, poller) = unsafe { (&mut *this.feeder.get(), &mut *this.poller.get()) };
    let latency = this.runtime.latency(feeder, poller);
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

/// The engine's state, one of `SIGNAL_HEALTH_*`; the worst if several apply. From best to
/// worst: `OK`, `DEGRADED`, `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`, `FAILED`.
/// The numbers do not rank them. For an invalid handle `SIGNAL_ERROR_NULL` or
/// `SIGNAL_ERROR_HANDLE`.
///
/// `signal_last_error` on this thread then explains the state. It also says, in any state,
/// what an operator should know: instruments that share a name, assets or `symbols.map`
/// entries for which no event has arrived, a core that a lane has to share, and panics of
/// what is kept warm. Up to 64 living threads can have such a text; a further one gets a text
/// that says so, and the right state. It returns null for `SIGNAL_HEALTH_OK` with nothing to
/// report, and cuts texts off after 4,095 bytes.
///
/// "Since the last call" means the last call on this handle, from any thread. The call
/// allocates nothing and waits for no other thread. A call that overlaps another one on the
/// same handle, from another thread or from a signal handler, returns what the last
/// completed call found. Not for the hot path.
///
/// Each call asks the system whether the threads of the latency report and the capture still
/// live. At most once a second it also asks where the lanes may run, checks the handle's
/// claims on cores and renews lost ones, and, without a latency report, whether a CPU quota
/// stops the process; in between it repeats the last answer. It opens no file. If
/// `SIGNAL_CORE_CLAIMS` is on a network file system, that check is as slow as the network.
/// The first call on a thread also asks whether it may read the TSC.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn signal_health(handle: *mut c_void) -> c_int {
    let found = door::through_as_allowed(SIGNAL_ERROR_NULL, || {
        let _tsc = tsc::Allowed::as_before();
        health(handle)
    });
    door::end_if_cancelled();
    found
}

/// Neither allocates nor waits, so it may be called from a signal handler.
fn health(handle: *mut c_void) -> c_int {
    let found = handle_table::read(handle, |this, _| {
        let findings = this.runtime.monitor.look();
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

/// Text of incident `index`, counted from 0: which model or instrument was put in
/// quarantine, and why. It belongs to the handle and is valid until `signal_destroy`. Null
/// if there is none, or if `index` is 64 or more: the first 64 are kept.
#[unsafe(no_mangle)]
pub extern "C" fn signal_incident(handle: *mut c_void, index: c_int) -> *const c_char {
    text(handle, |this| {
        this.runtime.control.incident(usize::try_from(index).ok()?)
    })
}

/// Writes at most `max` lanes to `lanes`, in pipeline order, and returns how many it
/// wrote: 0 where stages run inline, without lanes. If it returns `max`, there may be more.
/// Asks the system where each lane may run. `SIGNAL_ERROR_NULL` if `lanes` or the handle is
/// null; `SIGNAL_ERROR_HANDLE` for another invalid handle.
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
        // SAFETY: the caller's contract is the same.
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
        let monitor = &this.runtime.monitor;
        monitor.look_at_pins();
        let rows = monitor.each_lane();
        let rows = rows.map(|(plan, core, heartbeat)| signal_lane_t {
            name: c_name(plan),
            core: core.map_or(SIGNAL_NO_CORE, |core| core as u64),
            beats: heartbeat.beats(),
            longest_duty_ns: heartbeat.longest_ns(),
            stalls: heartbeat.stalls(),
            silence_ns: heartbeat.silence_ns(),
        });
        // SAFETY: the caller has room for `max` lanes.
        unsafe { write_rows(rows, lanes, max) }
    });
    written.unwrap_or_else(Refused::code)
}

/// Writes at most `max` rings to `rings`, in pipeline order, and returns how many it
/// wrote. If it returns `max`, there may be more. `SIGNAL_ERROR_NULL` if `rings` or the
/// handle is null; `SIGNAL_ERROR_HANDLE` for another invalid handle.
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
        // SAFETY: the caller's contract is the same.
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
        let rows = this.runtime.monitor.each_ring();
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

/// Measures what one clock reading costs, and returns it in ns. Takes well under 1 ms,
/// or some ms where the handle reads the time by system calls. -1 for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn signal_stamp_ns(handle: *mut c_void) -> f64 {
    let cost = door::through(-1.0, || {
        handle_table::read(handle, |this, _| this.runtime.clock.stamp_cost_ns()).unwrap_or(-1.0)
    });
    door::end_if_cancelled();
    cost
}

/// A text that the handle owns, or null if there is none.
fn text(
    handle: *mut c_void,
    of: impl for<'a> FnOnce(&'a Handle) -> Option<&'a CStr>,
) -> *const c_char {
    let found = handle_table::read(handle, |this, _| of(this).map(CStr::as_ptr));
    found.ok().flatten().unwrap_or(std::ptr::null())
}

/// A name as a NUL-terminated field, cut if it is too long. Does not allocate.
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
    // Writing never fails: the field truncates.
    let _ = write!(field, "{name}");
    field.0
}

/// Writes at most `max` rows and returns how many.
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
