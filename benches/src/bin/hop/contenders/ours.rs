//! The library's ring.

use signal::sync::ring::{Receiver, Sender, ring};

use super::{Contender, Message, Rx, SLOTS, Tx};

pub struct OursInPlace;

impl<const W: usize> Contender<W> for OursInPlace {
    const NAME: &'static str = "ours, in place";
    const HOW: &'static str = "signal::sync::ring; read in its slot, which is freed afterwards; each look in vain \
         prefetches the next slot, a part of the ring's API that lanes use";
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
        let received =
            self.try_receive(|words| take(words.try_into().expect("a message has W words")));
        if received.is_none() {
            // As a lane does.
            self.prefetch();
        }
        received
    }
}

pub struct OursCopied;
struct CopyingReceiver(Receiver);

impl<const W: usize> Contender<W> for OursCopied {
    const NAME: &'static str = "ours, copied out";
    const HOW: &'static str =
        "the same, prefetch too; copied out and the slot freed before it is read";
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
        let Some(message) = self.0.try_receive(copy) else {
            self.0.prefetch();
            return None;
        };
        Some(take(&message.0))
    }
}
