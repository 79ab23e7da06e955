//! Work: markers, and messages that are rehearsed.

use std::time::Duration;

use super::*;
use crate::abi::EventKind;
use crate::messages::market::Trade;
use crate::messages::wire::{Encode, Events};
use crate::messages::{Body, Ends, Event, InstrumentId, Marker, Meta, PairId};
use crate::pipeline::inlet::Spares;
use crate::stages::Triggers;
use crate::sync::ring::{Receiver, Sender, Watch, ring};
use crate::telemetry::counters::Snapshot;
use crate::telemetry::hops::{self, Hop};

/// Added to the numbers of events that are rehearsed.
const REHEARSED: i64 = 1_000_000;

/// The numbers of events, and minus the numbers of markers, in the order of arrival.
#[derive(Default)]
struct Seen(Vec<i64>);

impl Accept<Events> for Seen {
    fn accept(&mut self, event: &Event<'_>, trace: &mut Trace) {
        let added = if trace.is_rehearsal() { REHEARSED } else { 0 };
        self.0.push(added + event.meta.input_sequence as i64);
        trace.mark(Stage::Factor);
    }
    fn on_marker(&mut self, marker: Marker) {
        self.0.push(-(marker.number() as i64));
    }
}

fn work() -> (Sender, Work<Events, Seen, Receiver>) {
    let (sender, inlet) = ring(8, Events::words(4));
    let clock = Clock::new(false);
    let (recorder, _) = hops::recorder(&[], &clock);
    let trace = Trace::new(clock, Stage::Factor, Stage::Factor, 1);
    let head = Seen::default();
    let work = Work::new(inlet, Stage::Factor, head, trace, recorder, Counters::new());
    (sender, work)
}

fn send_event(sender: &mut Sender, number: u64) {
    let event = Event {
        meta: Meta {
            input_sequence: number,
            instrument: InstrumentId(0),
            timestamp: 0,
            arrival: 0,
        },
        pair: PairId(0),
        ends: Ends::Event,
        body: Body::Trade(Trade {
            timestamp: 0,
            price: 1.0,
            volume: 1.0,
            side: 0,
        }),
    };
    let sent = sender.try_send(|words| Events::encode(&event, 0, words));
    sent.expect("there is room");
}

fn send_marker(sender: &mut Sender, number: u64) {
    let sent = sender.try_send(|words| Events::encode_marker(Marker(number), words));
    sent.expect("there is room");
}

#[test]
fn a_marker_arrives_between_the_events_around_it() {
    let (mut sender, mut work) = work();
    send_event(&mut sender, 1);
    send_marker(&mut sender, 1);
    send_event(&mut sender, 2);
    assert_eq!((work.turn(), work.looks), (3, 0));
    assert_eq!(work.head.0, [1, -1, 2]);
    assert_eq!((work.turn(), work.looks), (0, 1));
}

#[test]
fn a_marker_that_is_discarded_is_no_lost_event() {
    let (mut sender, mut work) = work();
    send_event(&mut sender, 1);
    send_marker(&mut sender, 1);
    send_event(&mut sender, 2);
    assert_eq!(work.discard(), 3);
    let counters = Snapshot::of(std::slice::from_ref(&work.counters));
    assert_eq!(counters.get(Counter::DroppedStageStopped), 2);
    assert!(work.head.0.is_empty());
}

/// A ring that hides its message from whoever has nothing to rehearse: the message comes
/// between the empty poll and the rehearsal.
struct Late(Receiver);

impl Inlet for Late {
    fn try_receive<R>(
        &mut self,
        spare: Option<&[u64]>,
        take: impl FnOnce(Received<'_>) -> R,
    ) -> Option<R> {
        spare?;
        Inlet::try_receive(&mut self.0, spare, take)
    }
    fn spares(&self) -> Option<Spares> {
        self.0.spares()
    }
    fn renew(&self, watch: &mut Watch) {
        self.0.renew(watch);
    }
    fn note_level(&mut self) {}
    fn prefetch(&self) {}
}

/// As [`work`], with rehearsals of what these kinds send, as often as possible.
fn rehearsing<I: Inlet>(
    make: impl FnOnce(Receiver) -> I,
    kinds: &[EventKind],
) -> (Sender, Work<Events, Seen, I>) {
    let (sender, work) = work();
    let how = Rehearsing {
        interval: Duration::ZERO,
        triggers: Triggers::new(kinds),
    };
    let Work {
        inlet,
        first,
        head,
        trace,
        recorder,
        counters,
        ..
    } = work;
    let work = Work::new(make(inlet), first, head, trace, recorder, counters);
    (sender, work.rehearsing(&how, &Clock::new(false), 1))
}

fn rehearsals<I: Inlet>(work: &Work<Events, Seen, I>) -> u64 {
    Snapshot::of(std::slice::from_ref(&work.counters)).get(Counter::Rehearsals)
}

#[test]
fn a_lane_without_messages_rehearses_the_last_ones_that_make_signals() {
    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Trade]);
    for _ in 0..10 {
        assert_eq!(work.turn(), 0);
    }
    assert_eq!((&work.head.0[..], rehearsals(&work)), (&[][..], 0));
    send_event(&mut sender, 7);
    assert_eq!(work.turn(), 1);
    while rehearsals(&work) < 3 {
        assert_eq!(work.turn(), 0);
    }
    assert_eq!(
        work.head.0,
        [7, REHEARSED + 7, REHEARSED + 7, REHEARSED + 7]
    );
    // A real one does not wait for more of them.
    send_event(&mut sender, 8);
    assert_eq!(work.turn(), 1);
    assert_eq!(work.head.0[4..], [8]);

    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Depth]);
    send_event(&mut sender, 7);
    for _ in 0..1_000 {
        work.turn();
    }
    assert_eq!((&work.head.0[..], rehearsals(&work)), (&[7][..], 0));
}

#[test]
fn a_message_that_comes_just_before_a_rehearsal_takes_its_place() {
    let (mut sender, mut work) = rehearsing(Late, &[EventKind::Trade]);
    // Something to rehearse.
    let kept = vec![0; work.inlet.spares().unwrap().words];
    send_event(&mut sender, 1);
    assert_eq!(
        work.inlet.0.try_receive(|words| kept.len() == words.len()),
        Some(true)
    );
    work.trace.begin();
    work.trace.mark(Stage::Factor);
    let words = {
        send_event(&mut sender, 1);
        work.inlet.0.try_receive(<[u64]>::to_vec).unwrap()
    };
    let rehearsal = work.rehearsal.as_mut().unwrap();
    rehearsal.see(&words, Some(EventKind::Trade), &work.trace);
    // Enough that each kept message is overwritten several times.
    for number in 2..300 {
        let before = rehearsals(&work);
        send_event(&mut sender, number);
        while work.turn() == 0 {}
        assert_eq!(*work.head.0.last().unwrap(), number as i64);
        assert_eq!(rehearsals(&work), before);
    }
    while rehearsals(&work) < 10 {
        work.turn();
    }
    assert!(work.head.0[298..].iter().all(|&number| number > REHEARSED));
}

#[test]
fn a_stage_that_takes_long_is_left_out_after_a_while() {
    struct Slow(u32);
    impl Accept<Events> for Slow {
        fn accept(&mut self, _: &Event<'_>, trace: &mut Trace) {
            if !trace.ends_before(Stage::Factor) {
                self.0 += 1;
                std::thread::sleep(Duration::from_micros(20));
                trace.mark(Stage::Factor);
            }
        }
        fn on_marker(&mut self, _: Marker) {}
    }
    let (mut sender, inlet) = ring(8, Events::words(4));
    let clock = Clock::new(true);
    let (recorder, _) = hops::recorder(
        &[Hop::work(Stage::Factor), Hop::wait(Stage::Factor)],
        &clock,
    );
    let trace = Trace::new(clock.clone(), Stage::Factor, Stage::Factor, 1);
    let how = Rehearsing {
        interval: Duration::ZERO,
        triggers: Triggers::new(&[EventKind::Trade]),
    };
    let mut work = Work::new(
        inlet,
        Stage::Factor,
        Slow(0),
        trace,
        recorder,
        Counters::new(),
    )
    .rehearsing(&how, &clock, 1);
    send_event(&mut sender, 1);
    assert_eq!(work.turn(), 1);
    let counters = work.counters.clone();
    let rehearsals = || Snapshot::of(std::slice::from_ref(&counters)).get(Counter::Rehearsals);
    while rehearsals() < 20 {
        assert_eq!(work.turn(), 0);
    }
    // The message, and the rehearsals after which it is known.
    assert_eq!(work.head.0, 1 + 16);
    // A message is not a rehearsal.
    send_event(&mut sender, 2);
    assert_eq!((work.turn(), work.head.0), (1, 18));
}
