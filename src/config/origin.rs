//! Which source each key of a host's configuration came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::source::file_source;
use crate::error::Error;

/// Where a host's configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file that `SIGNAL_CONFIG` names.
    pub file: Option<PathBuf>,
    /// Whether the string given to `signal_create` had any key.
    pub given: bool,
    sources: BTreeMap<&'static str, String>,
}

impl Origin {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            given: false,
            sources: BTreeMap::new(),
        }
    }

    /// Notes that these keys came from this source, in place of an earlier one.
    pub(crate) fn note(&mut self, keys: impl IntoIterator<Item = &'static str>, source: &str) {
        let keys = keys.into_iter();
        self.sources
            .extend(keys.map(|key| (key, source.to_owned())));
    }

    /// The error of an engine, with the source of the key that it names.
    pub(crate) fn explain(&self, error: &Error) -> String {
        let said = error.to_string();
        match (self.source_of(&said), &self.file) {
            (Some((key, source)), _) => format!("{said} ({key} from {source})"),
            // A value may be another source's, or a default.
            (None, Some(file)) => format!("{said} (with {})", file_source(file)),
            (None, None) => said,
        }
    }

    /// The key that begins an error, after the error's kind, or that this kind is of.
    pub(super) fn source_of(&self, said: &str) -> Option<(&&'static str, &String)> {
        let mut parts = said.splitn(3, ": ");
        let (kind, what) = (parts.next(), parts.next());
        // Lanes that do not start, or have no cores, are of this kind too, whoever chose the placement.
        let is_keys =
            kind != Some("placement") || what.is_some_and(|what| what.starts_with("got "));
        let words = [what, kind.filter(|_| is_keys)];
        let mut words = words.into_iter().flatten().map(first_word);
        words.find_map(|word| self.sources.get_key_value(word))
    }
}

fn first_word(text: &str) -> &str {
    let end = text.find(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ENV_CORES};
    use super::*;

    fn origin(dir: &Path) -> Origin {
        let file = dir.join("btc.json");
        let json = r#"{"cores": [3], "model": "m.onnx", "capture": {"file": "c.csv"}}"#;
        std::fs::write(&file, json).unwrap();
        let mut origin = Origin::new(Some(file.clone()));
        let mut config = Config::default();
        origin.note(config.apply_file(&file, "the file").unwrap(), "the file");
        origin
    }

    #[test]
    fn an_error_names_the_source_of_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let mut origin = origin(dir.path());
        let no_core = Error::Placement("cores: this process may not use core 3".into());
        let said = |origin: &Origin, error: &Error| origin.explain(error);
        assert!(said(&origin, &no_core).ends_with("use core 3 (cores from the file)"));
        for (error, end) in [
            (
                Error::Config("models: m: x".into()),
                " (models from the file)",
            ),
            (
                Error::Config("models has 20".into()),
                " (models from the file)",
            ),
            (
                Error::Capture("/c.csv: x".into()),
                " (capture from the file)",
            ),
            (Error::Memory("an engine: x".into()), &*with_file(&origin)),
            (Error::Config("shards: 3".into()), &with_file(&origin)),
            (Error::Report("/x: x".into()), &with_file(&origin)),
        ] {
            let said = said(&origin, &error);
            assert!(said.ends_with(end), "{said}: expected {end}");
        }
        origin.note(["cores"], ENV_CORES);
        assert!(said(&origin, &no_core).ends_with("use core 3 (cores from SIGNAL_CORES)"));
    }

    fn with_file(origin: &Origin) -> String {
        let file = origin.file.as_deref().unwrap();
        format!("x (with SIGNAL_CONFIG file {})", file.display()).split_off(1)
    }

    #[test]
    fn keys_of_the_string_are_not_those_of_the_file() {
        let json = r#"{"cores": [3], "placement": "fused", "latency": {"interval_ms": 50}}"#;
        let (_, origin) = Config::for_host(Some(json)).unwrap();
        let wrong = Error::Placement("got x; expected y".into());
        assert!(
            origin
                .explain(&wrong)
                .ends_with(" (placement from the string given to signal_create)")
        );
        let slow = Error::Placement("lane 0: a model has not returned".into());
        assert_eq!(origin.explain(&slow), slow.to_string());
        let said = origin.explain(&Error::Placement("cores: no core 3".into()));
        assert!(
            said.ends_with(" (cores from the string given to signal_create)"),
            "{said}"
        );
        // The folder is not the string's.
        let said = origin.explain(&Error::Report("/x: full".into()));
        assert_eq!(said, "latency report: /x: full");
    }
}
