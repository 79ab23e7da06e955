//! Loads a model from a file: its kind, size limits, and the check file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::content::{self, legible, quoted, shortened};
use crate::error::json::{self, Cause};
use crate::error::object::Object;
use crate::os::files;

use super::parsed::{Parsed, Reading, unsettled};
use super::{Check, Iterations, LightGbm, Linear, Model, ModelError, XgBoost, onnx, room};

/// Maximum size of a tree or ONNX file.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// Maximum size of a linear model or a check file.
pub const MAX_JSON_BYTES: u64 = 8 << 20;

/// What is in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Linear`]: JSON with weights and bias.
    Linear,
    /// [`LightGbm`]: the text of LightGBM's `save_model`.
    LightGbm,
    /// [`XgBoost`]: the JSON of XGBoost's `save_model`.
    XgBoost,
    /// [`Onnx`](super::Onnx): a network or a classical model.
    Onnx,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Linear, Kind::LightGbm, Kind::XgBoost, Kind::Onnx];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::LightGbm => "lightgbm",
            Kind::XgBoost => "xgboost",
            Kind::Onnx => "onnx",
        }
    }

    /// Detects the kind from the content.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn detect(bytes: &[u8]) -> Result<Self, ModelError> {
        if matches!(bytes.strip_prefix(b"tree"), Some([b'\n' | b'\r', ..])) {
            return Ok(Kind::LightGbm);
        }
        let start = bytes.trim_ascii_start();
        if let Some(what) = no_model(start) {
            return Err(ModelError(format!(
                "{what}, which the library itself does not load either; expected what save_model writes"
            )));
        }
        if start.starts_with(b"{") {
            return Ok(if is_xgboost(start) {
                Kind::XgBoost
            } else {
                Kind::Linear
            });
        }
        if onnx::looks_like_model(bytes) {
            return Ok(Kind::Onnx);
        }
        let what = match content::known(bytes) {
            Some(what) => what,
            None if start.is_empty() => "it is empty",
            None if bytes.starts_with(content::MARK.as_bytes()) => {
                "it begins with a byte order mark: save it without"
            }
            None => "its kind cannot be told from its content",
        };
        Err(ModelError(format!(
            "{what}; expected LightGBM's text, XGBoost's JSON, an ONNX model or a linear model's JSON"
        )))
    }
}

/// What a file is that people save next to models and that is not a model.
fn no_model(start: &[u8]) -> Option<&'static str> {
    let has = |key: &str| start.windows(key.len()).any(|part| part == key.as_bytes());
    match start.first()? {
        b'[' if has("\"nodeid\"") => Some("it is a dump of XGBoost's trees (dump_model, get_dump)"),
        b'b' if start.starts_with(b"booster[") => {
            Some("it is a dump of XGBoost's trees (dump_model, get_dump)")
        }
        b'{' if has("\"tree_info\"") && has("\"tree_structure\"") => {
            Some("it is a dump of LightGBM's trees (dump_model)")
        }
        b'{' if has("\"learner_train_param\"") && !has("\"left_children\"") => {
            Some("it is a configuration of XGBoost (save_config), without trees")
        }
        _ => None,
    }
}

/// Whether an object starts as XGBoost writes it, in JSON or in UBJSON, which puts the length of a
/// key before the key. The version is the first key if someone wrote the JSON anew.
fn is_xgboost(object: &[u8]) -> bool {
    const LEARNER: &[u8] = br#""learner""#;
    let first = object[1..].trim_ascii_start();
    let binary = &first[..first.len().min(24)];
    first.starts_with(LEARNER)
        || (first.starts_with(br#""version""#)
            && first.windows(LEARNER.len()).any(|part| part == LEARNER))
        || (!first.starts_with(b"\"") && binary.windows(7).any(|key| key == b"learner"))
}

/// Reads a model from a file. If `kind` is `None`, the content decides. `outputs` selects outputs
/// of an ONNX model, all if it is empty; other kinds have no selection.
///
/// If `FILE.check.json` exists beside the file, the model must pass it. Without it, a file that
/// leaves open what the model predicts is refused. For an ensemble, as many iterations run as
/// [`Iterations::Saved`] says.
///
/// # Errors
///
/// A sentence that names the file, the place in it and what was expected.
pub fn load(
    path: &Path,
    kind: Option<Kind>,
    outputs: &[String],
) -> Result<Box<dyn Model>, ModelError> {
    let wanted = Wanted {
        kind,
        outputs,
        ..Wanted::default()
    };
    let mut loaded = load_copies(path, wanted, 1)?;
    Ok(loaded.models.swap_remove(0))
}

/// What a configuration requests of a model file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// The kind; detected from the content if absent.
    pub(crate) kind: Option<Kind>,
    /// The selected outputs of an ONNX model; all if empty.
    pub(crate) outputs: &'a [String],
    pub(crate) iterations: Iterations,
}

/// A file's content and what is requested of it.
#[derive(Clone, Copy)]
struct Source<'a> {
    kind: Kind,
    bytes: &'a [u8],
    wanted: Wanted<'a>,
    reading: Reading,
    external: &'a onnx::External,
}

/// The result of loading a model file.
pub(crate) struct Loaded {
    pub(crate) kind: Kind,
    pub(crate) models: Vec<Box<dyn Model>>,
    /// A message for the code that starts the model.
    pub(crate) note: Option<String>,
    /// Further files that were read, all of them beside the model file.
    pub(crate) besides: Vec<PathBuf>,
}

/// [`load`], but creates `copies` models, at least one, from one reading of the file.
pub(crate) fn load_copies(
    path: &Path,
    wanted: Wanted<'_>,
    copies: usize,
) -> Result<Loaded, ModelError> {
    let named =
        |error: ModelError| ModelError(format!("{}: {}", path.display(), legible(&error.0)));
    room::for_file(path).map_err(named)?;
    let bytes = files::read(path, MAX_FILE_BYTES)
        .map_err(ModelError)
        .map_err(named)?;
    let kind = match wanted.kind {
        Some(kind) => kind,
        None => Kind::detect(&bytes).map_err(named)?,
    };
    if !wanted.outputs.is_empty() && kind != Kind::Onnx {
        return Err(named(ModelError(format!(
            "a {} model has no outputs to choose from; leave outputs out",
            kind.name()
        ))));
    }
    let of_kind = |error: ModelError| named(ModelError(format!("{} model: {error}", kind.name())));
    let external = match kind {
        Kind::Onnx => onnx::External::beside(path, &bytes).map_err(of_kind)?,
        _ => onnx::External::default(),
    };
    let mut source = Source {
        external: &external,
        kind,
        bytes: &bytes,
        wanted,
        reading: Reading::default(),
    };
    let Parsed {
        mut model,
        doubt,
        mut note,
    } = source.parse(wanted.outputs).map_err(of_kind)?;
    match (Check::beside(path)?, doubt) {
        (Some(check), doubt) => {
            if let Err(error) = source.check(&check, model.as_mut()) {
                // If runtimes differ, the check file decides which one is right.
                source.reading = Reading::Reference;
                let parsed = source.parse(wanted.outputs).map_err(of_kind)?;
                model = parsed.model;
                if doubt.is_none() || source.check(&check, model.as_mut()).is_err() {
                    return Err(error);
                }
                note =
                    Some("as the standard's reference reads it, which its check file has".into());
            }
            model.reset();
        }
        (None, Some(doubt)) => return Err(of_kind(unsettled(&doubt))),
        (None, None) => {}
    }
    // The other copies come from the same bytes, so they need no further check.
    let mut models = vec![model];
    for _ in 1..copies {
        models.push(source.parse(wanted.outputs).map_err(of_kind)?.model);
    }
    Ok(Loaded {
        kind,
        models,
        note,
        besides: external.paths().to_vec(),
    })
}

/// The further files that a model file names, as far as it can be read.
pub(crate) fn besides(path: &Path) -> Vec<PathBuf> {
    let read = room::for_file(path).and_then(|()| {
        let bytes = files::read(path, MAX_FILE_BYTES).map_err(ModelError)?;
        onnx::External::paths_beside(path, &bytes)
    });
    read.unwrap_or_default()
}

impl Source<'_> {
    fn parse(&self, outputs: &[String]) -> Result<Parsed<Box<dyn Model>>, ModelError> {
        let (bytes, iterations) = (self.bytes, self.wanted.iterations);
        room::for_model(self.kind, bytes.len())?;
        match self.kind {
            Kind::LightGbm => LightGbm::read(bytes, iterations).map(Parsed::boxed),
            Kind::XgBoost => XgBoost::read(bytes, iterations).map(Parsed::boxed),
            Kind::Linear | Kind::Onnx if iterations != Iterations::Saved => Err(ModelError::new(
                "it has no iterations; leave iterations out",
            )),
            Kind::Linear => Linear::parse(bytes).map(|model| Parsed::certain(model).boxed()),
            Kind::Onnx => onnx::load(bytes, outputs, self.reading, self.external),
        }
    }

    /// Runs the check file's rows.
    fn check(&self, check: &Check, model: &mut dyn Model) -> Result<(), ModelError> {
        if self.wanted.outputs.is_empty() || check.outputs() == model.outputs().len() {
            return check.run(model);
        }
        // The check file is for the whole model, whatever outputs are selected.
        check.run(self.parse(&[])?.model.as_mut())
    }
}

/// Refuses files that are larger than allowed for their kind.
pub(super) fn within(bytes: &[u8], limit: u64) -> Result<(), ModelError> {
    match bytes.len() as u64 <= limit {
        true => Ok(()),
        false => Err(ModelError(format!(
            "it has more than {limit} bytes; expected at most as many: a smaller model, or a check \
             file of fewer rows"
        ))),
    }
}

/// A serde error about JSON, in words for the person who has the file.
fn plain(error: &str) -> String {
    let unknown = error
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once("`, expected "));
    let Some((key, known)) = unknown else {
        return json::worded(error);
    };
    let (names, place) = known.split_once(" at line").unwrap_or((known, ""));
    let expected = match names.len() {
        ..=200 => format!("expected {names}"),
        _ => "expected what the library's save_model writes".into(),
    };
    format!(
        "the key {} is not known and may change what the model predicts; {expected} at line{place}",
        quoted(key)
    )
}

/// Says what to do about a word for NaN or an infinity, which JSON cannot hold, at a key.
type NotFinite = fn(key: &str, word: &str) -> &'static str;

/// Reads JSON; an error names the key, the line and what was expected.
#[inline(never)]
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8], nan: NotFinite) -> Result<T, ModelError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: Object<T> = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let key = match path.as_str() {
            "." | "?" => "top level",
            path => &shortened(path),
        };
        match explain(bytes, error.inner(), &path, nan) {
            Ok(what) => ModelError(format!("{key}: {what}")),
            Err(whole) => whole,
        }
    })?;
    reader.end().map_err(|error| {
        explain(bytes, &error, "", nan).map_or_else(|whole| whole, ModelError::new)
    })?;
    Ok(value.0)
}

/// What is wrong at a key of a file, or with the file as a whole.
fn explain(
    bytes: &[u8],
    error: &serde_json::Error,
    key: &str,
    nan: NotFinite,
) -> Result<String, ModelError> {
    Ok(match json::cause(bytes, error) {
        Some(Cause::Empty) => return Err(ModelError::new("it is empty; expected JSON")),
        Some(Cause::Cut) => format!(
            "the text ends too early, at line {} column {}: the file is cut off",
            error.line(),
            error.column()
        ),
        Some(Cause::NotFinite(word)) => format!(
            "{word}, which is not JSON; {}, at line {} column {}",
            nan(key, &word),
            error.line(),
            error.column()
        ),
        Some(Cause::Other(cause)) => format!("{error}: {cause}"),
        None => legible(&plain(&error.to_string())),
    })
}
