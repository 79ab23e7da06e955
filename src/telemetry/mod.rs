//! What is counted and timed while the pipeline runs.
//!
//! | file | what |
//! |---|---|
//! | `counters` | counters, one writer each |
//! | `hops` | one histogram a hop, handed over whole |
//! | `heartbeat` | whether a lane comes round |

pub mod counters;
pub mod heartbeat;
pub mod hops;
