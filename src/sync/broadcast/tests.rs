//! Tests of the broadcast: against a naive model, and with threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;

/// What a broadcast does, in the simplest form: all messages are kept for ever, and a
/// consumer is a number.
struct Model {
    sent: u64,
    finished: bool,
    capacity: u64,
    consumers: Vec<u64>,
}

impl Model {
    fn receive(&mut self, consumer: usize) -> Received<u64> {
        let sequence = &mut self.consumers[consumer];
        if *sequence == self.sent {
            return match self.finished {
                true => Received::Finished,
                false => Received::Empty,
            };
        }
        if *sequence + self.capacity < self.sent {
            let kept = if self.finished {
                self.capacity
            } else {
                self.capacity / 2
            };
            let missed = self.sent - kept - *sequence;
            *sequence += missed;
            return Received::Missed(missed);
        }
        *sequence += 1;
        Received::Message(*sequence)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    Receive(usize),
    Register(Start),
    Finish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => Just(Step::Send),
        10 => (0usize..4).prop_map(Step::Receive),
        1 => Just(Step::Register(Start::Next)),
        1 => Just(Step::Register(Start::Oldest)),
    ];
    let finish = prop::bool::ANY;
    (prop::collection::vec(step, 1..200), finish).prop_map(|(mut steps, finish)| {
        if finish {
            let receives = (0..400).map(|n| Step::Receive(n % 4));
            steps.push(Step::Finish);
            steps.extend(receives);
        }
        steps
    })
}

/// A message's word, computed from the message's number and the word's place.
fn word(number: u64, place: usize) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place as u64
}

/// The number of a message, after a check that it is whole.
fn number(words: &[u64], expected_words: usize) -> u64 {
    let number = words[0];
    for (place, &found) in words[1..expected_words].iter().enumerate() {
        assert_eq!(found, word(number, place), "message {number} is torn");
    }
    number
}

fn send(producer: &mut Producer, words: usize) -> u64 {
    let next = producer.sent() + 1;
    producer.send(|message| {
        message[0] = next;
        for place in 0..words - 1 {
            message[place + 1] = word(next, place);
        }
    })
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(
        capacity in 2usize..9,
        words in 1usize..20,
        steps in steps(),
    ) {
        let (producer, registry) = broadcast(capacity, words);
        let mut producer = Some(producer);
        let mut consumers = vec![registry.register("0", Start::Next)];
        let mut model = Model {
            sent: 0,
            finished: false,
            capacity: capacity as u64,
            consumers: vec![0],
        };
        let mut starts = vec![0];
        for step in steps {
            match step {
                Step::Send => {
                    model.sent += 1;
                    let sent = producer.as_mut().map(|producer| send(producer, words));
                    prop_assert_eq!(sent, Some(model.sent));
                }
                Step::Receive(consumer) if consumer < consumers.len() => {
                    let found = consumers[consumer].try_receive(|message| number(message, words));
                    prop_assert_eq!(found, model.receive(consumer));
                    prop_assert_eq!(consumers[consumer].sequence(), model.consumers[consumer]);
                }
                Step::Receive(_) => {}
                Step::Register(start) => {
                    consumers.push(registry.register("more", start));
                    let oldest = model.sent.saturating_sub(model.capacity);
                    let start = if start == Start::Next { model.sent } else { oldest };
                    model.consumers.push(start);
                    starts.push(start);
                }
                Step::Finish => {
                    producer = None;
                    model.finished = true;
                }
            }
            for (index, consumer) in consumers.iter().enumerate() {
                let sequence = model.consumers[index];
                let counted = consumer.received() + consumer.missed();
                prop_assert_eq!(starts[index] + counted, sequence);
                prop_assert_eq!(consumer.has_read_all(), sequence == model.sent);
                prop_assert_eq!(consumer.is_finished(), model.finished && sequence == model.sent);
                let progress = &registry.progress()[index];
                prop_assert_eq!(progress.received, consumer.received());
                prop_assert_eq!(progress.missed, consumer.missed());
                prop_assert_eq!(progress.behind, model.sent - sequence);
                prop_assert_eq!(progress.finished, consumer.is_finished());
            }
        }
    }
}

/// Receives until the end. The numbers must ascend. A number that is left out must have been
/// counted as missed, at that point.
fn drain(consumer: &mut Consumer, words: usize, mut pause: impl FnMut(u64)) -> u64 {
    let mut last = consumer.sequence();
    loop {
        match consumer.try_receive(|message| number(message, words)) {
            Received::Message(number) => {
                assert_eq!(number, last + 1, "a gap that was not told");
                assert_eq!(number, consumer.sequence());
                last = number;
                pause(number);
            }
            Received::Missed(missed) => {
                assert!(missed > 0);
                last += missed;
            }
            Received::Empty => thread::yield_now(),
            Received::Finished => return last,
        }
    }
}

#[test]
fn threads_see_whole_messages_in_order_and_count_the_rest() {
    const MESSAGES: u64 = 300_000;
    for (capacity, words) in [(2, 1), (2, 31), (64, 8), (1024, 50)] {
        let (mut producer, registry) = broadcast(capacity, words);
        let consumers: Vec<_> = ["a", "b", "c"]
            .map(|name| registry.register(name, Start::Next))
            .into();
        let missed = AtomicU64::new(0);
        thread::scope(|scope| {
            for mut consumer in consumers {
                let missed = &missed;
                scope.spawn(move || {
                    assert_eq!(drain(&mut consumer, words, |_| ()), MESSAGES);
                    assert_eq!(consumer.received() + consumer.missed(), MESSAGES);
                    missed.fetch_add(consumer.missed(), Ordering::Relaxed);
                });
            }
            for _ in 0..MESSAGES {
                send(&mut producer, words);
            }
            drop(producer);
        });
        println!(
            "{capacity} messages of {words} words: {} of {} missed",
            missed.into_inner(),
            3 * MESSAGES
        );
    }
}

#[test]
fn a_consumer_that_keeps_up_misses_nothing() {
    let (mut producer, registry) = broadcast(64, 9);
    let mut consumer = registry.register("quick", Start::Next);
    let read = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            drain(&mut consumer, 9, |number| {
                read.store(number, Ordering::Release);
            })
        });
        for _ in 0..50_000 {
            while producer.sent() - read.load(Ordering::Acquire) == 64 {
                thread::yield_now();
            }
            send(&mut producer, 9);
        }
        drop(producer);
    });
    assert_eq!((consumer.received(), consumer.missed()), (50_000, 0));
}

/// The slow consumer sleeps on each message, and the producer never waits for it. The quick
/// one sets the producer's pace and sees everything.
#[test]
fn a_slow_consumer_stops_neither_the_producer_nor_another() {
    const MESSAGES: u64 = 20_000;
    let (mut producer, registry) = broadcast(16, 3);
    let mut slow = registry.register("slow", Start::Next);
    let mut quick = registry.register("quick", Start::Next);
    assert_eq!(slow.try_receive(|_| ()), Received::Empty);
    for _ in 0..MESSAGES {
        send(&mut producer, 3);
        let found = quick.try_receive(|message| number(message, 3));
        assert_eq!(found, Received::Message(producer.sent()));
    }
    let progress = registry.progress();
    assert_eq!(
        (progress[0].name.as_str(), progress[0].behind),
        ("slow", MESSAGES)
    );
    assert_eq!((progress[1].received, progress[1].missed), (MESSAGES, 0));
    assert_eq!(slow.try_receive(|_| ()), Received::Missed(MESSAGES - 8));
    drop(producer);
    assert_eq!(drain(&mut slow, 3, |_| ()), MESSAGES);
    assert_eq!((slow.received(), slow.missed()), (8, MESSAGES - 8));
}

#[test]
fn after_the_end_all_that_is_kept_can_be_read() {
    let (mut producer, registry) = broadcast(16, 1);
    let mut late = registry.register("late", Start::Next);
    for _ in 0..40 {
        send(&mut producer, 1);
    }
    assert!(!late.is_finished() && !late.has_read_all());
    drop(producer);
    assert!(!late.is_finished(), "there is more to read");
    assert_eq!(late.try_receive(|_| ()), Received::Missed(24));
    assert_eq!(drain(&mut late, 1, |_| ()), 40);
    assert!(late.is_finished() && late.has_read_all());
    assert_eq!(late.received(), 16);
    // A consumer that registers after the end finds the messages that are still kept, or nothing.
    let mut oldest = registry.register("oldest", Start::Oldest);
    assert_eq!(oldest.try_receive(|words| words[0]), Received::Message(25));
    let mut next = registry.register("next", Start::Next);
    assert_eq!(next.try_receive(|_| ()), Received::Finished);
}

#[test]
fn consumers_come_and_go_while_the_producer_runs() {
    let (mut producer, registry) = broadcast(256, 5);
    thread::scope(|scope| {
        let finished = registry.clone();
        scope.spawn(move || {
            for _ in 0..200_000 {
                send(&mut producer, 5);
            }
        });
        for start in [Start::Next, Start::Oldest] {
            let registry = &finished;
            let registry = registry.clone();
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut consumer = registry.register("late", start);
                    let before = consumer.sequence();
                    for _ in 0..50 {
                        consumer.try_receive(|message| number(message, 5));
                    }
                    let counted = consumer.received() + consumer.missed();
                    assert_eq!(consumer.sequence() - before, counted);
                }
            });
        }
    });
    assert_eq!(registry.progress(), []);
}

#[test]
fn a_panic_in_take_or_fill_leaves_a_sound_broadcast() {
    let (mut producer, registry) = broadcast(4, 1);
    let mut consumer = registry.register("one", Start::Next);
    let fill = catch_unwind(AssertUnwindSafe(|| producer.send(|_| panic!("fill"))));
    assert!(fill.is_err());
    assert_eq!(consumer.try_receive(|_| ()), Received::Empty);
    send(&mut producer, 1);
    send(&mut producer, 1);
    let take = catch_unwind(AssertUnwindSafe(|| {
        consumer.try_receive(|_| panic!("take"))
    }));
    assert!(take.is_err());
    assert_eq!(consumer.try_receive(|words| words[0]), Received::Message(2));
    assert_eq!(consumer.received(), 2);
}

#[test]
#[should_panic(expected = "at least two messages")]
fn one_message_is_too_few() {
    broadcast(1, 1);
}

#[test]
fn both_ends_say_how_far_they_are() {
    let (mut producer, registry) = broadcast(5, 1);
    let mut consumer = registry.register("one", Start::Next);
    for _ in 0..7 {
        send(&mut producer, 1);
    }
    assert_eq!(producer.capacity(), 5);
    assert_eq!(consumer.try_receive(|_| ()), Received::Missed(5));
    assert_eq!(consumer.try_receive(|_| ()), Received::Message(()));
    let said = format!("{consumer:?}");
    for part in ["\"one\"", "sequence: 6", "received: 1", "missed: 5"] {
        assert!(said.contains(part), "{said}");
    }
    let said = format!("{producer:?}");
    assert!(
        said.contains("sent: 7") && said.contains("capacity: 5"),
        "{said}"
    );
    let said = format!("{registry:?}");
    assert!(said.contains("published: 7"), "{said}");
}
