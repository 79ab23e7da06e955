//! Reference vectors in a file beside the model.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::load::{self, MAX_JSON_BYTES};
use super::{Model, ModelError, room};
use crate::messages::InstrumentId;
use crate::os::files;

/// What `MODEL_FILE.check.json` holds: factor vectors, the outputs that the model's trainer
/// computed for them, and the tolerance.
///
/// An output passes if `|ours - reference| <= tolerance * scale`, where `scale` is the greatest
/// `|reference|` of that output over all rows (1 if all are 0), or if both are NaN. JSON cannot
/// hold NaN, so `null` means NaN.
///
/// ```
/// use signal::models::{Check, Linear};
/// let mut model = Linear::parse(br#"{"weights": [2.0], "bias": 1.0}"#)?;
/// let good = r#"{"inputs": [[0.0]], "outputs": [[1.0, 0.46211715726000973]], "tolerance": 1e-12}"#;
/// Check::parse(good.as_bytes())?.run(&mut model)?;
/// let wrong = r#"{"inputs": [[0.0]], "outputs": [[1.5, 0.4]], "tolerance": 1e-12}"#;
/// let error = Check::parse(wrong.as_bytes())?.run(&mut model).unwrap_err();
/// assert!(error.to_string().contains("outputs[0][0]"));
/// # Ok::<(), signal::models::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    source: String,
    inputs: Vec<Vec<f64>>,
    outputs: Vec<Vec<f64>>,
    tolerance: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inputs: Vec<Vec<Option<f64>>>,
    outputs: Vec<Vec<Option<f64>>>,
    tolerance: f64,
}

impl Check {
    /// The path of a model file's check file.
    pub fn path(model: &Path) -> PathBuf {
        let mut path = model.as_os_str().to_owned();
        path.push(".check.json");
        path.into()
    }

    /// Reads the check file of a model file, if there is one.
    pub(super) fn beside(model: &Path) -> Result<Option<Self>, ModelError> {
        let path = Self::path(model);
        let source = path.display().to_string();
        let named = |error: ModelError| ModelError(format!("{source}: {error}"));
        // A dangling link is a check file that was meant to exist, so it is an error.
        match files::about_link(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(ModelError(format!("cannot look for it: {error}")))),
        }
        room::for_file(&path).map_err(named)?;
        let bytes = files::read(&path, MAX_JSON_BYTES)
            .map_err(ModelError)
            .map_err(named)?;
        room::for_check(bytes.len()).map_err(named)?;
        let check = Self::parse(&bytes).map_err(named)?;
        Ok(Some(Self { source, ..check }))
    }

    /// Reads a check file's JSON.
    ///
    /// # Errors
    ///
    /// The key, the line, and what was expected.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        load::within(bytes, MAX_JSON_BYTES)?;
        let file: File = load::json(bytes, |_, word| match word.eq_ignore_ascii_case("nan") {
            true => "write null for NaN",
            false => "leave out a row with an infinity",
        })?;
        if file.inputs.is_empty() || file.inputs.len() != file.outputs.len() {
            return Err(ModelError(format!(
                "{} inputs and {} outputs; expected as many of both, and at least one",
                file.inputs.len(),
                file.outputs.len()
            )));
        }
        if file.tolerance.is_nan() || file.tolerance < 0.0 {
            return Err(ModelError(format!(
                "tolerance is {}; expected 0 or more",
                file.tolerance
            )));
        }
        Ok(Self {
            source: "check".into(),
            inputs: file.inputs.into_iter().map(numbers).collect(),
            outputs: file.outputs.into_iter().map(numbers).collect(),
            tolerance: file.tolerance,
        })
    }

    /// Number of values in the first row of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.outputs.first().map_or(0, Vec::len)
    }

    /// Makes room for one instrument, and runs the model on every input as that instrument.
    ///
    /// # Errors
    ///
    /// The first output beyond the tolerance, with both values.
    pub fn run(&self, model: &mut dyn Model) -> Result<(), ModelError> {
        model.reserve(1);
        let names = model.outputs().to_vec();
        let mut out = vec![0.0; names.len()];
        let scales = self.scales(names.len());
        for (row, (input, expected)) in self.inputs.iter().zip(&self.outputs).enumerate() {
            self.same_length("inputs", row, input.len(), model.inputs())?;
            self.same_length("outputs", row, expected.len(), out.len())?;
            model.run(InstrumentId(0), input, &mut out);
            for (column, (&ours, &reference)) in out.iter().zip(expected).enumerate() {
                if !close(ours, reference, self.tolerance * scales[column]) {
                    return Err(ModelError(format!(
                        "{}: outputs[{row}][{column}] ({}) is {reference}, but the model gives {ours}: \
                         off by {:e}, at most {:e} is tolerated; expected a check file that was made with this model file",
                        self.source,
                        names[column],
                        (ours - reference).abs(),
                        self.tolerance * scales[column]
                    )));
                }
            }
        }
        Ok(())
    }

    /// The greatest absolute reference value of each output.
    fn scales(&self, outputs: usize) -> Vec<f64> {
        let greatest = |column: usize| {
            let values = self.outputs.iter().filter_map(|row| row.get(column));
            values.fold(0.0, |greatest: f64, value| greatest.max(value.abs()))
        };
        let scale = |greatest: f64| if greatest > 0.0 { greatest } else { 1.0 };
        (0..outputs).map(|column| scale(greatest(column))).collect()
    }

    fn same_length(
        &self,
        what: &str,
        row: usize,
        given: usize,
        model: usize,
    ) -> Result<(), ModelError> {
        if given == model {
            return Ok(());
        }
        Err(ModelError(format!(
            "{}: {what}[{row}] has {given} values; expected {model}, as many as the model has {what}",
            self.source
        )))
    }
}

fn numbers(row: Vec<Option<f64>>) -> Vec<f64> {
    row.into_iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect()
}

fn close(ours: f64, reference: f64, tolerated: f64) -> bool {
    ours == reference
        || (ours.is_nan() && reference.is_nan())
        || (ours - reference).abs() <= tolerated
}
