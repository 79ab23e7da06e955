//! The callback of the benches, on the host's thread.

use std::cell::Cell;
use std::ffi::{c_char, c_double, c_int, c_longlong, c_void};
use std::hint::black_box;

use crate::series::Stamps;
use crate::ticks::Host;

/// What a callback leaves for the sender.
pub trait Probe {
    /// Takes a signal, by its time. A stamp that ends a trip is taken first of all.
    fn take(&self, timestamp: i64);
}

extern "C-unwind" fn on_signal<P: Probe>(
    _symbol: *const c_char,
    timestamp: c_longlong,
    values: *const c_double,
    _count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a P that outlives the polling; nobody has it exclusively.
    let probe = unsafe { &*user_data.cast::<P>() };
    probe.take(timestamp);
    black_box(values);
}

/// Makes `probe` what the host's callback looks at.
///
/// # Safety
///
/// `probe` stays where it is, and lives, for as long as the host is polled.
pub unsafe fn register<P: Probe>(host: &impl Host, probe: &P) {
    let user_data = std::ptr::from_ref(probe).cast_mut().cast();
    // SAFETY: the callback takes a shared reference to a P; the caller vouches for the rest.
    unsafe { host.register(on_signal::<P>, user_data) }
}

/// The last signal's stamp, and how many came.
pub struct Last<'a> {
    /// The clock.
    pub stamps: &'a Stamps,
    received: Cell<u64>,
    calls: Cell<u64>,
}

impl<'a> Last<'a> {
    /// None came.
    pub fn new(stamps: &'a Stamps) -> Self {
        Self {
            stamps,
            received: Cell::new(0),
            calls: Cell::new(0),
        }
    }

    /// The stamp that the last callback took first of all.
    #[inline(always)]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Callbacks so far.
    #[inline(always)]
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }
}

impl Probe for Last<'_> {
    #[inline(always)]
    fn take(&self, _timestamp: i64) {
        self.received.set(self.stamps.raw());
        self.calls.set(self.calls.get() + 1);
    }
}
