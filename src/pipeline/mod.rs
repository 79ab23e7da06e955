//! The pipeline: what carries messages from stage to stage.
//!
//! | file | what |
//! |---|---|
//! | `ring` | the ring between two lanes |
//! | `wire` | how messages lie in a ring |
//! | `chain` | stages on one lane, calling each other |
//! | `word` | the counters that an inlined poll reads |
//! | `outlet` | the sending ends: to the next lane, to the host |
//! | `lane` | a pinned thread that polls its inlet and runs its stages |
//! | `build` | from a plan to rings, chains and lanes |
//! | `placement` | which stages share a lane, and on which core |
//! | `cores` | what cores this process may use |
//! | `idle` | what a lane does when it has nothing to do |
//! | `guest` | threads that block all signals |
//! | `padded` | buffers that share no cache line |
//! | `clock` | stamps in TSC ticks |
//! | `hops` | one histogram a hop, handed over whole |
//! | `counters` | counters, one writer each |

pub(crate) mod build;
pub(crate) mod chain;
pub mod clock;
pub mod cores;
pub mod counters;
pub mod guest;
pub mod hops;
pub mod idle;
pub(crate) mod lane;
pub(crate) mod outlet;
pub mod padded;
pub mod placement;
pub mod ring;
pub mod wire;
pub(crate) mod word;
