//! Other rings: where one can read a message in its slot as well as take it out, both.

use disruptor::{BusySpin, Polling};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};

use super::{Contender, Message, Rx, SLOTS, Tx};

pub struct RtrbInPlace;
struct InPlaceRtrb<const W: usize>(rtrb::Consumer<Message<W>>);

impl<const W: usize> Contender<W> for RtrbInPlace {
    const NAME: &'static str = "rtrb, in place";
    const HOW: &'static str = "push; read_chunk(1), as_slices, then commit_all";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        let (tx, rx) = rtrb::RingBuffer::<Message<W>>::new(SLOTS);
        (tx, InPlaceRtrb(rx))
    }
}

impl<const W: usize> Rx<W> for InPlaceRtrb<W> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let chunk = self.0.read_chunk(1).ok()?;
        let taken = take(&chunk.as_slices().0.first()?.0);
        chunk.commit_all();
        Some(taken)
    }
}

pub struct Rtrb;

impl<const W: usize> Contender<W> for Rtrb {
    const NAME: &'static str = "rtrb, copied out";
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

pub struct RingbufInPlace;
struct InPlaceRingbuf<const W: usize>(ringbuf::HeapCons<Message<W>>);

impl<const W: usize> Contender<W> for RingbufInPlace {
    const NAME: &'static str = "ringbuf, in place";
    const HOW: &'static str = "HeapRb, split (caching ends); try_push; try_peek, then skip(1)";
    fn make() -> (impl Tx<W>, impl Rx<W>) {
        let (tx, rx) = ringbuf::HeapRb::new(SLOTS).split();
        (RingbufTx(tx), InPlaceRingbuf(rx))
    }
}

impl<const W: usize> Rx<W> for InPlaceRingbuf<W> {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let taken = take(&self.0.try_peek()?.0);
        self.0.skip(1);
        Some(taken)
    }
}

pub struct Ringbuf;
struct RingbufTx<const W: usize>(ringbuf::HeapProd<Message<W>>);
struct RingbufRx<const W: usize>(ringbuf::HeapCons<Message<W>>);

impl<const W: usize> Contender<W> for Ringbuf {
    const NAME: &'static str = "ringbuf, copied out";
    const HOW: &'static str = "the same; try_pop";
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

pub struct Disruptor;
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
