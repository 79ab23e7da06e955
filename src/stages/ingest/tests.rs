//! Tests of the stage as a whole.

use std::sync::Mutex;

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
    assert_eq!(Assets::new(&["a b".into()]).unwrap_err(), "a b");
}

/// A stage with these rules, and the list of what it reports.
fn telling(rules: Rules, max: usize) -> (Ingest, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let ingest = Ingest::new(1, Arc::new(Names::new(max)), rules);
    let tell = move |notice: &Notice<'_>| tells.lock().unwrap().push(notice.to_string());
    (ingest.telling(Box::new(tell)), told)
}

fn of(symbol: &[u8], exchange: &[u8], instrument_type: i8) -> RawHead {
    let mut head = head(symbol, EventKind::Trade);
    head.exchange = [0; EXCHANGE_LEN];
    head.exchange[..exchange.len()].copy_from_slice(exchange);
    head.instrument_type = instrument_type;
    head
}

fn name(ingest: &Ingest, id: InstrumentId) -> &str {
    ingest.names.get(id).unwrap().as_str()
}

#[test]
fn as_the_host_writes_it_each_spelling_is_an_instrument() {
    let rules = Rules {
        naming: Naming::new(SymbolStyle::Host),
        ..Rules::default()
    };
    let (mut ingest, told) = telling(rules, 8);
    for (place, symbol) in ["btc_usdt", "BTCUSDT", "b_tcusdt", "btc_usdt_240628", "_"]
        .iter()
        .enumerate()
    {
        let id = run(&mut ingest, &of(symbol.as_bytes(), b"x", 7), &TRADE);
        assert_eq!(id, Ok(InstrumentId(place as u32)));
        assert_eq!(&name(&ingest, id.unwrap()), symbol);
    }
    // An index price belongs to its symbol exactly as it is written.
    let mut pairs = Vec::new();
    for symbol in [&b"btc_usdt"[..], b"BTCUSDT"] {
        let mut index = of(symbol, b"x", 7);
        index.kind = EventKind::IndexPrice as u8;
        let raw = RawEvent {
            head: &index,
            values: &[5.0],
        };
        ingest.on(&raw, |event| pairs.push(event.pair)).unwrap();
    }
    assert_eq!(pairs, [PairId(0), PairId(1)]);
    assert_eq!(*told.lock().unwrap(), [""; 0]);
}

#[test]
fn names_that_were_given_win_and_are_assets() {
    for (style, other) in [(SymbolStyle::Compact, true), (SymbolStyle::Host, false)] {
        let mut naming = Naming::new(style);
        assert_eq!(naming.give("okx", 5, "btc_usdt", "btc.spot_1"), Ok(true));
        assert_eq!(naming.give("okx", 5, "btc_usdt", "again"), Ok(false));
        let rules = Rules {
            naming,
            assets: Assets::new(&["BTC.spot_1".into()]).unwrap(),
            ..Rules::default()
        };
        let (mut ingest, _) = telling(rules, 8);
        for (head, taken) in [
            (of(b"btc_usdt", b"okx", 5), true),
            (of(b"BTCUSDT", b"okx", 5), other),
            (of(b"btc_usdt", b"okx", 7), false),
            (of(b"btc_usdt", b"binance", 5), false),
        ] {
            let id = run(&mut ingest, &head, &TRADE);
            let expected = if taken {
                Ok(InstrumentId(0))
            } else {
                Err(Refusal::NotAnAsset)
            };
            assert_eq!(id, expected, "{style:?}");
        }
        assert_eq!(name(&ingest, InstrumentId(0)), "btc.spot_1");
        // The pair's index price is accepted, whatever type the host gives it.
        let mut index = of(b"btc_usdt", b"okx", 6);
        index.kind = EventKind::IndexPrice as u8;
        assert!(run_kind(&mut ingest, &index, &[5.0]).is_ok());
    }
}

#[test]
fn an_exchange_that_no_field_can_hold_is_given_no_names() {
    let mut naming = Naming::new(SymbolStyle::Compact);
    let longest = "x".repeat(EXCHANGE_LEN);
    assert_eq!(naming.give(&longest, 5, "a", "b"), Ok(true));
    for exchange in [longest + "x", "o\0kx".to_owned()] {
        let error = naming.give(&exchange, 5, "a", "b").unwrap_err();
        assert!(error.contains("at most 16 bytes without a NUL"), "{error}");
    }
}

#[test]
fn the_bytes_of_the_tables_are_those_that_they_take() {
    fn table<K, V>(table: &HashMap<K, V, FxBuildHasher>) -> usize {
        // An eighth of the table's places stays free.
        (table.capacity() + 1).next_power_of_two() * (size_of::<(K, V)>() + 1)
    }
    for instruments in [15, 100, 1000, 1792, 1793] {
        let ingest = stage(1, instruments);
        assert_eq!(
            Ingest::bytes(instruments),
            ingest.by_spelling.taken()
                + table(&ingest.by_pair)
                + table(&ingest.by_instrument)
                + table(&ingest.by_name),
            "{instruments}"
        );
        assert!(ingest.by_pair.capacity() >= 2 * instruments);
        assert!(ingest.by_spelling.room() >= 4 * instruments);
    }
}

#[test]
fn what_bears_one_name_is_told_once_and_can_be_looked_up() {
    let (mut ingest, told) = telling(Rules::default(), 8);
    for _ in 0..3 {
        for (symbol, exchange, kind) in [
            (&b"btc_usdt"[..], &b"binance"[..], 5),
            (b"BTCUSDT", b"binance", 5),
            (b"btc_usdt", b"binance", 7),
            (b"btc_usdt", b"okx", 7),
            (b"b_tcusdt", b"binance", 5),
            (b"eth_usdt", b"okx", 99),
        ] {
            assert!(run(&mut ingest, &of(symbol, exchange, kind), &TRADE).is_ok());
        }
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("btc_usdt of binance (spot) and btc_usdt of binance (swap)"));
    assert!(told[1].contains("b_tcusdt and btc_usdt of binance (spot) are treated as one"));
    let last = ingest.names.instrument(InstrumentId(3)).unwrap();
    assert_eq!(last.to_string(), "eth_usdt of okx (type 99)");
    assert_eq!(last.name().as_str(), "ETHUSDT");
}

#[test]
fn a_spelling_that_cannot_be_remembered_is_told_of_no_more() {
    let (mut ingest, told) = telling(Rules::default(), 1);
    // Four spellings are remembered.
    for symbol in ["a_b_c_d", "ab_cd", "a_bcd", "abc_d", "a_bc_d", "a__bcd"] {
        for _ in 0..3 {
            assert!(run(&mut ingest, &of(symbol.as_bytes(), b"x", 7), &TRADE).is_ok());
        }
    }
    assert_eq!(told.lock().unwrap().len(), 3);
}

#[test]
fn assets_of_which_no_event_came_are_missing() {
    let given = ["btcusd", "eth_usdt", "ETHUSDT", "sol.spot", "SOLUSDT", "x"].map(String::from);
    let assets = Assets::new(&given).unwrap();
    let mut naming = Naming::new(SymbolStyle::Compact);
    naming.give("okx", 5, "sol_usdt", "sol.spot").unwrap();
    let rules = Rules {
        assets: assets.clone(),
        naming,
        ..Rules::default()
    };
    let (mut ingest, _) = telling(rules, 8);
    let missing = || assets.missing().collect::<Vec<_>>();
    // The second spelling of an asset is the same asset.
    assert_eq!(
        missing(),
        ["btcusd", "eth_usdt", "sol.spot", "SOLUSDT", "x"]
    );
    for (symbol, kind, left) in [
        (&b"btc_usdt"[..], 5, 5),
        (b"ethusdt", 5, 4),
        // The configured name matches, and so does the instrument's symbol.
        (b"sol_usdt", 5, 2),
    ] {
        let taken = run(&mut ingest, &of(symbol, b"okx", kind), &TRADE);
        assert_eq!(taken.is_ok(), symbol != b"btc_usdt");
        assert_eq!(missing().len(), left, "{:?}", missing());
    }
    assert_eq!(missing(), ["btcusd", "x"]);
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
