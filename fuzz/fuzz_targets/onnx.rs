//! Any bytes as an ONNX model: an error, or a model that runs.
#![no_main]

#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use signal::models::Onnx;

fuzz_target!(|bytes: &[u8]| exercise::exercise(Onnx::parse(bytes, &[])));
