//! What a handle refers to, and what every function does with it.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CString, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::last_error;
use super::types::{SIGNAL_ALL_MODELS, SIGNAL_ERROR_FAILED, signal_callback_t};
use crate::engine::{Feeder, ModelInfo, Poller, Runtime};
use crate::messages::{InstrumentId, ModelId};
use crate::os::panic;

/// What a handle refers to. One thread at a time uses it, but a callback may call back in, so each
/// part is borrowed for as short a time as possible. It has cache lines of its own.
#[repr(align(128))]
pub(super) struct Handle {
    pub(super) feeder: UnsafeCell<Feeder>,
    pub(super) poller: UnsafeCell<Poller>,
    pub(super) callback: Cell<(signal_callback_t, *mut c_void)>,
    pub(super) destroy_after_poll: Cell<bool>,
    /// Whether `signal_on_data` makes callbacks too.
    pub(super) delivers_on_data: bool,
    /// Inside a callback: the model of its signal. Otherwise `SIGNAL_NO_MODEL`.
    pub(super) current_model: Cell<c_int>,
    /// Inside a callback: the signal's sequence number. Otherwise 0.
    pub(super) current_sequence: Cell<u64>,
    /// Inside a callback: the signal's instrument. Otherwise `InstrumentId::NONE`.
    pub(super) current_instrument: Cell<InstrumentId>,
    pub(super) models: Vec<ModelNames>,
    // Last, because dropping it joins the lanes, after both ends have been dropped.
    pub(super) runtime: Runtime,
}

/// A model's name and its values' names, for C.
pub(super) struct ModelNames {
    pub(super) name: CString,
    pub(super) values: Vec<CString>,
}

impl ModelNames {
    pub(super) fn new(info: &ModelInfo) -> Self {
        // Names come from JSON and model files, so they may contain a NUL.
        let c = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        Self {
            name: c(&info.name),
            values: info.outputs.iter().map(|name| c(name)).collect(),
        }
    }
}

/// Runs `body`; a panic becomes `default` and never reaches the host.
#[inline]
pub(super) fn guarded<R>(default: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        panic::discard(panic);
        default
    })
}

/// For a poll that finds no signals after the engine has failed.
#[cold]
pub(super) fn say_why_failed(this: &Handle) -> c_int {
    match this.runtime.control.failure() {
        Some(why) => last_error::write(|into| into.write_str(why)),
        None => last_error::clear(),
    }
    SIGNAL_ERROR_FAILED
}

/// A signal's model, as C hosts number models.
#[inline]
pub(super) fn model_place(model: Option<ModelId>) -> c_int {
    model.map_or(SIGNAL_ALL_MODELS, |id| c_int::from(id.0))
}
