//! What the fuzz targets do with a fuzzer's bytes; `tests/seeds.rs` runs the same code.

pub mod exercise;
pub mod host;
pub mod market;
pub mod recording;
