//! Any bytes as a linear model: an error, or a model that runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::models::Linear;
use support::fuzz::exercise::exercise;

fuzz_target!(|bytes: &[u8]| exercise(Linear::parse(bytes)));
