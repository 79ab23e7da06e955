//! Turns the sum of the leaves into the output.

use crate::error::content::quoted;
use crate::models::ModelError;

/// What XGBoost's `PredTransform` does for an objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Objective {
    /// The sum.
    Identity,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `exp(x)`
    Exp,
}

impl Objective {
    pub(super) fn parse(name: &str) -> Result<Self, ModelError> {
        match name {
            "reg:squarederror"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "binary:logitraw" => Ok(Self::Identity),
            "reg:logistic" | "binary:logistic" => Ok(Self::Sigmoid),
            "count:poisson" | "reg:gamma" | "reg:tweedie" => Ok(Self::Exp),
            _ => Err(ModelError(format!(
                "learner.objective.name: {} is not supported; \
                     expected a regression or binary objective",
                quoted(name)
            ))),
        }
    }

    /// The name of the model's output.
    pub(super) fn output(self) -> &'static str {
        match self {
            Self::Sigmoid => "probability",
            _ => "prediction",
        }
    }

    /// The base score as a term of the sum: the file contains it as an output.
    pub(super) fn margin(self, base: f32) -> Result<f32, ModelError> {
        let wrong = |expected: &str| {
            Err(ModelError(format!(
                "base_score is {base}; expected {expected}"
            )))
        };
        match self {
            Self::Identity => Ok(base),
            // XGBoost keeps this distance from 0 and 1.
            Self::Sigmoid if (0.0..=1.0).contains(&base) => {
                let base = base.clamp(1e-6, 1.0 - 1e-6);
                Ok(-(1.0 / base - 1.0).ln())
            }
            Self::Sigmoid => wrong("a probability from 0 to 1"),
            Self::Exp if base > 0.0 => Ok(base.ln()),
            Self::Exp => wrong("a number above 0"),
        }
    }

    #[inline]
    pub(super) fn convert(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            // XGBoost caps the exponent so that the sum stays finite.
            Self::Sigmoid => 1.0 / ((-x).min(88.7).exp() + 1.0),
            Self::Exp => x.exp(),
        }
    }
}
