//! Tests of the factor stage.

use super::*;
use crate::factors::{Entry, FactorSet, NoParams, Registry};
use crate::messages::Ends;
use crate::messages::market::{Ticker, Trade};

mod instruments;

/// Last index price and number of trades.
#[derive(Default)]
struct Seen([f64; 2]);

impl FactorSet<2> for Seen {
    const NAME: &'static str = "seen";
    const FACTORS: [&'static str; 2] = ["index", "trades"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }
    fn on_trade(&mut self, _: &Trade) {
        self.0[1] += 1.0;
    }
    fn on_index_price(&mut self, index: &IndexPrice) {
        self.0[0] = index.price;
    }
    fn write(&mut self, out: &mut [f64; 2]) {
        *out = self.0;
    }
}

fn names(instruments: usize) -> Arc<Names> {
    Arc::new(Names::new(instruments))
}

fn stage(triggers: &[EventKind], selection: Option<&[usize]>) -> Factor {
    let mut registry = Registry::builtin();
    registry.add::<Seen, _>();
    let set: &Entry = registry.get("seen").unwrap();
    let bank = set.prepare(&serde_json::Map::new()).unwrap().bank(4);
    Factor::new(vec![bank], selection, Triggers::new(triggers), names(4), 2)
}

const TRADE: Body<'_> = Body::Trade(Trade {
    timestamp: 0,
    price: 1.0,
    volume: 1.0,
    side: 0,
});
const TICKER: Body<'_> = Body::Ticker(Ticker {
    timestamp: 0,
    bid_price: 1.0,
    ask_price: 2.0,
    bid_volume: 1.0,
    ask_volume: 1.0,
});

fn index(price: f64) -> Body<'static> {
    Body::IndexPrice(IndexPrice { price })
}

/// The instrument, time, ends and values of each vector.
fn run(
    factor: &mut Factor,
    instrument: u32,
    pair: u32,
    timestamp: i64,
    body: Body<'_>,
) -> Vec<(u32, i64, Ends, Vec<f64>)> {
    let meta = Meta {
        input_sequence: 1,
        instrument: InstrumentId(instrument),
        timestamp,
        arrival: 0,
    };
    let pair = PairId(pair);
    let mut seen = Vec::new();
    let take = |vector: FactorVector<'_>| {
        let Meta {
            instrument,
            timestamp,
            ..
        } = vector.meta;
        seen.push((instrument.0, timestamp, vector.ends, vector.values.to_vec()));
    };
    let ends = Ends::Event;
    let event = Event {
        meta,
        pair,
        ends,
        body,
    };
    factor.on(&event, take, |_| ());
    seen
}

const NONE: u32 = InstrumentId::NONE.0;

#[test]
fn an_index_price_belongs_to_all_instruments_of_its_pair() {
    let mut factor = stage(&[EventKind::Ticker], None);
    assert!(run(&mut factor, 0, 0, 1, TRADE).is_empty());
    assert!(run(&mut factor, NONE, 0, 0, index(50.0)).is_empty());
    // One instrument is first seen after the index price; another is of another pair.
    assert!(run(&mut factor, 1, 0, 2, TRADE).is_empty());
    assert!(run(&mut factor, 2, 1, 3, TRADE).is_empty());
    let value = |factor: &mut Factor, id, pair| run(factor, id, pair, 9, TICKER)[0].3[0];
    assert_eq!(value(&mut factor, 0, 0), 50.0);
    assert_eq!(value(&mut factor, 1, 0), 50.0);
    assert_eq!(value(&mut factor, 2, 1), 0.0);
    run(&mut factor, NONE, 0, 0, index(60.0));
    assert_eq!(value(&mut factor, 0, 0), 60.0);
    assert_eq!(value(&mut factor, 1, 0), 60.0);
    assert_eq!(value(&mut factor, 2, 1), 0.0);
}

#[test]
fn an_index_price_can_trigger_each_instrument_of_its_pair() {
    let mut factor = stage(&[EventKind::IndexPrice], None);
    assert!(run(&mut factor, NONE, 0, 0, index(50.0)).is_empty());
    assert!(run(&mut factor, 0, 0, 1, TRADE).is_empty());
    assert!(run(&mut factor, 3, 0, 2, TRADE).is_empty());
    assert_eq!(
        run(&mut factor, NONE, 0, 0, index(51.0)),
        [
            (3, 2, Ends::Nothing, vec![51.0, 1.0]),
            (0, 1, Ends::Event, vec![51.0, 1.0])
        ]
    );
}

#[test]
fn a_shard_keeps_its_own_instruments_under_their_numbers() {
    let shards = Shards::new(3);
    let mut registry = Registry::builtin();
    registry.add::<Seen, _>();
    let prepared = registry.get("seen").unwrap().prepare(&Default::default());
    let bank = prepared.unwrap().bank(shards.share(8));
    let triggers = Triggers::new(&[EventKind::Trade, EventKind::IndexPrice]);
    let mut factor = Factor::of_shard((shards, 1), vec![bank], None, triggers, names(8), 2);
    for (id, pair, trades) in [(1, 0, 1.0), (7, 0, 1.0), (4, 1, 1.0), (7, 0, 2.0)] {
        assert_eq!(
            run(&mut factor, id, pair, 1, TRADE),
            [(id, 1, Ends::Event, vec![0.0, trades])]
        );
    }
    assert_eq!(
        run(&mut factor, NONE, 0, 0, index(50.0)),
        [
            (7, 1, Ends::Nothing, vec![50.0, 2.0]),
            (1, 1, Ends::Event, vec![50.0, 1.0])
        ]
    );
}

#[test]
fn a_selection_leaves_factors_out() {
    let mut factor = stage(&[EventKind::Trade], Some(&[1]));
    assert_eq!(
        run(&mut factor, 0, 0, 1, TRADE),
        [(0, 1, Ends::Event, vec![1.0])]
    );
}

/// Panics at trades of the first price, and at index prices that follow a trade of the
/// second.
const FATAL_NOW: f64 = 13.0;
const FATAL_LATER: f64 = 14.0;

#[derive(Default)]
struct Fragile(bool);

impl FactorSet<1> for Fragile {
    const NAME: &'static str = "fragile";
    const FACTORS: [&'static str; 1] = ["armed"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }
    fn on_trade(&mut self, trade: &Trade) {
        assert!(trade.price != FATAL_NOW, "the fatal price");
        self.0 = trade.price == FATAL_LATER;
    }
    fn on_index_price(&mut self, _: &IndexPrice) {
        assert!(!self.0, "the fatal index price");
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = self.0.into();
    }
}

/// The instruments that got a vector, how the event ended, and which sets panicked.
type Ended = (Vec<(u32, Ends)>, Applied, Vec<(u32, &'static str)>);

fn end(factor: &mut Factor, instrument: u32, body: Body<'_>) -> Ended {
    let meta = Meta {
        input_sequence: 1,
        instrument: InstrumentId(instrument),
        timestamp: 1,
        arrival: 0,
    };
    let event = Event {
        meta,
        pair: PairId(0),
        ends: Ends::Event,
        body,
    };
    let (mut sent, mut panicked) = (Vec::new(), Vec::new());
    let applied = factor.on(
        &event,
        |vector| sent.push((vector.meta.instrument.0, vector.ends)),
        |panic| panicked.push((panic.instrument.0, panic.set)),
    );
    (sent, applied, panicked)
}

fn trade(price: f64) -> Body<'static> {
    Body::Trade(Trade {
        timestamp: 0,
        price,
        volume: 1.0,
        side: 0,
    })
}

fn fragile(triggers: &[EventKind]) -> Factor {
    let mut registry = Registry::builtin();
    registry.add::<Seen, _>();
    registry.add::<Fragile, _>();
    let bank = |name| {
        let prepared = registry.get(name).unwrap().prepare(&Default::default());
        prepared.unwrap().bank(4)
    };
    let banks = vec![bank("seen"), bank("fragile")];
    Factor::new(banks, None, Triggers::new(triggers), names(4), 1)
}

#[test]
fn an_index_price_goes_to_all_that_are_left_of_its_pair() {
    let updated = || (vec![], Applied::Updated, vec![]);
    let mut factor = fragile(&[EventKind::IndexPrice]);
    // The last one seen is the first of its pair.
    for instrument in [0, 1, 2, 3] {
        assert_eq!(end(&mut factor, instrument, TRADE), updated());
    }
    let price = |factor: &mut Factor| end(factor, NONE, index(5.0));
    let all = [3, 2, 1, 0].map(|id| (id, [Ends::Nothing, Ends::Event][usize::from(id == 0)]));
    assert_eq!(
        price(&mut factor),
        (all.to_vec(), Applied::HandedOn, vec![])
    );
    for (fatal, left) in [(2, &[3, 1, 0][..]), (3, &[1, 0])] {
        let panicked = vec![(fatal, "fragile")];
        let ended = end(&mut factor, fatal, trade(FATAL_NOW));
        assert_eq!(ended, (vec![], Applied::Quarantined, panicked));
        let ended = end(&mut factor, fatal, TRADE);
        assert_eq!(ended, (vec![], Applied::Quarantined, vec![]));
        let (sent, applied, _) = price(&mut factor);
        let sent: Vec<u32> = sent.into_iter().map(|(id, _)| id).collect();
        assert_eq!((&sent[..], applied), (left, Applied::HandedOn));
    }
}

#[test]
fn an_index_price_ends_with_the_last_of_its_pair() {
    let (now, later) = (&[EventKind::IndexPrice][..], &[EventKind::Trade][..]);
    for (triggers, fatal, sent, applied) in [
        (now, 1, &[(0, Ends::Event)][..], Applied::HandedOn),
        // No instrument is left to make the event's last vector.
        (now, 0, &[(1, Ends::Nothing)], Applied::Quarantined),
        (later, 1, &[], Applied::Updated),
        (later, 0, &[], Applied::Updated),
    ] {
        let mut factor = fragile(triggers);
        for id in [0, 1] {
            let price = if id == fatal { FATAL_LATER } else { 1.0 };
            end(&mut factor, id, trade(price));
        }
        let ended = end(&mut factor, NONE, index(5.0));
        let panicked = vec![(fatal, "fragile")];
        assert_eq!(ended, (sent.to_vec(), applied, panicked), "{fatal}");
    }
}

#[test]
fn a_place_for_each_instrument_and_pair_is_counted() {
    let least = 100 * size_of::<Instrument>() + 10 * size_of::<Pair>();
    let bytes = Factor::bytes(100, 10);
    assert!(bytes >= least && bytes < 4 * least, "{bytes}");
}
