//! What flows through the pipeline, as plain data.
//!
//! | file | what |
//! |---|---|
//! | `names` | instrument names, shared with the host's thread |
//! | `wire` | how messages lie in a ring |

mod names;
pub mod wire;

pub use names::{Name, Names};
