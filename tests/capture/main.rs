//! What an engine records of its events.

mod producer;
mod refused;
