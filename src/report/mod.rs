//! What can be observed of a running engine, and the latency report that it leaves.
//!
//! | file | what |
//! |---|---|
//! | `health` | the engine's state as one word |
//! | `monitor` | the reasons for that state, lanes and rings |
//! | `stalls` | which lane stands still |
//! | `away` | whether lanes have had their cores |
//! | `pins` | whether lanes are where they were pinned |
//! | `watched` | all that an engine may lose without a word of its own |
//! | `held_up` | whether a CPU quota holds the process up |
//! | `losses` | what the interval log says of losses, and when they were |
//! | `slow` | why the slowest signals were slow |
//! | `late` | events whose signals missed their own `signal_on_data` |
//! | `told_once` | what is said on stderr when it is first seen |
//! | `latency` | collects the histograms that recorders hand over |
//! | `exporter` | the thread that writes the interval log, and the files at the end |
//! | `whole_lines` | the file of the interval log |
//! | `hgrm` | percentile tables in HdrHistogram's text format |
//! | `facts` | the facts of machine, build and configuration |
//! | `findings` | what a look at the engine found, reported without allocating |
//! | `totals` | the files that are written at the end |
//! | `summary` | the JSON summary |
//! | `deflate` | histograms compressed in memory that is allocated once |

mod away;
mod deflate;
mod exporter;
mod facts;
mod findings;
mod health;
mod held_up;
mod hgrm;
mod late;
mod latency;
mod losses;
mod monitor;
mod pins;
mod slow;
mod stalls;
mod summary;
#[cfg(all(test, not(loom)))]
mod tests;
mod told_once;
mod totals;
mod watched;
mod whole_lines;

pub(crate) use away::Waits;
pub(crate) use exporter::{Exporter, ReportFiles};
pub(crate) use facts::Facts;
pub use facts::VERSION;
pub(crate) use findings::Text;
pub use health::{Health, HealthState};
pub(crate) use held_up::HeldUp;
pub use latency::HopSummary;
pub(crate) use latency::Latency;
pub(crate) use monitor::Monitor;
pub use monitor::{LaneReport, RingReport};
pub(crate) use pins::Pins;
