//! Where a configuration comes from: files and the environment.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::forms::Object;
use super::layer::{Layer, parse};
use super::{Config, Origin, paths};
use crate::error::Error;
use crate::error::content::{self, quoted};
use crate::os::environment;
use crate::os::files;
use crate::os::machine::{self, MAX_CORES, parse_list};
use crate::os::memory;
use crate::os::time::wall_clock;

/// Names the configuration file.
pub const ENV_CONFIG: &str = "SIGNAL_CONFIG";
/// The lanes' cores, as a list: `2,3` or `2-3`.
pub const ENV_CORES: &str = "SIGNAL_CORES";
/// A folder in which each handle makes a folder for its latency report.
pub const ENV_LATENCY_DIR: &str = "SIGNAL_LATENCY_DIR";

/// The name of the host's string in messages.
const STRING: &str = "the string given to signal_create";

/// Largest configuration file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

impl Config {
    /// The configuration of a host that passes `text` (`None` for a null pointer), with the
    /// environment's settings, and where it came from.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the source, the key's path, line, column and what
    /// was expected.
    pub fn for_host(text: Option<&str>) -> Result<(Self, Origin), Error> {
        let mut config = Self::default();
        let path = env_path(ENV_CONFIG)?;
        let mut origin = Origin::new(path.clone());
        if let Some(path) = &path {
            let source = file_source(path);
            origin.note(config.apply_file(path, &source)?, &source);
        }
        config.apply_cores_variable()?;
        if environment::variable(ENV_CORES).is_some() {
            origin.note(["cores"], ENV_CORES);
        }
        let of_file = path.as_ref().and_then(|_| config.check().err());
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let Object(layer) = parse::<Object<Layer>>(STRING, text.unwrap_or("{}"))?;
        let given = layer != Layer::default();
        origin.note(layer.named(), STRING);
        layer.apply(&mut config, Path::new(""));
        config.check().map_err(|error| {
            let is_the_files = of_file.is_some_and(|other| other.to_string() == error.to_string());
            match &path {
                Some(path) if is_the_files => error.with_source(&file_source(path)),
                Some(_) if given => error.with_source(STRING),
                _ => error,
            }
        })?;
        let file = path.as_deref().map(paths::configuration);
        config.check_paths(file.as_slice()).map_err(|error| {
            let said = error.to_string();
            match origin.source_of(&said) {
                Some((_, source)) => error.with_source(source),
                None => error,
            }
        })?;
        origin.given = given;
        Ok((config, origin))
    }

    /// Sets the cores that `SIGNAL_CORES` names, if it is set.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the variable's value and what was expected.
    pub fn apply_cores_variable(&mut self) -> Result<(), Error> {
        if let Some(list) = environment::variable(ENV_CORES) {
            self.cores = Some(parse_cores(&list.to_string_lossy())?);
        }
        Ok(())
    }

    /// Sets the keys of a file. Returns those that errors name.
    pub(super) fn apply_file(
        &mut self,
        path: &Path,
        source: &str,
    ) -> Result<Vec<&'static str>, Error> {
        let wrong = |what: String| Error::Config(format!("{source}: {what}"));
        let bytes = files::read(path, MAX_FILE_BYTES).map_err(wrong)?;
        memory::check(source, bytes.len() * memory::READING_JSON)?;
        if let Some(what) = content::known(&bytes) {
            return Err(wrong(format!("{what}; expected JSON")));
        }
        let json = String::from_utf8(bytes)
            .map_err(|error| wrong(format!("expected UTF-8 text: {error}")))?;
        // Some editors put a byte order mark at the start of a file.
        let json = json.strip_prefix(content::MARK).unwrap_or(&json);
        let Object(layer) = parse::<Object<Layer>>(source, json)?;
        let named = layer.named();
        layer.apply(self, path.parent().unwrap_or(Path::new("")));
        Ok(named)
    }
}

/// What errors call the file that `SIGNAL_CONFIG` names.
pub(super) fn file_source(path: &Path) -> String {
    format!("{ENV_CONFIG} file {}", path.display())
}

/// If the configuration names no folder, `SIGNAL_LATENCY_DIR` provides one: each handle gets a new
/// folder in it, so that processes do not overwrite each other. Returns whether it did.
#[doc(hidden)]
///
/// # Errors
///
/// [`Error::Config`] if the variable's path was written for a shell, or has quotes or blanks around it.
pub fn add_latency_dir(config: &mut Config) -> Result<bool, Error> {
    static HANDLES: AtomicU64 = AtomicU64::new(0);
    if config.latency.dir.is_some() {
        return Ok(false);
    }
    let Some(parent) = env_path(ENV_LATENCY_DIR)? else {
        return Ok(false);
    };
    let since_epoch = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let name = folder_name(since_epoch, process, machine::pid_namespace(), handle);
    config.latency.dir = Some(parent.join(name));
    Ok(true)
}

/// A name that no other handle's folder has. Containers that start at the same moment may each have
/// a process of this number, in a PID namespace of its own.
fn folder_name(since_epoch: Duration, process: u32, namespace: Option<u64>, handle: u64) -> String {
    let time = since_epoch.as_nanos();
    match namespace {
        None => format!("{time}-{process}-{handle}"),
        Some(namespace) => format!("{time}-{process}.{namespace}-{handle}"),
    }
}

fn parse_cores(list: &str) -> Result<Vec<usize>, Error> {
    let cores = parse_list(list)
        .filter(|cores| !cores.is_empty())
        .ok_or_else(|| {
            Error::Config(format!(
                "{ENV_CORES} is {}; expected a list of cores below {MAX_CORES} such as 2,3 or 2-3, or \
                 that the variable is not set",
                quoted(list)
            ))
        })?;
    match super::repeated(&cores) {
        Some(core) => Err(Error::Config(format!(
            "{ENV_CORES} is {}, which names core {core} twice; expected a core of its own for \
             each lane",
            quoted(list)
        ))),
        None => Ok(cores),
    }
}

fn env_path(name: &str) -> Result<Option<PathBuf>, Error> {
    files::path_of(name, environment::variable(name)).map_err(Error::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_two_containers_have_two_names() {
        let at = Duration::new(1_700_000_000, 123_456_789);
        let name = |namespace| folder_name(at, 1, namespace, 0);
        assert_eq!(name(None), "1700000000123456789-1-0");
        assert_ne!(name(Some(4_026_532_501)), name(Some(4_026_532_502)));
        let later = folder_name(at + Duration::from_nanos(1), 1, Some(4_026_532_501), 0);
        assert_ne!(later, name(Some(4_026_532_501)));
    }

    #[test]
    fn lists_of_cores_are_read_strictly() {
        assert_eq!(parse_cores("2, 4-5").unwrap(), [2, 4, 5]);
        for wrong in [
            "", "x", "2,x", "2-", "9999", "5-4", "3,5-4", "0,1-2-3", "2,,3", "2,2", "0-3,1",
        ] {
            assert!(parse_cores(wrong).is_err(), "{wrong}");
        }
    }
}
