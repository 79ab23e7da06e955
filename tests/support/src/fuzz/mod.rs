//! What fuzz targets do with a fuzzer's bytes; `tests/seeds.rs` replays it.

pub mod exercise;
pub mod host;
pub mod market;
pub mod recording;
