//! The capture tap: writes the events that ingest takes to a file that
//! [`replay`](crate::replay) reads back.
//!
//! ```text
//!  ingest ──broadcast──▶ signal-capture (a thread of its own) ──▶ FILE
//! ```
//!
//! Ingest never waits for the disk: what the writer has not read in time is
//! overwritten, counted and told in one line at the end. A replay of a whole
//! capture with the same factors and models gives bit-identical signals.
//!
//! | file | what |
//! |---|---|
//! | `tap` | ingest's end |
//! | `writer` | the thread that writes the file |
//! | `row` | one event as a line of CSV |

mod row;
mod tap;
mod writer;

pub(crate) use tap::{Tap, words};
pub(crate) use writer::Writer;
