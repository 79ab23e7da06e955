//! A handle's life: creating it, setting its callback, destroying it.

use std::borrow::Borrow;
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::handle::{Handle, ModelNames, guarded};
use super::handle_table::{self, Reserved};
use super::types::{SIGNAL_NO_MODEL, signal_callback_t};
use super::{calibration, departure, door, forks, last_error};
use crate::config::{self, Config, Deliver, Origin};
use crate::engine::{Engine, Registry};
use crate::error::content::one_line;
use crate::messages::InstrumentId;
use crate::os::claims::ENV_CLAIMS;
use crate::os::stderr::say;
use crate::os::{environment, machine, memory, names, panic, unwinder};

/// Characters of a reason why there is no handle; two paths fit.
const LONGEST_REASON: usize = 10_000;

/// Makes an engine and starts its lanes.
///
/// `config_json` is NUL-terminated JSON; `"{}"` or null adds nothing to the defaults and to
/// the configuration file. It is read during the call only. A process can have 256 handles at
/// once. Returns a handle, which the caller owns until `signal_destroy`.
/// Returns null on an error: `signal_last_error` then gives the reason, as does one line on
/// stderr.
///
/// It reads these environment variables. `SIGNAL_CONFIG` names a configuration file; keys in
/// `config_json` override keys in that file. `SIGNAL_CORES` lists the lanes' cores, such as
/// `2,3` or `2-3`. It overrides `cores` in the file, and `cores` in `config_json` overrides
/// it. `SIGNAL_LATENCY_DIR` names a folder in which each handle makes a folder for its
/// latency report, unless `latency.dir` is set. `SIGNAL_CORE_CLAIMS` names the file in which
/// processes reserve cores, instead of `/dev/shm/godzilla-signal-cores`. In a program with
/// rights that its caller may lack (set-user-ID, set-group-ID, file capabilities:
/// `AT_SECURE`) these variables are ignored; one line on stderr says so.
///
/// To choose cores, it locks that file. It waits up to 1 s for another thread that chooses, and
/// up to 1 s for another process that holds the lock, twice more at most where someone removes
/// the file meanwhile; then it goes on without the lock. The first time in a process, one line
/// on stderr says so.
///
/// The first call of a process also calibrates the clock, for up to 200 ms. In every
/// placement, the call first runs each model on the calling thread, without a limit. Where
/// there are lanes, each then runs its models once more. The call returns null if a lane's
/// first run, or the start of a thread, takes more than 30 s. The call checks for memory
/// before it takes any; if another thread of the host takes that memory in between, an
/// allocation fails and aborts the process.
///
/// # Safety
///
/// `config_json` is null or points to a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn signal_create(config_json: *const c_char) -> *mut c_void {
    // Not once there is a handle, which would be lost.
    door::end_if_cancelled();
    // SAFETY: the caller passes null or a NUL-terminated string.
    let handle = unsafe { create_from(config_json, Registry::default) };
    if handle.is_null() {
        door::end_if_cancelled();
    }
    handle
}

/// As [`signal_create`], but with factor sets and models of your own: for a library that
/// brings some and exports the C ABI under names of its own. Not part of the C ABI.
///
/// Link that library with `-z nodelete`, as this one is: `dlclose` would unload code that
/// threads of ours run, or that the end of a host's thread leads to.
///
/// # Safety
///
/// `config_json` is null or points to a NUL-terminated string.
pub unsafe fn create_with(config_json: *const c_char, registry: &Registry) -> *mut c_void {
    // SAFETY: the caller's contract is the same.
    unsafe { create_from(config_json, || registry) }
}

/// # Safety
///
/// As [`create_with`].
unsafe fn create_from<R: Borrow<Registry>>(
    config_json: *const c_char,
    registry: impl FnOnce() -> R,
) -> *mut c_void {
    door::through_as_allowed(std::ptr::null_mut(), || {
        // SAFETY: the caller's contract is the same.
        unsafe { create_inside(config_json, registry) }
    })
}

/// # Safety
///
/// As [`create_with`]. `registry` is called once there is memory for a registry.
unsafe fn create_inside<R: Borrow<Registry>>(
    config_json: *const c_char,
    registry: impl FnOnce() -> R,
) -> *mut c_void {
    panic::keep_quiet(handle_table::this_thread_is_inside);
    if let Some(name) = names::first_other() {
        last_error::write(|into| {
            write!(
                into,
                "names: this process has a function {name} of its own, which the dynamic linker gives to \
                 every library, and which is not POSIX' {name}; expected another name for it, or that it is \
                 static or in a namespace"
            )
        });
        last_error::print();
        return std::ptr::null_mut();
    }
    // SAFETY: the caller passes null or a NUL-terminated string.
    let given = |text| unsafe { CStr::from_ptr(text) }.count_bytes();
    let bytes = if config_json.is_null() {
        0
    } else {
        given(config_json)
    };
    if let Err(refused) = memory::check_start(bytes) {
        last_error::write(|into| write!(into, "memory: a handle {refused}"));
        last_error::print();
        return std::ptr::null_mut();
    }
    unwinder::prepare();
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
            create(text, registry().borrow())
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
            // It may quote names of any length.
            let why = one_line(&why, LONGEST_REASON);
            say(&why);
            last_error::set(why);
            std::ptr::null_mut()
        }
    }
}

fn create(text: Option<&str>, registry: &Registry) -> Result<*mut c_void, String> {
    forks::watch()?;
    let _groups = machine::groups_stay_known();
    let reserved = Reserved::new()?;
    let (config, origin) = configuration(text)?;
    calibration::begin()?;
    let engine = Engine::start_at(&config, registry, reserved.cursors())
        .map_err(|error| origin.explain(&error))?;
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
    let handle = reserved.publish(handle_of(engine, config.deliver));
    if handle.is_null() {
        return Err("this process was forked while the engine was made: create one here".into());
    }
    departure::note_maker();
    Ok(handle)
}

// Large values are made in calls of their own: the host's thread may have a small stack.

#[inline(never)]
fn configuration(text: Option<&str>) -> Result<(Box<Config>, Origin), String> {
    environment::say_what_is_ignored(&[
        config::ENV_CONFIG,
        config::ENV_CORES,
        config::ENV_LATENCY_DIR,
        ENV_CLAIMS,
    ]);
    let (mut config, mut origin) = Config::for_host(text).map_err(|error| error.to_string())?;
    if config::add_latency_dir(&mut config).map_err(|error| error.to_string())? {
        origin.note(["latency"], config::ENV_LATENCY_DIR);
    }
    Ok((Box::new(config), origin))
}

#[inline(never)]
fn handle_of(engine: Box<Engine>, deliver: Deliver) -> Box<Handle> {
    let models = engine.models().iter().map(ModelNames::new).collect();
    let (feeder, poller, runtime) = engine.into_parts();
    Box::new(Handle {
        delivers_on_data: deliver == Deliver::OnData,
        feeder: UnsafeCell::new(feeder),
        poller: UnsafeCell::new(poller),
        callback: Cell::new((None, std::ptr::null_mut())),
        destroy_after_poll: Cell::new(false),
        current_model: Cell::new(SIGNAL_NO_MODEL),
        current_sequence: Cell::new(0),
        current_instrument: Cell::new(InstrumentId::NONE),
        models,
        runtime,
    })
}

/// Sets the callback and its `user_data`, replacing an earlier one. Null removes the
/// callback: signals then wait in the ring until it is full, and then `overload.egress`
/// decides. Inside a callback, the change takes effect after that callback.
///
/// While another thread is inside a one-thread function on the handle, this call is
/// refused and the earlier callback stays. `signal_last_error` then gives the reason; after
/// a successful call it returns null.
///
/// # Safety
///
/// `cb` is null or points to a function. The function stays callable and `user_data`
/// stays valid until another callback is set or the handle is destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_register_callback(
    handle: *mut c_void,
    cb: signal_callback_t,
    user_data: *mut c_void,
) {
    forks::look();
    if let Ok(inside) = handle_table::enter(handle) {
        inside.handle().callback.set((cb, user_data));
        last_error::clear();
    }
}

/// Stops and joins the lanes, ends the capture and the latency report if they are
/// configured, and frees the handle. Makes no callback: signals still queued are discarded.
///
/// It waits up to 5 s for factor sets and models that do not return (their lanes are then
/// left behind), up to 5 s for a disk that does not respond, up to 1 s for other threads that
/// read from the handle, for example in `signal_stats`, and up to 1 s each for another thread
/// and another process that choose their cores at that moment.
///
/// If it is called in a callback, every function refuses the handle from then on, and the
/// handle is freed when the poll, or `signal_on_data`, returns. If the callback calls `exit`
/// instead, the handle is not freed. Capture and report are whole all the same once the process
/// has ended, if `signal_destroy` is called there or in a handler of `exit` and no handler calls
/// `_exit`. While another thread is inside a one-thread function on the handle, this call is
/// refused and the handle stays valid. Null is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn signal_destroy(handle: *mut c_void) {
    if !forks::notice().is_ours() {
        return;
    }
    let Ok(inside) = handle_table::enter(handle) else {
        return;
    };
    inside.take_down();
    if inside.is_nested() {
        inside.destroy_later();
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

/// Makes the lane that runs ingest fail; for tests. Not part of the C ABI.
#[doc(hidden)]
pub fn break_lane(handle: *mut c_void) {
    if let Ok(inside) = handle_table::enter(handle) {
        guarded((), || {
            // SAFETY: this thread is inside the handle's lock; nothing called
            // here calls back into the host.
            let feeder = unsafe { &mut *inside.handle().feeder.get() };
            feeder.break_lane();
        });
    }
}
