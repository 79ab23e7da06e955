//! Ingest: decode, validate and intern what the host's thread copied.
//!
//! | file | what |
//! |---|---|
//! | `symbol_table` | from the host's spelling of an instrument to its numbers |

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::abi::{self, EXCHANGE_LEN, EventKind};
use crate::messages::market::{Depth, IndexPrice, Ticker, Trade};
use crate::messages::{Body, Ends, Event, InstrumentId, Meta, PairId, RawEvent, RawHead};
use crate::messages::{Name, Names};
use symbol_table::{INDEX_PRICE, Route, Routes, Spelling};

mod symbol_table;

/// Why ingest refused an event. A refused event touches no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The symbol is empty or has a character that is not visible ASCII (a
    /// space is not).
    BadSymbol,
    /// A price is not finite or not positive.
    BadPrice,
    /// A size is not finite or negative.
    BadSize,
    /// The instrument is new and the table of instruments is full.
    TooManyInstruments,
    /// The symbol is not one of the configured assets.
    NotAnAsset,
}

/// The symbols whose events are taken; none given means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets(HashSet<Name, FxBuildHasher>);

impl Assets {
    /// These symbols, in either spelling: `btc_usdt` is `BTCUSDT`.
    ///
    /// # Errors
    ///
    /// The first that is no symbol.
    pub fn new(symbols: &[String]) -> Result<Self, String> {
        symbols
            .iter()
            .map(|symbol| Name::from_symbol(symbol.as_bytes()).ok_or_else(|| symbol.clone()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn take(&self, name: &Name) -> bool {
        self.0.is_empty() || self.0.contains(name)
    }
}

/// An exchange and a symbol, whatever its spelling.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PairKey {
    name: Name,
    exchange: [u64; EXCHANGE_LEN / 8],
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
    assets: Assets,
    /// Spellings that may still be remembered, of instruments and of others.
    room: Room,
}

struct Room {
    spellings: usize,
    others: usize,
}

impl Ingest {
    /// An ingest stage for events that carry `levels` book levels, for as many
    /// instruments as `names` can hold and for these assets alone. All memory
    /// is taken here.
    pub fn new(levels: usize, names: Arc<Names>, assets: Assets) -> Self {
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
        let name = Name::from_symbol(b"-").expect("it is visible ASCII");
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
            assets,
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
        let body = body(head, raw.values, self.levels)?;
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

    #[inline(always)]
    fn intern(
        &mut self,
        head: &RawHead,
        is_index: bool,
    ) -> Result<(InstrumentId, PairId), Refusal> {
        let key = Spelling {
            symbol: up_to_nul(&head.symbol),
            exchange: up_to_nul(&head.exchange),
            instrument_type: if is_index {
                INDEX_PRICE
            } else {
                head.instrument_type.into()
            },
        };
        match self.by_spelling.get(&key) {
            Some(Route::To(id, pair)) => Ok((id, pair)),
            Some(Route::NotAnAsset) => Err(Refusal::NotAnAsset),
            None => self.intern_new_spelling(head, key, is_index),
        }
    }

    #[cold]
    fn intern_new_spelling(
        &mut self,
        head: &RawHead,
        host_key: Spelling,
        is_index: bool,
    ) -> Result<(InstrumentId, PairId), Refusal> {
        let name = Name::from_symbol(abi::text(&head.symbol)).ok_or(Refusal::BadSymbol)?;
        if !self.assets.take(&name) {
            self.remember(host_key, Route::NotAnAsset);
            return Err(Refusal::NotAnAsset);
        }
        let key = PairKey {
            name,
            exchange: host_key.exchange,
        };
        let (id, pair) = if is_index {
            (InstrumentId::NONE, self.index_pair(key)?)
        } else {
            self.instrument(key, head.instrument_type)?
        };
        self.remember(host_key, Route::To(id, pair));
        Ok((id, pair))
    }

    /// Spellings beyond the table's room take the slower way each time.
    fn remember(&mut self, key: Spelling, route: Route) {
        let room = match route {
            Route::To(..) => &mut self.room.spellings,
            Route::NotAnAsset => &mut self.room.others,
        };
        if *room > 0 {
            *room -= 1;
            self.by_spelling.insert(&key, route);
        }
    }

    fn index_pair(&mut self, key: PairKey) -> Result<PairId, Refusal> {
        if let Some(&pair) = self.by_pair.get(&key) {
            return Ok(pair);
        }
        if self.index_pairs == self.names.capacity() {
            return Err(Refusal::TooManyInstruments);
        }
        self.index_pairs += 1;
        Ok(self.add_pair(key))
    }

    fn instrument(
        &mut self,
        key: PairKey,
        instrument_type: i8,
    ) -> Result<(InstrumentId, PairId), Refusal> {
        let known = self.by_pair.get(&key).copied();
        if let Some(pair) = known
            && let Some(&id) = self.by_instrument.get(&(pair, instrument_type))
        {
            return Ok((id, pair));
        }
        if self.by_instrument.len() == self.names.capacity() {
            return Err(Refusal::TooManyInstruments);
        }
        let pair = known.unwrap_or_else(|| self.add_pair(key));
        let id = InstrumentId(self.by_instrument.len() as u32);
        self.names.set(id, key.name);
        self.by_instrument.insert((pair, instrument_type), id);
        Ok((id, pair))
    }

    fn add_pair(&mut self, key: PairKey) -> PairId {
        let pair = PairId(self.by_pair.len() as u32);
        self.by_pair.insert(key, pair);
        pair
    }
}

/// Fills a table and empties it again: its memory is there before the first
/// event asks for it, not when a new instrument does.
fn touch<K: Eq + Hash, V>(table: &mut HashMap<K, V, FxBuildHasher>, entry: impl Fn(u64) -> (K, V)) {
    let capacity = table.capacity();
    for number in 0..capacity as u64 {
        let (key, value) = entry(number);
        table.insert(key, value);
    }
    debug_assert_eq!(table.capacity(), capacity);
    table.clear();
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("levels", &self.levels)
            .field("instruments", &self.instruments())
            .finish_non_exhaustive()
    }
}

/// A text field as words, zero from its first NUL on.
#[inline(always)]
fn up_to_nul<const BYTES: usize, const WORDS: usize>(field: &[u8; BYTES]) -> [u64; WORDS] {
    const { assert!(WORDS * 8 == BYTES) };
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut words = [0u64; WORDS];
    for (word, bytes) in words.iter_mut().zip(field.chunks_exact(8)) {
        let value = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
        // The lowest set bit marks the first zero byte; see "Bit Twiddling
        // Hacks", S. E. Anderson, "Determine if a word has a zero byte".
        let zeros = value.wrapping_sub(LOW) & !value & HIGH;
        if zeros != 0 {
            // What lies below that bit, but for the 7 bits of its own byte.
            *word = value & ((zeros & zeros.wrapping_neg()) - 1) >> 7;
            break;
        }
        *word = value;
    }
    words
}

#[inline(always)]
fn body<'a>(head: &RawHead, values: &'a [f64], levels: usize) -> Result<Body<'a>, Refusal> {
    let timestamp = head.timestamp;
    // The host's thread wrote `kind` from an `EventKind`.
    match EventKind::ALL[usize::from(head.kind)] {
        EventKind::Depth => {
            let depth = Depth::from_values(timestamp, &values[..4 * levels]);
            check_side(depth.bid_price, depth.bid_volume)?;
            check_side(depth.ask_price, depth.ask_volume)?;
            Ok(Body::Depth(depth))
        }
        EventKind::Ticker => {
            let ticker = Ticker::from_values(timestamp, values);
            check_price(ticker.bid_price)?;
            check_price(ticker.ask_price)?;
            check_size(ticker.bid_volume)?;
            check_size(ticker.ask_volume)?;
            Ok(Body::Ticker(ticker))
        }
        EventKind::Trade => {
            let trade = Trade::from_values(timestamp, head.side, values);
            check_price(trade.price)?;
            check_size(trade.volume)?;
            Ok(Body::Trade(trade))
        }
        EventKind::IndexPrice => {
            let price = values[0];
            check_price(price)?;
            Ok(Body::IndexPrice(IndexPrice { price }))
        }
    }
}

/// The best level must be there; a deeper one may be absent, that is all zero,
/// because thin books have fewer levels than the host's struct.
#[inline(always)]
fn check_side(prices: &[f64], sizes: &[f64]) -> Result<(), Refusal> {
    if prices[0] > 0.0 && are_levels(prices, sizes) {
        Ok(())
    } else {
        refuse_side(prices, sizes)
    }
}

/// Sums side by side: as many as a vector of the oldest x86-64 holds.
const LANES: usize = 2;

/// Whether all levels are in order, without a branch for each: no number is
/// negative, the sum of all is finite, and no level has a size without a price.
/// False also where sums of finite numbers overflow: look again then.
#[inline(always)]
fn are_levels(prices: &[f64], sizes: &[f64]) -> bool {
    let (mut sum, mut least, mut orphans) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, price: f64, size: f64| {
        sum[lane] += price + size;
        let less = if price < size { price } else { size };
        least[lane] = if less < least[lane] {
            less
        } else {
            least[lane]
        };
        orphans[lane] += if price == 0.0 { size } else { 0.0 };
    };
    let (mut prices, mut sizes) = (prices.chunks_exact(LANES), sizes.chunks_exact(LANES));
    for (price, size) in prices.by_ref().zip(sizes.by_ref()) {
        for lane in 0..LANES {
            add(lane, price[lane], size[lane]);
        }
    }
    if let ([price], [size]) = (prices.remainder(), sizes.remainder()) {
        add(0, *price, *size);
    }
    // NaN or infinite if any number is.
    let sum = sum[0] + sum[1];
    (sum * 0.0 == 0.0) & (least[0] == 0.0) & (least[1] == 0.0) & (orphans[0] + orphans[1] == 0.0)
}

/// Says what is wrong first.
#[cold]
#[inline(never)]
fn refuse_side(prices: &[f64], sizes: &[f64]) -> Result<(), Refusal> {
    check_price(prices[0])?;
    check_size(sizes[0])?;
    for (&price, &size) in prices[1..].iter().zip(&sizes[1..]) {
        if price != 0.0 || size != 0.0 {
            check_price(price)?;
            check_size(size)?;
        }
    }
    Ok(())
}

#[inline]
fn check_price(price: f64) -> Result<(), Refusal> {
    is_price(price).then_some(()).ok_or(Refusal::BadPrice)
}

#[inline]
fn is_price(price: f64) -> bool {
    (price > 0.0) & (price < f64::INFINITY)
}

#[inline]
fn check_size(size: f64) -> Result<(), Refusal> {
    is_size(size).then_some(()).ok_or(Refusal::BadSize)
}

#[inline]
fn is_size(size: f64) -> bool {
    (0.0..f64::INFINITY).contains(&size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::SYMBOL_LEN;
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

    fn stage(levels: usize, max: usize) -> Ingest {
        Ingest::new(levels, Arc::new(Names::new(max)), Assets::default())
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
        let mut ingest = Ingest::new(1, Arc::new(Names::new(4)), assets);
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
        for price in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                run(&mut ingest, &trade, &[price, 1.0]),
                Err(Refusal::BadPrice)
            );
        }
        for size in [-1.0, f64::NAN, f64::INFINITY] {
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

    /// What books are made of, and what spoils them.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => 0.001..1e6f64,
            2 => prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX]),
            1 => prop::sample::select(vec![-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        ]
    }

    proptest! {
        #[test]
        fn a_side_is_refused_as_level_by_level(
            levels in prop::collection::vec((number(), number()), 1..=10)
        ) {
            let (prices, sizes): (Vec<f64>, Vec<f64>) = levels.into_iter().unzip();
            prop_assert_eq!(check_side(&prices, &sizes), refuse_side(&prices, &sizes));
        }

        #[test]
        fn masking_equals_a_plain_search_for_the_nul(field in any::<[u8; SYMBOL_LEN]>()) {
            let mut expected = [0u8; SYMBOL_LEN];
            let text = abi::text(&field);
            expected[..text.len()].copy_from_slice(text);
            let masked: [u64; SYMBOL_LEN / 8] = up_to_nul(&field);
            let bytes: Vec<u8> = masked.iter().flat_map(|w| w.to_le_bytes()).collect();
            prop_assert_eq!(bytes, expected.to_vec());
        }

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
