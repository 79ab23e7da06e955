//! Who may do a lane's work, and when.

use std::sync::{Mutex, mpsc};

use super::*;
use crate::pipeline::work::BATCH;
use crate::sync::ring::{Receiver, Sender, ring};

/// A message at which the work panics.
const PANICS: u64 = u64::MAX;
/// A message at which it waits until it is told to go on.
const WAITS: u64 = u64::MAX - 1;

/// What happened to the messages, in their order.
#[derive(Debug, Default)]
struct Seen {
    handled: Vec<u64>,
    discarded: usize,
    has_finished: bool,
}

struct Fake {
    inlet: Receiver,
    seen: Arc<Mutex<Seen>>,
    began: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Turn for Fake {
    fn prime(&mut self) {}
    fn turn(&mut self, most: usize) -> usize {
        let mut handled = 0;
        while handled < most
            && let Some(number) = self.inlet.try_receive(|words| words[0])
        {
            assert_ne!(number, PANICS, "as the test wants it");
            if number == WAITS {
                self.began.send(()).unwrap();
                self.go_on.recv().unwrap();
            }
            self.seen.lock().unwrap().handled.push(number);
            handled += 1;
        }
        handled
    }
    fn flush(&mut self) -> bool {
        false
    }
    fn discard(&mut self) -> usize {
        let mut count = 0;
        while self.inlet.try_receive(|_| ()).is_some() {
            count += 1;
        }
        self.seen.lock().unwrap().discarded += count;
        count
    }
    fn hand_over(&mut self) {}
    fn finish(self: Box<Self>) {
        self.seen.lock().unwrap().has_finished = true;
    }
    fn renew(&self, watch: &mut Watch) {
        self.inlet.renew(watch);
    }
}

struct Setup {
    sender: Sender,
    lane: Box<dyn Turn>,
    host: Arc<dyn StandIn>,
    seen: Arc<Mutex<Seen>>,
    began: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    control: Control,
}

fn setup() -> Setup {
    let (sender, inlet) = ring(16, 1);
    let seen = Arc::<Mutex<Seen>>::default();
    let (began, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let watch = inlet.watch();
    let fake = Fake {
        inlet,
        seen: seen.clone(),
        began,
        go_on: may_go_on,
    };
    let lane = shared(Box::new(fake), watch);
    let host = lane.stand_in().unwrap();
    Setup {
        sender,
        lane,
        host,
        seen,
        began: has_begun,
        go_on,
        control: Control::new(1),
    }
}

impl Setup {
    fn send(&mut self, number: u64) {
        self.sender.try_send(|words| words[0] = number).unwrap();
    }
}

#[test]
fn each_message_is_handled_once_and_in_order_by_whoever_comes() {
    let mut setup = setup();
    setup.send(1);
    assert_eq!(setup.lane.turn(BATCH), 1);
    setup.send(2);
    setup.send(3);
    for handled in [1, 1, 0] {
        assert_eq!(setup.host.stand_in(&setup.control), handled);
    }
    // The lane sees a message that the host has taken, and finds none.
    assert_eq!(setup.lane.turn(BATCH), 0);
    setup.send(4);
    assert_eq!(setup.lane.turn(BATCH), 1);
    assert_eq!(setup.seen.lock().unwrap().handled, [1, 2, 3, 4]);
}

#[test]
fn a_lane_in_the_middle_of_a_message_is_not_stood_in_for() {
    let mut setup = setup();
    setup.send(WAITS);
    let Setup { mut lane, host, .. } = setup;
    let thread = std::thread::spawn(move || lane.turn(BATCH));
    setup.began.recv().unwrap();
    assert_eq!(host.stand_in(&setup.control), 0);
    assert!(host.is_held());
    assert!(setup.seen.lock().unwrap().handled.is_empty());
    setup.go_on.send(()).unwrap();
    assert_eq!(thread.join().unwrap(), 1);
    assert!(!host.is_held());
    assert_eq!(setup.seen.lock().unwrap().handled, [WAITS]);
}

#[test]
fn what_a_panic_on_the_hosts_thread_has_left_is_discarded() {
    let mut setup = setup();
    setup.send(1);
    setup.send(PANICS);
    setup.send(2);
    assert_eq!(setup.host.stand_in(&setup.control), 1);
    assert_eq!(setup.host.stand_in(&setup.control), 0);
    assert!(setup.control.has_failed());
    setup.send(3);
    assert_eq!(setup.host.stand_in(&setup.control), 0);
    assert_eq!(setup.lane.turn(BATCH), 1);
    let seen = setup.seen.lock().unwrap();
    assert_eq!(seen.handled, [1]);
    // The one that panicked was taken before.
    assert_eq!(seen.discarded, 2);
}

#[test]
fn what_a_panic_on_the_lane_has_left_is_not_for_the_host() {
    let mut setup = setup();
    setup.send(PANICS);
    setup.send(2);
    let mut lane = setup.lane;
    let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lane.turn(BATCH)));
    assert!(turn.is_err());
    assert_eq!(setup.host.stand_in(&setup.control), 0);
    assert!(setup.seen.lock().unwrap().handled.is_empty());
    // The one that panicked was taken before.
    assert_eq!(lane.discard(), 1);
}

#[test]
fn work_that_has_ended_is_not_done_any_more() {
    let mut setup = setup();
    setup.send(1);
    setup.lane.finish();
    assert!(setup.seen.lock().unwrap().has_finished);
    assert_eq!(setup.host.stand_in(&setup.control), 0);
    assert!(setup.seen.lock().unwrap().handled.is_empty());
}
