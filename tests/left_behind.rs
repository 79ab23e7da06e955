//! A lane that was left behind does not harm a later handle.
//!
//! This is a separate program: the later handle must get the slot of the old one, and no
//! other test may take it first.

use std::ffi::{CString, c_char, c_int, c_longlong, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::Registry;
use signal::abi::Depth;
use signal::ffi::*;
use support::events::put;
use support::models::model;

static RELEASED: AtomicBool = AtomicBool::new(false);
static ENTERED: AtomicBool = AtomicBool::new(false);
static CAME_BACK: AtomicBool = AtomicBool::new(false);

/// Does not return from the bid 666 until it is released.
fn stuck(factors: &[f64]) -> f64 {
    ENTERED.store(factors[2] == 666.0, Ordering::Relaxed);
    while factors[2] == 666.0 && !RELEASED.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if factors[2] == 666.0 {
        CAME_BACK.store(true, Ordering::Relaxed);
    }
    factors[2]
}

fn create() -> *mut c_void {
    let mut registry = Registry::default();
    registry.models.add("stuck", |_| model(stuck));
    let config = CString::new(r#"{"model": "stuck", "placement": "fused"}"#).unwrap();
    // SAFETY: the text is NUL-terminated.
    let handle = unsafe { create_with(config.as_ptr(), &registry) };
    assert!(!handle.is_null());
    handle
}

fn depth(handle: *mut c_void, bid: f64) {
    let mut depth: Depth = bytemuck::Zeroable::zeroed();
    put(&mut depth.symbol, "btc_usdt");
    depth.bid_price[0] = bid.into();
    depth.ask_price[0] = (bid + 1.0).into();
    // SAFETY: the payload is a Depth, as the type says.
    unsafe { signal_on_data(handle, 101, (&raw const depth).cast()) };
}

fn queued(handle: *mut c_void) -> u64 {
    let mut stats = signal_stats_t {
        size: size_of::<signal_stats_t>() as u64,
        ..Default::default()
    };
    // SAFETY: `size` is right.
    assert_eq!(unsafe { signal_stats(handle, &raw mut stats) }, 0);
    stats.queued
}

fn until(done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit);
        std::thread::yield_now();
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
fn a_lane_that_was_left_behind_writes_into_no_later_handle() {
    let old = create();
    depth(old, 9.0);
    until(|| queued(old) == 1);
    depth(old, 666.0);
    until(|| ENTERED.load(Ordering::Relaxed));
    let start = Instant::now();
    signal_destroy(old);
    assert!(start.elapsed() < Duration::from_secs(25));

    let mut calls = 0u64;
    let new = create();
    // SAFETY: `calls` outlives the handle.
    unsafe { signal_register_callback(new, Some(count), (&raw mut calls).cast()) };
    for bid in [1.0, 2.0, 3.0] {
        depth(new, bid);
    }
    until(|| queued(new) == 3);
    RELEASED.store(true, Ordering::Relaxed);
    until(|| CAME_BACK.load(Ordering::Relaxed));
    // The old lane publishes its signal right after it has returned from the model.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(signal_poll_callbacks(new), 3);
    assert_eq!(calls, 3);
    signal_destroy(new);
}
