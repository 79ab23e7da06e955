//! One way through a ring, as fast as it goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use signal_bench::echo::{Message, Rx, Tx, is, write};
use signal_bench::machine::pin;
use signal_bench::series::Stamps;

/// Until the last message must have come.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// From before the first send to after the receiver has said that it checked the
/// last message, both on the host's core: million messages a second. A tenth as many go before. The
/// sender spins when there is no room.
pub fn throughput<const W: usize>(
    stamps: &Stamps,
    lane: usize,
    messages: u64,
    (mut tx, mut rx): (impl Tx<W>, impl Rx<W>),
) -> Result<f64, String> {
    let received = CachePadded::new(AtomicU64::new(0));
    let given_up = CachePadded::new(AtomicBool::new(false));
    let warm_up = messages / 10;
    let all = warm_up + messages;
    thread::scope(|scope| {
        let (received, given_up) = (&received, &given_up);
        // As in `there_and_back`, the receiving end moves to its thread's stack.
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
        let mut buffer = Message([0; W]);
        let mut send = |from: u64, to: u64| {
            for number in from..to {
                write(&mut buffer.0, number);
                while !tx(&buffer.0) {}
            }
        };
        send(0, warm_up);
        let start = stamps.raw();
        send(warm_up, all);
        let waiting = Instant::now();
        while received.load(Ordering::Acquire) < all && waiting.elapsed() < PATIENCE {}
        let end = stamps.raw();
        given_up.store(true, Ordering::Relaxed);
        let received_well = receiver.join();
        received_well.map_err(|_| "the receiving thread panicked")??;
        match received.load(Ordering::Acquire) {
            arrived if arrived == all => {
                let nanos = stamps.ns(end.saturating_sub(start) as f64);
                Ok(messages as f64 / nanos * 1e3)
            }
            arrived => Err(format!("{all} messages were sent, {arrived} came")),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use signal_bench::echo::STOP;
    use signal_bench::machine::allowed;

    use super::*;

    struct Received(Receiver<[u64; 8]>);

    impl Rx<8> for Received {
        fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; 8]) -> R) -> Option<R> {
            self.0.try_recv().ok().map(|message| take(&message))
        }
    }

    /// With a message that is lost, and one that is torn.
    fn with(lost: u64, torn: u64) -> Result<f64, String> {
        let (tx, rx) = sync_channel(64);
        let send = move |message: &[u64; 8]| {
            let mut message = *message;
            message[7] += u64::from(message[0] == torn);
            message[0] == lost || tx.try_send(message).is_ok()
        };
        throughput(&Stamps::default(), allowed()[0], 1000, (send, Received(rx)))
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
            torn[line * 8 + 7] = !6;
            assert!(!is(&torn, 7), "line {line}");
        }
    }
}
