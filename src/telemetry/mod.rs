//! What is counted and timed while the pipeline runs.
//!
//! | file | what |
//! |---|---|
//! | `counters` | counters, one writer each |
//! | `hops` | one histogram per hop, handed over whole |
//! | `heartbeat` | whether a lane makes progress |

pub mod counters;
pub mod heartbeat;
pub mod hops;
