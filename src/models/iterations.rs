//! How many iterations of an ensemble run.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// How many iterations of an ensemble of trees run, starting with the first. After early stopping,
/// the file still contains iterations that came after the best one.
///
/// In JSON `"best"`, `"all"` or a number from 1.
///
/// ```
/// use signal::models::Iterations;
/// let first: Iterations = serde_json::from_str("21")?;
/// assert_eq!(serde_json::to_string(&first)?, "21");
/// assert_eq!(serde_json::from_str::<Iterations>("\"best\"")?, Iterations::Best);
/// assert!(serde_json::from_str::<Iterations>("0").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Iterations {
    /// As many as the class that saved the file uses for prediction: for XGBoost's scikit-learn
    /// wrapper up to the best one, for `Booster` all.
    #[default]
    Saved,
    /// Up to the best one, which the file must name.
    Best,
    /// All that are in the file.
    All,
    /// This many; the file must have them.
    First(NonZeroU32),
}

impl Serialize for Iterations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Saved => serializer.serialize_unit(),
            Self::Best => serializer.serialize_str("best"),
            Self::All => serializer.serialize_str("all"),
            Self::First(count) => count.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Iterations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Iterations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("best, all or a number from 1")
            }

            fn visit_unit<E>(self) -> Result<Iterations, E> {
                Ok(Iterations::Saved)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Iterations, E> {
                match text {
                    "best" => Ok(Iterations::Best),
                    "all" => Ok(Iterations::All),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Iterations, E> {
                u32::try_from(count)
                    .ok()
                    .and_then(NonZeroU32::new)
                    .map(Iterations::First)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(count), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
