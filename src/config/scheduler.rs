//! How lanes are scheduled, as it is written in JSON.

use serde::de::{self, Deserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::factors::Ranged;
use crate::os::threads::Scheduler;

/// The kernel's policies.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    #[serde(alias = "ordinary")]
    Other,
    Fifo,
    Rr,
    Inherit,
}

type Priority = Ranged<LEAST, MOST>;
const LEAST: u64 = *Scheduler::PRIORITIES.start() as u64;
const MOST: u64 = *Scheduler::PRIORITIES.end() as u64;

/// A policy with its priority.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithPriority {
    policy: Policy,
    priority: Option<Priority>,
}

impl Policy {
    /// The priority is the lowest one, unless it is given.
    fn with(self, priority: Option<Priority>) -> Option<Scheduler> {
        let number = priority.map_or(LEAST, Priority::get) as u8;
        match self {
            Self::Fifo => Some(Scheduler::Fifo(number)),
            Self::Rr => Some(Scheduler::Rr(number)),
            Self::Other => priority.is_none().then_some(Scheduler::Other),
            Self::Inherit => priority.is_none().then_some(Scheduler::Inherit),
        }
    }
}

impl Serialize for Scheduler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Fifo(priority) | Self::Rr(priority) if u64::from(priority) != LEAST => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("policy", self.name())?;
                map.serialize_entry("priority", &priority)?;
                map.end()
            }
            _ => serializer.serialize_str(self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Scheduler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Scheduler;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("other, fifo, rr or inherit, or an object with policy and priority")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Scheduler, E> {
                let policy = Policy::deserialize(de::value::StrDeserializer::new(name))?;
                policy.with(None).ok_or_else(|| E::custom("no policy"))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Scheduler, A::Error> {
                let given = WithPriority::deserialize(de::value::MapAccessDeserializer::new(map))?;
                given.policy.with(given.priority).ok_or_else(|| {
                    de::Error::custom(
                        "priority is for the policies fifo and rr alone; expected one of them, or no priority",
                    )
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A nice value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Nice(pub(super) i8);

impl Nice {
    pub(super) const BOUNDS: std::ops::RangeInclusive<i64> = -20..=19;
}

impl<'de> Deserialize<'de> for Nice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Nice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number from -20 to 19")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Nice, E> {
                let nice = i8::try_from(value).ok();
                nice.filter(|_| Nice::BOUNDS.contains(&value))
                    .map(Nice)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Nice, E> {
                self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(value: &str) -> Result<Scheduler, String> {
        let config = Config::from_json(&format!("{{\"scheduler\": {value}}}"));
        let config = config.map_err(|error| error.to_string())?;
        // What is written is read again.
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(Config::from_json(&written).unwrap(), config);
        Ok(config.scheduler)
    }

    #[test]
    fn a_policy_is_a_word_or_has_a_priority() {
        for (value, expected) in [
            (r#""other""#, Scheduler::Other),
            (r#""ordinary""#, Scheduler::Other),
            (r#""inherit""#, Scheduler::Inherit),
            (r#""fifo""#, Scheduler::Fifo(1)),
            (r#"{"policy": "rr"}"#, Scheduler::Rr(1)),
            (r#"{"policy": "rr", "priority": 99}"#, Scheduler::Rr(99)),
            (r#"{"priority": 10, "policy": "fifo"}"#, Scheduler::Fifo(10)),
        ] {
            assert_eq!(read(value), Ok(expected), "{value}");
        }
        // The key's other name.
        let config = Config::from_json(r#"{"policy": "rr"}"#).unwrap();
        assert_eq!(config.scheduler, Scheduler::Rr(1));
    }

    #[test]
    fn what_no_policy_has_is_refused_with_what_was_expected() {
        for (value, expected) in [
            (r#""batch""#, "expected one of `ordinary`, `other`, `fifo`"),
            (r#"{"policy": "fifo", "priority": 0}"#, "from 1 to 99"),
            (r#"{"policy": "fifo", "priority": 100}"#, "from 1 to 99"),
            (r#"{"policy": "other", "priority": 1}"#, "fifo and rr alone"),
            (
                r#"{"policy": "inherit", "priority": 1}"#,
                "fifo and rr alone",
            ),
            (r#"{"priority": 1}"#, "missing key `policy`"),
            (r#"{"policy": "rr", "prio": 1}"#, "prio"),
            ("1", "or an object with policy and priority"),
        ] {
            let why = read(value).unwrap_err();
            assert!(why.contains("scheduler") && why.contains(expected), "{why}");
        }
        for value in ["-21", "20", "1.5", "\"0\""] {
            let why = Config::from_json(&format!("{{\"nice\": {value}}}")).unwrap_err();
            let why = why.to_string();
            assert!(
                why.contains("nice: ") && why.contains("from -20 to 19"),
                "{why}"
            );
        }
        for value in [-20, 19] {
            let config = Config::from_json(&format!("{{\"nice\": {value}}}"));
            assert_eq!(i64::from(config.unwrap().nice), value);
        }
        for scheduler in ["fifo", "rr", "inherit"] {
            let both = format!(r#"{{"scheduler": "{scheduler}", "nice": -1}}"#);
            let why = Config::from_json(&both).unwrap_err().to_string();
            assert!(
                why.contains("nice") && why.contains("scheduler other"),
                "{why}"
            );
            let both = format!(r#"{{"slice_us": 100, "scheduler": "{scheduler}"}}"#);
            let why = Config::from_json(&both).unwrap_err().to_string();
            assert!(
                why.contains("slice_us: 100 cannot be used")
                    && why.ends_with("expected scheduler other, or no slice_us"),
                "{why}"
            );
        }
        for slice in ["99", "100001", "-1", "1.5"] {
            let why = Config::from_json(&format!("{{\"slice_us\": {slice}}}")).unwrap_err();
            let why = why.to_string();
            assert!(
                why.contains("slice_us: ") && why.contains("from 100 to 100"),
                "{why}"
            );
        }
        for slice in [100, 100_000] {
            let config = Config::from_json(&format!("{{\"slice_us\": {slice}}}")).unwrap();
            assert_eq!(config.scheduling().slice_us, Some(slice));
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(Config::from_json(&written).unwrap(), config);
        }
    }
}
