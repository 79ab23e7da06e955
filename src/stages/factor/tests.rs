//! Tests of the factor stage.

use super::*;
use crate::factors::{Entry, FactorSet, NoParams, Registry};
use crate::messages::Ends;
use crate::messages::market::{Ticker, Trade};

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

fn stage(triggers: &[EventKind], selection: Option<&[usize]>) -> Factor {
    let mut registry = Registry::builtin();
    registry.add::<Seen, _>();
    let set: &Entry = registry.get("seen").unwrap();
    let bank = set.prepare(&serde_json::Map::new()).unwrap().bank(4);
    Factor::new(vec![bank], selection, Triggers::new(triggers), 4, 2)
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

/// Instrument, time, what ends, and values of each vector.
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
    // Heard of after the index price, and of another pair.
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
    let mut factor = Factor::of_shard((shards, 1), vec![bank], None, triggers, 8, 2);
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
