//! Which source an error blames.

use std::fs;

use support::host::{has_tool, host, run};

use super::scenarios::checks;

#[test]
fn a_core_that_is_not_there_is_told_with_the_source_that_names_it() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.json");
    for (text, variable, source) in [
        (r#"{"cores": [1001]}"#, None, "SIGNAL_CONFIG file /"),
        (r#"{"cores": [1001]}"#, Some("1001"), "SIGNAL_CORES)"),
        (r#"{"placement": "fused"}"#, Some("1001"), "SIGNAL_CORES)"),
    ] {
        fs::write(&file, text).unwrap();
        let mut command = host(checks());
        command.arg("basic").env("SIGNAL_CONFIG", &file);
        if let Some(cores) = variable {
            command.env("SIGNAL_CORES", cores);
        }
        let output = run(&mut command);
        output.expect_code(1);
        let expected = format!(" (cores from {source}");
        assert!(output.stderr.contains(&expected), "{}", output.stderr);
    }
}
