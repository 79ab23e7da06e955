//! There and back over two rings of one kind, one message under way; and one way, as fast
//! as it goes.
//!
//! A message has its number in the first and last word of every line, so that no line of
//! it can be left behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use signal_bench::drive::Trips;
use signal_bench::machine::pin;
use signal_bench::series::{Series, Stamps};
use signal_bench::silence::wait_until;

use crate::contenders::{Rx, Tx};

const LINE: usize = 8;
const STOP: u64 = u64::MAX;
/// Until the last message must have come.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// What stays the same for all contenders.
pub struct Setting<'a> {
    pub stamps: &'a Stamps,
    pub lane: usize,
    pub trips: Trips,
    /// Messages of a throughput measurement that count. A tenth of as many go before.
    pub messages: u64,
}

pub type Latency = Result<Series, String>;
/// Million messages a second, or what went wrong.
pub type Throughput = Result<f64, String>;

#[inline(always)]
fn write<const W: usize>(message: &mut [u64; W], number: u64) {
    for line in message.chunks_exact_mut(LINE) {
        line[0] = number;
        line[LINE - 1] = !number;
    }
}

/// Whether the whole message has this number.
#[inline(always)]
fn is<const W: usize>(message: &[u64; W], number: u64) -> bool {
    let mut wrong = 0;
    for line in message.chunks_exact(LINE) {
        wrong |= (line[0] ^ number) | (line[LINE - 1] ^ !number);
    }
    wrong == 0
}

/// From before the send to after the answer was checked, on the host's core. The
/// echo thread sends a message on from where it received it.
pub fn latency<const W: usize>(
    setting: &Setting,
    (mut there, mut inlet): (impl Tx<W>, impl Rx<W>),
    (mut outlet, mut back): (impl Tx<W>, impl Rx<W>),
) -> Latency {
    let Setting {
        stamps,
        lane,
        trips,
        ..
    } = *setting;
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
                    _ => {}
                }
            }
        });
        let mut buffer = [0; W];
        let mut trip = |number: u64| {
            write(&mut buffer, number);
            let start = stamps.start();
            there(&buffer);
            let mut answered = None;
            let waited = wait_until(|| {
                let whole = back.try_receive(|answer| is(answer, number));
                answered = whole.map(|whole| (whole, stamps.raw()));
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

/// From before the first send to after the receiver has said that it checked the
/// last message, both on the host's core. The sender spins when there is no room.
pub fn throughput<const W: usize>(
    setting: &Setting,
    (mut tx, mut rx): (impl Tx<W>, impl Rx<W>),
) -> Throughput {
    let received = CachePadded::new(AtomicU64::new(0));
    let given_up = CachePadded::new(AtomicBool::new(false));
    let warm_up = setting.messages / 10;
    let all = warm_up + setting.messages;
    thread::scope(|scope| {
        let (lane, received, given_up) = (setting.lane, &received, &given_up);
        // As above, the receiving end moves to its thread's stack.
        let receiver = scope.spawn(move || {
            let pinned = pin(lane);
            let (mut next, mut wrong) = (0, None);
            while next < all {
                let drained = rx.drain(|message| {
                    if !is(message, next) && wrong.is_none() {
                        wrong = Some((next, message[0]));
                    }
                    next += 1;
                });
                if drained == 0 && given_up.load(Ordering::Relaxed) {
                    break;
                }
            }
            received.store(next, Ordering::Release);
            pinned?;
            wrong.map_or(Ok(()), |(expected, got)| {
                Err(format!(
                    "message {expected} was expected, message {got} came, or parts of it"
                ))
            })
        });
        let mut buffer = [0; W];
        let mut send = |from: u64, to: u64| {
            for number in from..to {
                write(&mut buffer, number);
                while !tx(&buffer) {}
            }
        };
        send(0, warm_up);
        let start = setting.stamps.raw();
        send(warm_up, all);
        let waiting = Instant::now();
        while received.load(Ordering::Acquire) < all && waiting.elapsed() < PATIENCE {}
        let end = setting.stamps.raw();
        given_up.store(true, Ordering::Relaxed);
        let received_well = receiver.join();
        received_well.map_err(|_| "the receiving thread panicked")??;
        match received.load(Ordering::Acquire) {
            arrived if arrived == all => {
                let nanos = setting.stamps.ns(end.saturating_sub(start) as f64);
                Ok(setting.messages as f64 / nanos * 1e3)
            }
            arrived => Err(format!("{all} messages were sent, {arrived} came")),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use signal_bench::machine::allowed;

    use super::*;

    struct Received(Receiver<[u64; 8]>);

    impl Rx<8> for Received {
        fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; 8]) -> R) -> Option<R> {
            self.0.try_recv().ok().map(|message| take(&message))
        }
    }

    /// With a message that is lost, and one that is torn.
    fn with(lost: u64, torn: u64) -> Throughput {
        let (tx, rx) = sync_channel(64);
        let setting = Setting {
            stamps: &Stamps::default(),
            lane: allowed()[0],
            trips: Trips::new(0),
            messages: 1000,
        };
        let send = move |message: &[u64; 8]| {
            let mut message = *message;
            message[7] += u64::from(message[0] == torn);
            message[0] == lost || tx.try_send(message).is_ok()
        };
        throughput(&setting, (send, Received(rx)))
    }

    #[test]
    fn a_lost_or_torn_message_is_found() {
        assert!(with(STOP, STOP).unwrap() > 0.0);
        let lost = with(500, STOP).unwrap_err();
        assert!(
            lost.contains("message 500 was expected, message 501 came"),
            "{lost}"
        );
        let last = with(1099, STOP).unwrap_err();
        assert_eq!(last, "1100 messages were sent, 1099 came");
        let torn = with(STOP, 7).unwrap_err();
        assert!(torn.contains("message 7 was expected"), "{torn}");
        // Wherever the line of an older message lies.
        let mut message = [0; 56];
        write(&mut message, 7);
        assert!(is(&message, 7) && !is(&message, 8));
        for line in 0..7 {
            let mut torn = message;
            torn[line * LINE + 7] = !6;
            assert!(!is(&torn, 7), "line {line}");
        }
    }
}
