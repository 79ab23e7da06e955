//! The broadcast under loom: every order in which a producer and consumers can
//! meet, with small numbers.

use loom::thread;

use super::*;

/// Sends two words that belong together; a torn copy would have only one of them.
fn send(producer: &mut Producer) {
    let number = producer.sent() + 1;
    producer.send(|words| {
        words[0] = number;
        words[1] = number + 100;
    });
}

/// Tries once. A message must be whole and the next one.
fn look(consumer: &mut Consumer) -> Received<()> {
    let before = consumer.sequence();
    let found = consumer.try_receive(|words| {
        assert_eq!(words[1], words[0] + 100, "torn");
        words[0]
    });
    match found {
        Received::Message(number) => {
            assert_eq!(number, before + 1, "not the next");
            Received::Message(())
        }
        Received::Missed(missed) => {
            assert!(missed > 0);
            assert_eq!(consumer.sequence(), before + missed);
            let published = consumer.shared.state().published;
            assert!(
                consumer.sequence() <= published,
                "missed before it was sent"
            );
            Received::Missed(missed)
        }
        Received::Empty => Received::Empty,
        Received::Finished => Received::Finished,
    }
}

/// Keeps the exploration to seconds: a thread may be preempted at most `preemptions` times.
fn model(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(check);
}

#[test]
fn loom_no_message_is_torn_and_the_missed_are_counted() {
    model(4, || {
        let (mut producer, registry) = broadcast(2, 2);
        let mut consumer = registry.register("one", Start::Next);
        let sender = thread::spawn(move || {
            for _ in 0..4 {
                send(&mut producer);
            }
        });
        for _ in 0..2 {
            look(&mut consumer);
        }
        sender.join().unwrap();
        while look(&mut consumer) != Received::Finished {}
        assert_eq!(consumer.received() + consumer.missed(), 4);
    });
}

#[test]
fn loom_finished_is_seen_after_the_last_message_only() {
    model(4, || {
        let (mut producer, registry) = broadcast(2, 2);
        let mut consumer = registry.register("one", Start::Next);
        let sender = thread::spawn(move || {
            for _ in 0..2 {
                send(&mut producer);
            }
        });
        loop {
            let finished = consumer.is_finished();
            match look(&mut consumer) {
                Received::Finished => break,
                Received::Empty => thread::yield_now(),
                _ => {}
            }
            assert!(!finished, "finished, and yet there was more");
        }
        assert_eq!((consumer.received(), consumer.missed()), (2, 0));
        sender.join().unwrap();
    });
}

#[test]
fn loom_two_consumers_each_see_everything() {
    model(2, || {
        let (mut producer, registry) = broadcast(2, 2);
        let consumers = ["one", "two"].map(|name| registry.register(name, Start::Next));
        let threads = consumers.map(|mut consumer| {
            thread::spawn(move || {
                look(&mut consumer);
                consumer
            })
        });
        for _ in 0..2 {
            send(&mut producer);
        }
        drop(producer);
        for thread in threads {
            let mut consumer = thread.join().unwrap();
            while look(&mut consumer) != Received::Finished {}
            assert_eq!((consumer.received(), consumer.missed()), (2, 0));
        }
    });
}

#[test]
fn loom_a_late_consumer_counts_from_where_it_began() {
    for start in [Start::Next, Start::Oldest] {
        model(4, move || {
            let (mut producer, registry) = broadcast(2, 2);
            let sender = thread::spawn(move || {
                for _ in 0..3 {
                    send(&mut producer);
                }
            });
            let mut consumer = registry.register("late", start);
            let began = consumer.sequence();
            look(&mut consumer);
            sender.join().unwrap();
            while look(&mut consumer) != Received::Finished {}
            assert_eq!(began + consumer.received() + consumer.missed(), 3);
        });
    }
}

#[test]
fn loom_what_a_consumer_reports_is_never_ahead_of_what_was_sent() {
    model(2, || {
        let (mut producer, registry) = broadcast(2, 2);
        let mut consumer = registry.register("one", Start::Next);
        send(&mut producer);
        let reader = thread::spawn(move || {
            look(&mut consumer);
            look(&mut consumer);
            consumer
        });
        send(&mut producer);
        let progress = &registry.progress()[0];
        assert_eq!(progress.received + progress.behind, 2);
        assert!(!progress.finished);
        reader.join().unwrap();
    });
}

/// A thread that sees how far a consumer has read also sees what it missed on the way: a
/// missed message is never reported as received.
#[test]
fn loom_what_was_missed_is_never_reported_as_received() {
    model(2, || {
        let (mut producer, registry) = broadcast(2, 2);
        let mut consumer = registry.register("one", Start::Next);
        for _ in 0..3 {
            send(&mut producer);
        }
        let reader = thread::spawn(move || {
            assert_eq!(look(&mut consumer), Received::Missed(2));
            consumer
        });
        let progress = &registry.progress()[0];
        assert_eq!(progress.received, 0);
        assert!(progress.behind == 3 || (progress.behind, progress.missed) == (1, 2));
        reader.join().unwrap();
    });
}
