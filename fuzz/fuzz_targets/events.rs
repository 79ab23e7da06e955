//! Any bytes as the host's events: no crash, each event accounted for, and finite factors
//! from ordinary numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use support::fuzz::market;

fuzz_target!(|bytes: &[u8]| market::events(bytes));
