//! How long `signal_on_data` waits for the signals of its event, as it is written in JSON.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// The longest wait of `signal_on_data` for the signals of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeliverBudget {
    /// [`DeliverBudget::AUTO_US`], unless waiting has lately been useless.
    #[default]
    Auto,
    /// As many microseconds.
    Micros(u64),
}

impl DeliverBudget {
    /// The longest wait with `auto`, us: an event that finds all caches cold needs 4 to 15.
    pub const AUTO_US: u64 = 50;
    /// Longest wait that can be configured, us.
    pub const LONGEST_US: u64 = 10_000;

    /// The longest wait, us.
    pub fn most_us(self) -> u64 {
        match self {
            Self::Auto => Self::AUTO_US,
            Self::Micros(micros) => micros,
        }
    }
}

impl fmt::Display for DeliverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Micros(micros) => write!(f, "{micros}"),
        }
    }
}

impl Serialize for DeliverBudget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Micros(micros) => serializer.serialize_u64(*micros),
        }
    }
}

impl<'de> Deserialize<'de> for DeliverBudget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = DeliverBudget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "auto or a whole number from 1 to {}",
                    DeliverBudget::LONGEST_US
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DeliverBudget, E> {
                match text {
                    "auto" => Ok(DeliverBudget::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<DeliverBudget, E> {
                match micros {
                    1..=DeliverBudget::LONGEST_US => Ok(DeliverBudget::Micros(micros)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(micros), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
