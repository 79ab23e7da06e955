//! A model, and what its file leaves open.

use super::{Model, ModelError};

/// Whose reading of a file counts where runtimes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// onnxruntime's.
    #[default]
    Runtime,
    /// That of the standard's reference, which scikit-learn's models follow.
    Reference,
}

/// A model as its parser leaves it.
#[derive(Debug)]
pub(super) struct Parsed<M> {
    pub(super) model: M,
    /// Why nobody can tell from the file alone what the model predicts. Only a check
    /// file that it meets settles that.
    pub(super) doubt: Option<String>,
    /// What whoever starts the model should hear of it.
    pub(super) note: Option<String>,
}

impl<M> Parsed<M> {
    /// A model of which nothing is open.
    pub(super) fn certain(model: M) -> Self {
        Self {
            model,
            doubt: None,
            note: None,
        }
    }

    /// The model, if nothing is open.
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

/// The refusal of a model that only a check file could vouch for.
pub(super) fn unsettled(doubt: &str) -> ModelError {
    ModelError(format!(
        "{doubt}; expected a check file beside it that it meets (MODEL_FILE.check.json with \
         inputs, outputs and tolerance)"
    ))
}
