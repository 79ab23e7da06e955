//! The rings and channels. A new one is an `impl` and a line in [`all`].
//!
//! | file | what |
//! |---|---|
//! | `ours` | the library's ring |
//! | `rings` | rtrb, ringbuf, disruptor |
//! | `channels` | crossbeam-channel, std |
//!
//! Nobody waits with a pause hint or a system call: the bench itself tries again
//! and again, which is each contender's fastest way to receive. All have the same
//! number of slots, and where the message is a value its type is aligned to a
//! cache line.

mod channels;
mod ours;
mod rings;

use channels::{Crossbeam, SyncChannel};
use ours::{OursCopied, OursInPlace};
use rings::{Disruptor, Ringbuf, RingbufInPlace, Rtrb, RtrbInPlace};

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
        entry::<RtrbInPlace, W>(),
        entry::<Rtrb, W>(),
        entry::<RingbufInPlace, W>(),
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
        holds_its_messages::<RtrbInPlace, 16>();
        holds_its_messages::<Rtrb, 56>();
        holds_its_messages::<RingbufInPlace, 56>();
        holds_its_messages::<Ringbuf, 8>();
        holds_its_messages::<Disruptor, 16>();
        holds_its_messages::<Crossbeam, 56>();
        holds_its_messages::<SyncChannel, 8>();
    }
}
