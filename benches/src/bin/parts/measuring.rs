//! What measuring itself costs: the engine's other figures contain some of these.

use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::hint::black_box;

use hdrhistogram::{Counter, Histogram};
use signal::os::clock::Clock;
use signal::telemetry::hops::{Hop, MAX_NS, recorder};

use crate::Row;

/// The row that all others contain.
pub const EMPTY: &str = "empty loop";
/// Latencies that are recorded in turn; a power of two.
const LATENCIES: usize = 1024;

pub fn rows() -> Vec<Row> {
    let clock = || Clock::new(true);
    let [raw, pair, nanos] = [clock(), clock(), clock()];
    vec![
        Row::new(EMPTY, |number| {
            black_box(number);
        }),
        Row::new("quanta::Clock::raw", move |_| {
            black_box(raw.now());
        }),
        Row::new("rdtsc", |_| {
            black_box(rdtsc());
        }),
        Row::new("lfence; rdtsc", |_| {
            // SAFETY: every x86-64 has SSE2, which lfence is part of.
            unsafe { _mm_lfence() };
            black_box(rdtsc());
        }),
        Row::new("rdtscp", |_| {
            let mut core = 0;
            // SAFETY: writes the core's number to a local variable. The bench is
            // for processors of this century, which have the instruction.
            black_box(unsafe { __rdtscp(&mut core) });
        }),
        Row::new("stamp pair, the difference", move |_| {
            let start = pair.now();
            black_box(pair.now().saturating_sub(start));
        }),
        Row::new("stamp pair, in ns", move |_| {
            let start = nanos.stamp();
            black_box(nanos.nanos(start, nanos.stamp()));
        }),
        record::<u32>("histogram record, u32, 2 digits", 2),
        record::<u64>("histogram record, u64, 2 digits", 2),
        record::<u64>("histogram record, u64, 3 digits", 3),
        recorder_record(),
        callback(),
    ]
}

fn rdtsc() -> u64 {
    // SAFETY: every x86-64 has the instruction, and it touches no memory.
    unsafe { _rdtsc() }
}

/// Latencies between 50 and 1,000 ns that the branch predictor cannot learn.
fn latencies() -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..LATENCIES).map(|_| random.u64(50..1_000)).collect()
}

fn record<T: Counter + 'static>(title: &str, digits: u8) -> Row {
    let bounds = Histogram::<T>::new_with_bounds(1, MAX_NS, digits);
    let mut histogram = bounds.expect("the bounds are valid constants");
    let latencies = latencies();
    Row::new(title, move |number| {
        histogram.saturating_record(latencies[number % LATENCIES]);
    })
}

/// With the conversion from ticks: what a lane does for each hop.
fn recorder_record() -> Row {
    let (mut recorder, feed) = recorder(&[Hop::IngestWork, Hop::ModelWork], &Clock::new(true));
    let latencies = latencies();
    Row::new("the engine's Recorder::record", move |number| {
        // The reader's end lives as long.
        let _ = &feed;
        recorder.record(Hop::ModelWork, 1_000, 1_000 + latencies[number % LATENCIES]);
    })
}

type Callback = extern "C-unwind" fn(*const c_char, c_longlong, *const f64, c_int, *mut c_void);

extern "C-unwind" fn on_signal(
    _symbol: *const c_char,
    _timestamp: c_longlong,
    values: *const f64,
    _count: c_int,
    _user_data: *mut c_void,
) {
    black_box(values);
}

/// An empty one, as the host registers it.
fn callback() -> Row {
    let callback: Callback = black_box(on_signal as Callback);
    let values = [1.0, 0.8];
    Row::new("callback, C function pointer", move |_| {
        callback(
            c"BTCUSDT".as_ptr(),
            1,
            values.as_ptr(),
            2,
            std::ptr::null_mut(),
        );
    })
}
