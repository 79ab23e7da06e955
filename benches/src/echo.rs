//! What crossing to the other core costs without the library: an echo thread
//! on the lane's core, first over one cache line, then over two rings.
//!
//! Neither side uses a spin-loop hint: on many processors it delays the next
//! look by more than a whole round trip.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;
use rtrb::RingBuffer;

use crate::bench::Bench;
use crate::drive::Trips;
use crate::machine::pin;
use crate::series::{Figures, Series};

const STOP: u64 = u64::MAX;
pub const RING: usize = 1024;

/// One cache line to the lane's core and back, into `series`.
///
/// Both sides write and read the same line: the host an odd number, the echo
/// thread the even one above it.
pub fn line(bench: &Bench, trips: Trips, series: &mut Series) -> Result<(), String> {
    let (stamps, core) = (&bench.stamps, bench.lane());
    let line = CachePadded::new(AtomicU64::new(0));
    thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let pinned = pin(core);
            // Even a thread that could not be pinned answers, so that the
            // host's side ends.
            let mut expected = 1;
            loop {
                let seen = line.load(Ordering::Acquire);
                if seen == expected {
                    line.store(expected + 1, Ordering::Release);
                    expected += 2;
                } else if seen == STOP {
                    return pinned;
                }
            }
        });
        for number in 0..trips.warm_up + trips.count {
            let next = 2 * number as u64 + 1;
            stamps.pause(trips.gap);
            let start = stamps.start();
            line.store(next, Ordering::Release);
            while line.load(Ordering::Acquire) != next + 1 {}
            let end = stamps.raw();
            if number >= trips.warm_up {
                series.record(start, end);
            }
        }
        line.store(STOP, Ordering::Release);
        echo.join().map_err(|_| "the echo thread panicked")?
    })
}

/// The line half before and half after something else, and what that gave.
pub fn around<T>(
    bench: &Bench,
    count: usize,
    measure: impl FnOnce() -> Result<T, String>,
) -> Result<(Figures, T), String> {
    let half = Trips::new(count.div_ceil(2));
    let mut series = Series::default();
    line(bench, half, &mut series)?;
    let measured = measure()?;
    line(bench, half, &mut series)?;
    Ok((series.figures(&bench.stamps), measured))
}

/// A message of `WORDS` times 8 bytes there through one ring and back through another.
pub fn ring<const WORDS: usize>(bench: &Bench, trips: Trips) -> Result<Figures, String> {
    let (stamps, core) = (&bench.stamps, bench.lane());
    let (mut there, mut inlet) = RingBuffer::<[u64; WORDS]>::new(RING);
    let (mut outlet, mut back) = RingBuffer::<[u64; WORDS]>::new(RING);
    let mut series = Series::default();
    let echo = thread::spawn(move || {
        let pinned = pin(core);
        loop {
            if let Ok(message) = inlet.pop() {
                let last = message[0] == STOP;
                let _ = outlet.push(message);
                if last {
                    return pinned;
                }
            }
        }
    });
    let mut message = [0; WORDS];
    let mut trip = |number: u64| {
        message[0] = number;
        stamps.pause(trips.gap);
        let start = stamps.start();
        // One message is under way at a time: the ring has room.
        let _ = there.push(message);
        loop {
            if let Ok(answer) = back.pop() {
                let end = stamps.raw();
                std::hint::black_box(answer);
                return (start, end);
            }
        }
    };
    for number in 0..trips.warm_up + trips.count {
        let (start, end) = trip(number as u64);
        if number >= trips.warm_up {
            series.record(start, end);
        }
    }
    trip(STOP);
    echo.join().map_err(|_| "the echo thread panicked")??;
    Ok(series.figures(stamps))
}
