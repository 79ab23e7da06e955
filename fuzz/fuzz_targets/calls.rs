//! Any sequence of calls of the C API: no crash, every callback on the host's
//! thread inside a poll, and counters that add up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use support::fuzz::host;

fuzz_target!(|bytes: &[u8]| host::calls(bytes));
