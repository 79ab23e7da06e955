//! What an engine writes down of its events.

mod producer;
mod refused;
