//! A model, and what its file leaves open.

use super::{Model, ModelError};

/// Which reading of a file counts if runtimes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// That of onnxruntime.
    #[default]
    Runtime,
    /// That of the standard's reference implementation, which scikit-learn's models follow.
    Reference,
}

/// A model as the parser returns it.
#[derive(Debug)]
pub(super) struct Parsed<M> {
    pub(super) model: M,
    /// Why the file alone does not determine what the model predicts. Only a check file that the
    /// model passes settles that.
    pub(super) doubt: Option<String>,
    /// A message for the code that starts the model.
    pub(super) note: Option<String>,
}

impl<M> Parsed<M> {
    /// A model about which nothing is open.
    pub(super) fn certain(model: M) -> Self {
        Self {
            model,
            doubt: None,
            note: None,
        }
    }

    /// The model, if nothing is open; otherwise an error.
    pub(super) fn settled(self) -> Result<M, ModelError> {
        match self.doubt {
            None => Ok(self.model),
            Some(doubt) => Err(unsettled(&doubt)),
        }
    }
}

impl<M: Model + 'static> Parsed<M> {
    pub(super) fn boxed(self) -> Parsed<Box<dyn Model>> {
        Parsed {
            model: Box::new(self.model),
            doubt: self.doubt,
            note: self.note,
        }
    }
}

/// The error for a model that needs a check file but has none.
pub(super) fn unsettled(doubt: &str) -> ModelError {
    ModelError(format!(
        "{doubt}; expected a check file beside it that it meets (MODEL_FILE.check.json with \
         inputs, outputs and tolerance)"
    ))
}
