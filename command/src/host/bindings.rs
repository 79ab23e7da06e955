//! The library's C ABI, declared as a foreign host would declare it from `signal.h`, and how such a
//! host loads it. The command and the benches are such hosts.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use libloading::os::unix::{Library, RTLD_LAZY};

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

        // Has the same layout as the library's own struct, field by field.
        const _: () = {
            use std::mem::offset_of;
            use signal::ffi::signal_stats_t;
            assert!(size_of::<Stats>() == size_of::<signal_stats_t>());
            $(assert!(offset_of!(Stats, $field) == offset_of!(signal_stats_t, $field));)*
        };

        impl Stats {
            /// Number of messages dropped, at any ring.
            pub fn dropped(&self) -> u64 {
                let named = self.named();
                let dropped = named.iter().filter(|(name, _)| name.starts_with("dropped_"));
                dropped.map(|(_, count)| count).sum()
            }

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
    in_flight, refused_not_an_asset, answered,
    refused_quarantined, dropped_ingest_timeout, dropped_stage_stopped,
    dropped_egress_timeout, dropped_egress_stopped, conflated_egress, queued, panics,
    refused_concurrent, model_vectors_missed, capture_written, capture_missed, capture_failed,
    dropped_ingest_stopped, lost_stage_parts, failed, index_copies, index_copies_ended,
    latency_beyond, report_ended, deliver_late, rehearsals,
    stood_in, lane_away, lane_away_ns, deliver_late_begun, dropped_egress_too_old,
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

// Latencies at the bound are marked in the row.
const _: () = assert!(LATENCY_BOUND_NS == signal::ffi::SIGNAL_LATENCY_BOUND_NS);

/// Latencies equal to this are lower bounds (`SIGNAL_LATENCY_BOUND_NS`).
pub const LATENCY_BOUND_NS: u64 = 4_398_046_511_103;

impl Hop {
    /// A row to be filled in.
    pub const EMPTY: Hop = Hop {
        name: [0; 24],
        count: 0,
        p50_ns: 0,
        p99_ns: 0,
        p999_ns: 0,
        max_ns: 0,
    };

    /// The hop's name.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(signal::abi::text(&self.name)).into_owned()
    }
}

/// A lane and its progress (`signal_lane_t`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Lane {
    /// Its stages and its core; NUL-terminated.
    pub name: [u8; signal::ffi::SIGNAL_NAME_LEN],
    /// The core that it is pinned to.
    pub core: u64,
    /// Increases as long as the lane makes progress.
    pub beats: u64,
    /// The longest duty cycle, ns.
    pub longest_duty_ns: u64,
    /// Number of duty cycles that were too long.
    pub stalls: u64,
    /// Time since the last beat, ns.
    pub silence_ns: u64,
}

const _: () = assert!(size_of::<Lane>() == size_of::<signal::ffi::signal_lane_t>());

impl Lane {
    /// A row to be filled in.
    pub const EMPTY: Lane = Lane {
        name: [0; signal::ffi::SIGNAL_NAME_LEN],
        core: 0,
        beats: 0,
        longest_duty_ns: 0,
        stalls: 0,
        silence_ns: 0,
    };
}

/// What an inlined poll reads (`signal_egress_t`).
#[derive(Debug)]
#[repr(C)]
pub struct Egress {
    /// Signals published.
    pub published: *const AtomicU64,
    /// Signals taken.
    pub taken: *const AtomicU64,
    /// Address of the next signal. A library without `signal_poll_batch` does not have this field.
    pub next: *const AtomicU64,
}

impl Egress {
    /// A struct for the inlined poll if the library's own ends after `taken`.
    ///
    /// # Safety
    ///
    /// `shorter` points to the two words that every library has.
    pub unsafe fn without_next(shorter: *const Egress) -> Egress {
        // A valid address: a prefetch of null would walk the page tables at each poll for nothing.
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        let here = std::ptr::from_ref(&NOWHERE);
        NOWHERE.store(here.expose_provenance() as u64, Ordering::Relaxed);
        // SAFETY: the caller guarantees the two words; the third is not read.
        unsafe {
            Egress {
                published: (&raw const (*shorter).published).read(),
                taken: (&raw const (*shorter).taken).read(),
                next: here,
            }
        }
    }
}

/// `SIGNAL_ALL_MODELS`.
pub const ALL_MODELS: c_int = -10;

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
    pub on_data: unsafe extern "C-unwind" fn(*mut c_void, c_int, *const c_void),
    /// `signal_poll_callbacks`.
    pub poll: unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
    /// `signal_destroy`.
    pub destroy: unsafe extern "C" fn(*mut c_void),
    /// `signal_egress`.
    pub egress: unsafe extern "C" fn(*mut c_void) -> *const Egress,
    /// `signal_version`.
    pub version: unsafe extern "C" fn() -> *const c_char,
    /// `signal_last_error`.
    pub last_error: unsafe extern "C" fn() -> *const c_char,
    /// `signal_stats`.
    pub stats: unsafe extern "C" fn(*mut c_void, *mut Stats) -> c_int,
    /// `signal_health`.
    pub health: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// `signal_models`.
    pub models: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// `signal_model_name`.
    pub model_name: unsafe extern "C" fn(*mut c_void, c_int) -> *const c_char,
    /// `signal_value_name`.
    pub value_name: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> *const c_char,
    /// `signal_current_model`.
    pub current_model: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// `signal_latency`.
    pub latency: unsafe extern "C" fn(*mut c_void, *mut Hop, c_int) -> c_int,
    /// `signal_lanes`, which older libraries do not have.
    pub lanes: Option<unsafe extern "C" fn(*mut c_void, *mut Lane, c_int) -> c_int>,
    /// `signal_stamp_ns`.
    pub stamp_ns: unsafe extern "C" fn(*mut c_void) -> f64,
    /// Whether `signal_egress_t` has its third word: it was added with `signal_poll_batch`.
    pub egress_has_next: bool,
}

impl Functions {
    /// Loads the library for good, with the host's flags, and looks the
    /// functions up.
    ///
    /// # Errors
    ///
    /// The loader's error, which names a missing function.
    pub fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the initialisers of a library that the user
        // chose; the host loads it in the same way and with the same flags.
        let object = unsafe { Library::open(Some(path), RTLD_LAZY | libc::RTLD_NODELETE) }?;
        macro_rules! find {
            ($name:literal) => {
                // SAFETY: signal.h declares the function with the field's type.
                // With RTLD_NODELETE it stays when `object` is dropped.
                *unsafe { object.get($name.as_bytes()) }?
            };
        }
        Ok(Self {
            create: find!("signal_create"),
            register: find!("signal_register_callback"),
            on_data: find!("signal_on_data"),
            poll: find!("signal_poll_callbacks"),
            destroy: find!("signal_destroy"),
            egress: find!("signal_egress"),
            version: find!("signal_version"),
            last_error: find!("signal_last_error"),
            stats: find!("signal_stats"),
            health: find!("signal_health"),
            models: find!("signal_models"),
            model_name: find!("signal_model_name"),
            value_name: find!("signal_value_name"),
            current_model: find!("signal_current_model"),
            latency: find!("signal_latency"),
            stamp_ns: find!("signal_stamp_ns"),
            // SAFETY: as above.
            lanes: unsafe { object.get(b"signal_lanes") }
                .ok()
                .map(|found| *found),
            // SAFETY: only looked for, never called.
            egress_has_next: unsafe { object.get::<*const c_void>(b"signal_poll_batch") }.is_ok(),
        })
    }

    /// The library's version.
    pub fn version(&self) -> String {
        // SAFETY: returns NULL or a static string.
        text(unsafe { (self.version)() }).unwrap_or_default()
    }

    /// Why the last create on this thread returned NULL.
    pub fn last_error(&self) -> String {
        // SAFETY: returns NULL or a text that lives until the next create on
        // this thread.
        text(unsafe { (self.last_error)() }).unwrap_or_else(|| "it does not say why".into())
    }
}

/// Copies a C string of the library; `None` for null.
pub(crate) fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: the library's strings end with a NUL and stay valid.
    let text = unsafe { CStr::from_ptr(string) };
    Some(text.to_string_lossy().into_owned())
}

/// A state of `signal_health` as a word.
pub fn health_word(code: c_int) -> Option<&'static str> {
    const WORDS: [&str; 7] = [
        "ok",
        "quarantined",
        "silent",
        "overloaded",
        "stalled",
        "failed",
        "degraded",
    ];
    WORDS.get(usize::try_from(code).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_of_two_words_is_not_read_beyond_them() {
        let (published, taken) = (AtomicU64::new(3), AtomicU64::new(2));
        let shorter: [*const AtomicU64; 2] = [&published, &taken];
        // SAFETY: both words exist.
        let egress = unsafe { Egress::without_next(shorter.as_ptr().cast()) };
        assert_eq!([egress.published, egress.taken], shorter);
        // SAFETY: a word of the program's own.
        let line = unsafe { (*egress.next).load(Ordering::Relaxed) };
        assert_eq!(line, egress.next as u64);
    }
}
