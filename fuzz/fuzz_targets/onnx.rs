//! Any bytes as an ONNX model: an error, or a model that runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::models::Onnx;
use support::fuzz::exercise::exercise;

fuzz_target!(|bytes: &[u8]| exercise(Onnx::parse(bytes, &[])));
