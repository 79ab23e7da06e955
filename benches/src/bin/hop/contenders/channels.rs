//! Channels: each message is copied out.

use super::{Contender, Message, Rx, SLOTS, Tx};

pub struct Crossbeam;

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

pub struct SyncChannel;

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
