//! `linear`: a weighted sum of the factors, from JSON.

use serde::Deserialize;

use super::load::{self, MAX_JSON_BYTES};
use super::{MOST_PREFETCHED, Model, ModelError};
use crate::messages::InstrumentId;
use crate::sync::prefetch::Parts;

/// `signal = bias + sum w (x - mean) / scale`, and `confidence = 2 / (1 + exp(-|signal|)) - 1`,
/// which is 0 for a signal of 0 and approaches 1 as `|signal|` grows.
///
/// The file is a JSON object: `weights`, `bias`, and optionally `mean`, `scale` (as long as
/// `weights`) and `factors`, the names of the factors that the weights belong to. The sum is
/// computed in `f64`, in the order of the weights.
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::{Linear, Model};
/// let json = r#"{"weights": [2.0, -1.0], "bias": 0.5, "mean": [1.0, 0.0], "scale": [2.0, 1.0]}"#;
/// let mut model = Linear::parse(json.as_bytes())?;
/// let mut out = [0.0; 2];
/// model.run(InstrumentId(0), &[3.0, 1.0], &mut out);
/// assert_eq!(out[0], 0.5 + 2.0 * (3.0 - 1.0) / 2.0 - 1.0);
/// assert_eq!(out[1], 2.0 / (1.0 + (-1.5f64).exp()) - 1.0);
/// # Ok::<(), signal::models::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    bias: f64,
    terms: Box<[Term]>,
    inputs: Vec<String>,
    outputs: [String; 2],
}

#[derive(Clone, Copy, Debug)]
struct Term {
    weight: f64,
    mean: f64,
    scale: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    weights: Vec<f64>,
    bias: f64,
    mean: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    factors: Option<Vec<String>>,
}

impl Linear {
    /// Reads the JSON.
    ///
    /// # Errors
    ///
    /// The key, the line, and what was expected.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        load::within(bytes, MAX_JSON_BYTES)?;
        let file: File = load::json(bytes, |_, word| match word.eq_ignore_ascii_case("nan") {
            true => "expected a number: NaN is no weight",
            false => "expected a finite number",
        })?;
        let count = file.weights.len();
        if count == 0 {
            return Err(ModelError::new(
                "weights is empty; expected one for each factor",
            ));
        }
        let as_long = |name: &str, len: usize| {
            if len == count {
                Ok(())
            } else {
                Err(ModelError::new(format!(
                    "{name} has {len} entries and weights has {count}; expected as many"
                )))
            }
        };
        let mean = file.mean.unwrap_or_else(|| vec![0.0; count]);
        let scale = file.scale.unwrap_or_else(|| vec![1.0; count]);
        let inputs = file.factors.unwrap_or_default();
        as_long("mean", mean.len())?;
        as_long("scale", scale.len())?;
        if !inputs.is_empty() {
            as_long("factors", inputs.len())?;
        }
        if let Some(index) = scale.iter().position(|&scale| scale == 0.0) {
            return Err(ModelError::new(format!(
                "scale[{index}] is 0; expected another number (1 for a factor that does not vary)"
            )));
        }
        let terms = file.weights.iter().zip(mean).zip(scale);
        Ok(Self {
            bias: file.bias,
            terms: terms
                .map(|((&weight, mean), scale)| Term {
                    weight,
                    mean,
                    scale,
                })
                .collect(),
            inputs,
            outputs: ["signal", "confidence"].map(String::from),
        })
    }
}

impl Model for Linear {
    fn inputs(&self) -> usize {
        self.terms.len()
    }

    fn input_names(&self) -> &[String] {
        &self.inputs
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn prefetch(&self) {
        Parts::of(MOST_PREFETCHED).add(&*self.terms);
    }

    #[inline]
    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        let mut signal = self.bias;
        for (term, x) in self.terms.iter().zip(factors) {
            signal += term.weight * (x - term.mean) / term.scale;
        }
        out[0] = signal;
        out[1] = 2.0 / (1.0 + (-signal.abs()).exp()) - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::prefetch;

    fn refusal(json: &str) -> String {
        Linear::parse(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn factors_are_scaled_weighed_and_summed() {
        let json = r#"{"weights": [3, -5], "bias": 0.25, "mean": [1, -2], "scale": [2, 4],
            "factors": ["a", "b"]}"#;
        let mut model = Linear::parse(json.as_bytes()).unwrap();
        assert_eq!(
            (model.inputs(), model.input_names()),
            (2, &["a", "b"].map(String::from)[..])
        );
        assert_eq!(model.outputs(), ["signal", "confidence"]);
        let mut out = [0.0; 2];
        model.run(InstrumentId(0), &[8.0, 3.0], &mut out);
        assert_eq!(out[0], 0.25 + 10.5 - 6.25);
        assert_eq!(out[1], 2.0 / (1.0 + (-4.5f64).exp()) - 1.0);
        // As far from 0, on the negative side.
        model.run(InstrumentId(0), &[1.0, 1.8], &mut out);
        assert_eq!(out, [-4.5, 2.0 / (1.0 + (-4.5f64).exp()) - 1.0]);
    }

    #[test]
    fn its_weights_are_prefetched_up_to_16_kib() {
        let prefetched = |weights: usize| {
            let json = format!(r#"{{"weights": {:?}, "bias": 0}}"#, vec![1; weights]);
            let model = Linear::parse(json.as_bytes()).unwrap();
            prefetch::counted(|| model.prefetch())
        };
        // 24 bytes each, which may begin in the middle of a line.
        assert!([6, 7].contains(&prefetched(16)), "{}", prefetched(16));
        assert_eq!(prefetched(1_000), MOST_PREFETCHED);
    }

    #[test]
    fn wrong_files_are_refused_by_name() {
        let error = refusal(r#"{"weights": [1, "x"], "bias": 0}"#);
        assert!(
            error.contains("weights[1]") && error.contains("line 1"),
            "{error}"
        );
        let error = refusal(r#"{"weights": [1], "bias": 0, "mean": [1, 2]}"#);
        assert!(error.contains("mean has 2 entries"), "{error}");
        let error = refusal(r#"{"weights": [1, 2], "bias": 0, "scale": [1, 0]}"#);
        assert!(error.contains("scale[1] is 0"), "{error}");
        assert!(refusal(r#"{"weights": [1]}"#).contains("bias"));
        assert!(refusal(r#"{"weights": [], "bias": 0}"#).contains("empty"));
        assert!(refusal(r#"{"weights": [1e999], "bias": 0}"#).contains("out of range"));
        assert!(refusal("\u{feff}").contains("expected value"));
    }
}
