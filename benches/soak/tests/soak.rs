//! The soak itself, for some seconds: each configuration has one short round.

use std::process::Command;

#[test]
fn every_configuration_adds_up() {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    // The library beside the program, not one that this shell happens to name.
    soak.env_remove("SIGNAL_LIB_PATH");
    let output = soak.args(["--duration", "3s", "--round", "100ms"]).output();
    let output = output.expect("the soak can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("every check held"), "{said}");
}
