//! A node's attributes. Each is read by name; any that was not read is refused, so that nothing
//! that changes a result is ignored silently.

use super::external::External;
use super::proto::{self, Attribute};
use super::tensor::{self, Tensor};
use super::wire::Span;
use crate::models::ModelError;

/// The attributes that have not been read yet.
#[derive(Debug)]
pub struct Attributes<'a> {
    left: Vec<(&'a str, Span<'a>)>,
}

fn wrong(name: &str, expected: &str) -> ModelError {
    ModelError(format!("attribute {name}: expected {expected}"))
}

impl<'a> Attributes<'a> {
    /// Reads the names.
    pub fn new(spans: &[Span<'a>]) -> Result<Self, ModelError> {
        let mut left: Vec<(&str, Span<'_>)> = Vec::with_capacity(spans.len());
        for &span in spans {
            let name = proto::attribute_name(span)?;
            if left.iter().any(|(known, _)| *known == name) {
                return Err(ModelError(format!("attribute {name} is there twice")));
            }
            left.push((name, span));
        }
        Ok(Self { left })
    }

    fn take(&mut self, name: &str) -> Result<Option<Attribute<'a>>, ModelError> {
        let Some(index) = self.left.iter().position(|(known, _)| *known == name) else {
            return Ok(None);
        };
        let attribute = proto::attribute(self.left.swap_remove(index).1)?;
        if let Some(what) = attribute.other {
            return Err(ModelError(format!(
                "attribute {name} is {what}, which is not supported; expected a number, text, a \
                 tensor, or a list of numbers"
            )));
        }
        Ok(Some(attribute))
    }

    /// Whether the attribute is present and has not been read.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(known, _)| *known == name)
    }

    /// An integer. A writer may leave out the value 0 if it names the type.
    pub fn int(&mut self, name: &str) -> Result<Option<i64>, ModelError> {
        self.take(name)?
            .map(|attribute| match (attribute.int, attribute.kind) {
                (Some(int), _) => Ok(int),
                (None, 2) => Ok(0),
                _ => Err(wrong(name, "an integer")),
            })
            .transpose()
    }

    /// A float.
    pub fn float(&mut self, name: &str) -> Result<Option<f32>, ModelError> {
        self.take(name)?
            .map(|attribute| match (attribute.float, attribute.kind) {
                (Some(float), _) => Ok(float),
                (None, 1) => Ok(0.0),
                _ => Err(wrong(name, "a float")),
            })
            .transpose()
    }

    /// Text.
    pub fn text(&mut self, name: &str) -> Result<Option<&'a str>, ModelError> {
        self.take(name)?
            .map(|attribute| match (attribute.text, attribute.kind) {
                (Some(text), _) => text.text(),
                (None, 3) => Ok(""),
                _ => Err(wrong(name, "text")),
            })
            .transpose()
    }

    /// A tensor.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, ModelError> {
        self.take(name)?
            .map(|attribute| match attribute.tensor {
                Some(tensor) => tensor::tensor(tensor, &External::default()),
                None => Err(wrong(name, "a tensor")),
            })
            .transpose()
    }

    /// Floats; empty if absent.
    pub fn floats(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let list = self.list(name, 6, "floats")?;
        Ok(list.map(|attribute| attribute.floats).unwrap_or_default())
    }

    /// Integers; empty if absent.
    pub fn ints(&mut self, name: &str) -> Result<Vec<i64>, ModelError> {
        let list = self.list(name, 7, "integers")?;
        Ok(list.map(|attribute| attribute.ints).unwrap_or_default())
    }

    /// Texts; empty if absent.
    pub fn texts(&mut self, name: &str) -> Result<Vec<&'a [u8]>, ModelError> {
        let list = self.list(name, 8, "texts")?;
        Ok(list.map(|attribute| attribute.texts).unwrap_or_default())
    }

    fn list(
        &mut self,
        name: &str,
        kind: i64,
        expected: &str,
    ) -> Result<Option<Attribute<'a>>, ModelError> {
        let Some(attribute) = self.take(name)? else {
            return Ok(None);
        };
        if attribute.kind != kind && attribute.kind != 0 {
            return Err(wrong(name, expected));
        }
        Ok(Some(attribute))
    }

    /// Drops an attribute that does not affect results.
    pub fn ignore(&mut self, name: &str) {
        self.left.retain(|(known, _)| *known != name);
    }

    /// Refuses the attributes that were not read.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(ModelError(format!("attribute {name} is not supported"))),
        }
    }
}
