//! The rings and channels. A new one is an `impl` and a line in [`all`].
//!
//! Nobody waits with a pause hint or a system call: the bench itself tries again
//! and again, which is each contender's fastest way to receive. All have the same
//! number of slots, and where the message is a value its type is aligned to a
//! cache line.

use disruptor::{BusySpin, Polling};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use signal::pipeline::ring::{Receiver, Sender, ring};

use crate::latency::{self, latency};
use crate::throughput::{self, throughput};

/// Messages that each ring holds.
pub const SLOTS: usize = 1024;

/// A sending end.
pub trait Tx<const W: usize>: Send + 'static {
    /// Copies the message in and publishes it; false when there is no room.
    fn try_send(&mut self, message: &[u64; W]) -> bool;
}

/// A receiving end.
pub trait Rx<const W: usize>: Send + 'static {
    /// Hands the oldest message to `take` and frees its slot; `None` when empty.
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R>;

    /// Hands on everything that is there, in whatever way is fastest; how many.
    #[inline(always)]
    fn drain(&mut self, take: impl FnMut(&[u64; W])) -> usize {
        usize::from(self.try_receive(take).is_some())
    }
}

/// A kind of ring or channel.
trait Contender<const W: usize> {
    const NAME: &'static str;
    /// How it is used.
    const HOW: &'static str;
    const OURS: bool = false;
    /// Makes one for `SLOTS` messages.
    fn make() -> (impl Tx<W>, impl Rx<W>);
}

/// A contender, measured through two functions that are compiled for it alone.
pub struct Entry {
    pub name: &'static str,
    pub how: &'static str,
    /// Part of the library, not a peer.
    pub ours: bool,
    pub latency: fn(&latency::Setting) -> latency::Outcome,
    pub throughput: fn(&throughput::Setting) -> throughput::Outcome,
}

/// All, for messages of `W` words.
pub fn all<const W: usize>() -> Vec<Entry> {
    vec![
        entry::<OursInPlace, W>(),
        entry::<OursCopied, W>(),
        entry::<Rtrb, W>(),
        entry::<Ringbuf, W>(),
        entry::<Disruptor, W>(),
        entry::<Crossbeam, W>(),
        entry::<SyncChannel, W>(),
    ]
}

fn entry<C: Contender<W>, const W: usize>() -> Entry {
    Entry {
        name: C::NAME,
        how: C::HOW,
        ours: C::OURS,
        latency: |setting| latency(setting, C::make(), C::make()),
        throughput: |setting| throughput(setting, C::make()),
    }
}

/// A message where it is a value, as large as its slot in our ring.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Message<const W: usize>([u64; W]);

struct OursInPlace;

impl<const W: usize> Contender<W> for OursInPlace {
    const NAME: &'static str = "ours, in place";
    const HOW: &'static str = "signal::pipeline::ring; read in its slot, which is freed afterwards";
    const OURS: bool = true;
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        ring(SLOTS, W)
    }
}

impl<const W: usize> Tx<W> for Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.try_send(|words| words.copy_from_slice(message))
            .is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        self.try_receive(|words| take(words.try_into().expect("a message has W words")))
    }
}

struct OursCopied;
struct CopyingReceiver(Receiver);

impl<const W: usize> Contender<W> for OursCopied {
    const NAME: &'static str = "ours, copied out";
    const HOW: &'static str = "the same; copied out and the slot freed before it is read";
    const OURS: bool = true;
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        let (sender, receiver) = ring(SLOTS, W);
        (sender, CopyingReceiver(receiver))
    }
}

impl<const W: usize> Rx<W> for CopyingReceiver {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let copy = |words: &[u64]| Message::<W>(words.try_into().expect("a message has W words"));
        let message = self.0.try_receive(copy)?;
        Some(take(&message.0))
    }
}

struct Rtrb;

impl<const W: usize> Contender<W> for Rtrb {
    const NAME: &'static str = "rtrb";
    const HOW: &'static str = "push, pop";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        rtrb::RingBuffer::<Message<W>>::new(SLOTS)
    }
}

impl<const W: usize> Tx<W> for rtrb::Producer<Message<W>> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.push(Message(*message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for rtrb::Consumer<Message<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        self.pop().ok().map(|message| take(&message.0))
    }
}

struct Ringbuf;
struct RingbufTx<const W: usize>(ringbuf::HeapProd<Message<W>>);
struct RingbufRx<const W: usize>(ringbuf::HeapCons<Message<W>>);

impl<const W: usize> Contender<W> for Ringbuf {
    const NAME: &'static str = "ringbuf";
    const HOW: &'static str = "HeapRb, split (caching ends); try_push, try_pop";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        let (tx, rx) = ringbuf::HeapRb::new(SLOTS).split();
        (RingbufTx(tx), RingbufRx(rx))
    }
}

impl<const W: usize> Tx<W> for RingbufTx<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.0.try_push(Message(*message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for RingbufRx<W> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        self.0.try_pop().map(|message| take(&message.0))
    }
}

struct Disruptor;
struct DisruptorTx<P>(P);

impl<const W: usize> Contender<W> for Disruptor {
    const NAME: &'static str = "disruptor";
    const HOW: &'static str = "disruptor-rs, single producer, event poller, no wait between polls; written and read in \
         place; in throughput all events that are there in one poll";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        let builder = disruptor::build_single_producer(SLOTS, || Message([0; W]), BusySpin);
        let (poller, builder) = builder.new_event_poller();
        (DisruptorTx(builder.build()), poller)
    }
}

impl<const W: usize, P> Tx<W> for DisruptorTx<P>
where
    P: disruptor::Producer<Message<W>> + Send + 'static,
{
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let sent = self.0.try_publish(|slot| slot.0 = *message);
        sent.is_ok()
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
        let mut count = 0;
        for message in &mut events {
            take(&message.0);
            count += 1;
        }
        count
    }
}

struct Crossbeam;

impl<const W: usize> Contender<W> for Crossbeam {
    const NAME: &'static str = "crossbeam-channel";
    const HOW: &'static str = "bounded; try_send, try_recv (recv would spin, then sleep)";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        crossbeam_channel::bounded::<Message<W>>(SLOTS)
    }
}

impl<const W: usize> Tx<W> for crossbeam_channel::Sender<Message<W>> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        crossbeam_channel::Sender::try_send(self, Message(*message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for crossbeam_channel::Receiver<Message<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        self.try_recv().ok().map(|message| take(&message.0))
    }
}

struct SyncChannel;

impl<const W: usize> Contender<W> for SyncChannel {
    const NAME: &'static str = "std sync_channel";
    const HOW: &'static str = "std::sync::mpsc; try_send, try_recv (recv would spin, then sleep)";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        std::sync::mpsc::sync_channel::<Message<W>>(SLOTS)
    }
}

impl<const W: usize> Tx<W> for std::sync::mpsc::SyncSender<Message<W>> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        std::sync::mpsc::SyncSender::try_send(self, Message(*message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for std::sync::mpsc::Receiver<Message<W>> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        self.try_recv().ok().map(|message| take(&message.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each takes exactly `SLOTS` messages, gives them back whole and in order.
    fn holds_its_messages<C: Contender<W>, const W: usize>() {
        let (mut tx, mut rx) = C::make();
        for round in 0..3 {
            let number = |place: usize| (round * SLOTS + place) as u64;
            for place in 0..SLOTS {
                assert!(tx.try_send(&[number(place); W]), "{} {place}", C::NAME);
            }
            assert!(!tx.try_send(&[0; W]), "{} is full", C::NAME);
            for place in 0..SLOTS / 2 {
                let got = rx.try_receive(|message| *message);
                assert_eq!(got, Some([number(place); W]), "{}", C::NAME);
            }
            let mut next = SLOTS / 2;
            while rx.drain(|message| {
                assert_eq!(*message, [number(next); W], "{}", C::NAME);
                next += 1;
            }) > 0
            {}
            assert_eq!(next, SLOTS, "{}", C::NAME);
            assert_eq!(rx.try_receive(|_| ()), None, "{} is empty", C::NAME);
        }
    }

    #[test]
    fn every_contender_holds_its_messages() {
        holds_its_messages::<OursInPlace, 8>();
        holds_its_messages::<OursCopied, 16>();
        holds_its_messages::<Rtrb, 56>();
        holds_its_messages::<Ringbuf, 8>();
        holds_its_messages::<Disruptor, 16>();
        holds_its_messages::<Crossbeam, 56>();
        holds_its_messages::<SyncChannel, 8>();
    }
}
