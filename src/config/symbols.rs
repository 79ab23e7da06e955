//! How instruments are named: the key `symbols`.

use serde::de::{self, Deserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::forms;
use crate::abi::INSTRUMENT_TYPES;
use crate::error::Error;
use crate::stages::{Naming, SymbolStyle};

/// How instruments are named.
///
/// In JSON a style, `"host"`, or an object with the keys `style` and `map`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// How the host's symbols become names. Default `compact`.
    pub style: SymbolStyle,
    /// Names of single instruments. Default: none.
    pub map: Vec<MappedSymbol>,
}

impl Symbols {
    /// The names, validated.
    pub(super) fn naming(&self) -> Result<Naming, Error> {
        let mut naming = Naming::new(self.style);
        for (place, entry) in self.map.iter().enumerate() {
            let wrong = |what: String| Error::Config(format!("symbols.map[{place}]: {what}"));
            let (exchange, symbol) = (&entry.exchange, &entry.symbol);
            let is_new = naming.give(exchange, entry.instrument_type.0, symbol, &entry.name);
            if !is_new.map_err(wrong)? {
                let instrument = format!("{symbol} of {exchange} ({})", entry.instrument_type);
                return Err(wrong(format!(
                    "{instrument} has a name already; expected each exchange, type and symbol once \
                     (with style compact btc_usdt and BTCUSDT are one symbol)"
                )));
            }
        }
        Ok(naming)
    }
}

impl Serialize for Symbols {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.map.is_empty() {
            return self.style.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("style", &self.style)?;
        map.serialize_entry("map", &self.map)?;
        map.end()
    }
}

/// An instrument and the name in its signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MappedSymbol {
    /// The exchange as the host spells it, at most 16 bytes.
    pub exchange: String,
    /// The instrument's type: `spot`, `swap`, `future` and so on, or the host's number.
    #[serde(rename = "type")]
    #[cfg_attr(test, schemars(with = "super::schema::InstrumentType"))]
    pub instrument_type: InstrumentType,
    /// The host's symbol: in either spelling where the style is `compact`, else exactly
    /// as the host writes it.
    pub symbol: String,
    /// The name in its signals: 1 to 32 bytes of UTF-8 without spaces and
    /// control characters.
    pub name: String,
}

/// The host's number of an instrument's type.
///
/// In JSON one of `unknown`, `ffuture`, `dfuture`, `future`, `etf`, `spot`, `index` and
/// `swap`, or the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentType(pub i8);

impl InstrumentType {
    fn name(self) -> Option<&'static str> {
        INSTRUMENT_TYPES.get(usize::try_from(self.0).ok()?).copied()
    }
}

impl std::fmt::Display for InstrumentType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

impl Serialize for InstrumentType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => name.serialize(serializer),
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for InstrumentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = InstrumentType;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(
                    f,
                    "one of {} or the host's number",
                    INSTRUMENT_TYPES.join(", ")
                )
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<InstrumentType, E> {
                let place = INSTRUMENT_TYPES.iter().position(|known| *known == name);
                let wrong = || E::invalid_value(de::Unexpected::Str(name), &self);
                place
                    .map(|place| InstrumentType(place as i8))
                    .ok_or_else(wrong)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<InstrumentType, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
                number.try_into().map(InstrumentType).map_err(wrong)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<InstrumentType, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Signed(number), &self);
                number.try_into().map(InstrumentType).map_err(wrong)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What one source says about the key; a later source may add to it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SymbolsLayer {
    style: Option<SymbolStyle>,
    map: Option<Vec<MappedSymbol>>,
}

impl SymbolsLayer {
    pub(super) fn apply(self, symbols: &mut Symbols) {
        if let Some(style) = self.style {
            symbols.style = style;
        }
        if let Some(map) = self.map {
            symbols.map = map;
        }
    }
}

impl<'de> Deserialize<'de> for SymbolsLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            style: Option<SymbolStyle>,
            map: Option<Vec<forms::Object<MappedSymbol>>>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SymbolsLayer;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("compact, host, or an object with style and map")
            }

            fn visit_str<E: de::Error>(self, style: &str) -> Result<SymbolsLayer, E> {
                let style = SymbolStyle::deserialize(de::value::StrDeserializer::new(style))?;
                Ok(SymbolsLayer {
                    style: Some(style),
                    map: None,
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SymbolsLayer, A::Error> {
                let object = Object::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SymbolsLayer {
                    style: object.style,
                    map: object
                        .map
                        .map(|map| map.into_iter().map(|forms::Object(entry)| entry).collect()),
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    const ENTRY: &str =
        r#"{"exchange": "binance", "type": "spot", "symbol": "btc_usdt", "name": "BTC.SPOT"}"#;

    fn symbols(json: &str) -> Result<Symbols, String> {
        let config = Config::from_json(&format!(r#"{{"symbols": {json}}}"#));
        config
            .map(|config| config.symbols)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_style_or_an_object_is_read_and_written() {
        let entry = MappedSymbol {
            exchange: "binance".into(),
            instrument_type: InstrumentType(5),
            symbol: "btc_usdt".into(),
            name: "BTC.SPOT".into(),
        };
        let numbered = ENTRY.replace("\"spot\"", "-3");
        for (json, style, types) in [
            ("\"compact\"".to_owned(), SymbolStyle::Compact, vec![]),
            ("\"host\"".to_owned(), SymbolStyle::Host, vec![]),
            ("{}".to_owned(), SymbolStyle::Compact, vec![]),
            (
                format!(r#"{{"map": [{ENTRY}]}}"#),
                SymbolStyle::Compact,
                vec![5],
            ),
            (
                format!(r#"{{"style": "host", "map": [{ENTRY}, {numbered}]}}"#),
                SymbolStyle::Host,
                vec![5, -3],
            ),
        ] {
            let read = symbols(&json).unwrap();
            let map = types.into_iter().map(|kind| MappedSymbol {
                instrument_type: InstrumentType(kind),
                ..entry.clone()
            });
            let map = map.collect();
            assert_eq!(read, Symbols { style, map }, "{json}");
            let written = serde_json::to_string(&read).unwrap();
            assert_eq!(symbols(&written), Ok(read));
        }
    }

    #[test]
    fn a_source_sets_what_it_names() {
        let mut symbols = Symbols::default();
        for layer in [&format!(r#"{{"map": [{ENTRY}]}}"#), "\"host\""] {
            let layer: SymbolsLayer = serde_json::from_str(layer).unwrap();
            layer.apply(&mut symbols);
        }
        assert_eq!((symbols.style, symbols.map.len()), (SymbolStyle::Host, 1));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let map = |entries: &str| format!(r#"{{"map": [{entries}]}}"#);
        let with = |from: &str, to: &str| map(&ENTRY.replace(from, to));
        let other = ENTRY.replace("btc_usdt", "BTCUSDT");
        for (json, parts) in [
            (
                "\"upper\"".to_owned(),
                &["symbols", "`compact`", "`host`"][..],
            ),
            ("7".to_owned(), &["symbols", "an object with style and map"]),
            (r#"{"maps": []}"#.to_owned(), &["symbols.maps", "`map`"]),
            (with("spot", "sport"), &["symbols.map[0].type", "swap"]),
            (with("\"spot\"", "128"), &["symbols.map[0].type", "swap"]),
            (with("exchange", "exchanges"), &["symbols.map[0].exchanges"]),
            (
                with("\"btc_usdt\"", "\"a b\""),
                &["symbols.map[0]: symbol \"a b\""],
            ),
            (
                with("BTC.SPOT", "A\\tB"),
                &["symbols.map[0]: name", "32 bytes"],
            ),
            (
                with("binance", "an exchange too long"),
                &["symbols.map[0]: exchange", "16"],
            ),
            (
                map(&format!("{ENTRY}, {other}")),
                &["symbols.map[1]", "BTCUSDT of binance (spot)", "once"],
            ),
        ] {
            let error = symbols(&json).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
        }
        // With style `host`, each spelling is a symbol of its own.
        let both = format!(r#"{{"style": "host", "map": [{ENTRY}, {other}]}}"#);
        assert_eq!(symbols(&both).unwrap().map.len(), 2);
    }
}
