//! Any bytes as a lightgbm model: an error, or a model that runs.
#![no_main]

#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use signal::models::LightGbm;

fuzz_target!(|bytes: &[u8]| exercise::exercise(LightGbm::parse(bytes)));
