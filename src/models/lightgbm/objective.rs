//! Turns the sum of the leaves into the output.

use crate::error::content::quoted;
use crate::models::ModelError;

/// What LightGBM's `ConvertOutput` does for an objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Objective {
    /// The sum.
    Identity,
    /// `sign(x) x^2`, for models that were trained on the targets' roots.
    Square,
    /// `exp(x)`
    Exp,
    /// `1 / (1 + exp(-k x))`
    Sigmoid(f64),
    /// `ln(1 + exp(x))`
    Softplus,
}

impl Objective {
    /// Reads the value of `objective`: a name and parameters, some of which matter in training
    /// only.
    pub(super) fn parse(text: &str) -> Result<Self, ModelError> {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let mut root = false;
        let mut sigmoid = None;
        for word in words {
            match word.split_once(':') {
                None if word == "sqrt" => root = true,
                Some(("sigmoid", value)) => {
                    let value = value
                        .parse()
                        .ok()
                        .filter(|k: &f64| k.is_finite() && *k > 0.0);
                    sigmoid = Some(value.ok_or_else(|| {
                        ModelError(format!(
                            "{}; expected sigmoid: and a number above 0",
                            quoted(word)
                        ))
                    })?);
                }
                Some(("alpha" | "fair_c" | "tweedie_variance_power" | "max_delta_step", _)) => {}
                _ => {
                    return Err(ModelError(format!(
                        "{} is not a known parameter of an objective; expected sqrt, or a number after \
                         sigmoid:, alpha:, fair_c:, tweedie_variance_power: or max_delta_step:",
                        quoted(word)
                    )));
                }
            }
        }
        let sum = if root { Self::Square } else { Self::Identity };
        let objective = match name {
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => sum,
            "poisson" | "gamma" | "tweedie" => Self::Exp,
            "binary" => Self::Sigmoid(sigmoid.ok_or_else(|| {
                ModelError::new("binary has no sigmoid; expected sigmoid:1, as LightGBM writes")
            })?),
            // The short names are those of LightGBM 2.
            "cross_entropy" | "xentropy" => Self::Sigmoid(1.0),
            "cross_entropy_lambda" | "xentlambda" => Self::Softplus,
            _ => {
                return Err(ModelError(format!(
                    "{} is not supported; expected a regression or binary objective",
                    quoted(name)
                )));
            }
        };
        Ok(objective)
    }

    /// The name of the model's output.
    pub(super) fn output(self) -> &'static str {
        match self {
            Self::Sigmoid(_) => "probability",
            _ => "prediction",
        }
    }

    #[inline]
    pub(super) fn convert(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Square if x < 0.0 => -x * x,
            Self::Square => x * x,
            Self::Exp => x.exp(),
            Self::Sigmoid(k) => 1.0 / (1.0 + (-k * x).exp()),
            Self::Softplus => x.exp().ln_1p(),
        }
    }
}
