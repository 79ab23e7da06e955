//! What is counted and timed while the pipeline runs.
//!
//! | file | what |
//! |---|---|
//! | `counters` | counters, one writer each |
//! | `hops` | one histogram per hop, handed over whole |
//! | `slowest` | the slowest signals of an interval, with their stamps |
//! | `heartbeat` | whether a lane makes progress |

pub mod counters;
pub mod heartbeat;
pub mod hops;
pub mod slowest;
