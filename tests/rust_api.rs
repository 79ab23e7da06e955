//! The Rust API that the crate promises: everything in `rust_api.txt` exists, and nothing
//! else is public.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::api::api;

/// Setting this variable rewrites the file.
const RENEW: &str = "SIGNAL_RENEW_API";

#[test]
fn the_promised_api_is_as_it_was() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pinned = root.join("tests/rust_api.txt");
    let now = api(&root.join("src/lib.rs"));
    assert!(now.len() > 300, "only {} lines were found", now.len());
    if std::env::var_os(RENEW).is_some() {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&pinned, text).unwrap();
        return;
    }
    let text = fs::read_to_string(&pinned).unwrap();
    let before: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let removed = before.difference(&now).map(|line| format!("- {line}"));
    let added = now.difference(&before).map(|line| format!("+ {line}"));
    let changes: Vec<String> = removed.chain(added).collect();
    assert!(
        changes.is_empty(),
        "the promised API has changed; if that is meant, say so in CHANGELOG.md and run \
         {RENEW}=1 cargo test --test rust_api\n{}",
        changes.join("\n")
    );
}
