//! From the host's texts to numbers.

use std::collections::HashMap;
use std::hash::Hash;

use rustc_hash::FxBuildHasher;

use super::naming::{Given, Notice, cleared, differ};
use super::symbol_table::{INDEX_PRICE, Route, Spelling};
use super::{Ingest, Refusal};
use crate::abi::{self, EXCHANGE_LEN};
use crate::messages::{Instrument, InstrumentId, Name, PairId, RawHead};

/// An exchange and a symbol in the configured style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PairKey {
    pub(super) name: Name,
    pub(super) exchange: [u64; EXCHANGE_LEN / 8],
}

impl PairKey {
    pub(super) fn new(name: Name, exchange: &[u8; EXCHANGE_LEN]) -> Self {
        let exchange = up_to_nul(exchange);
        Self { name, exchange }
    }
}

/// The instruments that have a name.
#[derive(Clone, Copy)]
pub(super) struct Bearer {
    pub(super) first: InstrumentId,
    /// Whether a second one has been reported.
    pub(super) told: bool,
}

pub(super) struct Room {
    pub(super) spellings: usize,
    pub(super) others: usize,
}

impl Ingest {
    #[inline(always)]
    pub(super) fn intern(
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
        let symbol = abi::text(&head.symbol);
        let naming = &self.rules.naming;
        let name = naming.style().name(symbol).ok_or(Refusal::BadSymbol)?;
        let key = PairKey {
            name,
            exchange: host_key.exchange,
        };
        let is_its_own = |given: &&Given| given.instrument_type == head.instrument_type;
        let given = naming.given(&key).iter();
        // Even if it is refused below: the entry in the configuration is right.
        let own = given.clone().filter(is_its_own);
        own.for_each(|given| given.occurrence.occurs());
        // An index price applies to each instrument of its exchange and symbol.
        let given = given.filter(|given| is_index || is_its_own(given));
        if !self
            .rules
            .assets
            .take(symbol, given.map(|given| &given.name))
        {
            self.remember(host_key, Route::NotAnAsset);
            return Err(Refusal::NotAnAsset);
        }
        let (id, pair) = if is_index {
            (InstrumentId::NONE, self.index_pair(key)?)
        } else {
            self.instrument(key, head)?
        };
        self.remember(host_key, Route::To(id, pair));
        Ok((id, pair))
    }

    /// Spellings for which the table has no room take the slower way each time.
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
        head: &RawHead,
    ) -> Result<(InstrumentId, PairId), Refusal> {
        let symbol = Name::verbatim(abi::text(&head.symbol)).ok_or(Refusal::BadSymbol)?;
        let known = self.by_pair.get(&key).copied();
        if let Some(pair) = known
            && let Some(&id) = self.by_instrument.get(&(pair, head.instrument_type))
        {
            // Without room to remember it, each event of the spelling would get here.
            if let Some(first) = self.names.instrument(id)
                && differ(first.symbol(), &symbol)
                && self.room.spellings > 0
            {
                self.note(Notice::OneInstrument(first, symbol));
            }
            return Ok((id, pair));
        }
        if self.by_instrument.len() == self.names.capacity() {
            return Err(Refusal::TooManyInstruments);
        }
        let pair = known.unwrap_or_else(|| self.add_pair(key));
        let id = InstrumentId(self.by_instrument.len() as u32);
        let name = self.rules.naming.name(&key, head.instrument_type);
        let exchange = cleared(&head.exchange);
        let instrument = Instrument::new(name, symbol, &exchange, head.instrument_type);
        self.names.set(id, instrument);
        self.by_instrument.insert((pair, head.instrument_type), id);
        self.note_bearer(id, &instrument);
        Ok((id, pair))
    }

    /// Reports once for each name that a second instrument has it.
    fn note_bearer(&mut self, id: InstrumentId, instrument: &Instrument) {
        let bearer = self.by_name.entry(*instrument.name()).or_insert(Bearer {
            first: id,
            told: false,
        });
        if bearer.first == id || std::mem::replace(&mut bearer.told, true) {
            return;
        }
        if let Some(first) = self.names.instrument(bearer.first) {
            self.note(Notice::OneName(first, instrument));
        }
    }

    fn note(&self, notice: Notice<'_>) {
        if let Some(tell) = &self.tell {
            tell(&notice);
        }
    }

    fn add_pair(&mut self, key: PairKey) -> PairId {
        let pair = PairId(self.by_pair.len() as u32);
        self.by_pair.insert(key, pair);
        pair
    }
}

/// Fills a table and empties it again, so that its memory is there before the first event,
/// and not only when a new instrument needs it.
pub(super) fn touch<K: Eq + Hash, V>(
    table: &mut HashMap<K, V, FxBuildHasher>,
    entry: impl Fn(u64) -> (K, V),
) {
    let capacity = table.capacity();
    for number in 0..capacity as u64 {
        let (key, value) = entry(number);
        table.insert(key, value);
    }
    debug_assert_eq!(table.capacity(), capacity);
    table.clear();
}

/// A text field as words, zero from its first NUL.
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
            // The bits below that one, without the 7 lower bits of its own byte.
            *word = value & ((zeros & zeros.wrapping_neg()) - 1) >> 7;
            break;
        }
        *word = value;
    }
    words
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::abi::SYMBOL_LEN;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_filled_once_and_empty_then() {
        let mut table = HashMap::with_capacity_and_hasher(100, FxBuildHasher);
        let (capacity, filled) = (table.capacity(), Cell::new(0));
        touch(&mut table, |number| {
            filled.set(filled.get() + 1);
            (number, number)
        });
        assert_eq!((filled.get(), table.len()), (capacity, 0));
        assert_eq!(table.capacity(), capacity);
    }

    proptest! {
        #[test]
        fn masking_equals_a_plain_search_for_the_nul(field in any::<[u8; SYMBOL_LEN]>()) {
            let mut expected = [0u8; SYMBOL_LEN];
            let text = abi::text(&field);
            expected[..text.len()].copy_from_slice(text);
            let masked: [u64; SYMBOL_LEN / 8] = up_to_nul(&field);
            let bytes: Vec<u8> = masked.iter().flat_map(|w| w.to_le_bytes()).collect();
            prop_assert_eq!(bytes, expected.to_vec());
        }
    }
}
