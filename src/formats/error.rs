//! What is wrong with a capture, and where.

use std::path::PathBuf;

/// A result of this module.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a capture: the place, and what was expected there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file as a whole: it cannot be opened, or it has no events.
    #[error("{}: {what}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A line that cannot be read, or that is not a CSV record with as many fields as the header.
    #[error("{}: line {line}: {what}", .file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A field that cannot be used, or a required column that is missing.
    #[error("{}: line {line}, column `{column}`: {what}", .file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// What was expected.
        what: String,
    },
    /// Files that were not recorded together.
    #[error(
        "these files are not of one session: nothing arrives for {gap_s} s in between; \
         replay them one at a time, or mend recv_ns where a row has a wrong one"
    )]
    Sessions {
        /// For how long nothing arrives, seconds.
        gap_s: i64,
    },
}
