//! The recommended configuration, as a file to use.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use signal::Config;
use signal::config::{NamedFile, check_apart};
use signal::os::files::check_output;

use super::candidates::merge;
use crate::failure::{Failure, Result};
use crate::outputs::write_whole;

/// Where the recommended configuration goes.
pub struct Output(PathBuf);

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Output {
    /// Checks that nothing is in the way of a file with what this configuration has, and writes
    /// nothing.
    ///
    /// # Errors
    ///
    /// The file, what is in its way, and what to do.
    pub fn check(path: &Path, force: bool, inputs: &[NamedFile], config: &Config) -> Result<Self> {
        let wrong = |what: String| Failure::said(format!("--output {}: {what}", path.display()));
        check_text(path)?;
        check_apart(inputs, &[NamedFile::new("--output", path)]).map_err(Failure::said)?;
        if !force && path.symlink_metadata().is_ok() {
            return Err(wrong(
                "the file exists; nothing was measured; choose another, or overwrite this one with \
                 --force"
                    .to_owned(),
            ));
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(wrong("expected a folder that exists".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        paths(config).try_for_each(|path| check_text(&seen_from(folder, path)))?;
        check_output(path).map_err(|why| Failure::said(format!("--output: {why}")))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// The file, and why.
    pub fn write(&self, config: &Config, set: &Map<String, Value>) -> Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new(""));
        let text = format!("{:#}\n", written(config, set, folder));
        write_whole(&self.0, &text).map_err(|why| Failure::said(format!("--output: {why}")))
    }
}

/// Refuses paths that JSON cannot have: it is what is measured and what is written.
///
/// # Errors
///
/// The path, and what was expected.
pub fn check_paths(config: &Config) -> Result<()> {
    paths(config).try_for_each(|path| check_text(path))
}

fn paths(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let models = config.models.iter().filter_map(|model| model.file.as_ref());
    models
        .chain(&config.capture.file)
        .chain(&config.latency.dir)
}

/// Shows the bytes that are no text: another name would be a wrong one.
fn check_text(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Failure::said(format!(
            "{path:?}: this path is not UTF-8, as a configuration that is passed on and its paths must \
             be; expected another name or folder"
        ))),
    }
}

/// The keys that differ from the defaults, with `set` over them. Paths are relative to `folder` if
/// they are below it, and absolute otherwise.
fn written(config: &Config, set: &Map<String, Value>, folder: &Path) -> Value {
    let mut config = config.clone();
    let models = config
        .models
        .iter_mut()
        .filter_map(|model| model.file.as_mut());
    for path in models
        .chain(&mut config.capture.file)
        .chain(&mut config.latency.dir)
    {
        *path = seen_from(folder, path);
    }
    let mut whole = json!(config);
    if let Some(whole) = whole.as_object_mut() {
        merge(whole, Value::Object(set.clone()));
    }
    changed(&whole, &json!(Config::default())).unwrap_or_else(|| json!({}))
}

fn seen_from(folder: &Path, path: &Path) -> PathBuf {
    let absolute = |path: &Path| match path.as_os_str().is_empty() {
        true => std::env::current_dir(),
        false => std::path::absolute(path),
    };
    let (Ok(folder), Ok(path)) = (absolute(folder), absolute(path)) else {
        return path.to_owned();
    };
    path.strip_prefix(folder)
        .map_or(path.clone(), Path::to_owned)
}

/// What of `ours` is not as in `defaults`.
fn changed(ours: &Value, defaults: &Value) -> Option<Value> {
    let (Value::Object(inner), Value::Object(defaults)) = (ours, defaults) else {
        return (ours != defaults).then(|| ours.clone());
    };
    let keys = inner.iter().filter_map(|(key, value)| {
        let default = defaults.get(key).unwrap_or(&Value::Null);
        Some((key.clone(), changed(value, default)?))
    });
    let keys: Map<_, _> = keys.collect();
    (!keys.is_empty()).then_some(Value::Object(keys))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_that_is_no_text_is_not_passed_on_as_another_one() {
        let mut config = Config::default();
        check_paths(&config).expect("no path at all");
        config.capture.file = Some(OsStr::from_bytes(b"/tmp/\xff/c.csv").into());
        let why = check_paths(&config).expect_err("a name that is no text");
        assert!(format!("{why:?}").contains("not UTF-8"), "{why:?}");
        let file = Path::new(OsStr::from_bytes(b"/tmp/\xff.json"));
        let why = Output::check(file, true, &[], &Config::default()).map(drop);
        let why = format!("{:?}", why.expect_err("a name that is no text"));
        assert!(
            why.contains("not UTF-8") && why.contains("xFF.json"),
            "{why}"
        );
    }

    #[test]
    fn a_file_has_what_differs_from_the_defaults_and_paths_that_hold() {
        let json = r#"{"factors": "market", "models": ["/etc/signal/models/a.onnx", "/srv/b.txt"],
                       "rings": {"egress": 64}, "warm": "auto", "timing": true,
                       "capture": {"file": "/etc/signal/day.csv"}}"#;
        let config = Config::from_json(json).expect("a configuration");
        let set = json!({"deliver": "on_data", "rings": {"ingest": 512}});
        let set = set.as_object().expect("an object");
        let text = written(&config, set, Path::new("/etc/signal"));
        assert_eq!(
            text,
            json!({
                "factors": ["market"],
                "models": [
                    {"file": "models/a.onnx", "name": "a"},
                    {"file": "/srv/b.txt", "name": "b"},
                ],
                "deliver": "on_data",
                "rings": {"ingest": 512, "egress": 64},
                "capture": {"file": "day.csv"},
            })
        );
        Config::from_json(&text.to_string()).expect("a configuration");
        let nothing = written(&Config::default(), &Map::new(), Path::new(""));
        assert_eq!(nothing, json!({}));
    }
}
