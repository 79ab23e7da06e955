//! The memory that reading a model takes, asked for before it is taken.

use std::path::Path;

use super::{Kind, ModelError};
use crate::os::{files, memory};

/// What reading a file takes in its own sizes, with the file, at most: 28 for a linear
/// model of many weights, 8 for trees, 29 for a check file with rows of one value.
const OF_LINEAR: usize = 32;
const OF_TREES: usize = 12;
const OF_GRAPH: usize = 32;
const OF_CHECK: usize = 32;
/// What a small model's tables take besides, in the file's sizes and at most.
const OF_TABLES: usize = 128;
const MOST_OF_TABLES: usize = 16 << 20;

/// Asks for what reading a model file of this kind takes.
pub(super) fn for_model(kind: Kind, bytes: usize) -> Result<(), ModelError> {
    let tables = bytes.saturating_mul(OF_TABLES).min(MOST_OF_TABLES);
    let (times, tables) = match kind {
        Kind::Linear => (OF_LINEAR, 0),
        Kind::LightGbm | Kind::XgBoost => (OF_TREES, tables),
        Kind::Onnx => (OF_GRAPH, tables),
    };
    let need = bytes.saturating_mul(times).saturating_add(tables);
    ask(&format!("reading a model file of {bytes} bytes"), need)
}

/// Asks for a file's own bytes.
pub(super) fn for_file(path: &Path) -> Result<(), ModelError> {
    let about = files::about_path(path).ok();
    let bytes = about.and_then(|about| about.size).unwrap_or(0);
    for_bytes(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Asks for the bytes of files that are kept while others are read.
pub(super) fn for_bytes(bytes: usize) -> Result<(), ModelError> {
    ask(&format!("reading a file of {bytes} bytes"), bytes)
}

/// Asks for what reading a check file of so many bytes takes.
pub(super) fn for_check(bytes: usize) -> Result<(), ModelError> {
    let need = bytes.saturating_mul(OF_CHECK);
    ask(&format!("reading a check file of {bytes} bytes"), need)
}

/// Asks for memory that a model's numbers take, which its file need not have.
pub(super) fn for_numbers(bytes: usize) -> Result<(), ModelError> {
    /// Below that, they have room in what a create has to spare.
    const FEW: usize = 64 << 10;
    match bytes {
        ..FEW => Ok(()),
        _ => ask(
            &format!("compiling it, with {bytes} bytes of numbers,"),
            bytes,
        ),
    }
}

fn ask(what: &str, bytes: usize) -> Result<(), ModelError> {
    memory::check(what, bytes).map_err(|error| ModelError(error.to_string()))
}
