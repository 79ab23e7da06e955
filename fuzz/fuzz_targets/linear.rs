//! Any bytes as a linear model: an error, or a model that runs.
#![no_main]

#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use signal::models::Linear;

fuzz_target!(|bytes: &[u8]| exercise::exercise(Linear::parse(bytes)));
