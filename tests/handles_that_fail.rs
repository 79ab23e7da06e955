//! Handles whose factor sets and models fail, through the C ABI, as seen by a host with its
//! own library of sets and models.
//!
//! This is a separate program: the C ABI sets a panic hook for the whole process, which
//! changes what `tests/faults/` sees of a panic.

use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use signal::Registry;
use signal::abi::Depth;
use signal::ffi::*;
use support::bomb::{Bomb, FATAL};
use support::events::put;
use support::handle::last_error;
use support::meters::{Counting, calls_of_thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Host(*mut c_void);

impl Host {
    fn new(factors: &str, placement: &str) -> Self {
        let mut registry = Registry::default();
        registry.factors.add::<Bomb, _>();
        // A lane that the system delays is not what these tests look for.
        let config = format!(
            r#"{{"factors": "{factors}", "model": "none", "placement": "{placement}", "health": {{"stall_us": 60000000}}}}"#
        );
        let config = CString::new(config).unwrap();
        // SAFETY: the text is NUL-terminated.
        let handle = unsafe { create_with(config.as_ptr(), &registry) };
        assert!(!handle.is_null(), "{}", last_error());
        Self(handle)
    }

    fn depth(&self, symbol: &str, time: i64) {
        let mut depth: Depth = bytemuck::Zeroable::zeroed();
        put(&mut depth.symbol, symbol);
        depth.data_time = time.into();
        depth.bid_price[0] = 9.0.into();
        depth.ask_price[0] = 10.0.into();
        // SAFETY: the payload is a Depth, as the type says.
        unsafe { signal_on_data(self.0, 101, (&raw const depth).cast()) };
    }

    fn poll(&self) -> c_int {
        signal_poll_callbacks(self.0)
    }

    /// Polls a batch of at most two. Returns the number of signals, or the error.
    fn batch(&self) -> c_int {
        let mut results = [const { MaybeUninit::<signal_result_t>::uninit() }; 2];
        // SAFETY: there is room for two results.
        unsafe { signal_poll_batch(self.0, results.as_mut_ptr().cast(), 2) }
    }

    fn health(&self) -> c_int {
        signal_health(self.0)
    }

    fn stats(&self) -> signal_stats_t {
        let mut stats = signal_stats_t {
            size: size_of::<signal_stats_t>() as u64,
            ..Default::default()
        };
        // SAFETY: `size` is right.
        assert_eq!(unsafe { signal_stats(self.0, &raw mut stats) }, 0);
        stats
    }

    fn until(&self, done: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < limit, "{:?}", self.stats());
            std::thread::yield_now();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        signal_destroy(self.0);
    }
}

unsafe extern "C-unwind" fn count(
    _: *const c_char,
    _: c_longlong,
    _: *const f64,
    _: c_int,
    calls: *mut c_void,
) {
    // SAFETY: `calls` is the registered pointer, which outlives the handle.
    unsafe { *calls.cast::<u64>() += 1 };
}

#[test]
fn a_failed_engine_delivers_what_was_queued_and_says_why() {
    for placement in ["inline", "fused", "split"] {
        let mut calls = 0u64;
        let host = Host::new("test0000", placement);
        // SAFETY: `calls` outlives the handle.
        unsafe { signal_register_callback(host.0, Some(count), (&raw mut calls).cast()) };
        host.depth("btc_usdt", 1);
        host.depth("btc_usdt", 2);
        host.until(|host| host.stats().queued == 2);
        assert_eq!(host.health(), SIGNAL_HEALTH_OK);
        assert_eq!(host.stats().failed, 0);
        assert_eq!(last_error(), "");
        break_lane(host.0);
        host.until(|host| host.health() == SIGNAL_HEALTH_FAILED);
        host.depth("btc_usdt", 4);
        assert_eq!(host.stats().refused_failed, 1);
        assert_eq!(host.poll(), 2, "{placement}");
        assert_eq!(calls, 2);
        assert_eq!(host.stats().failed, 1);
        // The error comes only after all lanes have ended.
        host.until(|host| host.poll() == SIGNAL_ERROR_FAILED);
        assert!(
            last_error().contains("index out of bounds"),
            "{}",
            last_error()
        );
        assert_eq!(host.poll(), SIGNAL_ERROR_FAILED);
        assert_eq!(host.health(), SIGNAL_HEALTH_FAILED);
        assert!(last_error().starts_with("failed: "), "{}", last_error());
    }
}

#[test]
fn a_failed_engine_hands_out_what_was_queued_in_batches() {
    for placement in ["inline", "fused", "split"] {
        let host = Host::new("test0000", placement);
        for time in 1..=3 {
            host.depth("btc_usdt", time);
        }
        host.until(|host| host.stats().queued == 3);
        break_lane(host.0);
        host.until(|host| host.health() == SIGNAL_HEALTH_FAILED);
        assert_eq!([host.batch(), host.batch()], [2, 1], "{placement}");
        // The error comes only after all lanes have ended.
        host.until(|host| host.batch() == SIGNAL_ERROR_FAILED);
        assert!(
            last_error().contains("index out of bounds"),
            "{}",
            last_error()
        );
        assert_eq!(host.stats().delivered, 3);
    }
}

#[test]
fn a_poll_of_a_failed_engine_takes_no_memory() {
    let host = Host::new("test0000", "fused");
    break_lane(host.0);
    host.until(|host| host.poll() == SIGNAL_ERROR_FAILED);
    let before = calls_of_thread();
    for _ in 0..10 {
        assert_eq!(host.poll(), SIGNAL_ERROR_FAILED);
        assert_eq!(host.batch(), SIGNAL_ERROR_FAILED);
    }
    assert_eq!(calls_of_thread(), before);
    assert!(last_error().contains("index out of bounds"));
}

#[test]
fn a_quarantine_can_be_read_with_its_place_in_the_source() {
    for placement in ["inline", "fused", "split"] {
        let mut calls = 0u64;
        let host = Host::new("bomb", placement);
        // SAFETY: `calls` outlives the handle.
        unsafe { signal_register_callback(host.0, Some(count), (&raw mut calls).cast()) };
        let incident = |index| {
            let text = signal_incident(host.0, index);
            // SAFETY: the text is NUL-terminated and lives as long as the handle.
            (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap())
        };
        assert_eq!(incident(0), None);
        host.depth("btc_usdt", FATAL);
        host.depth("btc_usdt", 2);
        host.depth("eth_usdt", 3);
        host.until(|host| host.stats().queued == 1);
        assert_eq!(host.poll(), 1);
        let text = incident(0).unwrap();
        assert!(text.contains("instrument BTCUSDT"), "{text}");
        assert!(
            text.contains("the bomb went off (tests/support/src/bomb.rs:"),
            "{text}"
        );
        assert_eq!(incident(1), None);
        assert_eq!(incident(-1), None);
        let stats = host.stats();
        assert_eq!((stats.panics, stats.refused_quarantined), (1, 2));
        assert_eq!(host.health(), SIGNAL_HEALTH_QUARANTINED);
        assert!(last_error().contains(text), "{}", last_error());
    }
}

#[test]
fn lanes_and_rings_can_be_read() {
    let text = |name: &[c_char]| {
        let bytes: Vec<u8> = name.iter().map(|&byte| byte as u8).collect();
        let text = CStr::from_bytes_until_nul(&bytes).unwrap();
        text.to_str().unwrap().to_owned()
    };
    let host = Host::new("test0000", "split");
    host.depth("btc_usdt", 1);
    host.until(|host| host.stats().queued == 1);
    let mut lanes = Vec::with_capacity(8);
    let mut rings = Vec::with_capacity(8);
    // SAFETY: there is room for eight of each, and each call writes as many as it returns.
    unsafe {
        let count = signal_lanes(host.0, lanes.as_mut_ptr(), 8);
        lanes.set_len(count as usize);
        let count = signal_rings(host.0, rings.as_mut_ptr(), 8);
        rings.set_len(count as usize);
        assert_eq!(signal_rings(host.0, rings.as_mut_ptr(), 2), 2);
        assert_eq!(signal_rings(host.0, null_mut(), 2), SIGNAL_ERROR_NULL);
        assert_eq!(
            signal_lanes(null_mut(), lanes.as_mut_ptr(), 8),
            SIGNAL_ERROR_NULL
        );
    }
    let lanes: Vec<signal_lane_t> = lanes;
    let rings: Vec<signal_ring_t> = rings;
    assert_eq!(lanes.len(), 4);
    assert!(text(&lanes[0].name).starts_with("ingest@"));
    assert!(lanes.iter().all(|lane| lane.beats > 0));
    let names: Vec<_> = rings.iter().map(|ring| text(&ring.name)).collect();
    assert_eq!(
        names,
        [
            "ingest",
            "stage.factor",
            "stage.model",
            "stage.egress",
            "egress"
        ]
    );
    let marks: Vec<_> = rings.iter().map(|ring| ring.high_water).collect();
    assert_eq!(marks[..4], [1, 1, 1, 1]);
    assert_eq!(rings[0].capacity, 4096);
}

/// The call may come from a signal handler that interrupted the allocator.
#[test]
fn a_call_that_is_refused_takes_and_frees_no_memory() {
    let refused = || {
        let garbage = std::ptr::without_provenance_mut(64);
        let before = calls_of_thread();
        let code = signal_poll_callbacks(garbage);
        (code, calls_of_thread() - before)
    };
    // The call may be the first on its thread.
    let elsewhere = std::thread::spawn(move || {
        calls_of_thread();
        refused()
    });
    assert_eq!(elsewhere.join().unwrap(), (SIGNAL_ERROR_HANDLE, 0));
    // The call may also come after an error text that had to be allocated.
    // SAFETY: the text is NUL-terminated.
    assert!(unsafe { signal_create(c"{".as_ptr()) }.is_null());
    assert!(last_error().starts_with("configuration: "));
    assert_eq!(refused(), (SIGNAL_ERROR_HANDLE, 0));
    assert!(last_error().starts_with("not a live handle"));
    // SAFETY: as above.
    assert!(unsafe { signal_create(c"[".as_ptr()) }.is_null());
    assert!(last_error().starts_with("configuration: "));
}
