//! Any bytes as a capture file: an error, or events.
#![no_main]

use std::path::Path;
use std::process;

use libfuzzer_sys::fuzz_target;
use support::fuzz::recording;

fuzz_target!(|bytes: &[u8]| {
    let name = format!("/dev/shm/signal-fuzz-{}.csv", process::id());
    recording::capture(bytes, Path::new(&name));
});
