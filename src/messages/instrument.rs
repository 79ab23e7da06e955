//! What an instrument is.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;

use super::Name;
use crate::abi::{EXCHANGE_LEN, INSTRUMENT_TYPES};

/// What an instrument is: the name that its signals have, and what the host calls it. If an
/// instrument has two spellings, that of its first event is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrument {
    name: Name,
    symbol: Name,
    /// Ends in a NUL, even if the text fills the host's field.
    exchange: [u8; EXCHANGE_LEN + 1],
    instrument_type: i8,
}

impl Instrument {
    pub(crate) fn new(
        name: Name,
        symbol: Name,
        exchange: &[u8; EXCHANGE_LEN],
        instrument_type: i8,
    ) -> Self {
        let mut field = [0; EXCHANGE_LEN + 1];
        field[..EXCHANGE_LEN].copy_from_slice(exchange);
        Self {
            name,
            symbol,
            exchange: field,
            instrument_type,
        }
    }

    /// The name that its signals have.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its symbol as the host spells it, `btc_usdt`.
    pub fn symbol(&self) -> &Name {
        &self.symbol
    }

    /// Its exchange as the host spells it. Bytes that are not UTF-8 are replaced.
    pub fn exchange(&self) -> Cow<'_, str> {
        self.exchange_c_str().to_string_lossy()
    }

    /// Its exchange for a C host.
    pub fn exchange_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.exchange).unwrap_or_default()
    }

    /// The host's number of its type (Spot 5, Swap 7, ...).
    pub fn instrument_type(&self) -> i8 {
        self.instrument_type
    }
}

/// As in `btc_usdt of binance (swap)`.
impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} (", self.symbol.as_str(), self.exchange())?;
        let place = usize::try_from(self.instrument_type).ok();
        match place.and_then(|place| INSTRUMENT_TYPES.get(place)) {
            Some(name) => write!(f, "{name})"),
            None => write!(f, "type {})", self.instrument_type),
        }
    }
}
