//! Finds the library, and the configuration file that it will read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use signal::config::check_written;

use crate::failure::{Failure, Result};

/// The variable that names the library's configuration file.
pub const CONFIG_VARIABLE: &str = "SIGNAL_CONFIG";
/// The variable that names the library for the host.
const LIBRARY_VARIABLE: &str = "SIGNAL_LIB_PATH";
/// The library's file name.
const LIBRARY_NAME: &str = "libsignal.so";

/// The library to load: the given one, or the one that the host would load, or the one that was
/// built with this command. Always an absolute path, so that `dlopen` does not search for it.
pub fn library(given: Option<&Path>) -> Result<PathBuf> {
    let variable = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty());
    let named = match (given, variable) {
        (Some(path), _) => Some(("--lib", path.to_owned())),
        (None, Some(path)) => Some((LIBRARY_VARIABLE, PathBuf::from(path))),
        (None, None) => None,
    };
    if let Some((source, path)) = named {
        let wrong = |what: String| Failure::said(format!("{source} {}: {what}", path.display()));
        check_written(&path).map_err(wrong)?;
        return path
            .canonicalize()
            .map_err(|error| wrong(error.to_string()));
    }
    let command = std::env::current_exe()
        .map_err(|error| Failure::said(format!("cannot find this command's own file: {error}")))?;
    let beside = command.parent().unwrap_or(Path::new("/"));
    // The newest one, because `cargo test` updates only the one in deps.
    [beside.to_owned(), beside.join(".."), beside.join("deps")]
        .iter()
        .filter_map(|dir| dir.join(LIBRARY_NAME).canonicalize().ok())
        .max_by_key(|path| path.metadata().and_then(|about| about.modified()).ok())
        .ok_or_else(|| {
            Failure::said(format!(
                "there is no {LIBRARY_NAME} in {}; build it with `cargo build --release`, \
                 or name it with --lib",
                beside.display()
            ))
        })
}

/// The configuration file that the library will read, as an absolute path if it was given to this
/// command.
pub fn config(given: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(path) = given else {
        let variable: Option<OsString> = std::env::var_os(CONFIG_VARIABLE);
        return Ok(variable.filter(|path| !path.is_empty()).map(PathBuf::from));
    };
    path.canonicalize()
        .map(Some)
        .map_err(|error| Failure::said(format!("--config {}: {error}", path.display())))
}
