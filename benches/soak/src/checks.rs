//! Books that do not balance and memory that grows are found out.

use crate::accounts::{self, Counters};
use crate::cases::{self, Case};
use crate::feed::{self, Call, Feed};
use crate::memory::{self, CASE_KIB, HEAP_KIB, TREND_KIB};
use crate::process::Footprint;
use crate::round::Round;

/// A host that gave 100 depths and 20 trades: 3 events were refused, 7 dropped, and
/// of the signals of 90 depths 4 were lost.
const GIVEN: [(&str, u64); 9] = [
    ("events_depth", 100),
    ("events_ticker", 0),
    ("events_trade", 20),
    ("events_index_price", 0),
    ("refused_null_data", 2),
    ("refused_unknown_type", 1),
    ("refused_bad_symbol", 1),
    ("refused_bad_price", 2),
    ("refused_bad_size", 0),
];
const BALANCED: [(&str, u64); 18] = [
    ("events_depth", 100),
    ("events_trade", 20),
    ("refused_null_data", 2),
    ("refused_unknown_type", 1),
    ("refused_bad_symbol", 1),
    ("refused_bad_price", 2),
    ("dropped_ingest_ring_full", 7),
    ("ingest_gap", 7),
    ("updates", 20),
    ("answered", 90),
    ("signals", 90),
    ("delivered", 86),
    ("dropped_egress_ring_full", 4),
    ("egress_gap", 4),
    ("in_flight", 0),
    ("triggered", 90),
    ("index_copies", 3),
    ("index_copies_ended", 3),
];
const CALLBACKS: u64 = 86;

fn case(is_it: impl Fn(&&Case) -> bool) -> Case {
    let cases = cases::all();
    cases.into_iter().find(|case| is_it(&case)).unwrap()
}

fn check(counters: &[(&'static str, u64)]) -> Vec<String> {
    let defaults = case(|_| true);
    check_case(&defaults, counters, CALLBACKS)
}

fn check_case(case: &Case, counters: &[(&'static str, u64)], callbacks: u64) -> Vec<String> {
    let (counters, given) = (Counters::new(counters), Counters::new(&GIVEN));
    accounts::check(case, &counters, &given, callbacks)
}

/// The balanced books with more counters.
fn with<const N: usize>(more: [(&'static str, u64); N]) -> Vec<(&'static str, u64)> {
    BALANCED.into_iter().chain(more).collect()
}

#[test]
fn books_that_balance_are_accepted() {
    assert_eq!(check(&BALANCED), Vec::<String>::new());
    assert!(Counters::new(&BALANCED).at_rest());
}

#[test]
fn a_counter_that_is_off_by_one_is_found() {
    for (place, (name, count)) in BALANCED.into_iter().enumerate() {
        let mut counters = BALANCED;
        counters[place].1 = count + 1;
        assert_ne!(check(&counters), Vec::<String>::new(), "{name}");
    }
    for name in ["refused_not_an_asset", "refused_failed", "dropped_new"] {
        assert_ne!(check(&with([(name, 1)])), Vec::<String>::new(), "{name}");
    }
    assert_eq!(check(&with([("teleported", 0)])).len(), 1);
}

#[test]
fn signals_that_are_conflated_or_queued_are_in_the_books() {
    let lost = |name, more| {
        let mut counters = with([(name, 1), more]);
        for (name, count) in &mut counters {
            *count -= u64::from(*name == "dropped_egress_ring_full");
        }
        counters
    };
    let conflated = lost("conflated_egress", ("queued", 0));
    assert_eq!(check(&conflated), Vec::<String>::new());
    let queued = lost("queued", ("rehearsals", 0));
    assert!(!Counters::new(&queued).at_rest());
}

#[test]
fn what_lanes_of_models_miss_is_in_the_books() {
    let shared = case(|case| case.name == "two lanes for the models");
    let check = |missed| {
        let mut counters = with([("model_vectors_missed", missed)]);
        for (name, count) in &mut counters {
            match *name {
                // Two models; 3 vectors were missed.
                "signals" => *count = 2 * 90 - 3,
                "delivered" => *count = 2 * 90 - 3 - 4,
                _ => {}
            }
        }
        check_case(&shared, &counters, 2 * 90 - 3 - 4)
    };
    assert_eq!(check(3), Vec::<String>::new());
    assert_eq!(check(2).len(), 1);
    assert_eq!(check(4).len(), 1);
}

#[test]
fn a_capture_has_every_event_that_ingest_took_or_counts_it() {
    let capture = case(|case| case.capture);
    let books = |written, missed, failed| {
        with([
            ("capture_written", written),
            ("capture_missed", missed),
            ("capture_failed", failed),
        ])
    };
    // 20 updates and 90 answered.
    assert!(Counters::new(&books(100, 10, 0)).captured());
    assert!(!Counters::new(&books(100, 9, 0)).captured());
    let check = |counters: &[_]| check_case(&capture, counters, CALLBACKS);
    assert_eq!(check(&books(100, 10, 0)), Vec::<String>::new());
    assert_eq!(check(&books(101, 10, 0)).len(), 1);
    assert_eq!(check(&books(100, 9, 0)).len(), 1);
    assert_eq!(check(&books(100, 9, 1)).len(), 1, "the disk has room");
}

#[test]
fn a_counter_that_goes_back_is_found_and_a_level_may() {
    let earlier = Counters::new(&[("signals", 5), ("in_flight", 9)]);
    let later = Counters::new(&[("signals", 4), ("in_flight", 0)]);
    assert_eq!(later.gone_back(&earlier).len(), 1);
}

#[test]
fn memory_that_grows_is_found() {
    let cases = &cases::all()[..2];
    const FLAT: Footprint = Footprint {
        resident_kib: 20_000,
        heap_kib: 500,
        threads: 1,
        descriptors: 5,
    };
    // Rounds of two configurations in turn, from what the process holds before and after the
    // destroy of a round's handle.
    let judge = |holds: &dyn Fn(u64) -> (Footprint, Footprint)| {
        let round = |number| {
            let (full, after) = holds(number);
            Round {
                case: number as usize % 2,
                rate: 1.0,
                counters: Counters::new(&[]),
                latency: None,
                health: "ok",
                stalls: (0, 0),
                full,
                after,
                wrong: Vec::new(),
            }
        };
        memory::judge(cases, &(0..42).map(round).collect::<Vec<_>>())
    };
    let heap = |heap_kib| Footprint { heap_kib, ..FLAT };
    let resident = |resident_kib| Footprint {
        resident_kib,
        ..FLAT
    };
    // The warm-up may grow as it likes, and rounds may differ a little.
    let judged = judge(&|number| (FLAT, heap(if number < 2 { 9 } else { 500 + number % 3 })));
    assert_eq!((judged.rounds, judged.heap_kib), (40, 2));
    assert_eq!(judged.wrong, Vec::<String>::new());
    let grows = judge(&|number| (FLAT, heap(500 + number * (HEAP_KIB / 40 + 1))));
    assert!(grows.wrong[0].contains("heap"), "{:?}", grows.wrong);
    let trend = judge(&|number| {
        (
            FLAT,
            resident(20_000 + number * (TREND_KIB as u64 / 39 + 1)),
        )
    });
    assert_eq!(trend.wrong.len(), 1);
    assert!(trend.wrong[0].contains("rises"), "{:?}", trend.wrong);
    let each = CASE_KIB as u64 / 36;
    let case = judge(&|number| (resident(20_000 + number % 2 * number * each), FLAT));
    assert_eq!(case.case_kib.unwrap().1, cases[1].name);
    assert!(case.wrong[0].contains("grew"), "{:?}", case.wrong);
}

#[test]
fn the_feed_counts_what_it_makes_and_a_seed_makes_it_again() {
    let make = |seed| {
        let mut feed = Feed::new(seed, 7);
        let calls: Vec<Call> = (0..20_000).map(|_| feed.next_call()).collect();
        let is_event = |call: &&Call| !matches!(call, Call::Null | Call::Unknown(_));
        let events = calls.iter().filter(is_event).count() as u64;
        assert_eq!(events, feed.given.sum("events_*"));
        feed.given
    };
    let given = make(3);
    assert_eq!(given, make(3));
    assert_ne!(given, make(4));
    assert!(given.iter().all(|(_, count)| count > 10), "{given:?}");
    assert_eq!(feed::instrument(b"S0012USDT"), Some(12));
    assert_eq!(feed::instrument(b"BTCUSDT"), None);
}
