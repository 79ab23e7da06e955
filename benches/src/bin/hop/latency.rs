//! There and back over two rings of one kind, one message under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;
use signal_bench::echo::Trips;
use signal_bench::machine::pin;
use signal_bench::series::{Series, Stamps};
use signal_bench::silence::wait_until;

use crate::contenders::{Rx, Tx};
use crate::message::{self, STOP};

/// What stays the same for all contenders.
pub struct Setting<'a> {
    pub stamps: &'a Stamps,
    pub lane: usize,
    pub trips: Trips,
}

/// The trips, or what went wrong.
pub type Outcome = Result<Series, String>;

/// From before the send to after the answer was checked, on the host's core. The
/// echo thread sends a message on from where it received it.
pub fn latency<const W: usize>(
    setting: &Setting,
    (mut there, mut inlet): (impl Tx<W>, impl Rx<W>),
    (mut outlet, mut back): (impl Tx<W>, impl Rx<W>),
) -> Outcome {
    let (stamps, lane) = (setting.stamps, setting.lane);
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
                    outlet.try_send(message);
                    message[0]
                });
                match answered {
                    Some(STOP) => return pinned,
                    None if given_up.load(Ordering::Relaxed) => return pinned,
                    _ => {}
                }
            }
        });
        let mut buffer = [0; W];
        let mut trip = |number: u64| {
            message::number(&mut buffer, number);
            stamps.pause(setting.trips.gap);
            let start = stamps.start();
            there.try_send(&buffer);
            let mut answered = None;
            let waited = wait_until(|| {
                let whole = back.try_receive(|answer| message::is(answer, number));
                answered = whole.map(|whole| (whole, stamps.raw()));
                answered.is_some()
            });
            match (waited, answered) {
                (Ok(()), Some((true, end))) => Ok((start, end)),
                (Ok(()), _) => Err(format!("message {number} came back changed")),
                (Err(silence), _) => Err(format!("message {number} never came back: {silence}")),
            }
        };
        let mut series = Series::new();
        let mut all = || {
            for number in 0..setting.trips.warm_up() as u64 {
                trip(number)?;
            }
            for number in 0..setting.trips.count as u64 {
                let (start, end) = trip(number)?;
                series.record(start, end);
            }
            trip(STOP).map(|_| ())
        };
        let done = all();
        given_up.store(true, Ordering::Relaxed);
        echo.join().map_err(|_| "the echo thread panicked")??;
        done.map(|()| series)
    })
}
