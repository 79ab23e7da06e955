//! Every order in which a lane and the host's thread can meet over the lane's work.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sync::ring::{Receiver, ring};

/// More than the ring has slots.
const MESSAGES: u64 = 3;

/// Work that wants each message once, in order.
struct InOrder {
    inlet: Receiver,
    next: u64,
}

impl Turn for InOrder {
    fn prime(&mut self) {}
    fn turn(&mut self, most: usize) -> usize {
        let mut handled = 0;
        while handled < most
            && let Some(number) = self.inlet.try_receive(|words| words[0])
        {
            assert_eq!(number, self.next);
            self.next += 1;
            handled += 1;
        }
        handled
    }
    fn flush(&mut self) -> bool {
        false
    }
    fn discard(&mut self) -> usize {
        0
    }
    fn hand_over(&mut self) {}
    fn finish(self: Box<Self>) {
        assert_eq!(self.next, MESSAGES);
    }
    fn renew(&self, watch: &mut Watch) {
        self.inlet.renew(watch);
    }
}

/// The host sends, and stands in where it finds no room, then for what is left. The lane takes its
/// turns meanwhile.
#[test]
fn loom_whoever_has_the_work_receives_each_message_once_and_in_order() {
    static BY_LANE: AtomicUsize = AtomicUsize::new(0);
    static BY_HOST: AtomicUsize = AtomicUsize::new(0);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let control = Control::new(1);
        let (mut sender, inlet) = ring(2, 1);
        let watch = inlet.watch();
        let mut lane = shared(Box::new(InOrder { inlet, next: 0 }), watch);
        let host = lane.stand_in().unwrap();
        let thread = loom::thread::spawn(move || {
            let handled: usize = (0..2).map(|_| lane.turn(1)).sum();
            BY_LANE.fetch_add(handled, Ordering::Relaxed);
            (lane, handled)
        });
        let mut handled = 0;
        for number in 0..MESSAGES {
            while sender.try_send(|words| words[0] = number).is_err() {
                match host.stand_in(&control) {
                    0 => yield_now(),
                    some => handled += some,
                }
            }
        }
        handled += host.stand_in(&control);
        let (lane, by_lane) = thread.join().unwrap();
        while host.stand_in(&control) > 0 {
            handled += 1;
        }
        assert!(!control.has_failed());
        assert_eq!((by_lane + handled) as u64, MESSAGES);
        BY_HOST.fetch_add(handled, Ordering::Relaxed);
        lane.finish();
    });
    // The model is worth nothing if one of them never comes to it.
    assert!(BY_LANE.load(Ordering::Relaxed) > 0 && BY_HOST.load(Ordering::Relaxed) > 0);
}
