//! Files that a configuration reads and writes: no file may be both.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Config, Latency};
use crate::error::Error;
use crate::error::content::shortened;
use crate::models::{self, Check};
use crate::os::claims;
use crate::os::files::{self, Place};
use crate::telemetry::hops::Hop;

/// A file and the name of its use.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// The key or flag that names the file, or what the file is.
    pub what: String,
    /// The file.
    pub path: PathBuf,
}

impl NamedFile {
    /// A file that `what` names.
    pub fn new(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        let (what, path) = (what.into(), path.into());
        Self { what, path }
    }

    /// A file that the file of model `name` names.
    pub(crate) fn besides(name: &str, path: PathBuf) -> Self {
        Self::new(format!("a file of model {}", shortened(name)), path)
    }
}

/// The file that a configuration was read from.
pub(super) fn configuration(path: &Path) -> NamedFile {
    NamedFile::new("the configuration", path)
}

impl fmt::Display for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.path.display())
    }
}

impl Latency {
    /// The files of a report in `dir`, whether they exist or not.
    #[doc(hidden)]
    pub fn files(dir: &Path) -> Vec<PathBuf> {
        let names = Self::names().into_iter();
        names.map(|name| dir.join(name)).collect()
    }

    /// The names of these files.
    pub(crate) fn names() -> Vec<String> {
        let names = [Self::LOG, Self::SUMMARY].map(str::to_owned);
        names.into_iter().chain(Hop::ALL.map(Self::table)).collect()
    }

    /// The name of a hop's percentile table.
    pub(crate) fn table(hop: Hop) -> String {
        format!("{}.hgrm", hop.name())
    }

    /// The interval log's name in the folder.
    pub const LOG: &'static str = "latency.hlog";
    /// The summary's name in the folder.
    pub const SUMMARY: &'static str = "summary.json";
}

impl Config {
    /// The files that an engine of this configuration reads, or locks, as far as the configuration
    /// names them.
    #[doc(hidden)]
    pub fn inputs(&self) -> Vec<NamedFile> {
        let models = self.models.iter().filter_map(|model| model.file.as_ref());
        let both = models.flat_map(|file| {
            [
                NamedFile::new("the model", file),
                NamedFile::new("the check file", Check::path(file)),
            ]
        });
        let claims = claims::paths().into_iter().flatten();
        let claims = claims.map(|path| NamedFile::new("the file of core claims", path));
        both.chain(claims).collect()
    }

    /// The files that its model files name: reads the models, and skips what cannot be read.
    #[doc(hidden)]
    pub fn besides(&self) -> Vec<NamedFile> {
        let files = self.models.iter().filter_map(|model| {
            let files = models::besides(model.file.as_ref()?);
            Some(
                files
                    .into_iter()
                    .map(|file| NamedFile::besides(&model.name, file)),
            )
        });
        files.flatten().collect()
    }

    /// The files that an engine of this configuration writes.
    #[doc(hidden)]
    pub fn outputs(&self) -> Vec<NamedFile> {
        let capture = self.capture.file.iter();
        let capture = capture.map(|file| NamedFile::new("capture.file", file));
        let report = self.latency.dir.iter().flat_map(|dir| Latency::files(dir));
        let report = report.map(|file| NamedFile::new("latency.dir's", file));
        capture.chain(report).collect()
    }

    /// Refuses outputs that are also inputs, of the configuration or among `others`, or that this
    /// process needs as they are. Nothing has been written before this check.
    pub(crate) fn check_paths(&self, others: &[NamedFile]) -> Result<(), Error> {
        let outputs = self.outputs();
        if outputs.is_empty() {
            return Ok(());
        }
        let mut inputs = self.inputs();
        inputs.extend_from_slice(others);
        check_apart(&inputs, &outputs)
            .and_then(|()| check_not_needed(&outputs))
            .map_err(Error::Config)
    }
}

/// Refuses outputs that are also an input or another output. Files are compared by device and
/// inode, or by resolved path if they do not exist yet.
///
/// # Errors
///
/// Both files with what names them, and what to do.
#[doc(hidden)]
pub fn check_apart(inputs: &[NamedFile], outputs: &[NamedFile]) -> Result<(), String> {
    let place = |file: &NamedFile| Place::of(&file.path);
    let read: Vec<_> = inputs.iter().map(place).collect();
    let written: Vec<_> = outputs.iter().map(place).collect();
    for (number, output) in outputs.iter().enumerate() {
        let Some(here) = &written[number] else {
            continue;
        };
        let at = |places: &[Option<Place>]| places.iter().position(|at| at.as_ref() == Some(here));
        if let Some(input) = at(&read) {
            return Err(format!(
                "{output} is the same file as {}, which writing would destroy; nothing was \
                 written; expected another file for {}",
                inputs[input], output.what
            ));
        }
        if let Some(other) = at(&written[..number]) {
            return Err(format!(
                "{output} is the same file as {}; nothing was written; expected a file for each",
                outputs[other]
            ));
        }
    }
    Ok(())
}

/// Refuses outputs that this process needs as they are.
fn check_not_needed(outputs: &[NamedFile]) -> Result<(), String> {
    let paths = outputs.iter().map(|output| output.path.as_path());
    let Some((path, what)) = files::needed(paths) else {
        return Ok(());
    };
    let output = outputs.iter().find(|output| output.path == path);
    let named = output.map_or("", |output| output.what.as_str());
    Err(format!(
        "{named} {} is {what}; nothing was written; expected another file for {named}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_nothing_that_the_process_needs_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("latency.hlog");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &log).unwrap();
        for (json, parts) in [
            (
                serde_json::json!({"capture": {"file": log}}),
                ["capture.file", "a file that the program runs from"],
            ),
            (
                serde_json::json!({"latency": {"dir": dir.path()}}),
                ["latency.dir's", "a file that the program runs from"],
            ),
            (
                serde_json::json!({"capture": {"file": "/proc/self/comm"}}),
                ["capture.file /proc/self/comm", "the kernel's own"],
            ),
            (
                serde_json::json!({"latency": {"dir": "/proc/self/new"}}),
                ["latency.dir's", "the kernel's own"],
            ),
        ] {
            let config = Config::from_json(&json.to_string()).unwrap();
            let error = config.check_paths(&[]).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part} is not in {error}");
            }
        }
    }

    #[test]
    fn an_output_is_not_the_file_of_core_claims() {
        for path in claims::paths().unwrap() {
            let json = serde_json::json!({"capture": {"file": path}});
            let config = Config::from_json(&json.to_string()).unwrap();
            let error = config.check_paths(&[]).unwrap_err().to_string();
            assert!(error.contains("the file of core claims"), "{error}");
        }
    }

    #[test]
    fn an_output_is_no_input_and_no_other_output() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = |json: &str| {
            std::fs::write(at("summary.json"), json).unwrap();
            Config::from_file(&at("summary.json"))
        };
        std::os::unix::fs::symlink("m.onnx", at("link")).unwrap();
        for (json, parts) in [
            (
                r#"{"capture": {"file": "summary.json"}}"#,
                ["capture.file", "the configuration"],
            ),
            (
                r#"{"latency": {"dir": "."}}"#,
                ["latency.dir's", "the configuration"],
            ),
            // A file that does not exist yet may exist by the time it is read.
            (
                r#"{"model": "m.onnx", "capture": {"file": "link"}}"#,
                ["capture.file", "the model"],
            ),
            (
                r#"{"model": "m.onnx", "capture": {"file": "./m.onnx.check.json"}}"#,
                ["capture.file", "the check file"],
            ),
            (
                r#"{"latency": {"dir": "out"}, "capture": {"file": "out/latency.hlog"}}"#,
                ["latency.dir's", "capture.file"],
            ),
        ] {
            let error = config(json).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part} is not in {error}");
            }
            assert!(error.contains("the same file"), "{error}");
            let kept = std::fs::read_to_string(at("summary.json")).unwrap();
            assert_eq!(kept, json, "it was overwritten");
        }
        config(r#"{"latency": {"dir": "out"}, "capture": {"file": "c.csv"}}"#).unwrap();
        config(r#"{"model": "/dev/null", "capture": {"file": "/dev/null"}}"#).unwrap();
    }
}
