//! Why an engine could not start.

pub(crate) mod content;
pub(crate) mod json;
pub(crate) mod object;

/// What is wrong, in a sentence that names the thing and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong: fix the field that the message names.
    #[error("configuration: {0}")]
    Config(String),
    /// A lane could not be placed or started: choose other cores or placement.
    #[error("placement: {0}")]
    Placement(String),
    /// The process cannot get the memory that the engine needs.
    #[error("memory: {0}")]
    Memory(String),
    /// The latency report's folder cannot be written.
    #[error("latency report: {0}")]
    Report(String),
    /// The capture file cannot be written.
    #[error("capture: {0}")]
    Capture(String),
}

impl Error {
    /// The error, if it is one of a configuration, with where that came from.
    pub(crate) fn with_source(self, source: &str) -> Self {
        match self {
            Self::Config(what) => Self::Config(format!("{source}: {what}")),
            other => other,
        }
    }
}

/// The name in `known` that a misspelt `name` was probably meant to be, if one is close enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer one is no typo, and comparing it takes long.
    const LONGEST: usize = 200;
    if name.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let name = plain(name);
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &plain(other));
    let nearest = known.into_iter().map(|other| (distance(other), other));
    let (distance, nearest) = nearest.min_by_key(|(distance, _)| *distance)?;
    // Up to a third of the letters may be wrong.
    (distance * 3 <= name.chars().count()).then_some(nearest)
}

/// `; did you mean ...?`, or nothing if no name is close.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["market", "test0000", "none", "per-model"];
        for (name, meant) in [
            ("markte", Some("market")),
            ("Market", Some("market")),
            ("per_model", Some("per-model")),
            ("test000", Some("test0000")),
            ("m", None),
            ("momentum", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("market", []), None);
    }
}
