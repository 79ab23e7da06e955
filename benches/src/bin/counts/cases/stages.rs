//! Each stage alone, with an instrument that it knows.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::Map;
use signal::abi::{self, EventKind};
use signal::factors;
use signal::messages::wire::{self, Encode, Events, RawEvents, Wire};
use signal::messages::{Ends, Event, FactorVector, InstrumentId, Meta, ModelId, Names, Prediction};
use signal::models::Model;
use signal::stages::{Callback, Egress, Factor, Ingest, ModelStage, Rules, Triggers};

use super::events::{self, DIFFERENT, Payload};
use super::{Entry, Made, each, entry, models as kernels};

const INSTRUMENTS: usize = 16;

const META: Meta = Meta {
    input_sequence: 1,
    instrument: InstrumentId(0),
    timestamp: 0,
    arrival: 0,
};

pub fn cases() -> Vec<Entry> {
    let mut cases = Vec::new();
    let ingests = [
        ("Depth, 1 level", EventKind::Depth, 1),
        ("Depth, 10 levels", EventKind::Depth, abi::LEVELS),
        ("Ticker", EventKind::Ticker, 1),
        ("Trade", EventKind::Trade, 1),
        ("IndexPrice", EventKind::IndexPrice, 1),
    ];
    for (what, kind, levels) in ingests {
        let name = format!("ingest, {what}");
        cases.push(entry(name, move || Ok(ingest(kind, levels))));
    }
    for set in ["test0000", "market"] {
        for kind in EventKind::ALL {
            let name = format!("factor {set}, {kind:?}");
            cases.push(entry(name, move || factor(set, &[kind])));
        }
    }
    // A book after a trade finds what is made of trades out of date.
    cases.push(entry("factor market, Trade and Depth", || {
        factor("market", &[EventKind::Trade, EventKind::Depth])
    }));
    cases.push(entry("model stage, test0000", || {
        model_stage(kernels::builtin("test0000")?)
    }));
    cases.push(entry("model stage, linear", || {
        model_stage(kernels::linear()?)
    }));
    cases.push(entry("egress", || Ok(egress())));
    cases
}

fn ingest(kind: EventKind, levels: usize) -> Box<dyn super::Case> {
    let events = raw(kind, levels);
    let mut ingest = ingest_of(levels);
    each(move |number| {
        let (raw, _) = RawEvents::decode(&events[number % DIFFERENT]);
        let result = ingest.on(&raw, |event| {
            black_box(&event);
        });
        assert!(result.is_ok());
    })
}

fn ingest_of(levels: usize) -> Ingest {
    let names = Arc::new(Names::new(INSTRUMENTS));
    Ingest::new(levels, names, Rules::default())
}

/// Events as the host's thread copies them.
fn raw(kind: EventKind, levels: usize) -> Vec<Vec<u64>> {
    let carry = |event: &Payload| {
        let mut words = vec![0; wire::raw_words(levels)];
        wire::carry(&event.event(), levels, 1, 0, &mut words);
        words
    };
    events::of(kind).iter().map(carry).collect()
}

/// A call hands in one event of each of these kinds; a Depth triggers.
fn factor(set: &str, kinds: &[EventKind]) -> Made {
    let sets = factors::Registry::builtin();
    let set = sets
        .get(set)
        .ok_or_else(|| format!("no factor set {set}"))?;
    let prepared = set.prepare(&Map::new())?;
    let levels = prepared.levels();
    let mut factor = Factor::new(
        vec![prepared.bank(INSTRUMENTS)],
        None,
        Triggers::new(&[EventKind::Depth]),
        Arc::new(Names::new(INSTRUMENTS)),
        Ingest::pairs(INSTRUMENTS),
    );
    let events: Vec<Vec<Event<'static>>> =
        kinds.iter().map(|&kind| checked(kind, levels)).collect();
    let mut give = move |event: &Event<'static>| {
        factor.on(
            event,
            |vector| {
                black_box(&vector);
            },
            |panic| panic!("{} panicked", panic.set),
        );
    };
    // An index price is for instruments that have been heard of.
    give(&checked(EventKind::Depth, levels)[0]);
    Ok(each(move |number| {
        for events in &events {
            give(&events[number % DIFFERENT]);
        }
    }))
}

/// Events as ingest hands them on. Their numbers stay for as long as the program
/// runs, which is not for long.
fn checked(kind: EventKind, levels: usize) -> Vec<Event<'static>> {
    let mut ingest = ingest_of(levels);
    let mut check = |words: Vec<u64>| {
        let (raw, _) = RawEvents::decode(&words);
        let mut checked = vec![0; words.len()];
        let result = ingest.on(&raw, |event| Events::encode(&event, 0, &mut checked));
        assert!(result.is_ok());
        Events::decode(checked.leak()).0
    };
    raw(kind, levels).into_iter().map(&mut check).collect()
}

fn model_stage(model: Box<dyn Model>) -> Made {
    let rows = kernels::rows();
    let mut stage = ModelStage::new(vec![model], Callback::default());
    Ok(each(move |number| {
        let vector = FactorVector {
            meta: META,
            ends: Ends::Event,
            values: &rows[number % DIFFERENT],
        };
        stage.on(
            &vector,
            |prediction| {
                black_box(&prediction);
            },
            |panic| panic!("{:?} panicked", panic.model),
        );
    }))
}

fn egress() -> Box<dyn super::Case> {
    let values = [1.0; 2];
    let mut egress = Egress::conflating(INSTRUMENTS, 1, values.len());
    each(move |_| {
        let prediction = Prediction {
            meta: META,
            model: Some(ModelId(0)),
            ends: Ends::Event,
            values: &values,
        };
        egress.on(&prediction, |signal| {
            black_box(signal);
            true
        });
    })
}
