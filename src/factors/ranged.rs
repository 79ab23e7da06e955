//! Whole numbers within bounds, for configurable values.

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer};

/// A whole number from `LOW` to `HIGH`. Other values are refused when they are read, with both
/// bounds in the message.
///
/// ```
/// use signal::factors::Ranged;
///
/// let window: Ranged<1, 100> = serde_json::from_str("20")?;
/// assert_eq!(window.size(), 20);
/// let error = serde_json::from_str::<Ranged<1, 100>>("0").unwrap_err();
/// assert!(error.to_string().contains("expected a whole number from 1 to 100"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ranged<const LOW: u64, const HIGH: u64>(u64);

impl<const LOW: u64, const HIGH: u64> Ranged<LOW, HIGH> {
    /// This number, for defaults.
    ///
    /// # Panics
    ///
    /// If it is out of bounds; in a `const` that is a compile error.
    pub const fn new(value: u64) -> Self {
        assert!(LOW <= value && value <= HIGH, "the number is out of bounds");
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a length.
    pub const fn size(self) -> usize {
        self.0 as usize
    }
}

impl<'de, const LOW: u64, const HIGH: u64> Deserialize<'de> for Ranged<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const LOW: u64, const HIGH: u64>;
        impl<const LOW: u64, const HIGH: u64> de::Visitor<'_> for Visitor<LOW, HIGH> {
            type Value = Ranged<LOW, HIGH>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a whole number from {LOW} to {HIGH}")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                if (LOW..=HIGH).contains(&value) {
                    Ok(Ranged(value))
                } else {
                    Err(E::invalid_value(de::Unexpected::Unsigned(value), &self))
                }
            }
        }
        // Not `deserialize_u64`, so that a negative number gets the same message.
        deserializer.deserialize_any(Visitor)
    }
}
