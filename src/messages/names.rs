//! Instrument names: written once by ingest, read by the host's thread.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use super::{Instrument, InstrumentId};
use crate::abi::SYMBOL_LEN;

/// A symbol as strategies expect it: ASCII letters in upper case, no underscores, at most 32
/// bytes of UTF-8, followed by a NUL.
///
/// ```
/// use signal::Name;
/// assert_eq!(Name::from_symbol(b"btc_usdt").unwrap().as_str(), "BTCUSDT");
/// let name = Name::from_symbol("币安人生_usdt".as_bytes()).unwrap();
/// assert_eq!(name.as_str(), "币安人生USDT");
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
    /// `None` if the symbol is longer than 32 bytes, is no [`symbol_text`], or consists of
    /// underscores only.
    pub fn from_symbol(symbol: &[u8]) -> Option<Self> {
        let mut name = Self {
            bytes: [0; SYMBOL_LEN + 1],
            len: 0,
        };
        for byte in symbol_text(symbol)?.bytes() {
            if byte != b'_' {
                name.bytes[usize::from(name.len)] = byte.to_ascii_uppercase();
                name.len += 1;
            }
        }
        (name.len > 0).then_some(name)
    }

    /// A text unchanged: the host's own spelling, or a configured name.
    ///
    /// `None` if it is longer than 32 bytes or no [`symbol_text`].
    pub fn verbatim(text: &[u8]) -> Option<Self> {
        let text = symbol_text(text)?.as_bytes();
        let mut name = Self {
            bytes: [0; SYMBOL_LEN + 1],
            len: text.len() as u8,
        };
        name.bytes[..text.len()].copy_from_slice(text);
        Some(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)])
            .expect("names are made of whole characters")
    }

    /// The name for a C host, without a search for its end.
    #[inline]
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// The name for a C host.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=usize::from(self.len)])
            .expect("names have no control characters and end in a NUL")
    }
}

/// A host symbol as text: 1 to 32 bytes of visible UTF-8.
///
/// The host cuts a longer symbol at the end of its field, possibly within a character. The
/// rest of that character is not part of the text. `None` for other bytes that are not UTF-8,
/// and for control characters, spaces and other characters that are invisible or reverse the
/// text direction, because two different symbols could then look the same.
pub fn symbol_text(symbol: &[u8]) -> Option<&str> {
    if symbol.len() > SYMBOL_LEN {
        return None;
    }
    let text = match std::str::from_utf8(symbol) {
        Ok(text) => text,
        Err(error) if symbol.len() == SYMBOL_LEN && error.error_len().is_none() => {
            std::str::from_utf8(&symbol[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_seen = !text.is_empty() && !text.contains(is_unseen);
    is_seen.then_some(text)
}

/// Control characters, spaces, and what Unicode calls format characters. The two that join
/// letters or keep them apart (U+200C, U+200D) are allowed: they make a visible difference.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The table of names, indexed by [`InstrumentId`].
///
/// Ingest fills an entry before it publishes the first message with the id. After that no one
/// writes the entry, so readers on other cores keep its cache line.
#[derive(Debug)]
pub struct Names {
    names: Box<[OnceLock<Name>]>,
    /// Separate from the names, because for each signal only names are read.
    instruments: Box<[OnceLock<Instrument>]>,
}

impl Names {
    /// A table for at most `max` instruments.
    pub fn new(max: usize) -> Self {
        Self {
            names: (0..max).map(|_| OnceLock::new()).collect(),
            instruments: (0..max).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Bytes of a table for at most `max` instruments.
    pub fn bytes(max: usize) -> usize {
        max * (size_of::<OnceLock<Name>>() + size_of::<OnceLock<Instrument>>())
    }

    /// Instruments that the table can hold.
    pub fn capacity(&self) -> usize {
        self.names.len()
    }

    /// Sets what an instrument is. Only the first call for an id counts.
    ///
    /// # Panics
    ///
    /// If the id is outside the table.
    pub fn set(&self, id: InstrumentId, instrument: Instrument) {
        let name = *instrument.name();
        self.instruments[id.index()].get_or_init(|| instrument);
        self.names[id.index()].get_or_init(|| name);
    }

    /// The name of an instrument that appeared in a message.
    #[inline]
    pub fn get(&self, id: InstrumentId) -> Option<&Name> {
        self.names.get(id.index())?.get()
    }

    /// What an instrument that appeared in a message is.
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(symbol: &str) -> Option<String> {
        Name::from_symbol(symbol.as_bytes()).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn symbols_of_any_script_are_taken_and_only_ascii_letters_change() {
        for (symbol, name) in [
            ("币安人生_usdt", "币安人生USDT"),
            ("ärger_straße", "äRGERSTRAßE"),
            ("доге_USDT", "догеUSDT"),
            ("🚀_usdt", "🚀USDT"),
            ("a\u{200d}b", "A\u{200d}B"),
        ] {
            assert_eq!(compact(symbol).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_symbol() {
        for character in [
            ' ', '\t', '\n', '\0', '\u{7f}', '\u{85}', '\u{9f}', '\u{a0}', '\u{ad}', '\u{1680}',
            '\u{2003}', '\u{200b}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{3000}', '\u{feff}',
        ] {
            for symbol in [
                format!("{character}btc"),
                format!("币{character}a"),
                format!("b{character}"),
            ] {
                assert_eq!(compact(&symbol), None, "{symbol:?}");
            }
        }
        for bytes in [
            &b"\xff"[..],
            b"b\xc3",
            b"\xc3\x28",
            b"\xed\xa0\x80",
            b"\xc0\xaf",
            b"",
        ] {
            assert_eq!(Name::from_symbol(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_character_that_the_fields_end_cuts_is_left_out() {
        // As strncpy fills the field: with the first 32 bytes, whatever they are.
        for (start, kept) in [(0, 30), (1, 31), (2, 32)] {
            let long = "a".repeat(start) + &"币".repeat(12);
            let name = Name::from_symbol(&long.as_bytes()[..SYMBOL_LEN]).unwrap();
            assert_eq!(name.as_str(), long[..kept].replace('a', "A"));
        }
        let rocket = "x".repeat(29) + "🚀";
        let cut = &rocket.as_bytes()[..SYMBOL_LEN];
        assert_eq!(symbol_text(cut), Some("x".repeat(29).as_str()));
        // An invalid byte elsewhere in a full field is an error.
        let mut damaged = *b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        damaged[5] = 0xe5;
        assert_eq!(symbol_text(&damaged), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_name_of_whole_characters_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(name) = Name::from_symbol(&bytes) {
                prop_assert!(!name.as_str().is_empty() && name.as_str().len() <= SYMBOL_LEN);
                prop_assert_eq!(name.as_c_str().to_str(), Ok(name.as_str()));
            }
        }

        #[test]
        fn ascii_is_what_it_was(symbol in "[ -~]{1,32}") {
            let visible = symbol.bytes().all(|byte| byte.is_ascii_graphic());
            let name = symbol.replace('_', "").to_ascii_uppercase();
            let expected = (visible && !name.is_empty()).then_some(name);
            prop_assert_eq!(compact(&symbol), expected);
        }
    }
}
