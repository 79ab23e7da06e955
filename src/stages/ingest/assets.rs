//! The symbols whose events are accepted.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::occurrence::Named;
use crate::messages::Name;

/// The symbols whose events are accepted; none means all. Copies share which ones have
/// occurred.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    places: Arc<HashMap<Name, usize, FxBuildHasher>>,
    /// As configured, in that order, each once.
    given: Arc<[Named]>,
}

impl Assets {
    /// These symbols, in either spelling: `btc_usdt` is the same as `BTCUSDT`.
    ///
    /// # Errors
    ///
    /// The first text that is not a symbol.
    pub fn new(symbols: &[String]) -> Result<Self, String> {
        let mut places = HashMap::default();
        let mut given = Vec::new();
        for symbol in symbols {
            let name = Name::from_symbol(symbol.as_bytes()).ok_or_else(|| symbol.clone())?;
            places.entry(name).or_insert_with(|| {
                given.push(Named::new(symbol.clone()));
                given.len() - 1
            });
        }
        Ok(Self {
            places: Arc::new(places),
            given: given.into(),
        })
    }

    /// Those of which no event has arrived, as configured. From any thread.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter_map(Named::missing)
    }

    /// Whether to accept events of this symbol of the host's, or of instruments with these
    /// names.
    pub(super) fn take<'a>(&self, symbol: &[u8], names: impl Iterator<Item = &'a Name>) -> bool {
        // Does not stop at the first match: all that match have occurred.
        let any = names.fold(self.occurs(symbol), |any, name| {
            self.occurs(name.as_str().as_bytes()) | any
        });
        any || self.given.is_empty()
    }

    fn occurs(&self, symbol: &[u8]) -> bool {
        let name = Name::from_symbol(symbol);
        let Some(&place) = name.and_then(|name| self.places.get(&name)) else {
            return false;
        };
        self.given[place].occurs();
        true
    }
}
