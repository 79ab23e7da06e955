//! Why an engine could not start.

/// What is wrong, in a sentence that names the thing and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong: mend the field that the message names.
    #[error("configuration: {0}")]
    Config(String),
    /// A lane could not be placed or started: choose other cores or placement.
    #[error("placement: {0}")]
    Placement(String),
    /// The process may not have the memory that the engine needs.
    #[error("memory: {0}")]
    Memory(String),
    /// The latency report's folder cannot be written.
    #[error("latency report: {0}")]
    Report(String),
    /// The capture file cannot be written.
    #[error("capture: {0}")]
    Capture(String),
}
