//! The library's C ABI, as a foreign host would declare it from `signal.h`.

use std::ffi::{c_char, c_int, c_longlong, c_void};

macro_rules! stats {
    ($($field:ident),* $(,)?) => {
        /// The library's counters (`signal_stats_t`).
        #[derive(Clone, Copy, Debug, Default)]
        #[repr(C)]
        pub struct Stats {
            /// Bytes that the caller has room for.
            pub size: u64,
            $(#[allow(missing_docs, reason = "named as in signal.h")] pub $field: u64,)*
        }

        impl Stats {
            /// The counters with their names.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }
        }
    };
}

stats! {
    events_depth, events_ticker, events_trade, events_index_price,
    refused_null_data, refused_unknown_type, refused_bad_symbol, refused_bad_price,
    refused_bad_size, refused_too_many_instruments, refused_failed,
    dropped_ingest_ring_full, dropped_egress_ring_full,
    ingest_gap, updates, triggered, predicted, signals, delivered, egress_gap, ring_waits,
    in_flight,
}

/// One row of the hop table (`signal_hop_t`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hop {
    /// NUL-terminated name.
    pub name: [u8; 24],
    /// Messages timed.
    pub count: u64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p999_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
}

impl Hop {
    /// The hop's name.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(signal::abi::text(&self.name)).into_owned()
    }
}

/// The host's callback.
pub type Callback =
    unsafe extern "C-unwind" fn(*const c_char, c_longlong, *const f64, c_int, *mut c_void);

/// The functions of the library, found by name.
#[derive(Clone, Copy)]
pub struct Functions {
    /// `signal_create`.
    pub create: unsafe extern "C" fn(*const c_char) -> *mut c_void,
    /// `signal_register_callback`.
    pub register: unsafe extern "C" fn(*mut c_void, Callback, *mut c_void),
    /// `signal_on_data`.
    pub on_data: unsafe extern "C" fn(*mut c_void, c_int, *const c_void),
    /// `signal_poll_callbacks`.
    pub poll: unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
    /// `signal_destroy`.
    pub destroy: unsafe extern "C" fn(*mut c_void),
    /// `signal_version`.
    pub version: unsafe extern "C" fn() -> *const c_char,
    /// `signal_last_error`.
    pub last_error: unsafe extern "C" fn() -> *const c_char,
    /// `signal_stats`.
    pub stats: unsafe extern "C" fn(*mut c_void, *mut Stats) -> c_int,
    /// `signal_latency`.
    pub latency: unsafe extern "C" fn(*mut c_void, *mut Hop, c_int) -> c_int,
    /// `signal_stamp_ns`.
    pub stamp_ns: unsafe extern "C" fn(*mut c_void) -> f64,
}
