//! What is called, a thousand times a batch.

use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::hint::black_box;

use hdrhistogram::{Counter, Histogram};
use signal::os::clock::Clock;
use signal::telemetry::hops::{Hop, MAX_NS, recorder};
use signal_bench::runs::Runs;
use signal_bench::series::{Figures, Stamps, batched};

/// A row of the table.
pub struct Row {
    pub title: &'static str,
    /// Its name in the JSON.
    pub key: &'static str,
    /// One repetition of so many calls.
    pub measure: fn(&Stamps, usize) -> Figures,
    /// One a repetition.
    pub runs: Runs<Figures>,
}

/// Latencies that are recorded in turn.
const LATENCIES: usize = 1024;

/// All, in the order of the table. The first is what the others contain.
pub fn all() -> Vec<Row> {
    let row = |title, key, measure| Row {
        title,
        key,
        measure,
        runs: Runs::default(),
    };
    vec![
        row("empty loop", "empty_loop", |stamps, calls| {
            batched(stamps, calls, || black_box(()))
        }),
        row("black_box of a number", "black_box", |stamps, calls| {
            let mut number = 0u64;
            batched(stamps, calls, || {
                number += 1;
                black_box(number);
            })
        }),
        row("quanta::Clock::raw", "quanta_raw", |stamps, calls| {
            batched(stamps, calls, || {
                black_box(stamps.raw());
            })
        }),
        row("rdtsc", "rdtsc", |stamps, calls| {
            batched(stamps, calls, || {
                black_box(rdtsc());
            })
        }),
        row("lfence; rdtsc", "lfence_rdtsc", |stamps, calls| {
            batched(stamps, calls, || {
                // SAFETY: every x86-64 has SSE2, which lfence is part of.
                unsafe { _mm_lfence() };
                black_box(rdtsc());
            })
        }),
        row("rdtscp", "rdtscp", |stamps, calls| {
            batched(stamps, calls, || {
                let mut core = 0;
                // SAFETY: writes the core's number to a local variable. The bench is
                // for processors of this century, which have the instruction.
                black_box(unsafe { __rdtscp(&mut core) });
            })
        }),
        row(
            "stamp pair, the difference",
            "stamp_pair",
            |stamps, calls| {
                batched(stamps, calls, || {
                    let start = stamps.raw();
                    let end = stamps.raw();
                    black_box(end.saturating_sub(start));
                })
            },
        ),
        row("stamp pair, in ns", "stamp_pair_ns", |stamps, calls| {
            let clock = Clock::new(true);
            batched(stamps, calls, || {
                let start = clock.stamp();
                black_box(clock.nanos(start, clock.stamp()));
            })
        }),
        row(
            "histogram record, u32, 2 digits",
            "record_u32_2",
            |stamps, calls| record::<u32>(stamps, calls, 2),
        ),
        row(
            "histogram record, u64, 2 digits",
            "record_u64_2",
            |stamps, calls| record::<u64>(stamps, calls, 2),
        ),
        row(
            "histogram record, u64, 3 digits",
            "record_u64_3",
            |stamps, calls| record::<u64>(stamps, calls, 3),
        ),
        row(
            "the engine's Recorder::record",
            "recorder_record",
            recorder_record,
        ),
        row("callback, C function pointer", "callback", callback),
    ]
}

fn rdtsc() -> u64 {
    // SAFETY: every x86-64 has the instruction, and it touches no memory.
    unsafe { _rdtsc() }
}

/// Latencies between 50 and 1,000 ns that the branch predictor cannot learn.
fn latencies() -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        50 + state % 950
    };
    (0..LATENCIES).map(|_| next()).collect()
}

fn record<T: Counter>(stamps: &Stamps, calls: usize, digits: u8) -> Figures {
    let bounds = Histogram::<T>::new_with_bounds(1, MAX_NS, digits);
    let mut histogram = bounds.expect("the bounds are valid constants");
    let latencies = latencies();
    let mut place = 0;
    let figures = batched(stamps, calls, || {
        place = (place + 1) % LATENCIES;
        histogram.saturating_record(latencies[place]);
    });
    black_box(histogram.len());
    figures
}

/// With the conversion from ticks: what a lane does for each hop.
fn recorder_record(stamps: &Stamps, calls: usize) -> Figures {
    let clock = Clock::new(true);
    let (mut recorder, mut feed) = recorder(&[Hop::IngestWork, Hop::ModelWork], &clock);
    let latencies = latencies();
    let mut place = 0;
    let figures = batched(stamps, calls, || {
        place = (place + 1) % LATENCIES;
        recorder.record(Hop::ModelWork, 1_000, 1_000 + latencies[place]);
    });
    feed.request();
    recorder.hand_over();
    black_box(feed.take(|set| set.iter().map(|(_, hop)| hop.len()).sum::<u64>()));
    figures
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
fn callback(stamps: &Stamps, calls: usize) -> Figures {
    let callback: Callback = black_box(on_signal as Callback);
    let values = [1.0, 0.8];
    batched(stamps, calls, || {
        callback(
            c"BTCUSDT".as_ptr(),
            1,
            values.as_ptr(),
            2,
            std::ptr::null_mut(),
        );
    })
}

/// How far apart two reads of the counter in a row lie, in ticks.
pub struct Step {
    /// The smallest distance that is not 0.
    pub least: u64,
    /// The one seen most often.
    pub usual: u64,
    /// Reads in a hundred that gave the same number as the one before.
    pub equal_percent: f64,
}

/// Reads the counter back to back.
pub fn step(reads: usize) -> Step {
    let mut distances = Vec::with_capacity(reads);
    for _ in 0..reads {
        let first = rdtsc();
        distances.push(rdtsc().saturating_sub(first));
    }
    Step::of(distances)
}

impl Step {
    fn of(mut distances: Vec<u64>) -> Self {
        distances.sort_unstable();
        let equal = distances.iter().filter(|&&distance| distance == 0).count();
        let usual = distances
            .chunk_by(|a, b| a == b)
            .max_by_key(|group| group.len());
        Self {
            least: distances.get(equal).copied().unwrap_or(0),
            usual: usual.map_or(0, |group| group[0]),
            equal_percent: 100.0 * equal as f64 / distances.len().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_apart() {
        let step = Step::of(vec![26, 0, 52, 26, 26, 0, 78, 26]);
        assert_eq!((step.least, step.usual), (26, 26));
        assert_eq!(step.equal_percent, 25.0);
        assert_eq!(Step::of(Vec::new()).least, 0);
    }

    #[test]
    fn every_row_measures_something_and_has_its_own_name() {
        let stamps = Stamps::new();
        let rows = all();
        let mut keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), rows.len());
        for row in rows {
            let figures = (row.measure)(&stamps, 2000);
            assert_eq!(figures.count, 2000, "{}", row.key);
            assert!(figures.p50 >= 0.0, "{}", row.key);
        }
    }
}
