//! Questions that the library asks in one place alone; `layers.rs` has those about files and time.

use std::path::Path;

use support::imports::imports;

/// A variable of a caller with fewer rights must not count.
#[test]
fn the_environment_is_read_in_one_place_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut users) = (Vec::new(), 0);
    for (file, found) in imports(&root.join("lib.rs"), &["std", "libc"]) {
        let reads = |(first, second): &(String, String)| match first.as_str() {
            "std" => second == "env",
            _ => ["getenv", "secure_getenv", "environ"].contains(&second.as_str()),
        };
        let inside = file.strip_prefix(&root).unwrap();
        match found.iter().any(reads) {
            true if inside == Path::new("os/environment.rs") => users += 1,
            true => wrong.push(inside.to_owned()),
            false => {}
        }
    }
    assert!(users > 0, "no use was found where it should be");
    assert!(
        wrong.is_empty(),
        "ask os::environment::variable: {wrong:#?}"
    );
}
