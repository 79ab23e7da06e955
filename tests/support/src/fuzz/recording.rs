//! Any bytes as a recorded capture.

use std::path::Path;

use signal::replay;

/// Reads the bytes as a file, which must lead to an error that names it, or to events that
/// an engine can take.
pub fn capture(bytes: &[u8], file: &Path) {
    std::fs::write(file, bytes).unwrap();
    match replay::read(&[file]) {
        Ok(feed) => {
            assert_eq!(feed.iter().count(), feed.events().len());
            assert!(!feed.events().is_empty());
        }
        Err(error) => {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
