//! The sending ends of a lane: to the next lane, and to the host's thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::chain::{Accept, Trace};
use super::counters::{Counter, Counters};
use super::idle::{Idle, Waiter};
use super::lane::Control;
use super::ring::Sender;
use super::wire::{Encode, Signals};
use super::word::Word;
use crate::stages::Signal;

/// To the next lane. A full ring makes this lane wait: only the host's own
/// rings drop, and they count what they drop.
pub(crate) struct LaneOutlet {
    pub(crate) sender: Sender,
    pub(crate) idle: Idle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
}

impl<W: Encode> Accept<W> for LaneOutlet {
    #[inline]
    fn accept(&mut self, message: &W::View<'_>, trace: &mut Trace) {
        let published = trace.last();
        let send = |sender: &mut Sender| {
            sender
                .try_send(|words| W::encode(message, published, words))
                .is_ok()
        };
        if send(&mut self.sender) {
            return;
        }
        self.counters.bump(Counter::RingWaits);
        let mut waiter = Waiter::new(self.idle);
        // The message is lost only when the engine ends or has failed.
        while !send(&mut self.sender) && !self.control.must_stop() {
            waiter.wait();
        }
    }
}

/// To the host's thread.
pub(crate) struct HostOutlet {
    pub(crate) sender: Sender,
    pub(crate) published: Word,
    pub(crate) count: u64,
    pub(crate) counters: Arc<Counters>,
}

impl Accept<Signals> for HostOutlet {
    #[inline]
    fn accept(&mut self, signal: &Signal<'_>, trace: &mut Trace) {
        let stamp = trace.last();
        let sent = self
            .sender
            .try_send(|words| Signals::encode(signal, stamp, words));
        if sent.is_err() {
            self.counters.bump(Counter::DroppedEgressRingFull);
            return;
        }
        self.count += 1;
        // The last store on the path: it makes the signal visible to an inlined
        // poll, which looks at nothing else.
        self.published.store(self.count, Ordering::Release);
    }
}
