//! Hosts that call `exit` in a callback, which never returns then.

use std::fs;

use support::host::{has_tool, host, run};

use super::processes::{SHARED, built};

#[test]
fn a_handle_that_is_destroyed_in_the_exit_of_a_callback_has_whole_files() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plugin = built(folder.path(), "plugins/at_exit.cpp", &SHARED);
    let program = built(folder.path(), "odd/exit_in_callback.cpp", &[]);
    for place in ["handler", "early", "first", "last"] {
        for placement in [
            r#""placement": "fused", "idle": "spin""#,
            r#""placement": "split", "idle": "park""#,
            r#""placement": "inline""#,
            r#""placement": "inline", "deliver": "on_data""#,
        ] {
            let files = tempfile::tempdir_in(folder.path()).unwrap();
            let config = format!(
                r#"{{{placement}, "latency": {{"dir": "{0}/report"}}, "capture": {{"file": "{0}/capture.csv"}}}}"#,
                files.path().display()
            );
            let output = run(host(&program)
                .arg(place)
                .arg(&plugin)
                .env("SIGNAL_TEST_CONFIG", config));
            output.expect_code(42);
            let events = output.stdout.strip_suffix(" events\n").unwrap();
            let events: usize = events.parse().unwrap();
            let case = format!("{place}, {placement}");
            let capture = fs::read_to_string(files.path().join("capture.csv")).unwrap();
            assert_eq!(capture.lines().count(), events + 1, "{case}: {capture}");
            let summary = files.path().join("report/summary.json");
            assert!(summary.is_file(), "{case}: {}", output.stderr);
            // The line at start, and no complaint.
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        }
    }
}
