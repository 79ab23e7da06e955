//! The C ABI: the host's five functions and what it may use if it finds them.
//!
//! `include/signal.h` is generated from this file and `ffi/`. Thin on purpose: it turns
//! pointers into Rust values and back, and stops panics at the boundary.
//!
//! | file | what |
//! |---|---|
//! | `types` | the callback, the structs, the codes |
//! | `batch` | signals in place: [`signal_poll_batch`] |
//! | `observe` | counters, latency, health, names, errors |
//! | `handle` | what a handle stands for, panics stopped |
//! | `handle_table` | where handles live: tokens, who is inside, forks |
//! | `last_error` | the text of [`signal_last_error`] |
//! | `calibration` | the clock's, and a fork into it |
//!
//! # Threads
//!
//! [`signal_on_data`], [`signal_poll_callbacks`], [`signal_poll_batch`], [`signal_register_callback`],
//! [`signal_latency`], [`signal_current_model`], [`signal_current_sequence`] and
//! [`signal_destroy`] belong to one thread at a time, the host's. The handle may move from one thread to
//! another between calls. Two of them at once on one handle, from two threads or
//! from a signal handler that interrupted one, is not allowed: the second is
//! refused, counted in `refused_concurrent`, and nothing else happens. All other
//! functions may be called from any thread at any time.
//!
//! The first call after a move to another thread asks the kernel for a barrier on
//! the threads of the process (`membarrier`, some microseconds): move seldom. A
//! handle that has moved 64 times pays a locked instruction a call instead.
//!
//! From inside a callback the thread that polls may call every function.
//!
//! # Processes
//!
//! The child of a `fork` has no lanes: it finds every handle that was made before
//! refused, and may create one of its own. One exception: forked while another
//! thread is in the process' first [`signal_create`], which calibrates the clock
//! for up to 200 ms, the child's own creates return null and say so. A child made
//! by a bare `clone` or `_Fork`, which runs no `pthread_atfork` handlers, must not
//! call this library.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{EventKind, HostEvent};
use crate::config::{self, Config};
use crate::engine::{Deliver, Engine, Registry, Wait, memory};
use crate::error::say;
use crate::panic;
use crate::pipeline::counters::Counter;

mod batch;
mod calibration;
mod handle;
mod handle_table;
mod last_error;

// `signal.h` has what these files hold in the order of these lines.
mod types;
pub use types::{
    SIGNAL_ALL_MODELS, SIGNAL_ERROR_BUSY, SIGNAL_ERROR_FAILED, SIGNAL_ERROR_HANDLE,
    SIGNAL_ERROR_NULL, SIGNAL_HEALTH_FAILED, SIGNAL_HEALTH_OK, SIGNAL_HEALTH_OVERLOADED,
    SIGNAL_HEALTH_QUARANTINED, SIGNAL_HEALTH_SILENT, SIGNAL_HEALTH_STALLED, SIGNAL_HOP_NAME_LEN,
    SIGNAL_NAME_LEN, SIGNAL_NO_MODEL, signal_callback_t, signal_egress_t, signal_hop_t,
    signal_lane_t, signal_result_t, signal_ring_t, signal_stats_t,
};

mod observe;
pub use observe::{
    signal_health, signal_incident, signal_lanes, signal_last_error, signal_latency,
    signal_model_name, signal_models, signal_refused_handles, signal_rings, signal_stamp_ns,
    signal_stats, signal_value_name,
};

use handle::{Handle, ModelNames, guarded, model_place, say_why_failed};
use handle_table::{Inside, Reserved};

/// Makes an engine and starts its lanes.
///
/// `config_json` is NUL-terminated JSON, `"{}"` or null for the defaults; it is
/// read during the call only. `SIGNAL_CONFIG` names a file with the real
/// configuration; keys in `config_json` win over it. Returns a handle that the
/// caller owns until `signal_destroy`, or null: `signal_last_error` then says
/// why, as does one line on stderr. Takes up to 200 ms the first time.
///
/// # Safety
///
/// `config_json` is null or points to a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_create(config_json: *const c_char) -> *mut c_void {
    // SAFETY: the caller passes null or a NUL-terminated string.
    unsafe { create_with(config_json, &Registry::default()) }
}

/// What [`signal_create`] does, with factor sets and models of your own: for a
/// library that brings some and exports the C ABI under names of its own. Not
/// part of the C ABI.
///
/// # Safety
///
/// `config_json` is null or points to a NUL-terminated string.
pub unsafe fn create_with(config_json: *const c_char, registry: &Registry) -> *mut c_void {
    panic::keep_quiet(handle_table::this_thread_is_inside);
    if !memory::is_enough_to_start() {
        const WHY: &CStr = c"memory: a handle needs 82 MiB of address space to begin with, which cannot be had (see RLIMIT_AS and RLIMIT_DATA)";
        say(WHY.to_str().unwrap_or_default());
        last_error::set_static(WHY);
        return std::ptr::null_mut();
    }
    let made = panic::quietly(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let text = if config_json.is_null() {
                None
            } else {
                // SAFETY: the caller passes a NUL-terminated string.
                let text = unsafe { CStr::from_ptr(config_json) };
                Some(text.to_str().map_err(|error| {
                    format!(
                        "configuration: the string given to signal_create is not UTF-8: {error}"
                    )
                })?)
            };
            create(text, registry)
        }))
    });
    let result = made.unwrap_or_else(|panic| {
        Err(format!(
            "a panic while the engine was made: {}",
            panic::told(panic)
        ))
    });
    match result {
        Ok(handle) => {
            last_error::clear();
            handle
        }
        Err(why) => {
            say(&why);
            last_error::set(why);
            std::ptr::null_mut()
        }
    }
}

fn create(text: Option<&str>, registry: &Registry) -> Result<*mut c_void, String> {
    handle_table::watch_forks()?;
    let reserved = Reserved::new()?;
    let (mut config, origin) = Config::for_host(text).map_err(|error| error.to_string())?;
    config::add_latency_dir(&mut config);
    calibration::begin()?;
    let engine = Engine::start_at(&config, registry, reserved.words()).map_err(|error| {
        match &origin.file {
            Some(file) => format!("{error} ({} file {})", config::ENV_CONFIG, file.display()),
            None => error.to_string(),
        }
    })?;
    let hint = if origin.given || origin.file.is_some() {
        String::new()
    } else {
        format!(
            "; these are defaults, set {}=/path/file.json to choose",
            config::ENV_CONFIG
        )
    };
    say(&format!(
        "version {}, {}{hint}",
        env!("CARGO_PKG_VERSION"),
        engine.about()
    ));
    let models = engine.models().iter().map(ModelNames::new).collect();
    let (feeder, poller, base) = engine.into_parts();
    let handle = Box::new(Handle {
        delivers_on_data: config.deliver == Deliver::OnData,
        feeder: UnsafeCell::new(feeder),
        poller: UnsafeCell::new(poller),
        callback: Cell::new((None, std::ptr::null_mut())),
        destroy_after_poll: Cell::new(false),
        current_model: Cell::new(SIGNAL_NO_MODEL),
        current_sequence: Cell::new(0),
        models,
        base,
    });
    let handle = reserved.publish(handle);
    if handle.is_null() {
        return Err("this process was forked while the engine was made: create one here".into());
    }
    Ok(handle)
}

/// Sets the callback and what it gets as `user_data`, in place of an earlier
/// one. Null clears it: signals then wait in the ring. From inside a callback
/// it takes effect after that callback.
///
/// # Safety
///
/// `cb` is null or a function that stays callable, and `user_data` stays valid,
/// for as long as the callback is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_register_callback(
    handle: *mut c_void,
    cb: signal_callback_t,
    user_data: *mut c_void,
) {
    if let Ok(inside) = handle_table::enter(handle) {
        inside.handle().callback.set((cb, user_data));
    }
}

/// Makes the lane that runs ingest fail, for tests. Not part of the C ABI.
#[doc(hidden)]
pub fn break_lane(handle: *mut c_void) {
    if let Ok(inside) = handle_table::enter(handle) {
        guarded((), || {
            // SAFETY: this thread is inside the handle's seat; nothing called
            // here calls back into the host.
            let feeder = unsafe { &mut *inside.handle().feeder.get() };
            feeder.break_lane();
        });
    }
}

/// Takes one event. Copies what it needs from `data` and returns: it takes no
/// lock, allocates nothing, makes no system call and never waits. With
/// `overload.ingest` `block` alone it does wait for room, spinning, for
/// `overload.block_ms` at most; placed `inline` it computes before it returns.
/// A handle that is none is refused and counted, null ignored; null data, other
/// types and bad content are counted.
///
/// With `deliver` `on_data` it then makes callbacks, as `signal_poll_callbacks`
/// does: of what is ready, and, if the event triggers, of what comes within
/// `deliver_budget_us`, for which it spins. It makes none inside a callback or
/// without one. An exception that leaves a callback passes through; the event has
/// been taken then.
///
/// # Safety
///
/// `data` is null or points to the struct of `type`, at any alignment, readable
/// during the call.
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
        // SAFETY: this thread is inside the handle's seat, outside any callback
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

/// Delivers from `signal_on_data`, behind an event of this kind if it was taken.
#[inline(never)]
fn deliver(inside: &Inside, taken: Option<EventKind>) {
    let this = inside.handle();
    if inside.is_nested() || this.callback.get().0.is_none() {
        return;
    }
    batch::free(this);
    // SAFETY: this thread is inside the handle's seat; nothing called here calls
    // back into the host.
    let sequence = unsafe { &*this.feeder.get() }.sequence();
    let mut wait = this.base.delivery().wait(taken, sequence);
    let mut ready = ready_in_time(this, &mut wait);
    if ready == 0 {
        return;
    }
    // Ends the delivery also when an exception passes through.
    let _poll = Poll(inside);
    while ready > 0 {
        let made = hand_out(inside, ready, |signal| wait.taken(signal.input));
        // Destroyed, or the callback was taken away.
        if made < ready || !inside.is_live() || wait.is_over() {
            return;
        }
        ready = ready_in_time(this, &mut wait);
    }
}

fn ready_in_time(this: &Handle, wait: &mut Wait<'_>) -> usize {
    // SAFETY: this thread is inside the handle's seat, in its outermost delivery,
    // and no callback runs.
    guarded(0, || wait.ready(unsafe { &mut *this.poller.get() }))
}

/// Hands every signal that is ready to the callback, on this thread, oldest
/// first. No other thread ever runs the callback, and no other function but
/// `signal_on_data` with `deliver` `on_data`. Returns how many callbacks were
/// made, 0 inside a callback or without one, `SIGNAL_ERROR_FAILED` once the engine
/// has failed and everything queued was handed out, or another `SIGNAL_ERROR_` for
/// a handle that it does not take. It frees the batch that `signal_poll_batch` has
/// handed out.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
#[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
pub unsafe extern "C-unwind" fn signal_poll_callbacks(handle: *mut c_void) -> c_int {
    let inside = match handle_table::enter(handle) {
        Ok(inside) => inside,
        Err(refused) => return refused.code(),
    };
    if inside.is_nested() {
        return 0;
    }
    let this = inside.handle();
    batch::free(this);
    // Before the signals are counted.
    let failed = this.base.has_failed_for_good();
    // SAFETY: this thread is inside the handle's seat, in its outermost poll, and
    // no callback runs.
    let ready = unsafe { &mut *this.poller.get() }.begin();
    if ready == 0 && !failed {
        return 0;
    }
    // Ends the poll also when an exception passes through.
    let _poll = Poll(&inside);
    if ready == 0 {
        return say_why_failed(this);
    }
    hand_out(&inside, ready, |_| ()) as c_int
}

/// Hands `ready` signals to the callback; how many it got: fewer if the handle
/// was destroyed, this is the child of a fork, or there is no callback any more.
#[inline]
fn hand_out(inside: &Inside, ready: usize, mut taken: impl FnMut(&CSignal)) -> usize {
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
        let calling = inside.call_back();
        // SAFETY: the host registered the callback for this. Nothing of the
        // engine is borrowed while it runs; symbol and values lie in memory
        // that stays unchanged until the next take, which only the outermost
        // delivery does, and destroy is put off until that ends.
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
        // Destroyed, or this is the child of a fork.
        if !inside.is_live() {
            break;
        }
    }
    made
}

/// Writes at most `max` of the signals that are ready into `results`, oldest
/// first, without copying their values, and returns how many. For hosts that want
/// no callback; no callback is made. The signals count as delivered.
///
/// The batch is freed, and its pointers die, at the next `signal_poll_batch`,
/// `signal_poll_callbacks` or `signal_destroy` on this handle, and with `deliver`
/// `on_data` and a callback at the next `signal_on_data`. Until then its slots
/// are not free for new signals, but for one: a batch is at most `rings.egress`
/// less one, so that there is always room for the news that makes an inlined poll
/// call again. `max` 0 or less only frees.
///
/// 0 inside a callback; `SIGNAL_ERROR_NULL` for null `results`, and nothing is
/// freed; `SIGNAL_ERROR_FAILED` once the engine has failed and everything queued
/// was handed out; another `SIGNAL_ERROR_` for a handle that it does not take.
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
    unsafe { batch::fill(&inside, results, max) }
}

/// One signal as the callback wants it.
struct CSignal {
    symbol: *const c_char,
    timestamp: c_longlong,
    model: c_int,
    sequence: u64,
    /// Number of the event that it is from.
    input: u64,
    values: *const f64,
    count: c_int,
}

#[inline]
fn take(handle: &Handle) -> Option<CSignal> {
    guarded(None, || {
        let mut taken = None;
        // SAFETY: the one caller is the outermost delivery, inside the handle's seat,
        // and this use of the poller ends before the callback runs.
        let poller = unsafe { &mut *handle.poller.get() };
        poller.take(|name, signal| {
            taken = Some(CSignal {
                symbol: name.as_ptr(),
                timestamp: signal.meta.timestamp,
                model: model_place(signal.model),
                sequence: signal.sequence,
                input: signal.meta.input_sequence,
                values: signal.values.as_ptr(),
                count: signal.values.len() as c_int,
            });
        });
        taken
    })
}

/// An outermost delivery, from poll or `on_data`. When it ends, also by an
/// exception, it destroys the handle if a callback asked for it.
struct Poll<'a>(&'a Inside);

impl Drop for Poll<'_> {
    #[inline]
    fn drop(&mut self) {
        let this = self.0.handle();
        // SAFETY: inside the handle's seat, no callback runs any more.
        guarded((), || unsafe { &mut *this.poller.get() }.record_last());
        // SAFETY: as above; nothing that runs here calls back into the host.
        guarded((), || unsafe { &mut *this.feeder.get() }.publish_held());
        this.current_model.set(SIGNAL_NO_MODEL);
        this.current_sequence.set(0);
        if this.destroy_after_poll.get() {
            self.0.destroy();
        }
    }
}

/// Stops and joins the lanes, writes the latency report if one is configured,
/// and frees the handle. Makes no callback: signals still queued are discarded.
/// From inside a callback the handle is dead for every function at once, and its
/// end takes place when the poll, or `signal_on_data`, ends. While another thread is inside a call on
/// the handle it is refused, and the handle lives on. Null is ignored.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_destroy(handle: *mut c_void) {
    let Ok(inside) = handle_table::enter(handle) else {
        return;
    };
    inside.take_down();
    if inside.is_nested() {
        inside.handle().destroy_after_poll.set(true);
        return;
    }
    inside.destroy();
}

/// The library's version, `MAJOR.MINOR.PATCH`. Static: never free it.
#[unsafe(no_mangle)]
pub extern "C" fn signal_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// From inside a callback: the place of the model that the signal is from, or
/// `SIGNAL_ALL_MODELS` if its values are those of several models.
/// `SIGNAL_NO_MODEL` outside a callback, another `SIGNAL_ERROR_` for a handle that
/// it does not take.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_current_model(handle: *mut c_void) -> c_int {
    match handle_table::enter(handle) {
        Ok(inside) => inside.handle().current_model.get(),
        Err(refused) => refused.code(),
    }
}

/// From inside a callback: the number of the signal, from 1 and one more for each
/// that the engine makes. Numbers of dropped and conflated signals are skipped, so
/// each gap shows where signals were lost, and how many. 0 outside a callback and
/// for a handle that it does not take.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_current_sequence(handle: *mut c_void) -> u64 {
    handle_table::enter(handle).map_or(0, |inside| inside.handle().current_sequence.get())
}

/// What an inlined poll reads; give it to `signal_poll`. Owned by the library and
/// readable for ever: after `signal_destroy` an inlined poll finds nothing in it,
/// or calls and is refused. Null for a handle that is none.
///
/// # Safety
///
/// None is needed: a handle that is none is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_egress(handle: *mut c_void) -> *const signal_egress_t {
    handle_table::read(handle, |_, slot| slot.egress()).unwrap_or(std::ptr::null())
}
