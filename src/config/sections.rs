//! The sections of a configuration: keys that have subkeys.

use std::path::PathBuf;

use serde::Serialize;

use super::forms::write_place;

/// Ring sizes in messages, 2 to 1,048,576 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Rings {
    /// From the host to ingest. Default 4,096.
    #[cfg_attr(test, schemars(range(min = 2, max = 1_048_576)))]
    pub ingest: usize,
    /// Between two lanes. Default 1,024.
    #[cfg_attr(test, schemars(range(min = 2, max = 1_048_576)))]
    pub stage: usize,
    /// From egress to the host. Default 4,096.
    #[cfg_attr(test, schemars(range(min = 2, max = 1_048_576)))]
    pub egress: usize,
}

/// Bounds of the instrument table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Instruments {
    /// Highest number of instruments, 1 to 1,000,000. Events of further instruments are
    /// refused and counted. Default 1,024.
    #[cfg_attr(test, schemars(range(min = 1, max = 1_000_000)))]
    pub max: usize,
}

/// What counts as a stall, as silence and as too many refused events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Health {
    /// A lane that makes no progress for this long is stalled, us, 10 to 60,000,000.
    /// Default 10,000.
    #[cfg_attr(test, schemars(range(min = 10, max = 60_000_000)))]
    pub stall_us: u64,
    /// Number of events without a signal that counts as silence, 1 to 1,000,000,000.
    /// Default 10,000.
    #[cfg_attr(test, schemars(range(min = 1, max = 1_000_000_000)))]
    pub silent_events: u64,
    /// Percentage of refused events, since the last health call, that counts as too many,
    /// 1 to 100. Default 10.
    #[cfg_attr(test, schemars(range(min = 1, max = 100)))]
    pub refused_percent: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            stall_us: 10_000,
            silent_events: 10_000,
            refused_percent: 10,
        }
    }
}

/// The latency report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Latency {
    /// Folder for the report. Default: no report.
    #[serde(serialize_with = "write_place")]
    #[cfg_attr(test, schemars(with = "Option<PathBuf>"))]
    pub dir: Option<PathBuf>,
    /// Length of an interval of the log, ms, 10 to 3,600,000. Default 1,000.
    #[cfg_attr(test, schemars(range(min = 10, max = 3_600_000)))]
    pub interval_ms: u64,
    /// A lane that runs several stages times each of them in one of this many messages,
    /// chosen at random, 1 to 1,000,000. Rings, and the way from end to end, are timed for
    /// every message. Default 16; 1 costs about 15 ns per tick.
    #[cfg_attr(test, schemars(range(min = 1, max = 1_000_000)))]
    pub work_every: u32,
}

/// The capture: a file of the events that ingest accepts, for `signal replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Capture {
    /// The CSV file. An existing file is overwritten. Default: no capture.
    #[serde(serialize_with = "write_place")]
    #[cfg_attr(test, schemars(with = "Option<PathBuf>"))]
    pub file: Option<PathBuf>,
    /// Number of events that may wait for the disk, 2 to 1,048,576. If more wait, the
    /// oldest are missing from the file and counted; the pipeline never waits. Default
    /// 16,384.
    #[cfg_attr(test, schemars(range(min = 2, max = 1_048_576)))]
    pub buffer: usize,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            ingest: 4096,
            stage: 1024,
            egress: 4096,
        }
    }
}

impl Default for Instruments {
    fn default() -> Self {
        Self { max: 1024 }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            dir: None,
            interval_ms: 1000,
            work_every: 16,
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            file: None,
            buffer: 16_384,
        }
    }
}
