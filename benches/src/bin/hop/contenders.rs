//! The rings and channels. A new one is an entry in [`all`].
//!
//! Nobody waits with a pause hint or a system call: the bench itself tries again
//! and again, which is each contender's fastest way to receive. All have the same
//! number of slots, and where the message is a value its type is aligned to a
//! cache line. Where one can read a message in its slot as well as take it out, both.

use disruptor::{BusySpin, Polling, Producer as _};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use signal::sync::ring::{Receiver, ring};

use crate::measure::{self, Setting};

pub const SLOTS: usize = 1024;

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
struct Message<const W: usize>([u64; W]);

/// Each message is copied out by this function, and read then.
struct Copied<F>(F);

impl<const W: usize, F: FnMut() -> Option<Message<W>> + Send + 'static> Rx<W> for Copied<F> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        (self.0)().map(|message| take(&message.0))
    }
}

impl<const W: usize> Rx<W> for Receiver {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let read = |words: &[u64]| take(words.try_into().expect("a message has W words"));
        let received = self.try_receive(read);
        if received.is_none() {
            // As a lane does.
            self.prefetch();
        }
        received
    }
}

impl<const W: usize> Rx<W> for rtrb::Consumer<Message<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let chunk = self.read_chunk(1).ok()?;
        let taken = take(&chunk.as_slices().0.first()?.0);
        chunk.commit_all();
        Some(taken)
    }
}

impl<const W: usize> Rx<W> for ringbuf::HeapCons<Message<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let taken = take(&self.try_peek()?.0);
        self.skip(1);
        Some(taken)
    }
}

type Poller<const W: usize> = disruptor::EventPoller<Message<W>, disruptor::SingleProducerBarrier>;

impl<const W: usize> Rx<W> for Poller<W> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        match self.take(1) {
            Ok(mut events) => (&mut events).next().map(|message| take(&message.0)),
            Err(Polling::NoEvents | Polling::Shutdown) => None,
        }
    }

    #[inline(always)]
    fn drain(&mut self, mut take: impl FnMut(&[u64; W])) -> usize {
        let Ok(mut events) = self.poll() else {
            return 0;
        };
        (&mut events).map(|message| take(&message.0)).count()
    }
}

/// A contender, whose measurements are compiled for it alone.
pub struct Entry {
    pub name: &'static str,
    pub how: &'static str,
    pub measured: Box<dyn Measured>,
}

impl Entry {
    /// Whether it is the library's own, not a peer.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("ours")
    }
}

pub trait Measured {
    fn latency(&self, setting: &Setting) -> measure::Latency;
    fn throughput(&self, setting: &Setting) -> measure::Throughput;
    #[cfg(test)]
    fn holds_its_messages(&self, name: &str);
}

struct Made<const W: usize, T, R>(fn() -> (T, R));

impl<const W: usize, T: Tx<W>, R: Rx<W>> Measured for Made<W, T, R> {
    fn latency(&self, setting: &Setting) -> measure::Latency {
        measure::latency(setting, (self.0)(), (self.0)())
    }

    fn throughput(&self, setting: &Setting) -> measure::Throughput {
        measure::throughput(setting, (self.0)())
    }

    /// Takes exactly `SLOTS` messages, gives them back whole and in order.
    #[cfg(test)]
    fn holds_its_messages(&self, name: &str) {
        let (mut tx, mut rx) = (self.0)();
        for round in 0..3 {
            let message = |place: usize| [(round * SLOTS + place) as u64; W];
            for place in 0..SLOTS {
                assert!(tx(&message(place)), "{name} {place}");
            }
            assert!(!tx(&[0; W]), "{name} is full");
            for place in 0..SLOTS / 2 {
                let got = rx.try_receive(|message| *message);
                assert_eq!(got, Some(message(place)), "{name}");
            }
            let mut next = SLOTS / 2;
            while rx.drain(|got| {
                assert_eq!(*got, message(next), "{name}");
                next += 1;
            }) > 0
            {}
            assert_eq!(next, SLOTS, "{name}");
            assert_eq!(rx.try_receive(|_| ()), None, "{name} is empty");
        }
    }
}

fn entry<const W: usize, T: Tx<W>, R: Rx<W>>(
    name: &'static str,
    how: &'static str,
    make: fn() -> (T, R),
) -> Entry {
    Entry {
        name,
        how,
        measured: Box::new(Made(make)),
    }
}

pub fn all<const W: usize>() -> Vec<Entry> {
    let in_place = "signal::sync::ring; read in its slot, which is freed afterwards; each look in vain \
         prefetches the next slot, a part of the ring's API that lanes use";
    let disruptor = "disruptor-rs, single producer, event poller, no wait between polls; written and read in \
         place; in throughput all events that are there in one poll";
    vec![
        entry("ours, in place", in_place, || {
            let (mut tx, rx) = ring(SLOTS, W);
            let send = move |message: &[u64; W]| {
                tx.try_send(|words| words.copy_from_slice(message)).is_ok()
            };
            (send, rx)
        }),
        entry(
            "ours, copied out",
            "the same, prefetch too; copied out and the slot freed before it is read",
            || {
                let (mut tx, mut rx) = ring(SLOTS, W);
                let copy =
                    |words: &[u64]| Message::<W>(words.try_into().expect("a message has W words"));
                let receive = move || {
                    let message = rx.try_receive(copy);
                    if message.is_none() {
                        rx.prefetch();
                    }
                    message
                };
                let send = move |message: &[u64; W]| {
                    tx.try_send(|words| words.copy_from_slice(message)).is_ok()
                };
                (send, Copied(receive))
            },
        ),
        entry(
            "rtrb, in place",
            "push; read_chunk(1), as_slices, then commit_all",
            || {
                let (mut tx, rx) = rtrb::RingBuffer::<Message<W>>::new(SLOTS);
                (
                    move |message: &[u64; W]| tx.push(Message(*message)).is_ok(),
                    rx,
                )
            },
        ),
        entry("rtrb, copied out", "push, pop", || {
            let (mut tx, mut rx) = rtrb::RingBuffer::<Message<W>>::new(SLOTS);
            let send = move |message: &[u64; W]| tx.push(Message(*message)).is_ok();
            (send, Copied(move || rx.pop().ok()))
        }),
        entry(
            "ringbuf, in place",
            "HeapRb, split (caching ends); try_push; try_peek, then skip(1)",
            || {
                let (mut tx, rx) = ringbuf::HeapRb::<Message<W>>::new(SLOTS).split();
                (
                    move |message: &[u64; W]| tx.try_push(Message(*message)).is_ok(),
                    rx,
                )
            },
        ),
        entry("ringbuf, copied out", "the same; try_pop", || {
            let (mut tx, mut rx) = ringbuf::HeapRb::<Message<W>>::new(SLOTS).split();
            let send = move |message: &[u64; W]| tx.try_push(Message(*message)).is_ok();
            (send, Copied(move || rx.try_pop()))
        }),
        entry("disruptor", disruptor, || {
            let builder = disruptor::build_single_producer(SLOTS, || Message([0; W]), BusySpin);
            let (poller, builder) = builder.new_event_poller();
            let mut tx = builder.build();
            (
                move |message: &[u64; W]| tx.try_publish(|slot| slot.0 = *message).is_ok(),
                poller,
            )
        }),
        entry(
            "crossbeam-channel",
            "bounded; try_send, try_recv (recv would spin, then sleep)",
            || {
                let (tx, rx) = crossbeam_channel::bounded::<Message<W>>(SLOTS);
                let send = move |message: &[u64; W]| tx.try_send(Message(*message)).is_ok();
                (send, Copied(move || rx.try_recv().ok()))
            },
        ),
        entry(
            "std sync_channel",
            "std::sync::mpsc; try_send, try_recv (recv would spin, then sleep)",
            || {
                let (tx, rx) = std::sync::mpsc::sync_channel::<Message<W>>(SLOTS);
                let send = move |message: &[u64; W]| tx.try_send(Message(*message)).is_ok();
                (send, Copied(move || rx.try_recv().ok()))
            },
        ),
    ]
}

#[test]
fn every_contender_holds_its_messages() {
    for entry in all::<8>().iter().chain(&all::<56>()) {
        entry.measured.holds_its_messages(entry.name);
    }
}
