//! Latency reports: what the hops' histograms become.
//!
//! | file | what |
//! |---|---|
//! | `latency` | collects the histograms that recorders hand over |
//! | `exporter` | the thread that writes the interval log, and the files at the end |
//! | `hgrm` | percentile tables in HdrHistogram's text format |
//! | `facts` | the facts of machine, build and configuration |
//! | `summary` | the JSON summary |

mod exporter;
mod facts;
mod hgrm;
mod latency;
mod summary;

pub(crate) use exporter::Exporter;
pub(crate) use facts::Facts;
pub use hgrm::write_hgrm;
pub use latency::HopSummary;
pub(crate) use latency::Latency;
