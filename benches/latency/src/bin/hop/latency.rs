//! There and back over two rings of one kind, one message under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use latency_bench::echo::Trips;
use latency_bench::machine::pin;
use latency_bench::series::{Series, Stamps};

use crate::contenders::{Rx, Tx};
use crate::message::{self, STOP};

/// Looks for an answer before a trip is given up: some seconds.
const PATIENCE: u64 = 1 << 30;

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
    let given_up = AtomicBool::new(false);
    thread::scope(|scope| {
        let echo = scope.spawn(|| {
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
            let start = stamps.raw();
            there.try_send(&buffer);
            for _ in 0..PATIENCE {
                if let Some(whole) = back.try_receive(|answer| message::is(answer, number)) {
                    let end = stamps.raw();
                    return match whole {
                        true => Ok((start, end)),
                        false => Err(format!("message {number} came back changed")),
                    };
                }
            }
            Err(format!("message {number} never came back"))
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
