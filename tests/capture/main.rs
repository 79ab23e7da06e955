//! What an engine writes down of its events.

mod refused;
mod tap;
