//! Why the command stops early.

use thiserror::Error;

use crate::stream;

/// A result of this command.
pub type Result<T> = std::result::Result<T, Failure>;

/// Says on standard error, in one line, what does not stop the run.
pub fn warn(text: &str) {
    let _ = stream::write(&mut std::io::stderr(), &format!("signal: {text}\n"));
}

/// A reason to stop.
#[derive(Debug, Error)]
pub enum Failure {
    /// Something to tell the user.
    #[error("{0}")]
    Said(String),
    /// A capture file that cannot be played.
    #[error(transparent)]
    Capture(#[from] signal::replay::Error),
    /// Ctrl-C or SIGTERM, by the signal's number.
    #[error("ended by signal {0}; what was written is complete up to there")]
    Interrupted(u8),
    /// The same, but something could not be written.
    #[error("ended by signal {0}; {1}; what else was written is complete up to there")]
    Cut(u8, String),
    /// A verdict that standard output has, by its exit code.
    #[error("the verdict is not good")]
    Verdict(u8),
    /// The reader of standard output has closed it.
    #[error("standard output is closed")]
    Pipe,
}

impl Failure {
    /// A failure with this text.
    pub fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    /// The command's exit code; for signals as in a shell.
    pub fn code(&self) -> u8 {
        match self {
            Self::Interrupted(signal) | Self::Cut(signal, _) => 128 + signal,
            Self::Verdict(code) => *code,
            _ => 1,
        }
    }
}
