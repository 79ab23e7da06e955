//! Functions of the standard library that fail, or give wrong answers, under some sandbox: the
//! library uses its own.

use std::fs;
use std::path::{Path, PathBuf};

use support::imports::imports;

/// Lines of the library's source, without comments and tests.
fn lines() -> Vec<(PathBuf, String)> {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let mut all = Vec::new();
    for (file, _) in imports(&main, &[]) {
        let text = fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines() {
            is_test |= line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
            if !is_test && !line.trim_start().starts_with("//") {
                all.push((file.clone(), line.to_owned()));
            }
            // The end of the item.
            is_test &= line != "}"
                && !(line.starts_with(|c: char| c.is_alphabetic()) && line.ends_with(';'));
        }
    }
    assert!(all.len() > 10_000, "only {} lines were found", all.len());
    all
}

fn lines_with(is: impl Fn(&str) -> bool) -> Vec<String> {
    let found = lines().into_iter().filter(|(_, line)| is(line));
    let found = found.map(|(file, line)| format!("{}: {}", file.display(), line.trim()));
    found.collect()
}

/// The standard library asks by `statx` alone once that has worked: a sandbox that refuses it later
/// makes these fail, or say that nothing is there.
#[test]
fn what_a_file_is_is_asked_in_one_place_alone() {
    const NAMES: [&str; 8] = [
        ".exists()",
        ".is_dir()",
        ".is_file()",
        ".metadata()",
        "create_dir_all",
        "fs::metadata",
        "symlink_metadata",
        "try_exists",
    ];
    let wrong = lines_with(|line| NAMES.iter().any(|name| line.contains(name)));
    assert!(wrong.is_empty(), "use os::files::about_path: {wrong:#?}");
    let users = lines_with(|line| line.contains("about_path("));
    assert!(users.len() > 5, "only {users:#?}");
}
