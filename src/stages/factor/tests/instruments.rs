//! What a stage tells its sets about their instruments.

use super::*;
use crate::messages::{Instrument, Name};

/// The type of the set's instrument, and how often the set was told.
#[derive(Default)]
struct Told([f64; 2]);

impl FactorSet<2> for Told {
    const NAME: &'static str = "told";
    const FACTORS: [&'static str; 2] = ["kind", "times"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }
    fn on_instrument(&mut self, instrument: &Instrument) {
        let kind = instrument.instrument_type();
        assert!(kind != FATAL_KIND, "the fatal type");
        self.0 = [f64::from(kind), self.0[1] + 1.0];
    }
    fn on_trade(&mut self, _: &Trade) {
        assert!(self.0[1] == 1.0, "a trade before the instrument");
    }
    fn write(&mut self, out: &mut [f64; 2]) {
        *out = self.0;
    }
}

const FATAL_KIND: i8 = 9;

/// Instrument `n` has type `n`.
fn told(instruments: usize, shard: Option<(Shards, usize)>) -> Factor {
    let names = names(instruments);
    let symbol = Name::from_symbol(b"btc_usdt").unwrap();
    for id in 0..instruments {
        let instrument = Instrument::new(symbol, symbol, &[0; 16], id as i8);
        names.set(InstrumentId(id as u32), instrument);
    }
    let mut registry = Registry::builtin();
    registry.add::<Told, _>();
    let prepared = registry.get("told").unwrap().prepare(&Default::default());
    let (prepared, triggers) = (prepared.unwrap(), Triggers::new(&[EventKind::Trade]));
    match shard {
        None => Factor::new(
            vec![prepared.bank(instruments)],
            None,
            triggers,
            names,
            instruments,
        ),
        Some((shards, shard)) => {
            let bank = prepared.bank(shards.share(instruments));
            let place = (shards, shard);
            Factor::of_shard(place, vec![bank], None, triggers, names, instruments)
        }
    }
}

#[test]
fn a_set_is_told_its_instrument_once_and_before_its_first_event() {
    let mut factor = told(8, None);
    for id in [3, 7, 3] {
        let sent = run(&mut factor, id, id, 1, TRADE);
        assert_eq!(sent, [(id, 1, Ends::Event, vec![f64::from(id), 1.0])]);
    }
    let shards = Shards::new(3);
    let mut factor = told(8, Some((shards, 1)));
    for id in [4, 7, 4] {
        let sent = run(&mut factor, id, id, 1, TRADE);
        assert_eq!(sent, [(id, 1, Ends::Event, vec![f64::from(id), 1.0])]);
    }
}

#[test]
fn a_panic_at_what_an_instrument_is_puts_it_in_quarantine() {
    let mut factor = told(10, None);
    let fatal = FATAL_KIND as u32;
    let ended = end(&mut factor, fatal, TRADE);
    let panicked = vec![(fatal, "told")];
    assert_eq!(ended, (vec![], Applied::Quarantined, panicked));
    let ended = end(&mut factor, fatal, TRADE);
    assert_eq!(ended, (vec![], Applied::Quarantined, vec![]));
    assert_eq!(end(&mut factor, 1, TRADE).1, Applied::HandedOn);
}
