//! One way, as fast as it goes: the sender spins when there is no room.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use signal_bench::machine::pin;
use signal_bench::series::Stamps;

use crate::contenders::{Rx, Tx};
use crate::message;

/// Until the last message must have come.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// What stays the same for all contenders.
pub struct Setting<'a> {
    pub stamps: &'a Stamps,
    pub lane: usize,
    /// Messages that count. A tenth of as many go before.
    pub messages: u64,
}

/// Million messages a second, or what went wrong.
pub type Outcome = Result<f64, String>;

/// From before the first send to after the receiver has said that it checked the
/// last message, both on the host's core.
pub fn throughput<const W: usize>(
    setting: &Setting,
    (mut tx, mut rx): (impl Tx<W>, impl Rx<W>),
) -> Outcome {
    let received = CachePadded::new(AtomicU64::new(0));
    let given_up = CachePadded::new(AtomicBool::new(false));
    let warm_up = setting.messages / 10;
    let all = warm_up + setting.messages;
    thread::scope(|scope| {
        let (lane, received, given_up) = (setting.lane, &received, &given_up);
        // The receiving end moves to its thread's stack: beside the sending end it
        // would share lines with it, which each side writes at every message.
        let receiver = scope.spawn(move || {
            let pinned = pin(lane);
            let (mut next, mut wrong) = (0, None);
            while next < all {
                let drained = rx.drain(|message| {
                    if !message::is(message, next) && wrong.is_none() {
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
            match wrong {
                None => Ok(()),
                Some((expected, got)) => Err(format!(
                    "message {expected} was expected, message {got} came, or parts of it"
                )),
            }
        });
        let mut buffer = [0; W];
        let mut send = |from: u64, to: u64| {
            for number in from..to {
                message::number(&mut buffer, number);
                while !tx.try_send(&buffer) {}
            }
        };
        send(0, warm_up);
        let start = setting.stamps.raw();
        send(warm_up, all);
        let waiting = Instant::now();
        while received.load(Ordering::Acquire) < all && waiting.elapsed() < PATIENCE {}
        let end = setting.stamps.raw();
        given_up.store(true, Ordering::Relaxed);
        receiver
            .join()
            .map_err(|_| "the receiving thread panicked")??;
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
    use std::sync::mpsc::{SyncSender, sync_channel};

    use signal_bench::machine::allowed;

    use super::*;

    /// What happens to the message with this number.
    #[derive(Clone, Copy)]
    enum Fault {
        None,
        Lost(u64),
        Torn(u64),
    }

    struct Faulty(SyncSender<[u64; 8]>, Fault);
    struct Received(std::sync::mpsc::Receiver<[u64; 8]>);

    impl Tx<8> for Faulty {
        fn try_send(&mut self, message: &[u64; 8]) -> bool {
            let mut message = *message;
            match self.1 {
                Fault::Lost(number) if number == message[0] => return true,
                Fault::Torn(number) if number == message[0] => message[7] += 1,
                _ => {}
            }
            self.0.try_send(message).is_ok()
        }
    }

    impl Rx<8> for Received {
        fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; 8]) -> R) -> Option<R> {
            self.0.try_recv().ok().map(|message| take(&message))
        }
    }

    fn with(fault: Fault) -> Outcome {
        let (tx, rx) = sync_channel(64);
        let setting = Setting {
            stamps: &Stamps::new(),
            lane: allowed()[0],
            messages: 1000,
        };
        throughput(&setting, (Faulty(tx, fault), Received(rx)))
    }

    #[test]
    fn a_lost_or_torn_message_is_found() {
        assert!(with(Fault::None).unwrap() > 0.0);
        let lost = with(Fault::Lost(500)).unwrap_err();
        assert!(
            lost.contains("message 500 was expected, message 501 came"),
            "{lost}"
        );
        let last = with(Fault::Lost(1099)).unwrap_err();
        assert_eq!(last, "1100 messages were sent, 1099 came");
        let torn = with(Fault::Torn(7)).unwrap_err();
        assert!(torn.contains("message 7 was expected"), "{torn}");
    }
}
