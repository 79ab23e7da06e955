//! Any bytes as a xgboost model: an error, or a model that runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::models::XgBoost;
use support::fuzz::exercise::exercise;

fuzz_target!(|bytes: &[u8]| exercise(XgBoost::parse(bytes)));
