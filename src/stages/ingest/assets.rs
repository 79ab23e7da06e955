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

    pub(super) fn take(&self, name: &Name) -> bool {
        self.0.is_empty() || self.0.contains(name)
    }
}
