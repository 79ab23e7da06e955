//! Overload policies: what happens to a message when its ring is full.

use serde::{Deserialize, Serialize};

/// When the ring from the host to ingest is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum IngestOverload {
    /// The event is dropped and counted: the host never waits.
    #[default]
    DropNewest,
    /// `on_data` spins until there is room, at most `block_ms`; then the event
    /// is dropped and counted. For replay.
    Block,
}

/// When a ring between two lanes is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StageOverload {
    /// The sending lane waits, so that the ring before it fills: losses happen
    /// at the pipeline's two ends alone, where they are events or signals.
    #[default]
    Block,
}

/// When the ring from egress to the host is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EgressOverload {
    /// The newest signal of each instrument (and model, where each has its own
    /// callback) is kept and published as room appears; the one that it
    /// replaces is counted.
    #[default]
    Conflate,
    /// The signal is dropped and counted.
    DropNewest,
    /// The lane waits until there is room, at most `block_ms`; then the signal
    /// is dropped and counted. Not with the `inline` placement, where the
    /// thread that would wait is the one that makes room.
    Block,
}

/// The overload policy of each ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Overload {
    /// From the host to ingest: `drop-newest` or `block`. Default `drop-newest`.
    pub ingest: IngestOverload,
    /// Between two lanes: `block`.
    pub stage: StageOverload,
    /// From egress to the host: `conflate`, `drop-newest` or `block`. Default
    /// `conflate`.
    pub egress: EgressOverload,
    /// Longest time that one message waits where `ingest` or `egress` is `block`, ms, 1 to
    /// 60,000. Default 1,000.
    #[cfg_attr(test, schemars(range(min = 1, max = 60_000)))]
    pub block_ms: u64,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            ingest: IngestOverload::default(),
            stage: StageOverload::default(),
            egress: EgressOverload::default(),
            block_ms: 1000,
        }
    }
}
