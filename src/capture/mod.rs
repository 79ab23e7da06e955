//! The capture: writes the events that ingest accepts to a file that
//! [`replay`](crate::replay) reads back.
//!
//! ```text
//!  ingest ──broadcast──▶ signal-capture (a thread of its own) ──▶ FILE
//! ```
//!
//! Ingest never waits for the disk. What the writer has not read in time is overwritten and
//! counted, and one line at the end says so. A replay of a whole capture with the same
//! factors and models gives bit-identical signals.
//!
//! | file | what |
//! |---|---|
//! | `producer` | ingest's end |
//! | `writer` | the thread that writes the file |
//! | `row` | one event as a line of CSV |

mod producer;
mod row;
mod writer;

pub(crate) use producer::{Capture, words};
pub(crate) use writer::Writer;
