//! What is seen of an engine while it runs, and the latency report that it leaves.
//!
//! | file | what |
//! |---|---|
//! | `monitor` | the engine's state in a word, its lanes and rings |
//! | `latency` | collects the histograms that recorders hand over |
//! | `exporter` | the thread that writes the interval log, and the files at the end |
//! | `hgrm` | percentile tables in HdrHistogram's text format |
//! | `facts` | the facts of machine, build and configuration |
//! | `summary` | the JSON summary |

mod exporter;
mod facts;
mod hgrm;
mod latency;
mod monitor;
mod summary;

pub(crate) use exporter::Exporter;
pub(crate) use facts::Facts;
pub use facts::VERSION;
pub use hgrm::write_hgrm;
pub use latency::HopSummary;
pub(crate) use latency::Latency;
pub(crate) use monitor::Monitor;
pub use monitor::{Health, HealthState, LaneReport, RingReport};
