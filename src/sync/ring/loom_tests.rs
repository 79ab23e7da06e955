//! Every order in which a ring's two ends can meet.

use super::*;

/// In messages that are not published.
const REHEARSED: u64 = 100;
/// In the message that a receiver gets if there is none.
const SPARE: u64 = 200;

/// A lane that sends 0, 1 and 2, more than the ring has slots, and the receiver.
fn lane_of_three() -> (loom::thread::JoinHandle<()>, Receiver) {
    let (mut sender, receiver) = ring(2, 1);
    let lane = loom::thread::spawn(move || {
        for number in 0..3 {
            // What is not published must not be seen, nor get in the way.
            let _ = sender.try_send_or_rehearse(false, |words| words[0] = REHEARSED);
            while sender.try_send(|words| words[0] = number).is_err() {
                loom::thread::yield_now();
            }
        }
    });
    (lane, receiver)
}

fn next(receiver: &mut Receiver) -> u64 {
    loop {
        match receiver.try_receive_or(Some(&[SPARE]), |_, words| words[0]) {
            Some(SPARE) | None => loom::thread::yield_now(),
            Some(received) => return received,
        }
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// With more messages than slots, each arrives whole, once and in order. No slot is
/// written while it is read; loom watches that (`memory`).
#[test]
fn loom_messages_come_whole_once_and_in_order() {
    check(|| {
        let (lane, mut receiver) = lane_of_three();
        for expected in 0..3 {
            assert_eq!(next(&mut receiver), expected);
        }
        lane.join().unwrap();
        assert_eq!(receiver.try_receive(|words| words[0]), None);
    });
}

/// Messages that are peeked at stay unchanged until they are released all at once, as a
/// batch is. Then their slots are free.
#[test]
fn loom_a_batch_stays_until_it_is_released() {
    check(|| {
        let (lane, mut receiver) = lane_of_three();
        while receiver.waiting() < 2 {
            loom::thread::yield_now();
        }
        for nth in 0..2 {
            assert_eq!(receiver.peek(nth).map(|words| words[0]), Some(nth as u64));
        }
        assert!(receiver.peek(2).is_none());
        receiver.release(2);
        assert_eq!(next(&mut receiver), 2);
        lane.join().unwrap();
    });
}

/// The ring has as many messages as an inlined poll has seen announced.
#[test]
fn loom_what_is_published_is_in_the_ring() {
    loom::model(|| {
        let cursors = Cursors::default();
        let (mut sender, mut receiver) = ring_at(cursors.clone(), 2, 1);
        let lane = loom::thread::spawn(move || {
            for number in 0..2 {
                sender.try_send(|words| words[0] = number).unwrap();
            }
        });
        let told = cursors.published.load(Ordering::Acquire);
        for expected in 0..told {
            assert_eq!(receiver.try_receive(|words| words[0]), Some(expected));
        }
        lane.join().unwrap();
    });
}
