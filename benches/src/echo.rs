//! What crossing to the other core costs: an echo thread on the lane's core, over one cache line
//! or over two rings of one kind, with one message under way.
//!
//! Whether a spin-loop hint between two looks helps depends on the processor: it delays the next
//! look, by more than a round trip on some, and keeps looks from taking lines away from the core
//! that writes them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;
use rtrb::RingBuffer;

use crate::bench::Bench;
use crate::drive::Trips;
use crate::machine::pin;
use crate::series::{Figures, Series};
use crate::silence::wait_until;

pub const STOP: u64 = u64::MAX;
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

/// A message of `W` times 8 bytes there through one ring and back through another.
pub fn ring<const W: usize>(bench: &Bench, trips: Trips) -> Result<Figures, String> {
    let series = there_and_back::<W>(bench, trips, Wait::Tight, rtrb(), rtrb())?;
    Ok(series.figures(&bench.stamps))
}

/// A ring of `rtrb`, whose messages are copied out.
pub fn rtrb<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (mut tx, mut rx) = RingBuffer::<Message<W>>::new(RING);
    let send = move |message: &[u64; W]| tx.push(Message(*message)).is_ok();
    (send, Copied(move || rx.pop().ok()))
}

/// A sending end: copies the message in and publishes it; false when there is no room.
pub trait Tx<const W: usize>: FnMut(&[u64; W]) -> bool + Send + 'static {}

impl<const W: usize, F: FnMut(&[u64; W]) -> bool + Send + 'static> Tx<W> for F {}

pub trait Rx<const W: usize>: Send + 'static {
    /// Hands the oldest message to `take` and frees its slot; `None` when empty.
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R>;

    /// Hands on everything that is there, in whatever way is fastest; how many.
    #[inline(always)]
    fn drain(&mut self, take: impl FnMut(&[u64; W])) -> usize {
        usize::from(self.try_receive(take).is_some())
    }
}

/// A message where it is a value, as large as its slot in our ring.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Message<const W: usize>(pub [u64; W]);

/// Each message is copied out by this function, and read then.
pub struct Copied<F>(pub F);

impl<const W: usize, F: FnMut() -> Option<Message<W>> + Send + 'static> Rx<W> for Copied<F> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        (self.0)().map(|message| take(&message.0))
    }
}

const LINE: usize = 8;

/// Gives a message its number, in the first and last word of every line, so that no line of it can
/// be left behind.
#[inline(always)]
pub fn write<const W: usize>(message: &mut [u64; W], number: u64) {
    for line in message.chunks_exact_mut(LINE) {
        line[0] = number;
        line[LINE - 1] = !number;
    }
}

/// Whether the whole message has this number.
#[inline(always)]
pub fn is<const W: usize>(message: &[u64; W], number: u64) -> bool {
    let mut wrong = 0;
    for line in message.chunks_exact(LINE) {
        wrong |= (line[0] ^ number) | (line[LINE - 1] ^ !number);
    }
    wrong == 0
}

/// What a thread does between two empty polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Nothing.
    Tight,
    /// The processor's spin-loop hint, as lanes do.
    Pause,
}

impl Wait {
    pub const ALL: [Self; 2] = [Self::Tight, Self::Pause];

    #[inline(always)]
    fn wait(self) {
        if self == Self::Pause {
            std::hint::spin_loop();
        }
    }
}

/// From before the send to after the answer was checked, on the host's core. The
/// echo thread sends a message on from where it received it.
pub fn there_and_back<const W: usize>(
    bench: &Bench,
    trips: Trips,
    wait: Wait,
    (mut there, mut inlet): (impl Tx<W>, impl Rx<W>),
    (mut outlet, mut back): (impl Tx<W>, impl Rx<W>),
) -> Result<Series, String> {
    let (stamps, lane) = (&bench.stamps, bench.lane());
    // On a line of its own: the echo thread reads it at every empty look, and the
    // host writes what lies around it.
    let given_up = CachePadded::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let given_up = &given_up;
        // The ends move to their threads' stacks: beside each other they would share
        // lines, which each side writes at every message.
        let echo = scope.spawn(move || {
            // Even a thread that could not be pinned answers, so that the host's
            // side ends.
            let pinned = pin(lane);
            loop {
                let answered = inlet.try_receive(|message| {
                    // One message is under way at a time: the ring has room.
                    outlet(message);
                    message[0]
                });
                match answered {
                    Some(STOP) => return pinned,
                    None if given_up.load(Ordering::Relaxed) => return pinned,
                    None => wait.wait(),
                    Some(_) => {}
                }
            }
        });
        let mut buffer = Message([0; W]);
        let mut trip = |number: u64| {
            write(&mut buffer.0, number);
            stamps.pause(trips.gap);
            let start = stamps.start();
            there(&buffer.0);
            let mut answered = None;
            let waited = wait_until(|| {
                let whole = back.try_receive(|answer| is(answer, number));
                answered = whole.map(|whole| (whole, stamps.raw()));
                if answered.is_none() {
                    wait.wait();
                }
                answered.is_some()
            });
            match (waited, answered) {
                (Ok(()), Some((true, end))) => Ok((start, end)),
                (Ok(()), _) => Err(format!("message {number} came back changed")),
                (Err(silence), _) => Err(format!("message {number} never came back: {silence}")),
            }
        };
        let mut series = Series::default();
        let mut all = || {
            for number in 0..trips.warm_up + trips.count {
                let (start, end) = trip(number as u64)?;
                if number >= trips.warm_up {
                    series.record(start, end);
                }
            }
            trip(STOP).map(|_| ())
        };
        let done = all();
        given_up.store(true, Ordering::Relaxed);
        echo.join().map_err(|_| "the echo thread panicked")??;
        done.map(|()| series)
    })
}
