//! Any text as a configuration: an error, or one that survives being written
//! and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signal::Config;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::from_json(text) {
        let written = serde_json::to_string(&config).expect("keys are strings");
        let again = Config::from_json(&written).expect("what was written can be read");
        assert_eq!(again, config);
    }
});
