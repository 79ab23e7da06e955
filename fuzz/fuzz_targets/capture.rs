//! Any bytes as a capture file: an error, or events.
#![no_main]

mod recording;

use std::path::Path;
use std::process;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = format!("/dev/shm/signal-fuzz-{}.csv", process::id());
    recording::capture(bytes, Path::new(&name));
});
