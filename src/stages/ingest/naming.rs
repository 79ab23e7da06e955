//! What instruments are called, and who has to know where names meet.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::intern::PairKey;
use super::occurrence::Named;
use crate::abi::{self, EXCHANGE_LEN};
use crate::error::content::quoted;
use crate::messages::{Instrument, Name};

/// How the host's symbols become names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SymbolStyle {
    /// ASCII letters in upper case, no underscore: `btc_usdt` is `BTCUSDT`. Spellings
    /// with one such name, exchange and type are one instrument.
    #[default]
    Compact,
    /// As the host wrote it: `btc_usdt`. Each spelling is an instrument of its own.
    Host,
}

impl SymbolStyle {
    /// A symbol in this style; `None` if it is no symbol.
    pub fn name(self, symbol: &[u8]) -> Option<Name> {
        match self {
            SymbolStyle::Compact => Name::from_symbol(symbol),
            SymbolStyle::Host => Name::verbatim(symbol),
        }
    }
}

/// What instruments are called: by their symbols in a style, but for those that
/// have been given names. Copies share which of those have occurred.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    style: SymbolStyle,
    /// By exchange and symbol in that style.
    given: HashMap<PairKey, Vec<Given>, FxBuildHasher>,
    /// Whether these have occurred, in the order in which they were given names.
    occurrences: Vec<Arc<Named>>,
}

/// A name that an instrument of one exchange and symbol was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) instrument_type: i8,
    pub(super) name: Name,
    pub(super) occurrence: Arc<Named>,
}

impl Naming {
    /// Names in this style alone.
    pub fn new(style: SymbolStyle) -> Self {
        Self {
            style,
            given: HashMap::default(),
            occurrences: Vec::new(),
        }
    }

    /// Gives an instrument a name. False if it has been given one before.
    ///
    /// # Errors
    ///
    /// What of the three is wrong, and what was expected.
    pub fn give(
        &mut self,
        exchange: &str,
        instrument_type: i8,
        symbol: &str,
        name: &str,
    ) -> Result<bool, String> {
        const EXPECTED: &str = "1 to 32 bytes of UTF-8 without spaces and control characters";
        let wrong = |key, text| format!("{key} {}; expected {EXPECTED}", quoted(text));
        let symbol_name = self.style.name(symbol.as_bytes());
        let symbol_name = symbol_name.ok_or_else(|| wrong("symbol", symbol))?;
        let name = Name::verbatim(name.as_bytes()).ok_or_else(|| wrong("name", name))?;
        if exchange.len() > EXCHANGE_LEN || exchange.contains('\0') {
            return Err(format!(
                "exchange {}; expected at most {EXCHANGE_LEN} bytes without a NUL",
                quoted(exchange)
            ));
        }
        let mut field = [0; EXCHANGE_LEN];
        field[..exchange.len()].copy_from_slice(exchange.as_bytes());
        let key = PairKey::new(symbol_name, &field);
        let names = self.given.entry(key).or_default();
        let mut types = names.iter().map(|given| given.instrument_type);
        let is_new = types.all(|given| given != instrument_type);
        if is_new {
            let symbol = Name::verbatim(symbol.as_bytes()).unwrap_or(symbol_name);
            let instrument = Instrument::new(name, symbol, &field, instrument_type);
            let occurrence = Arc::new(Named::new(instrument.to_string()));
            self.occurrences.push(occurrence.clone());
            names.push(Given {
                instrument_type,
                name,
                occurrence,
            });
        }
        Ok(is_new)
    }

    /// The instruments with a name of their own of which no event has come. Any thread.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.occurrences.iter().filter_map(|named| named.missing())
    }

    pub(super) fn style(&self) -> SymbolStyle {
        self.style
    }

    /// The names that instruments of this exchange and symbol were given.
    pub(super) fn given(&self, key: &PairKey) -> &[Given] {
        self.given.get(key).map_or(&[], Vec::as_slice)
    }

    /// The instrument's name.
    pub(super) fn name(&self, key: &PairKey, instrument_type: i8) -> Name {
        let mut given = self.given(key).iter();
        let given = given.find(|given| given.instrument_type == instrument_type);
        given.map_or(key.name, |given| given.name)
    }
}

/// Names have met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Signals of two instruments bear one name.
    OneName(&'a Instrument, &'a Instrument),
    /// Two symbols of the host are one instrument, although they differ by more than
    /// `btc_usdt` and `BTCUSDT` do.
    OneInstrument(&'a Instrument, Name),
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::OneName(first, second) => write!(
                f,
                "{} is the name of several instruments, {first} and {second}: their signals cannot be told apart \
                 by it (see the keys symbols and symbols.map)",
                first.name().as_str()
            ),
            Notice::OneInstrument(first, other) => write!(
                f,
                "{} and {first} are treated as one instrument, {} (see the key symbols)",
                other.as_str(),
                first.name().as_str()
            ),
        }
    }
}

/// Whether two symbols of the host that are one compact name are likely two
/// instruments: they have their underscores at different places. One without any
/// is the exchange's spelling.
pub(super) fn differ(one: &Name, other: &Name) -> bool {
    let (one, other) = (one.as_str(), other.as_str());
    one.contains('_') && other.contains('_') && !one.eq_ignore_ascii_case(other)
}

/// A field of the host, with what follows a NUL cleared.
pub(super) fn cleared<const LEN: usize>(field: &[u8; LEN]) -> [u8; LEN] {
    let text = abi::text(field);
    let mut clean = [0; LEN];
    clean[..text.len()].copy_from_slice(text);
    clean
}
