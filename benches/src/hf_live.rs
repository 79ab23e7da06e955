//! The design that the library replaces, in C++ (`cpp/hf_live.cpp`): a heap
//! copy for each event, mutexes, strings and vectors, threads that scan.
//!
//! Its factors and its model are this library's own code, called back from its
//! threads, so that only the way in which work is handed on differs.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;

use serde_json::Map;
use signal::abi::{self, Depth, LEVELS, Trade};
use signal::factors::{self, FactorBank};
use signal::messages::InstrumentId;
use signal::models::Model;
use signal_command::host::library::Callback;

use crate::drive::Host;
use crate::feed;

/// What a thread does while there is nothing for it; as in `hf_live.cpp`.
const SPIN: i32 = 0;
const YIELD: i32 = 1;
const SLEEP: i32 = 2;
const BLOCK: i32 = 3;
/// The tick thread runs the model itself.
const NO_THREAD: i32 = -1;

/// How its threads wait, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    tick_wait: i32,
    model_wait: i32,
}

impl Setting {
    const fn new(name: &'static str, tick_wait: i32, model_wait: i32) -> Self {
        Self {
            name,
            tick_wait,
            model_wait,
        }
    }

    /// Its usual: the tick thread scans and sleeps, the model's thread blocks on a
    /// condition variable.
    pub const SLEEP: Self = Self::new("sleep", SLEEP, BLOCK);
    /// The tick thread spins, the model's thread blocks on a condition variable.
    pub const BLOCK: Self = Self::new("block", SPIN, BLOCK);
    /// Both spin. Where they share a core, they offer it to each other.
    pub const SPIN: Self = Self::new("spin", SPIN, SPIN);
    /// One thread spins and does both: no hand-over between factors and model.
    pub const SPIN_ONE: Self = Self::new("spin-one", SPIN, NO_THREAD);
    pub const ALL: [Self; 4] = [Self::SLEEP, Self::BLOCK, Self::SPIN, Self::SPIN_ONE];
}

#[repr(C)]
struct Settings {
    tick_wait: i32,
    model_wait: i32,
    tick_core: i32,
    model_core: i32,
    factor_context: *mut c_void,
    on_event: unsafe extern "C" fn(*mut c_void, u32, i32, *const c_void, *mut f64) -> i32,
    factors: i32,
    model_context: *mut c_void,
    run: unsafe extern "C" fn(*mut c_void, *const f64, *mut f64),
    outputs: i32,
}

unsafe extern "C-unwind" {
    fn hf_live_create(settings: *const Settings) -> *mut c_void;
    fn hf_live_register_callback(handle: *mut c_void, callback: Callback, user_data: *mut c_void);
    fn hf_live_on_data(handle: *mut c_void, kind: c_int, data: *const c_void);
    fn hf_live_poll_callbacks(handle: *mut c_void) -> c_int;
    fn hf_live_destroy(handle: *mut c_void);
}

/// What the tick thread computes with.
struct Factors {
    bank: Box<dyn FactorBank>,
    levels: usize,
    book: [f64; 4 * LEVELS],
    width: usize,
}

/// What the model's thread computes with. Boxed once more: a pointer to it is thin.
type Prediction = Box<dyn Model>;

pub struct Design {
    handle: *mut c_void,
    factors: *mut Factors,
    prediction: *mut Prediction,
}

impl Design {
    /// Starts its threads on these cores: the tick thread on the first, the model's on
    /// the second where there is one.
    pub fn start(
        setting: Setting,
        cores: &[usize],
        set: &str,
        instruments: usize,
        model: Box<dyn Model>,
    ) -> Result<Self, String> {
        let registry = factors::Registry::builtin();
        let entry = registry.get(set);
        let entry = entry.ok_or_else(|| format!("there is no factor set {set:?}"))?;
        let prepared = entry.prepare(&Map::new())?;
        let (levels, bank) = (prepared.levels(), prepared.bank(instruments));
        let width = bank.width();
        if model.inputs() != width {
            return Err(format!(
                "the model takes {} factors, but {set} gives {width}",
                model.inputs()
            ));
        }
        let outputs = model.outputs().len() as i32;
        let core = |place: usize| {
            let core = cores.get(place).or(cores.first());
            core.map_or(-1, |&core| i32::try_from(core).unwrap_or(i32::MAX))
        };
        let offers_core = cores.len() < 2 && setting.model_wait != NO_THREAD;
        let wait = |wait: i32| {
            if wait == SPIN && offers_core {
                YIELD
            } else {
                wait
            }
        };
        // Freed in drop, when the threads that use them have been joined.
        let mut design = Self {
            handle: ptr::null_mut(),
            factors: Box::into_raw(Box::new(Factors {
                bank,
                levels,
                book: [0.0; 4 * LEVELS],
                width,
            })),
            prediction: Box::into_raw(Box::new(model)),
        };
        let settings = Settings {
            tick_wait: wait(setting.tick_wait),
            model_wait: wait(setting.model_wait),
            tick_core: core(0),
            model_core: core(1),
            factor_context: design.factors.cast(),
            on_event,
            factors: width as i32,
            model_context: design.prediction.cast(),
            run,
            outputs,
        };
        // SAFETY: the struct outlives the call, which copies it; the contexts live until the
        // threads that use them have been joined, in drop.
        design.handle = unsafe { hf_live_create(&settings) };
        if design.handle.is_null() {
            return Err(format!(
                "the hf-live design cannot start or pin its threads on cores {cores:?}"
            ));
        }
        Ok(design)
    }
}

impl Host for Design {
    unsafe fn register(&mut self, callback: Callback, user_data: *mut c_void) {
        // SAFETY: the handle is live; the caller vouches for the rest.
        unsafe { hf_live_register_callback(self.handle, callback, user_data) }
    }

    #[inline(always)]
    fn on_depth(&mut self, depth: &Depth) {
        let data = ptr::from_ref(depth).cast();
        // SAFETY: the handle is live, the payload is a whole Depth, copied by the call.
        unsafe { hf_live_on_data(self.handle, abi::TYPE_DEPTH, data) }
    }

    #[inline(always)]
    fn on_trade(&mut self, trade: &Trade) {
        let data = ptr::from_ref(trade).cast();
        // SAFETY: the handle is live, the payload is a whole Trade, copied by the call.
        unsafe { hf_live_on_data(self.handle, abi::TYPE_TRADE, data) }
    }

    #[inline(always)]
    fn poll(&mut self) {
        // SAFETY: the handle is live and polled on one thread: it is not Sync.
        unsafe { hf_live_poll_callbacks(self.handle) };
    }
}

impl Drop for Design {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: made by `hf_live_create` and destroyed once.
            unsafe { hf_live_destroy(self.handle) }
        }
        // SAFETY: both come from `Box::into_raw`, and the threads that used them have
        // been joined.
        unsafe {
            drop(Box::from_raw(self.factors));
            drop(Box::from_raw(self.prediction));
        }
    }
}

/// # Safety
///
/// `context` is a live [`Factors`] that only the calling thread uses; `data` points to
/// the struct of `kind`; `out` has room for all factors.
unsafe extern "C" fn on_event(
    context: *mut c_void,
    instrument: u32,
    kind: i32,
    data: *const c_void,
    out: *mut f64,
) -> i32 {
    // SAFETY: the design calls this on its tick thread alone, with the context that
    // `start` gave it.
    let factors = unsafe { &mut *context.cast::<Factors>() };
    let id = InstrumentId(instrument);
    if kind == abi::TYPE_DEPTH {
        // SAFETY: the design copied a whole Depth; the struct's alignment is 1.
        let depth = unsafe { &*data.cast::<Depth>() };
        let book = &mut factors.book[..4 * factors.levels];
        feed::fill(depth, book);
        let depth = factors::Depth::from_values(depth.data_time.get(), book);
        factors.bank.on_depth(id, &depth);
        // SAFETY: the design sized its vector by the `factors` that `start` gave it.
        let out = unsafe { slice::from_raw_parts_mut(out, factors.width) };
        factors.bank.write(id, out);
        return 1;
    }
    // SAFETY: the design takes Depths and trades alone, and copied a whole one.
    let trade = unsafe { &*data.cast::<Trade>() };
    factors.bank.on_trade(id, &feed::trade(trade));
    0
}

/// # Safety
///
/// `context` is a live [`Prediction`] that only the calling thread uses; `factors` and
/// `outputs` point to as many values as its model takes and writes.
unsafe extern "C" fn run(context: *mut c_void, factors: *const f64, outputs: *mut f64) {
    // SAFETY: the design calls this on one thread alone, with the context that `start`
    // gave it.
    let model = unsafe { &mut *context.cast::<Prediction>() };
    // SAFETY: the design sized both vectors by the widths that `start` gave it.
    let (factors, outputs) = unsafe {
        (
            slice::from_raw_parts(factors, model.inputs()),
            slice::from_raw_parts_mut(outputs, model.outputs().len()),
        )
    };
    model.run(InstrumentId(0), factors, outputs);
}

#[cfg(test)]
mod tests;
