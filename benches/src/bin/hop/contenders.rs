//! The rings and channels. A new one is an entry in [`all`].
//!
//! Nobody waits with a system call: the bench itself tries again and again, once with a pause
//! hint in between and once without; one of them is each contender's fastest way to receive. All
//! have the same number of slots, and where the message is a value its type is aligned to a
//! cache line. Where one can read a message in its slot as well as take it out, both.

use std::num::NonZeroUsize;

use disruptor::{BusySpin, Polling, Producer as _};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use signal::sync::ring::{Receiver, Sender, ring};
use signal_bench::bench::Bench;
use signal_bench::drive::Trips;
use signal_bench::echo::{self, Copied, Message, RING, Rx, Tx, Wait};
use signal_bench::series::Series;

use crate::{cpp, measure};

/// An end whose messages are read in their slots.
struct InPlace<T>(T);

impl<const W: usize> Rx<W> for InPlace<Receiver> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let read = |words: &[u64]| take(words.try_into().expect("a message has W words"));
        let received = self.0.try_receive(read);
        if received.is_none() {
            // As a lane does.
            self.0.prefetch();
        }
        received
    }
}

impl<const W: usize> Rx<W> for InPlace<rtrb::Consumer<Message<W>>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let chunk = self.0.read_chunk(1).ok()?;
        let taken = take(&chunk.as_slices().0.first()?.0);
        chunk.commit_all();
        Some(taken)
    }
}

impl<const W: usize> Rx<W> for InPlace<ringbuf::HeapCons<Message<W>>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let taken = take(&self.0.try_peek()?.0);
        self.0.skip(1);
        Some(taken)
    }
}

impl<const W: usize> Rx<W> for InPlace<gil::spsc::Receiver<Message<W>>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let mut guard = self.0.read_guard();
        let taken = take(&guard.as_slice().first()?.0);
        guard.advance(1);
        Some(taken)
    }

    #[inline(always)]
    fn drain(&mut self, mut take: impl FnMut(&[u64; W])) -> usize {
        let mut guard = self.0.read_guard();
        guard.as_slice().iter().for_each(|message| take(&message.0));
        let count = guard.len();
        guard.advance(count);
        count
    }
}

type Poller<const W: usize> = disruptor::EventPoller<Message<W>, disruptor::SingleProducerBarrier>;

impl<const W: usize> Rx<W> for InPlace<Poller<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        match self.0.take(1) {
            Ok(mut events) => (&mut events).next().map(|message| take(&message.0)),
            Err(Polling::NoEvents | Polling::Shutdown) => None,
        }
    }

    #[inline(always)]
    fn drain(&mut self, mut take: impl FnMut(&[u64; W])) -> usize {
        let Ok(mut events) = self.0.poll() else {
            return 0;
        };
        (&mut events).map(|message| take(&message.0)).count()
    }
}

type Latency = dyn Fn(&Bench, Trips, Wait) -> Result<Series, String>;
type Throughput = dyn Fn(&Bench, u64) -> Result<f64, String>;

/// A contender, whose measurements are compiled for it alone.
pub struct Entry {
    pub name: &'static str,
    pub how: &'static str,
    pub latency: Box<Latency>,
    pub throughput: Box<Throughput>,
    #[cfg(test)]
    holds_its_messages: Box<dyn Fn()>,
}

impl Entry {
    /// Whether it is the library's own, not a peer.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("ours")
    }
}

fn entry<const W: usize, T: Tx<W>, R: Rx<W>>(
    name: &'static str,
    how: &'static str,
    make: impl Fn() -> (T, R) + Copy + 'static,
) -> Entry {
    Entry {
        name,
        how,
        latency: Box::new(move |bench, trips, wait| {
            echo::there_and_back(bench, trips, wait, make(), make())
        }),
        throughput: Box::new(move |bench, messages| {
            measure::throughput(&bench.stamps, bench.lane(), messages, make())
        }),
        #[cfg(test)]
        holds_its_messages: Box::new(move || tests::holds_its_messages(name, make())),
    }
}

/// Our sending end.
fn send<const W: usize>(mut tx: Sender) -> impl Tx<W> {
    move |message: &[u64; W]| tx.try_send(|words| words.copy_from_slice(message)).is_ok()
}

fn ours_in_place<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (tx, rx) = ring(RING, W);
    (send(tx), InPlace(rx))
}

fn ours_copied_out<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (tx, mut rx) = ring(RING, W);
    let copy = |words: &[u64]| Message::<W>(words.try_into().expect("a message has W words"));
    let receive = move || {
        let message = rx.try_receive(copy);
        if message.is_none() {
            rx.prefetch();
        }
        message
    };
    (send(tx), Copied(receive))
}

fn rtrb_in_place<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (mut tx, rx) = rtrb::RingBuffer::<Message<W>>::new(RING);
    let send = move |message: &[u64; W]| tx.push(Message(*message)).is_ok();
    (send, InPlace(rx))
}

fn ringbuf_in_place<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (mut tx, rx) = ringbuf::HeapRb::<Message<W>>::new(RING).split();
    let send = move |message: &[u64; W]| tx.try_push(Message(*message)).is_ok();
    (send, InPlace(rx))
}

fn ringbuf_copied_out<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (mut tx, mut rx) = ringbuf::HeapRb::<Message<W>>::new(RING).split();
    let send = move |message: &[u64; W]| tx.try_push(Message(*message)).is_ok();
    (send, Copied(move || rx.try_pop()))
}

fn nexus_queue<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (tx, rx) = nexus_queue::spsc::ring_buffer::<Message<W>>(RING);
    let send = move |message: &[u64; W]| tx.push(Message(*message)).is_ok();
    (send, Copied(move || rx.pop()))
}

fn gil<const W: usize>() -> (impl Tx<W>, gil::spsc::Receiver<Message<W>>) {
    let slots = NonZeroUsize::new(RING).expect("there are slots");
    let (mut tx, rx) = gil::spsc::channel::<Message<W>>(slots);
    (
        move |message: &[u64; W]| tx.try_send(Message(*message)).is_ok(),
        rx,
    )
}

fn gil_in_place<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (send, rx) = gil();
    (send, InPlace(rx))
}

fn gil_copied_out<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (send, mut rx) = gil();
    (send, Copied(move || rx.try_recv()))
}

fn disruptor<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let builder = disruptor::build_single_producer(RING, || Message([0; W]), BusySpin);
    let (poller, builder) = builder.new_event_poller();
    let mut tx = builder.build();
    let send = move |message: &[u64; W]| tx.try_publish(|slot| slot.0 = *message).is_ok();
    (send, InPlace(poller))
}

fn crossbeam<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (tx, rx) = crossbeam_channel::bounded::<Message<W>>(RING);
    let send = move |message: &[u64; W]| tx.try_send(Message(*message)).is_ok();
    (send, Copied(move || rx.try_recv().ok()))
}

fn std_channel<const W: usize>() -> (impl Tx<W>, impl Rx<W>) {
    let (tx, rx) = std::sync::mpsc::sync_channel::<Message<W>>(RING);
    let send = move |message: &[u64; W]| tx.try_send(Message(*message)).is_ok();
    (send, Copied(move || rx.try_recv().ok()))
}

pub fn all<const W: usize>() -> Vec<Entry> {
    let ours = "signal::sync::ring; read in its slot, which is freed afterwards; each empty poll \
         prefetches the next slot, a part of the ring's API that lanes use";
    let copied = "the same, prefetch too; copied out and the slot freed before it is read";
    let peeked = "HeapRb, split (caching ends); try_push; try_peek, then skip(1)";
    let events = "disruptor-rs, single producer, event poller, no wait between polls; written and read in \
         place; in throughput all events that are there in one poll";
    let bounded = "bounded; try_send, try_recv (recv would spin, then sleep)";
    let mpsc = "std::sync::mpsc; try_send, try_recv (recv would spin, then sleep)";
    let chunks = "push; read_chunk(1), as_slices, then commit_all";
    let guard =
        "gil::spsc; try_send; read_guard, advance(1); in throughput all that is there in one guard";
    let mut all = vec![
        entry("ours, in place", ours, ours_in_place::<W>),
        entry("ours, copied out", copied, ours_copied_out::<W>),
        entry("rtrb, in place", chunks, rtrb_in_place::<W>),
        entry("rtrb, copied out", "push, pop", echo::rtrb::<W>),
        entry("ringbuf, in place", peeked, ringbuf_in_place::<W>),
        entry(
            "ringbuf, copied out",
            "the same; try_pop",
            ringbuf_copied_out::<W>,
        ),
        entry(
            "nexus-queue",
            "spsc::ring_buffer; push, pop",
            nexus_queue::<W>,
        ),
        entry("gil, in place", guard, gil_in_place::<W>),
        entry("gil, copied out", "the same; try_recv", gil_copied_out::<W>),
        entry("disruptor", events, disruptor::<W>),
        entry("crossbeam-channel", bounded, crossbeam::<W>),
        entry("std sync_channel", mpsc, std_channel::<W>),
    ];
    for library in &cpp::LIBRARIES {
        let Some(calls) = cpp::calls::<W>(library) else {
            continue;
        };
        let how = library.how;
        if let Some(name) = library.in_place {
            all.push(entry(name, how, move || cpp::in_place::<W>(calls)));
        }
        let copied_out = move || cpp::copied_out::<W>(calls);
        all.push(entry(library.copied_out, how, copied_out));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `RING` messages (`ReaderWriterQueue` one less), gives them back whole and in order.
    pub fn holds_its_messages<const W: usize>(
        name: &str,
        (mut tx, mut rx): (impl Tx<W>, impl Rx<W>),
    ) {
        for round in 0..3 {
            let message = |place: usize| [(round * RING + place) as u64; W];
            let taken = (0..).take_while(|&place| tx(&message(place))).count();
            let fewer = usize::from(name.starts_with("ReaderWriterQueue"));
            assert_eq!(taken, RING - fewer, "{name}");
            for place in 0..RING / 2 {
                let got = rx.try_receive(|message| *message);
                assert_eq!(got, Some(message(place)), "{name}");
            }
            let mut next = RING / 2;
            let check = |got: &[u64; W], next: &mut usize| {
                assert_eq!(*got, message(*next), "{name}");
                *next += 1;
            };
            while rx.drain(|got| check(got, &mut next)) > 0 {}
            assert_eq!(next, taken, "{name}");
            assert_eq!(rx.try_receive(|_| ()), None, "{name} is empty");
        }
    }

    #[test]
    fn every_contender_holds_its_messages() {
        for entry in all::<8>().iter().chain(&all::<56>()) {
            (entry.holds_its_messages)();
        }
    }
}
