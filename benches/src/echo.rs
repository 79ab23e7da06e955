//! What crossing to the other core costs without the library: an echo thread
//! on the lane's core, first over one cache line, then over two rings.
//!
//! Neither side uses a spin-loop hint: on many processors it delays the next
//! look by more than a whole round trip.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::machine::pin;
use crate::series::{Series, Stamps};

/// Ends an echo thread.
const STOP: u64 = u64::MAX;
/// Messages a ring holds.
pub const RING: usize = 1024;

/// How many trips, and how far apart.
#[derive(Clone, Copy, Debug)]
pub struct Trips {
    /// Measured trips. A tenth of as many go before, unmeasured.
    pub count: usize,
    /// Pause before each, in clock ticks.
    pub gap: u64,
}

impl Trips {
    /// Trips that warm up.
    pub fn warm_up(self) -> usize {
        self.count / 10
    }

    /// Trips in all.
    pub fn in_all(self) -> u64 {
        (self.warm_up() + self.count) as u64
    }
}

/// One cache line to the other core and back, into `series`.
///
/// Both sides write and read the same line: the host an odd number, the echo
/// thread the even one above it.
pub fn line(stamps: &Stamps, core: usize, trips: Trips, series: &mut Series) -> Result<(), String> {
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
        let mut next = 1;
        let mut trip = || {
            stamps.pause(trips.gap);
            let start = stamps.start();
            line.store(next, Ordering::Release);
            while line.load(Ordering::Acquire) != next + 1 {}
            let end = stamps.raw();
            next += 2;
            (start, end)
        };
        for _ in 0..trips.warm_up() {
            trip();
        }
        for _ in 0..trips.count {
            let (start, end) = trip();
            series.record(start, end);
        }
        line.store(STOP, Ordering::Release);
        echo.join().map_err(|_| "the echo thread panicked")?
    })
}

/// A message of `WORDS` times 8 bytes there through one ring and back through another.
pub fn ring<const WORDS: usize>(
    stamps: &Stamps,
    core: usize,
    trips: Trips,
) -> Result<Series, String> {
    let (mut there, inlet) = RingBuffer::<[u64; WORDS]>::new(RING);
    let (outlet, mut back) = RingBuffer::<[u64; WORDS]>::new(RING);
    let mut series = Series::new();
    let echo = thread::spawn(move || {
        let pinned = pin(core);
        answer(inlet, outlet);
        pinned
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
    for number in 0..trips.warm_up() {
        trip(number as u64);
    }
    for number in 0..trips.count {
        let (start, end) = trip(number as u64);
        series.record(start, end);
    }
    trip(STOP);
    echo.join().map_err(|_| "the echo thread panicked")??;
    Ok(series)
}

fn answer<const WORDS: usize>(
    mut inlet: Consumer<[u64; WORDS]>,
    mut outlet: Producer<[u64; WORDS]>,
) {
    loop {
        if let Ok(message) = inlet.pop() {
            let last = message[0] == STOP;
            let _ = outlet.push(message);
            if last {
                return;
            }
        }
    }
}
