//! The states of a bank are separate, and each knows its instrument.

use super::super::{NoParams, Registry};
use super::*;
use crate::messages::Name;

/// The instrument's type and its last bid.
#[derive(Default)]
struct Kind([f64; 2]);

impl FactorSet<2> for Kind {
    const NAME: &'static str = "kind";
    const FACTORS: [&'static str; 2] = ["kind", "bid"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }
    fn on_instrument(&mut self, instrument: &Instrument) {
        self.0[0] = f64::from(instrument.instrument_type());
    }
    fn on_depth(&mut self, depth: &Depth<'_>) {
        self.0[1] = depth.bid_price[0];
    }
    fn write(&mut self, out: &mut [f64; 2]) {
        *out = self.0;
    }
}

fn bank_of(set: &str, instruments: usize) -> Box<dyn FactorBank> {
    let mut registry = Registry::builtin();
    registry.add::<Kind, _>();
    let set = registry.get(set).expect("a set with this name");
    let prepared = set.prepare(&Default::default()).expect("no parameters");
    prepared.bank(instruments)
}

fn vector(bank: &mut dyn FactorBank, id: InstrumentId) -> Vec<f64> {
    let mut out = vec![f64::NAN; bank.width()];
    bank.write(id, &mut out);
    out
}

const DEPTH: Depth<'_> = Depth {
    timestamp: 0,
    bid_price: &[7.0],
    ask_price: &[8.0],
    bid_volume: &[1.0],
    ask_volume: &[1.0],
};

#[test]
fn a_state_is_told_its_instrument() {
    let mut bank = bank_of("kind", 2);
    let name = Name::from_symbol(b"btc_usdt").unwrap();
    let instrument = Instrument::new(name, name, &[0; 16], 7);
    bank.on_instrument(InstrumentId(1), &instrument);
    assert_eq!(vector(&mut *bank, InstrumentId(0)), [0.0, 0.0]);
    assert_eq!(vector(&mut *bank, InstrumentId(1)), [7.0, 0.0]);
}

#[test]
fn the_shadow_is_no_instruments_state() {
    let mut bank = bank_of("kind", 2);
    let shadow = bank.shadow();
    bank.on_depth(shadow, &DEPTH);
    assert_eq!(vector(&mut *bank, shadow), [0.0, 7.0]);
    for id in [0, 1] {
        assert_eq!(vector(&mut *bank, InstrumentId(id)), [0.0, 0.0]);
    }
    // A bank for no instrument still has a shadow.
    assert_eq!(bank_of("kind", 0).shadow(), InstrumentId(0));
}

#[test]
fn one_instruments_state_is_saved_and_loaded() {
    let mut bank = bank_of("test0000", 2);
    bank.on_depth(InstrumentId(1), &DEPTH);
    let mut saved = Vec::new();
    bank.save(InstrumentId(1), &mut saved).unwrap();
    let mut other = bank_of("test0000", 2);
    other.load(InstrumentId(0), &mut &saved[..]).unwrap();
    assert_eq!(vector(&mut *other, InstrumentId(0)), [1.0, 7.5, 7.0]);
    assert_eq!(vector(&mut *other, InstrumentId(1)), [0.0; 3]);
}

#[test]
fn a_set_that_cannot_be_saved_says_so() {
    let mut bank = bank_of("kind", 1);
    let saved = bank.save(InstrumentId(0), &mut Vec::new()).unwrap_err();
    let loaded = bank.load(InstrumentId(0), &mut &[][..]).unwrap_err();
    for error in [saved, loaded] {
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
