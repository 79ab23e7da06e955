//! The pipeline: what carries messages from stage to stage.
//!
//! | file | what |
//! |---|---|
//! | `accept` | what accepts messages: a node or an outlet |
//! | `trace` | the times of one message on its way through a lane |
//! | `nodes` | stages on one lane, calling each other |
//! | `inlet` | the receiving ends: from a ring, from several, from a broadcast |
//! | `outlet` | the sending ends: to the next lane, to the host |
//! | `shard_outlet` | the sending end to shards |
//! | `work` | what a lane does with a message, and without one |
//! | `rehearsal` | what a lane without work does to stay warm |
//! | `stand_in` | how the host's thread does the work of a lane that is away |
//! | `lane` | the pinned thread that does a lane's work |
//! | `build` | from a plan to rings, chains and lanes |
//! | `overload` | what happens to a message when its ring is full |
//! | `control` | the order to stop, the failure, the incidents |
//! | `placement` | which stages share a lane |
//! | `plan` | which lanes there are, and on which cores |
//! | `idle` | how a lane waits while it has nothing to do |

mod accept;
pub(crate) mod build;
pub(crate) mod control;
pub mod idle;
pub(crate) mod inlet;
pub(crate) mod lane;
pub(crate) mod nodes;
pub(crate) mod outlet;
pub(crate) mod overload;
pub mod placement;
pub mod plan;
pub(crate) mod rehearsal;
pub(crate) mod shard_outlet;
pub(crate) mod stand_in;
mod trace;
pub(crate) mod work;
