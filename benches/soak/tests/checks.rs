//! The soak's own checks: books that do not balance and memory that grows are
//! found out. The soak itself is the program `soak`.

use signal_soak::accounts::{self, Counters};
use signal_soak::cases;
use signal_soak::feed::{self, Call, Feed, Given};
use signal_soak::memory::{self, CASE_KIB, HEAP_KIB, TREND_KIB};
use signal_soak::process::Footprint;
use signal_soak::round::Round;

/// A host that gave 100 depths and 20 trades: 3 events were refused, 7 dropped, and
/// of the signals of 90 depths 4 were lost.
const GIVEN: Given = Given {
    kinds: [100, 0, 20, 0],
    null_data: 2,
    unknown_type: 1,
    bad_symbol: 1,
    bad_price: 2,
    bad_size: 0,
};
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

fn check(counters: &[(&'static str, u64)], given: &Given) -> Vec<String> {
    let case = &cases::all()[0];
    accounts::check(case, &Counters::new(counters), given, CALLBACKS)
}

#[test]
fn books_that_balance_are_accepted() {
    assert_eq!(check(&BALANCED, &GIVEN), Vec::<String>::new());
    assert!(Counters::new(&BALANCED).at_rest());
}

#[test]
fn a_counter_that_is_off_by_one_is_found() {
    for (place, (name, count)) in BALANCED.into_iter().enumerate() {
        let mut counters = BALANCED;
        counters[place].1 = count + 1;
        assert_ne!(check(&counters, &GIVEN), Vec::<String>::new(), "{name}");
    }
    for (place, name) in ["refused_not_an_asset", "refused_failed", "dropped_new"]
        .into_iter()
        .enumerate()
    {
        let mut counters = BALANCED.to_vec();
        counters.insert(place, (name, 1));
        assert_ne!(check(&counters, &GIVEN), Vec::<String>::new(), "{name}");
    }
    let unknown: Vec<_> = BALANCED.into_iter().chain([("teleported", 0)]).collect();
    assert_eq!(check(&unknown, &GIVEN).len(), 1);
}

#[test]
fn signals_that_are_conflated_or_queued_are_in_the_books() {
    let with = |more: &[(&'static str, u64)]| {
        let counters: Vec<_> = BALANCED
            .into_iter()
            .map(|(name, count)| match name {
                "dropped_egress_ring_full" => (name, count - 1),
                _ => (name, count),
            })
            .chain(more.iter().copied())
            .collect();
        counters
    };
    let conflated = with(&[("conflated_egress", 1), ("queued", 0)]);
    assert_eq!(check(&conflated, &GIVEN), Vec::<String>::new());
    let queued = Counters::new(&with(&[("queued", 1)]));
    assert!(!queued.at_rest());
}

#[test]
fn what_lanes_of_models_miss_is_in_the_books() {
    let cases = cases::all();
    let named = |name| cases.iter().find(|case| case.name == name).unwrap();
    let shared = named("two lanes for the models");
    let check = |missed| {
        let mut counters = BALANCED.to_vec();
        for (name, count) in &mut counters {
            match *name {
                // Two models; 3 vectors were missed.
                "signals" => *count = 2 * 90 - 3,
                "delivered" => *count = 2 * 90 - 3 - 4,
                _ => {}
            }
        }
        counters.push(("model_vectors_missed", missed));
        accounts::check(shared, &Counters::new(&counters), &GIVEN, 2 * 90 - 3 - 4)
    };
    assert_eq!(check(3), Vec::<String>::new());
    assert_eq!(check(2).len(), 1);
    assert_eq!(check(4).len(), 1);
}

#[test]
fn a_capture_has_every_event_that_ingest_took_or_counts_it() {
    let cases = cases::all();
    let capture = cases.iter().find(|case| case.capture).unwrap();
    let books = |written, missed, failed| {
        let more = [
            ("capture_written", written),
            ("capture_missed", missed),
            ("capture_failed", failed),
        ];
        let counters: Vec<_> = BALANCED.into_iter().chain(more).collect();
        Counters::new(&counters)
    };
    // 20 updates and 90 answered.
    assert!(books(100, 10, 0).captured());
    assert!(!books(100, 9, 0).captured());
    let check = |counters| accounts::check(capture, &counters, &GIVEN, CALLBACKS);
    assert_eq!(check(books(100, 10, 0)), Vec::<String>::new());
    assert_eq!(check(books(101, 10, 0)).len(), 1);
    assert_eq!(check(books(100, 9, 0)).len(), 1);
    assert_eq!(check(books(100, 9, 1)).len(), 1, "the disk has room");
}

#[test]
fn a_counter_that_goes_back_is_found_and_a_level_may() {
    let earlier = Counters::new(&[("signals", 5), ("in_flight", 9)]);
    let later = Counters::new(&[("signals", 4), ("in_flight", 0)]);
    assert_eq!(later.gone_back(&earlier).len(), 1);
}

/// Rounds of two configurations in turn.
fn rounds(count: usize, footprint: impl Fn(usize) -> (Footprint, Footprint)) -> Vec<Round> {
    (0..count)
        .map(|number| {
            let (full, after) = footprint(number);
            Round {
                case: number % 2,
                rate: 1.0,
                given: Given::default(),
                counters: Counters::new(&[]),
                latency: None,
                health: "ok",
                stalls: (0, 0),
                full,
                after,
                wrong: Vec::new(),
            }
        })
        .collect()
}

#[test]
fn memory_that_grows_is_found() {
    let cases = &cases::all()[..2];
    let flat = Footprint {
        resident_kib: 20_000,
        heap_kib: 500,
        threads: 1,
        descriptors: 5,
    };
    let judge = |footprint: &dyn Fn(u64) -> (Footprint, Footprint)| {
        memory::judge(cases, &rounds(42, |number| footprint(number as u64)))
    };
    // The warm-up may grow as it likes, and rounds may differ a little.
    let judged = judge(&|number| {
        let heap_kib = if number < 2 { 9 } else { 500 + number % 3 };
        (flat, Footprint { heap_kib, ..flat })
    });
    assert_eq!((judged.rounds, judged.heap_kib), (40, 2));
    assert_eq!(judged.wrong, Vec::<String>::new());
    let heap = judge(&|number| {
        let heap_kib = 500 + number * (HEAP_KIB / 40 + 1);
        (flat, Footprint { heap_kib, ..flat })
    });
    assert!(heap.wrong[0].contains("heap"), "{:?}", heap.wrong);
    let trend = judge(&|number| {
        let resident_kib = 20_000 + number * (TREND_KIB as u64 / 39 + 1);
        (
            flat,
            Footprint {
                resident_kib,
                ..flat
            },
        )
    });
    assert_eq!(trend.wrong.len(), 1);
    assert!(trend.wrong[0].contains("rises"), "{:?}", trend.wrong);
    let case = judge(&|number| {
        let resident_kib = 20_000 + number % 2 * number * (CASE_KIB / 36);
        (
            Footprint {
                resident_kib,
                ..flat
            },
            flat,
        )
    });
    assert_eq!(case.case_kib.1, cases[1].name);
    assert!(case.wrong[0].contains("grew"), "{:?}", case.wrong);
}

#[test]
fn the_feed_counts_what_it_makes_and_a_seed_makes_it_again() {
    let make = |seed| {
        let mut feed = Feed::new(seed, 7);
        let calls: Vec<Call> = (0..20_000).map(|_| feed.next_call()).collect();
        let events = calls
            .iter()
            .filter(|call| !matches!(call, Call::Null | Call::Unknown(_)));
        assert_eq!(events.count() as u64, feed.given.events());
        feed.given
    };
    let given = make(3);
    assert_eq!(given, make(3));
    assert_ne!(given, make(4));
    for count in [
        given.null_data,
        given.unknown_type,
        given.bad_symbol,
        given.bad_price,
        given.bad_size,
    ] {
        assert!(count > 10, "{given:?}");
    }
    assert_eq!(feed::instrument(b"S0012USDT"), Some(12));
    assert_eq!(feed::instrument(b"BTCUSDT"), None);
}
