//! Work: markers, and messages that are rehearsed.

use std::time::{Duration, Instant};

use super::*;
use crate::abi::EventKind;
use crate::messages::market::Trade;
use crate::messages::wire::{Encode, Events};
use crate::messages::{Body, Ends, Event, InstrumentId, Marker, Meta, PairId};
use crate::pipeline::inlet::Spares;
use crate::stages::Triggers;
use crate::sync::ring::{Receiver, Sender, Watch, ring};
use crate::telemetry::counters::Snapshot;
use crate::telemetry::heartbeat::{Rehearsed, heartbeat};
use crate::telemetry::hops::{self, Hop};

/// Added to the numbers of events that are rehearsed.
const REHEARSED: i64 = 1_000_000;
/// Events with this number and later ones only update a state.
const UPDATES: u64 = 1_000;

/// The numbers of events, and minus the numbers of markers, in the order of arrival.
#[derive(Default)]
struct Seen(Vec<i64>);

impl Accept<Events> for Seen {
    fn accept(&mut self, event: &Event<'_>, trace: &mut Trace) {
        let added = if trace.is_rehearsal() { REHEARSED } else { 0 };
        self.0.push(added + event.meta.input_sequence as i64);
        trace.mark(Stage::Factor);
        trace.updated_only = event.meta.input_sequence >= UPDATES;
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
    assert_eq!((work.turn(BATCH), work.looks), (3, 0));
    assert_eq!(work.head.0, [1, -1, 2]);
    assert_eq!((work.turn(BATCH), work.looks), (0, 1));
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
        is_shared: false,
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
    let mut work = Work::new(make(inlet), first, head, trace, recorder, counters);
    work.rehearse(&how, &Clock::new(false), 1, rehearsed());
    (sender, work)
}

fn rehearsed() -> Rehearsed {
    heartbeat(&Clock::new(false), 1_000).1.rehearsed()
}

/// Turns until so many messages have been rehearsed.
fn turn_until<W: Wire, A: Accept<W> + Send, I: Inlet>(work: &mut Work<W, A, I>, rehearsals: u64) {
    let limit = Instant::now() + Duration::from_secs(60);
    while count(work) < rehearsals {
        assert!(Instant::now() < limit);
        assert_eq!(work.turn(BATCH), 0);
    }
}

fn count<W, A, I>(work: &Work<W, A, I>) -> u64 {
    Snapshot::of(std::slice::from_ref(&work.counters)).get(Counter::Rehearsals)
}

/// Where reading the clock is a system call, no lane rehearses.
fn lanes_rehearse() -> bool {
    Clock::new(false).reads_tsc()
}

#[test]
fn a_lane_without_messages_rehearses_the_last_ones_that_make_signals() {
    if !lanes_rehearse() {
        return;
    }
    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Trade]);
    for _ in 0..10 {
        assert_eq!(work.turn(BATCH), 0);
    }
    assert_eq!((&work.head.0[..], count(&work)), (&[][..], 0));
    send_event(&mut sender, 7);
    assert_eq!(work.turn(BATCH), 1);
    turn_until(&mut work, 3);
    assert_eq!(
        work.head.0,
        [7, REHEARSED + 7, REHEARSED + 7, REHEARSED + 7]
    );
    // A real one does not wait for more of them.
    send_event(&mut sender, 8);
    assert_eq!(work.turn(BATCH), 1);
    assert_eq!(work.head.0[4..], [8]);

    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Depth]);
    send_event(&mut sender, 7);
    for _ in 0..1_000 {
        work.turn(BATCH);
    }
    assert_eq!((&work.head.0[..], count(&work)), (&[7][..], 0));
}

#[test]
fn a_message_that_only_updates_a_state_puts_no_rehearsal_off() {
    if !lanes_rehearse() {
        return;
    }
    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Trade]);
    send_event(&mut sender, 7);
    assert_eq!(work.turn(BATCH), 1);
    turn_until(&mut work, 1);
    for (number, more) in [(UPDATES, 1), (UPDATES + 1, 1), (7, 0)] {
        // Longer than any rest.
        std::thread::sleep(Duration::from_millis(60));
        let before = count(&work);
        send_event(&mut sender, number);
        assert_eq!(work.turn(BATCH), 1);
        assert_eq!(work.turn(BATCH), 0);
        assert_eq!(count(&work), before + more, "{number}");
    }
}

#[test]
fn a_lane_that_was_away_does_not_rehearse_where_the_host_stands_in() {
    if !lanes_rehearse() {
        return;
    }
    for is_shared in [true, false] {
        let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Trade]);
        let how = Rehearsing {
            interval: Duration::ZERO,
            triggers: Triggers::new(&[EventKind::Trade]),
            is_shared,
        };
        work.rehearse(&how, &Clock::new(false), 1, rehearsed());
        send_event(&mut sender, 7);
        assert_eq!(work.turn(BATCH), 1);
        turn_until(&mut work, 1);
        let before = count(&work);
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(3));
            assert_eq!(work.turn(BATCH), 0);
        }
        assert_eq!(count(&work) == before, is_shared);
        turn_until(&mut work, before + 10);
    }
}

/// Something to rehearse for a lane that finds no message.
fn give<I: Inlet>(
    sender: &mut Sender,
    work: &mut Work<Events, Seen, I>,
    ring: fn(&mut I) -> &mut Receiver,
) {
    send_event(sender, 1);
    let words = ring(&mut work.inlet).try_receive(<[u64]>::to_vec).unwrap();
    work.trace.begin();
    work.trace.mark(Stage::Factor);
    let rehearsal = work.rehearsal.as_mut().unwrap();
    rehearsal.see(&words, Some(EventKind::Trade), &work.trace);
}

#[test]
fn a_message_that_comes_just_before_a_rehearsal_takes_its_place() {
    if !lanes_rehearse() {
        return;
    }
    let (mut sender, mut work) = rehearsing(Late, &[EventKind::Trade]);
    give(&mut sender, &mut work, |late| &mut late.0);
    // Enough that each kept message is overwritten several times.
    for number in 2..300 {
        let before = count(&work);
        send_event(&mut sender, number);
        let limit = Instant::now() + Duration::from_secs(60);
        while work.turn(BATCH) == 0 {
            assert!(Instant::now() < limit);
        }
        assert_eq!(*work.head.0.last().unwrap(), number as i64);
        assert_eq!(count(&work), before);
    }
    let before = work.head.0.len();
    turn_until(&mut work, 10);
    assert!(
        work.head.0[before..]
            .iter()
            .all(|&number| number > REHEARSED)
    );
    // A marker is no rehearsal either, though the lane's last message was one.
    let before = count(&work);
    send_marker(&mut sender, 1);
    let limit = Instant::now() + Duration::from_secs(60);
    while *work.head.0.last().unwrap() != -1 {
        assert!(Instant::now() < limit);
        assert_eq!(work.turn(BATCH) == 1, *work.head.0.last().unwrap() == -1);
    }
    assert_eq!(count(&work), before);
}

/// The work of a lane with factor and model that never waits between two rehearsals.
fn head<A: Accept<Events> + Send>(timing: bool, head: A) -> (Sender, Work<Events, A, Receiver>) {
    let (sender, inlet) = ring(8, Events::words(4));
    let clock = Clock::new(timing);
    let hops = [Stage::Factor, Stage::Model].map(Hop::work);
    let hops = [&hops[..], &[Hop::wait(Stage::Factor)]].concat();
    let (recorder, _) = hops::recorder(&hops, &clock);
    let trace = Trace::new(clock.clone(), Stage::Factor, Stage::Model, 1);
    let how = Rehearsing {
        interval: Duration::ZERO,
        triggers: Triggers::new(&[EventKind::Trade]),
        is_shared: false,
    };
    let mut work = Work::new(inlet, Stage::Factor, head, trace, recorder, Counters::new());
    work.rehearse(&how, &clock, 1, rehearsed());
    (sender, work)
}

/// Counts how often its stages have run. The model takes 20 us, or as long again while it is
/// cold.
struct Slow {
    factor: u32,
    model: u32,
}

impl Accept<Events> for Slow {
    fn accept(&mut self, _: &Event<'_>, trace: &mut Trace) {
        if trace.is_rehearsal() && trace.breaks_off(Stage::Factor) {
            return;
        }
        self.factor += 1;
        trace.mark(Stage::Factor);
        if trace.is_rehearsal() && trace.breaks_off(Stage::Model) {
            return;
        }
        self.model += 1;
        std::thread::sleep(Duration::from_micros(20));
        trace.mark(Stage::Model);
    }
    fn on_marker(&mut self, _: Marker) {}
}

#[test]
fn a_stage_that_takes_long_is_left_out_with_timing_and_without() {
    for timing in [true, false] {
        if !lanes_rehearse() {
            return;
        }
        let (mut sender, mut work) = head(
            timing,
            Slow {
                factor: 0,
                model: 0,
            },
        );
        send_event(&mut sender, 1);
        assert_eq!(work.turn(BATCH), 1);
        // Twice a first one, which may be cold, and one that shows.
        turn_until(&mut work, 300);
        assert_eq!(work.head.model, 1 + 4, "timing {timing}");
        assert!(work.head.factor > 250, "{}", work.head.factor);
        // A message is no rehearsal.
        send_event(&mut sender, 2);
        assert_eq!((work.turn(BATCH), work.head.model), (1, 6));
    }
}

/// A pipeline that is cold in every second run: its factors then take 20 us, else nothing.
#[derive(Default)]
struct Cools(u64);

const COLD: Duration = Duration::from_micros(20);

impl Accept<Events> for Cools {
    fn accept(&mut self, _: &Event<'_>, trace: &mut Trace) {
        if trace.is_rehearsal() && !trace.breaks_off(Stage::Factor) {
            self.0 += 1;
            let until = Instant::now() + COLD;
            while self.0 % 2 == 1 && Instant::now() < until {}
        }
        trace.mark(Stage::Model);
    }
    fn on_marker(&mut self, _: Marker) {}
}

#[test]
fn cold_rehearsals_owe_their_rest_and_their_time_is_told() {
    if !lanes_rehearse() {
        return;
    }
    const PAIRS: u32 = 60;
    let (mut sender, mut work) = head(true, Cools::default());
    let clock = Clock::new(true);
    let (_, reader) = heartbeat(&clock, 1_000);
    let how = Rehearsing {
        interval: Duration::ZERO,
        triggers: Triggers::new(&[EventKind::Trade]),
        is_shared: false,
    };
    work.rehearse(&how, &clock, 1, reader.rehearsed());
    send_event(&mut sender, 1);
    assert_eq!(work.turn(BATCH), 1);
    let began = Instant::now();
    turn_until(&mut work, 2 * u64::from(PAIRS));
    // Some rest may still be owed: that of 50 us, and of the last one.
    assert!(
        began.elapsed() > 99 * (PAIRS - 10) * COLD,
        "{:?}",
        began.elapsed()
    );
    assert!(reader.rehearsed_ns() >= (PAIRS * COLD).as_nanos() as u64);
    assert!(reader.rehearsed_ns() < began.elapsed().as_nanos() as u64);
}

/// Sends a message to its own lane while it rehearses.
struct Interrupts {
    sender: Option<Sender>,
    broke_off: Vec<bool>,
    events: u32,
}

impl Accept<Events> for Interrupts {
    fn accept(&mut self, _: &Event<'_>, trace: &mut Trace) {
        if !trace.is_rehearsal() {
            self.events += 1;
            trace.mark(Stage::Model);
            return;
        }
        self.broke_off.push(trace.breaks_off(Stage::Factor));
        if let Some(sender) = &mut self.sender {
            send_event(sender, 2);
        }
        self.broke_off.push(trace.breaks_off(Stage::Model));
    }
    fn on_marker(&mut self, _: Marker) {}
}

#[test]
fn a_rehearsal_ends_before_the_next_stage_once_a_message_has_come() {
    if !lanes_rehearse() {
        return;
    }
    let interrupts = Interrupts {
        sender: None,
        broke_off: Vec::new(),
        events: 0,
    };
    let (mut sender, mut work) = head(true, interrupts);
    send_event(&mut sender, 1);
    assert_eq!(work.turn(BATCH), 1);
    turn_until(&mut work, 1);
    assert!(!work.head.broke_off.contains(&true));
    let before = work.head.broke_off.len();
    work.head.sender = Some(sender);
    let limit = Instant::now() + Duration::from_secs(60);
    // The turn that rehearses also takes the message.
    while work.turn(BATCH) == 0 {
        assert!(Instant::now() < limit);
    }
    assert_eq!(work.head.events, 2);
    assert_eq!(work.head.broke_off[before..], [false, true]);
}

#[test]
fn the_last_update_is_rehearsed_too() {
    if !lanes_rehearse() {
        return;
    }
    let (mut sender, mut work) = rehearsing(|ring| ring, &[EventKind::Depth]);
    let rehearsal = work.rehearsal.as_mut().unwrap();
    let mut see = |number, kind| {
        send_event(&mut sender, number);
        let words = work.inlet.try_receive(<[u64]>::to_vec).unwrap();
        work.trace.begin();
        work.trace.mark(Stage::Factor);
        rehearsal.see(&words, Some(kind), &work.trace);
    };
    see(1, EventKind::Trade);
    see(2, EventKind::IndexPrice);
    see(3, EventKind::Depth);
    turn_until(&mut work, 40);
    for (number, is_rehearsed) in [(1, true), (2, false), (3, true)] {
        assert_eq!(
            work.head.0.contains(&(REHEARSED + number)),
            is_rehearsed,
            "{number}"
        );
    }
}
