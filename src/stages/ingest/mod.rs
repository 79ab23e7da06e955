//! Ingest: decode, validate and intern what the host's thread copied.
//!
//! | file | what |
//! |---|---|
//! | `validate` | whether an event's numbers can be |
//! | `intern` | from the host's texts to numbers |
//! | `symbol_table` | from the host's spelling of an instrument to its numbers |
//! | `assets` | the symbols whose events are taken |

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::abi::EXCHANGE_LEN;
use crate::messages::{Body, Ends, Event, InstrumentId, Meta, Name, Names, PairId, RawEvent};
use intern::{PairKey, Room, touch};
use symbol_table::Routes;
use validate::body;

mod assets;
mod intern;
mod symbol_table;
mod validate;

pub use assets::Assets;
pub use validate::Limits;

/// What an ingest stage takes and what it refuses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The symbols whose events are taken.
    pub assets: Assets,
    /// The greatest numbers that are taken.
    pub limits: Limits,
}

/// Why ingest refused an event. A refused event touches no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The symbol is empty, no UTF-8, or has a character that cannot be seen (a
    /// space, a control character).
    BadSymbol,
    /// A price is not positive, or beyond [`Limits::max_price`].
    BadPrice,
    /// A size is negative, or beyond [`Limits::max_size`].
    BadSize,
    /// The instrument is new and the table of instruments is full.
    TooManyInstruments,
    /// The symbol is not one of the configured assets.
    NotAnAsset,
}

/// Spellings that are remembered although no instrument belongs to them: the
/// host forwards events of symbols that nobody asked for.
const OTHER_SPELLINGS: usize = 4096;

/// The ingest stage.
pub struct Ingest {
    levels: usize,
    by_spelling: Routes,
    by_pair: HashMap<PairKey, PairId, FxBuildHasher>,
    by_instrument: HashMap<(PairId, i8), InstrumentId, FxBuildHasher>,
    /// Pairs that an index price named first.
    index_pairs: usize,
    names: Arc<Names>,
    rules: Rules,
    /// Spellings that may still be remembered, of instruments and of others.
    room: Room,
}

impl Ingest {
    /// An ingest stage for events that carry `levels` book levels, for as many
    /// instruments as `names` can hold. All memory is taken here.
    pub fn new(levels: usize, names: Arc<Names>, rules: Rules) -> Self {
        let max = names.capacity();
        // An instrument may come in two spellings, `btc_usdt` and `BTCUSDT`,
        // and so may its index price.
        let room = Room {
            spellings: max * 4,
            others: OTHER_SPELLINGS,
        };
        let by_spelling = Routes::new(room.spellings + room.others);
        let mut by_pair = HashMap::with_capacity_and_hasher(Self::pairs(max), FxBuildHasher);
        let mut by_instrument = HashMap::with_capacity_and_hasher(max, FxBuildHasher);
        let name = Name::from_symbol(b"-").expect("it is a symbol");
        touch(&mut by_pair, |number| {
            let key = PairKey {
                name,
                exchange: [number; EXCHANGE_LEN / 8],
            };
            (key, PairId(0))
        });
        touch(&mut by_instrument, |number| {
            ((PairId(number as u32), 0), InstrumentId(0))
        });
        Self {
            levels,
            by_spelling,
            by_pair,
            by_instrument,
            index_pairs: 0,
            names,
            rules,
            room,
        }
    }

    /// Bytes that the tables take for so many instruments.
    pub fn bytes(instruments: usize) -> usize {
        // A table has a power of two of places, an eighth of them free, and a
        // byte for each beside its entry.
        fn table<Entry>(entries: usize) -> usize {
            (entries * 8 / 7).next_power_of_two() * (size_of::<Entry>() + 1)
        }
        Routes::bytes(instruments * 4 + OTHER_SPELLINGS)
            + table::<(PairKey, PairId)>(Self::pairs(instruments))
            + table::<((PairId, i8), InstrumentId)>(instruments)
    }

    /// Most pairs of exchange and symbol with so many instruments: index prices
    /// of symbols without an instrument never take an instrument's place.
    pub const fn pairs(instruments: usize) -> usize {
        instruments * 2
    }

    /// Checks the event and hands it to `out`, or says why not.
    ///
    /// # Errors
    ///
    /// The [`Refusal`]; `out` is not called then.
    #[inline(always)]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(&mut self, raw: &RawEvent<'_>, out: impl FnOnce(Event<'_>)) -> Result<(), Refusal> {
        let head = raw.head;
        let body = body(head, raw.values, self.levels, &self.rules.limits)?;
        let (instrument, pair) = self.intern(head, matches!(body, Body::IndexPrice(_)))?;
        out(Event {
            meta: Meta {
                input_sequence: head.sequence,
                instrument,
                timestamp: head.timestamp,
                arrival: head.arrival,
            },
            pair,
            ends: Ends::Event,
            body,
        });
        Ok(())
    }

    /// Instruments seen so far.
    pub fn instruments(&self) -> usize {
        self.by_instrument.len()
    }
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("levels", &self.levels)
            .field("instruments", &self.instruments())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{EventKind, SYMBOL_LEN};
    use crate::messages::RawHead;
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    fn head(symbol: &[u8], kind: EventKind) -> RawHead {
        let mut head = RawHead::zeroed();
        head.symbol[..symbol.len()].copy_from_slice(symbol);
        head.exchange[..7].copy_from_slice(b"binance");
        head.kind = kind as u8;
        head.instrument_type = 7;
        head.timestamp = 5;
        head
    }

    fn run(ingest: &mut Ingest, head: &RawHead, values: &[f64]) -> Result<InstrumentId, Refusal> {
        let mut id = None;
        ingest.on(&RawEvent { head, values }, |event| {
            id = Some(event.meta.instrument);
        })?;
        Ok(id.expect("an accepted event is handed on"))
    }

    fn run_kind(ingest: &mut Ingest, head: &RawHead, values: &[f64]) -> Result<(), Refusal> {
        ingest.on(&RawEvent { head, values }, |_| ())
    }

    fn stage(levels: usize, max: usize) -> Ingest {
        Ingest::new(levels, Arc::new(Names::new(max)), Rules::default())
    }

    const TRADE: [f64; 2] = [10.0, 1.0];

    #[test]
    fn index_prices_belong_to_pairs_and_take_no_instruments_place() {
        let mut ingest = stage(1, 1);
        for symbol in [b"a", b"b"] {
            let index = head(symbol, EventKind::IndexPrice);
            let refused = run(&mut ingest, &index, &[5.0]).is_err();
            assert_eq!(refused, symbol == b"b", "one index pair an instrument");
        }
        let mut index = head(b"a", EventKind::IndexPrice);
        index.instrument_type = 6;
        assert_eq!(run(&mut ingest, &index, &[5.0]), Ok(InstrumentId::NONE));
        let mut pairs = Vec::new();
        for (symbol, kind, values) in [
            (b"c", EventKind::Trade, &TRADE[..]),
            (b"c", EventKind::IndexPrice, &[5.0]),
            (b"a", EventKind::IndexPrice, &[5.0]),
        ] {
            let head = head(symbol, kind);
            let raw = RawEvent {
                head: &head,
                values,
            };
            ingest.on(&raw, |event| pairs.push(event.pair)).unwrap();
        }
        assert_eq!(pairs, [PairId(1), PairId(1), PairId(0)]);
    }

    #[test]
    fn only_assets_are_taken_in_either_spelling() {
        let assets = Assets::new(&["btc_usdt".into(), "ETHUSDT".into()]).unwrap();
        let rules = Rules {
            assets,
            ..Rules::default()
        };
        let mut ingest = Ingest::new(1, Arc::new(Names::new(4)), rules);
        for (symbol, taken) in [
            (&b"BTCUSDT"[..], true),
            (b"btc_usdt", true),
            (b"eth_usdt", true),
            (b"sol_usdt", false),
            (b"sol_usdt", false),
        ] {
            let result = run(&mut ingest, &head(symbol, EventKind::Trade), &TRADE);
            assert_eq!(result.is_ok(), taken);
            assert!(taken || result == Err(Refusal::NotAnAsset));
        }
        assert_eq!(ingest.instruments(), 2);
        assert_eq!(Assets::new(&["a b".into()]), Err("a b".into()));
    }

    #[test]
    fn spellings_of_one_symbol_are_one_instrument() {
        let mut ingest = stage(1, 4);
        let a = run(&mut ingest, &head(b"btc_usdt", EventKind::Trade), &TRADE);
        let b = run(&mut ingest, &head(b"BTCUSDT", EventKind::Trade), &TRADE);
        assert_eq!(a, Ok(InstrumentId(0)));
        assert_eq!(b, a);
        assert_eq!(
            ingest.names.get(InstrumentId(0)).unwrap().as_str(),
            "BTCUSDT"
        );
    }

    #[test]
    fn exchange_and_type_tell_instruments_apart() {
        let mut ingest = stage(1, 4);
        let first = head(b"btc_usdt", EventKind::Trade);
        let mut exchange = first;
        exchange.exchange[..3].copy_from_slice(b"okx");
        let mut spot = first;
        spot.instrument_type = 5;
        assert_eq!(run(&mut ingest, &first, &TRADE), Ok(InstrumentId(0)));
        assert_eq!(run(&mut ingest, &exchange, &TRADE), Ok(InstrumentId(1)));
        assert_eq!(run(&mut ingest, &spot, &TRADE), Ok(InstrumentId(2)));
    }

    #[test]
    fn bytes_behind_the_nul_do_not_matter() {
        let mut ingest = stage(1, 4);
        let clean = head(b"btc_usdt", EventKind::Trade);
        let mut dirty = clean;
        dirty.symbol[9..].fill(0xee);
        dirty.exchange[8..].fill(0x11);
        assert_eq!(run(&mut ingest, &clean, &TRADE), Ok(InstrumentId(0)));
        assert_eq!(run(&mut ingest, &dirty, &TRADE), Ok(InstrumentId(0)));
    }

    #[test]
    fn instruments_beyond_the_table_are_refused_and_known_ones_go_on() {
        let mut ingest = stage(1, 1);
        let known = head(b"a", EventKind::Trade);
        let new = head(b"b", EventKind::Trade);
        assert_eq!(run(&mut ingest, &known, &TRADE), Ok(InstrumentId(0)));
        assert_eq!(
            run(&mut ingest, &new, &TRADE),
            Err(Refusal::TooManyInstruments)
        );
        assert_eq!(run(&mut ingest, &known, &TRADE), Ok(InstrumentId(0)));
    }

    #[test]
    fn bad_numbers_and_symbols_are_refused_by_reason() {
        let mut ingest = stage(2, 4);
        let trade = head(b"a", EventKind::Trade);
        for price in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX, 1e308] {
            assert_eq!(
                run(&mut ingest, &trade, &[price, 1.0]),
                Err(Refusal::BadPrice)
            );
        }
        for size in [-1.0, f64::NAN, f64::INFINITY, f64::MAX, 1e308] {
            assert_eq!(
                run(&mut ingest, &trade, &[1.0, size]),
                Err(Refusal::BadSize)
            );
        }
        assert_eq!(
            run(&mut ingest, &head(b"", EventKind::Trade), &TRADE),
            Err(Refusal::BadSymbol)
        );
        assert_eq!(
            run(&mut ingest, &head(b"\x01", EventKind::Trade), &TRADE),
            Err(Refusal::BadSymbol)
        );
        let depth = head(b"a", EventKind::Depth);
        let book = |second: [f64; 4]| {
            [
                9.0, second[0], 10.0, second[1], 1.0, second[2], 1.0, second[3],
            ]
        };
        assert!(run(&mut ingest, &depth, &book([8.0, 11.0, 1.0, 1.0])).is_ok());
        assert!(run(&mut ingest, &depth, &book([0.0; 4])).is_ok());
        assert_eq!(
            run(&mut ingest, &depth, &book([0.0, 11.0, 1.0, 1.0])),
            Err(Refusal::BadPrice)
        );
        assert_eq!(
            run(&mut ingest, &depth, &book([8.0, 11.0, 1.0, f64::NAN])),
            Err(Refusal::BadSize)
        );
        assert_eq!(ingest.instruments(), 1);
    }

    #[test]
    fn what_a_gateway_writes_for_no_value_is_none_in_any_feed() {
        let mut ingest = stage(2, 4);
        let numbers: [(EventKind, &[Refusal]); 4] = [
            (
                EventKind::Depth,
                &[
                    Refusal::BadPrice,
                    Refusal::BadPrice,
                    Refusal::BadPrice,
                    Refusal::BadPrice,
                    Refusal::BadSize,
                    Refusal::BadSize,
                    Refusal::BadSize,
                    Refusal::BadSize,
                ],
            ),
            (
                EventKind::Ticker,
                &[
                    Refusal::BadPrice,
                    Refusal::BadPrice,
                    Refusal::BadSize,
                    Refusal::BadSize,
                ],
            ),
            (EventKind::Trade, &[Refusal::BadPrice, Refusal::BadSize]),
            (EventKind::IndexPrice, &[Refusal::BadPrice]),
        ];
        for (kind, refusals) in numbers {
            let head = head(b"a", kind);
            let mut values = vec![10.0; refusals.len()];
            assert!(run_kind(&mut ingest, &head, &values).is_ok(), "{kind:?}");
            for (place, &refusal) in refusals.iter().enumerate() {
                for none in [f64::MAX, 1e308, f64::INFINITY, -f64::MAX, i64::MAX as f64] {
                    values[place] = none;
                    let refused = run_kind(&mut ingest, &head, &values);
                    assert_eq!(refused, Err(refusal), "{kind:?} {place} {none}");
                }
                values[place] = 10.0;
            }
        }
    }

    proptest! {
        #[test]
        fn any_raw_event_is_accepted_or_refused(
            symbol in any::<[u8; SYMBOL_LEN]>(),
            kind in 0u8..4,
            values in proptest::collection::vec(any::<f64>(), 8),
        ) {
            let mut ingest = stage(2, 2);
            let mut head = RawHead::zeroed();
            head.symbol = symbol;
            head.kind = kind;
            let mut handed_on = 0;
            let result = ingest.on(&RawEvent { head: &head, values: &values }, |_| handed_on += 1);
            prop_assert_eq!(handed_on, i32::from(result.is_ok()));
        }
    }
}
