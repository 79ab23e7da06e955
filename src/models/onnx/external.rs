//! Tensors whose numbers are in files beside the model: `external_data`.
//!
//! Model files are untrusted. A model cannot name a file outside its own folder, neither by a path
//! nor through a link, and the files that it names are limited in size like the model itself.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::proto;
use super::wire::Span;
use crate::models::room;
use crate::models::{MAX_FILE_BYTES, ModelError};
use crate::os::files;

/// Maximum number of files with tensors of a model.
const MAX_FILES: usize = 1 << 10;

/// The files beside a model that hold numbers of its tensors.
#[derive(Debug, Default)]
pub struct External {
    /// The contents, by the names that the model uses.
    files: HashMap<String, Vec<u8>>,
    paths: Vec<PathBuf>,
}

/// Where a tensor's numbers are.
#[derive(Debug, Default)]
pub struct Place<'a> {
    location: &'a str,
    offset: usize,
    /// Up to the end of the file if absent.
    length: Option<usize>,
}

impl<'a> Place<'a> {
    /// Takes an entry of `external_data`.
    pub fn entry(&mut self, mut span: Span<'a>) -> Result<(), ModelError> {
        let (mut key, mut value) = ("", "");
        while let Some(field) = span.field()? {
            match field.number {
                1 => key = field.text()?,
                2 => value = field.text()?,
                _ => field.unused(&[], "an entry of external_data")?,
            }
        }
        self.set(key, value)
    }

    /// Takes a key and its value.
    pub fn set(&mut self, key: &str, value: &'a str) -> Result<(), ModelError> {
        let number = || {
            value.parse().map_err(|_| {
                ModelError(format!(
                    "external_data: {key} is {value:?}; expected a number of bytes"
                ))
            })
        };
        match key {
            "location" => self.location = value,
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            // It identifies the version of the file, and does not affect the numbers.
            "checksum" => {}
            _ => {
                return Err(ModelError(format!(
                    "external_data: the key {key:?} is not known; expected location, offset, \
                     length or checksum"
                )));
            }
        }
        Ok(())
    }
}

impl External {
    /// Reads the files that hold stored tensors of a model, all of them in the model's folder.
    ///
    /// # Errors
    ///
    /// The file's name and why it is not read.
    pub fn beside(model: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let mut external = Self::default();
        let names = names(bytes)?;
        if names.is_empty() {
            return Ok(external);
        }
        let folder = match model.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = files::real(folder)
            .map_err(|error| ModelError(format!("cannot look into its folder: {error}")))?;
        let mut paths = Vec::new();
        let mut total = bytes.len() as u64;
        for name in names {
            let named = |what: String| ModelError(format!("external data {name:?}: {what}"));
            let inside = Path::new(&name)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !inside || name.is_empty() {
                return Err(named(
                    "expected a file in the model's folder, without .. and not from the root"
                        .into(),
                ));
            }
            let path = files::real(&folder.join(&name)).map_err(|error| {
                named(format!(
                    "cannot read it: {error}; expected it in the model's folder, where the export left it"
                ))
            })?;
            if !path.starts_with(&folder) {
                return Err(named(
                    "it is a link out of the model's folder; expected a file in it".into(),
                ));
            }
            let about = files::about_path(&path);
            let about = about.map_err(|error| named(format!("cannot read it: {error}")))?;
            total = total.saturating_add(about.size.unwrap_or(0));
            if total > MAX_FILE_BYTES {
                return Err(named(format!(
                    "with it the model has more than {MAX_FILE_BYTES} bytes; expected at most as many"
                )));
            }
            paths.push((name, path));
        }
        // Bounded by `MAX_FILE_BYTES`.
        room::for_bytes(total as usize)?;
        for (name, path) in paths {
            let read = files::read(&path, MAX_FILE_BYTES)
                .map_err(|what| ModelError(format!("external data {name:?}: {what}")))?;
            external.files.insert(name, read);
            external.paths.push(path);
        }
        Ok(external)
    }

    /// Where a model's files would be, whether they may be read or not.
    pub fn paths_beside(model: &Path, bytes: &[u8]) -> Result<Vec<PathBuf>, ModelError> {
        let folder = model.parent().unwrap_or(Path::new(""));
        let names = names(bytes)?.into_iter();
        Ok(names.map(|name| folder.join(name)).collect())
    }

    /// The files that were read.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The bytes of a tensor.
    pub fn bytes(&self, name: &str, place: &Place<'_>) -> Result<&[u8], ModelError> {
        let Some(file) = self.files.get(place.location) else {
            return Err(ModelError(format!(
                "tensor '{name}': its numbers are in another file; expected them inside, or in a \
                 file beside the model's when it is read from one (save the model without \
                 external data)"
            )));
        };
        let end = match place.length {
            Some(length) => place.offset.checked_add(length),
            None => Some(file.len()),
        };
        end.and_then(|end| file.get(place.offset..end)).ok_or_else(|| {
            ModelError(format!(
                "tensor '{name}': its numbers are at byte {} of {:?}, {} bytes, but that file has {}; \
                 expected the file that was saved with the model",
                place.offset,
                place.location,
                place.length.map_or("some".into(), |length| length.to_string()),
                file.len()
            ))
        })
    }
}

/// The files that stored tensors name, without repetition.
fn names(bytes: &[u8]) -> Result<Vec<String>, ModelError> {
    let mut names: Vec<String> = Vec::new();
    for (_, mut tensor) in proto::model(bytes)?.graph.initializers {
        let mut place = Place::default();
        let mut external = false;
        while let Some(field) = tensor.field()? {
            match field.number {
                13 => place.entry(field.span()?)?,
                14 => external = field.int()? == 1,
                _ => {}
            }
        }
        if external && !names.iter().any(|known| known == place.location) {
            if names.len() == MAX_FILES {
                return Err(ModelError(format!(
                    "its tensors are in more than {MAX_FILES} files; expected fewer"
                )));
            }
            names.push(place.location.to_owned());
        }
    }
    Ok(names)
}
