//! Instrument names: written once by ingest, read by the host's thread.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use super::InstrumentId;
use crate::abi::SYMBOL_LEN;

/// A symbol as strategies expect it: upper case, no underscore, at most
/// 32 characters, with a NUL behind them.
///
/// ```
/// use signal::Name;
/// assert_eq!(Name::from_symbol(b"btc_usdt").unwrap().as_str(), "BTCUSDT");
/// assert!(Name::from_symbol(b"\xff").is_none());
/// assert!(Name::from_symbol(b"_").is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    bytes: [u8; SYMBOL_LEN + 1],
    len: u8,
}

impl Name {
    /// Normalises a host symbol (`btc_usdt` becomes `BTCUSDT`).
    ///
    /// `None` if the symbol is longer than 32 bytes, has a character that is
    /// not visible ASCII (a space is not), or has nothing left without its underscores.
    pub fn from_symbol(symbol: &[u8]) -> Option<Self> {
        if symbol.len() > SYMBOL_LEN {
            return None;
        }
        let mut name = Self {
            bytes: [0; SYMBOL_LEN + 1],
            len: 0,
        };
        for &byte in symbol {
            if !byte.is_ascii_graphic() {
                return None;
            }
            if byte != b'_' {
                name.bytes[usize::from(name.len)] = byte.to_ascii_uppercase();
                name.len += 1;
            }
        }
        (name.len > 0).then_some(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)])
            .expect("names are made of ASCII alone")
    }

    /// The name for a C host, without a look for its end.
    #[inline]
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// The name for a C host.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=usize::from(self.len)])
            .expect("names are made of printable ASCII and end in a NUL")
    }
}

/// The table of names, indexed by [`InstrumentId`].
///
/// Ingest fills an entry before it publishes the first message that bears the
/// id; after that nobody writes it, so readers on other cores keep its cache
/// line.
#[derive(Debug)]
pub struct Names(Box<[OnceLock<Name>]>);

impl Names {
    /// A table for at most `max` instruments.
    pub fn new(max: usize) -> Self {
        Self((0..max).map(|_| OnceLock::new()).collect())
    }

    /// Bytes of a table for so many instruments.
    pub fn bytes(max: usize) -> usize {
        max * size_of::<OnceLock<Name>>()
    }

    /// Instruments that the table can hold.
    pub fn capacity(&self) -> usize {
        self.0.len()
    }

    /// Sets the name of an instrument, once.
    ///
    /// # Panics
    ///
    /// If the id lies outside the table.
    pub fn set(&self, id: InstrumentId, name: Name) {
        self.0[id.index()].get_or_init(|| name);
    }

    /// The name of an instrument that a message has named.
    #[inline]
    pub fn get(&self, id: InstrumentId) -> Option<&Name> {
        self.0.get(id.index())?.get()
    }
}
