//! Any bytes as the host's events: no crash, each event accounted for, finite
//! factors of ordinary numbers.
#![no_main]

mod market;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| market::events(bytes));
