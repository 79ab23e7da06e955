//! Any bytes as a check file: an error, or a check that a model passes or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::models::{Check, Test0000};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(check) = Check::parse(bytes) {
        let _ = check.run(&mut Test0000::new(1));
    }
});
