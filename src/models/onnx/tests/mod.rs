//! The operators, fusing and refusals, on small models written here.

mod classical;
mod graphs;
mod networks;
mod unknown;
pub mod writer;
