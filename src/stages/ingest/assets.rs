//! The symbols whose events are taken.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

use crate::messages::Name;

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

    /// Whether events of this symbol of the host's are taken, or of the instruments
    /// with these names.
    pub(super) fn take<'a>(&self, symbol: &[u8], names: impl Iterator<Item = &'a Name>) -> bool {
        self.0.is_empty()
            || self.has(symbol)
            || names.fold(false, |any, name| any | self.has(name.as_str().as_bytes()))
    }

    fn has(&self, symbol: &[u8]) -> bool {
        Name::from_symbol(symbol).is_some_and(|name| self.0.contains(&name))
    }
}
