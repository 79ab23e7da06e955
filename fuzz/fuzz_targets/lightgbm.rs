//! Any bytes as a lightgbm model: an error, or a model that runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::models::LightGbm;
use support::fuzz::exercise::exercise;

fuzz_target!(|bytes: &[u8]| exercise(LightGbm::parse(bytes)));
