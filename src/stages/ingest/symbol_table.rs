//! Where an event of a known spelling goes: a table from the host's spelling of an instrument
//! to its numbers.
//!
//! Each event is looked up here. So an entry is one cache line, its place is known after
//! three parallel multiplications, and the key stays in registers. A general map takes two
//! lines and twice the time. Entries are never removed.

use crate::abi::{EXCHANGE_LEN, SYMBOL_LEN};
use crate::messages::{InstrumentId, PairId};

/// Where an event of a known spelling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    To(InstrumentId, PairId),
    NotAnAsset,
}

/// The host's spelling of an instrument, with everything after a NUL cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) symbol: [u64; SYMBOL_LEN / 8],
    pub(super) exchange: [u64; EXCHANGE_LEN / 8],
    /// [`INDEX_PRICE`] for an index price, which belongs to no instrument.
    pub(super) instrument_type: i16,
}

pub(super) const INDEX_PRICE: i16 = i16::MAX;

impl Spelling {
    /// Differences spread over all bits, mainly over the upper ones.
    #[inline(always)]
    fn hash(&self) -> u64 {
        let [s0, s1, s2, s3] = self.symbol;
        let [e0, e1] = self.exchange;
        // What follows the first eight letters is usually 0; adding it costs no time.
        let front = mixed(s0 ^ s2.rotate_left(17), 0x9e37_79b9_7f4a_7c15);
        let back = mixed(s1 ^ s3.rotate_left(31), 0xbb67_ae85_84ca_a73b);
        let place = e0 ^ e1.rotate_left(23) ^ u64::from(self.instrument_type as u16) << 48;
        front ^ back.rotate_left(32) ^ mixed(place, 0x3c6e_f372_fe94_f82b)
    }
}

#[inline(always)]
fn mixed(word: u64, odd: u64) -> u64 {
    let wide = u128::from(word) * u128::from(odd);
    wide as u64 ^ (wide >> 64) as u64
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    symbol: [u64; SYMBOL_LEN / 8],
    exchange: [u64; EXCHANGE_LEN / 8],
    instrument_type: i16,
    state: State,
    instrument: InstrumentId,
    pair: PairId,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    // Not 0: for zeros the allocator would return untouched pages.
    Free = 1,
    To,
    NotAnAsset,
}

const _: () = assert!(size_of::<Entry>() == 64);

impl Entry {
    #[inline(always)]
    fn is_of(&self, spelling: &Spelling) -> bool {
        let mut differ = u64::from((self.instrument_type ^ spelling.instrument_type) as u16);
        for (mine, its) in self.symbol.iter().zip(&spelling.symbol) {
            differ |= mine ^ its;
        }
        for (mine, its) in self.exchange.iter().zip(&spelling.exchange) {
            differ |= mine ^ its;
        }
        differ == 0
    }
}

const FREE: Entry = Entry {
    symbol: [0; SYMBOL_LEN / 8],
    exchange: [0; EXCHANGE_LEN / 8],
    instrument_type: 0,
    state: State::Free,
    instrument: InstrumentId::NONE,
    pair: PairId(0),
};

/// The table.
pub(super) struct SymbolTable {
    entries: Box<[Entry]>,
    /// Shifts the hash so that its upper bits are a place.
    shift: u32,
    room: usize,
}

impl SymbolTable {
    /// Room for `spellings`. Allocates and writes all of its memory here.
    pub(super) fn new(spellings: usize) -> Self {
        let places = Self::places(spellings);
        Self {
            entries: vec![FREE; places].into_boxed_slice(),
            shift: u64::BITS - places.trailing_zeros(),
            room: spellings,
        }
    }

    /// Bytes of a table with room for `spellings`.
    pub(super) fn bytes(spellings: usize) -> usize {
        Self::places(spellings).saturating_mul(size_of::<Entry>())
    }

    /// Dense, because it is read at random: only an eighth stays free.
    fn places(spellings: usize) -> usize {
        // At least two: with one, the shift would remove the whole hash.
        let places = (spellings.saturating_mul(8) / 7 + 1).next_power_of_two();
        places.max(2)
    }

    /// Where events of this spelling go, if that is known.
    #[inline(always)]
    pub(super) fn get(&self, spelling: &Spelling) -> Option<Route> {
        let mut place = (spelling.hash() >> self.shift) as usize;
        loop {
            let entry = &self.entries[place];
            if entry.is_of(spelling) && entry.state != State::Free {
                return Some(match entry.state {
                    State::NotAnAsset => Route::NotAnAsset,
                    _ => Route::To(entry.instrument, entry.pair),
                });
            }
            // The table always has free places, so the search ends.
            if entry.state == State::Free {
                return None;
            }
            place = self.after(place);
        }
    }

    /// Stores a spelling that is not in the table yet. Does nothing if there is no room.
    pub(super) fn insert(&mut self, spelling: &Spelling, route: Route) {
        if self.room == 0 {
            return;
        }
        self.room -= 1;
        let mut place = (spelling.hash() >> self.shift) as usize;
        while self.entries[place].state != State::Free {
            place = self.after(place);
        }
        let (state, instrument, pair) = match route {
            Route::To(instrument, pair) => (State::To, instrument, pair),
            Route::NotAnAsset => (State::NotAnAsset, InstrumentId::NONE, PairId(0)),
        };
        self.entries[place] = Entry {
            symbol: spelling.symbol,
            exchange: spelling.exchange,
            instrument_type: spelling.instrument_type,
            state,
            instrument,
            pair,
        };
    }

    #[inline(always)]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl SymbolTable {
        /// Bytes that it occupies.
        pub(in super::super) fn taken(&self) -> usize {
            size_of_val(&self.entries[..])
        }

        /// How many more spellings can be stored.
        pub(in super::super) fn room(&self) -> usize {
            self.room
        }
    }

    fn spelling() -> impl Strategy<Value = Spelling> {
        // Few values, so that spellings repeat, and differ in a single word.
        let word = 0..3u64;
        (
            prop::array::uniform4(word.clone()),
            prop::array::uniform2(word),
            prop::sample::select(vec![-1i16, 0, 7, INDEX_PRICE]),
        )
            .prop_map(|(symbol, exchange, instrument_type)| Spelling {
                symbol,
                exchange,
                instrument_type,
            })
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            given in prop::collection::vec(spelling(), 1..200),
            asked in prop::collection::vec(spelling(), 200),
            room in 0..100usize,
        ) {
            let key = |s: &Spelling| (s.symbol, s.exchange, s.instrument_type);
            let mut table = SymbolTable::new(room);
            let mut map = HashMap::new();
            for (number, spelling) in given.iter().enumerate() {
                let number = number as u32;
                let route = match number % 5 {
                    0 => Route::NotAnAsset,
                    _ => Route::To(InstrumentId(number), PairId(number / 2)),
                };
                if table.get(spelling).is_none() {
                    table.insert(spelling, route);
                    if map.len() < room {
                        map.insert(key(spelling), route);
                    }
                }
            }
            for spelling in given.iter().chain(&asked) {
                prop_assert_eq!(table.get(spelling), map.get(&key(spelling)).copied());
            }
        }
    }

    #[test]
    fn a_table_has_a_free_place_and_few_more_than_it_needs() {
        for spellings in 0..2_000 {
            let places = SymbolTable::places(spellings);
            assert!(places > spellings && places <= 3 * spellings + 2);
        }
    }

    #[test]
    fn spellings_that_differ_little_lie_apart() {
        let table = SymbolTable::new(10_000);
        let word = |text: &[u8]| {
            let mut bytes = [0; 8];
            bytes[..text.len()].copy_from_slice(text);
            u64::from_le_bytes(bytes)
        };
        let base = Spelling {
            symbol: [b"btc_usdt", b"_perpetu", b"al_24062", b"8_rest__"].map(|text| word(text)),
            exchange: [b"binance_", b"futures_"].map(|text| word(text)),
            instrument_type: 7,
        };
        let short = Spelling {
            symbol: [base.symbol[0], 0, 0, 0],
            exchange: [base.exchange[0], 0],
            instrument_type: 7,
        };
        // Four digits in either half of each word, in a long and a short spelling, or the
        // type.
        for (base, part) in (0..13).flat_map(|part| [(base, part), (short, part)]) {
            let mut places = vec![0; table.entries.len()];
            for number in 0..10_000u16 {
                let mut spelling = base;
                let digits = u64::from(u32::from_le_bytes(
                    format!("{number:04}").into_bytes().try_into().unwrap(),
                ));
                let words = spelling.symbol.iter_mut().chain(&mut spelling.exchange);
                match words.into_iter().nth(part / 2) {
                    Some(word) if part % 2 == 0 => *word = *word >> 32 << 32 | digits,
                    Some(word) => *word = *word << 32 >> 32 | digits << 32,
                    None => spelling.instrument_type = number as i16,
                }
                places[(spelling.hash() >> table.shift) as usize] += 1;
            }
            // Balls thrown at random into 16,384 places hit about 7,480 of them.
            let hit = places.iter().filter(|&&hits| hits > 0).count();
            assert!(hit > 6_800, "part {part}: {hit}");
            assert!(places.iter().max() < Some(&8), "part {part}");
        }
    }
}
