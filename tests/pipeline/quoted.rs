//! An error quotes what a user wrote, however long it is, and still says what was expected.

use std::path::Path;

use signal::engine::Blueprint;
use signal::{Config, Registry, models, replay};

/// More text than fits in a line, with letters of several bytes.
fn long() -> String {
    "k\u{5e01}".repeat(50_000)
}

/// The maximum length of an error, in characters.
const MOST: usize = 1_000;

#[track_caller]
fn is_short(said: &str, expected: &str) {
    assert!(
        said.chars().count() < MOST,
        "{} bytes: {:.300}",
        said.len(),
        said
    );
    assert!(said.contains("k\u{5e01}k"), "nothing is quoted: {said}");
    assert!(said.contains(expected), "{expected:?} is not in {said}");
}

fn refusal(json: &str) -> String {
    let config = Config::from_json(json);
    let made = config.and_then(|config| Blueprint::new(&config, &Registry::default()));
    made.unwrap_err().to_string()
}

#[test]
fn names_of_any_length_in_a_configuration_leave_errors_short() {
    let long = long();
    for (json, expected) in [
        (r#"{"factors": "LONG"}"#, "expected one of test0000, market"),
        (
            r#"{"factors": {"set": "market", "LONG": 1}}"#,
            "expected `window`",
        ),
        (
            r#"{"factors": {"set": "market", "window": "LONG"}}"#,
            "expected",
        ),
        (
            r#"{"factors": {"set": "LONG", "LONG": 1}}"#,
            "expected one of test0000",
        ),
        (
            r#"{"factors": ["LONG", "LONG"]}"#,
            "expected each factor set once",
        ),
        (r#"{"models": ["LONG", "LONG"]}"#, "a name of its own"),
        (r#"{"model": "LONG"}"#, "or the path of a model file"),
        (
            r#"{"model": {"kind": "LONG", "name": "x"}}"#,
            "or the path of a model file",
        ),
        (
            r#"{"model": {"kind": "none", "name": "LONG", "outputs": ["a"]}}"#,
            "leave outputs out",
        ),
        (
            r#"{"model": {"file": "/dev/null", "kind": "LONG"}}"#,
            "expected one of",
        ),
        (
            r#"{"model": {"file": "/dev/null", "kind": "onnx", "name": "LONG"}}"#,
            "a regular file",
        ),
        (
            r#"{"model": {"kind": "none", "iterations": "LONG"}}"#,
            "expected",
        ),
        (r#"{"LONG": 1}"#, "expected one of"),
        (r#"{"rings": {"LONG": 1}}"#, "expected one of `ingest`"),
        (r#"{"timing": "LONG"}"#, "expected a boolean"),
        (r#"{"placement": "LONG"}"#, "expected one of `auto`"),
        (r#"{"placement": [["LONG"]]}"#, "expected one of `ingest`"),
        (r#"{"trigger": ["LONG"]}"#, "expected one of `depth`"),
        (r#"{"assets": ["LONG"]}"#, "at most 32 bytes"),
        (r#"{"disabled_factors": ["LONG"]}"#, "or set.factor"),
        (r#"{"disabled_models": ["LONG"]}"#, "the name of a model"),
        (r#"{"shards": "LONG"}"#, "from 1 to 16"),
        (
            r#"{"symbols": {"map": [{"exchange": "LONG", "type": "spot", "symbol": "a", "name": "A"}]}}"#,
            "expected at most 16 bytes",
        ),
        (
            r#"{"symbols": {"map": [{"exchange": "a", "type": "spot", "symbol": "LONG", "name": "A"}]}}"#,
            "expected 1 to 32 bytes",
        ),
        (
            r#"{"symbols": {"map": [{"exchange": "a", "type": "spot", "symbol": "a", "name": "LONG"}]}}"#,
            "expected 1 to 32 bytes",
        ),
    ] {
        is_short(&refusal(&json.replace("LONG", &long)), expected);
    }
}

/// The error about a file with this content.
fn of_file<T>(name: &str, text: &str, read: impl FnOnce(&Path) -> Result<T, String>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, text.replace("LONG", &long())).unwrap();
    read(&file).err().expect("it is refused")
}

#[test]
fn names_of_any_length_in_a_file_leave_errors_short() {
    for (text, expected) in [
        (r#"{"weights": [1], "LONG": 0}"#, "expected"),
        (r#"{"weights": ["LONG"]}"#, "expected"),
        (
            r#"{"version": [3, 0, 0], "LONG": 0, "learner": {}}"#,
            "expected",
        ),
        ("tree\nversion=LONG\n\nend of trees\n", "expected v"),
        (
            "tree\nversion=v4\nLONG=1\n\nend of trees\n",
            "expected what",
        ),
        (
            "tree\nversion=v4\nnum_class=LONG\n\nend of trees\n",
            "expected",
        ),
    ] {
        let said = of_file("model", text, |file| {
            models::load(file, None, &[]).map_err(|error| error.to_string())
        });
        is_short(&said, expected);
    }
    let head = "type,ts_ns,symbol,price,trade_id,qty,side,recv_ns,seq\n";
    for (row, expected) in [
        ("LONG,1,a,1,1,1,buy,1,1\n", "expected `depth`"),
        ("index,LONG,a,1,1,1,buy,1,1\n", "expected a whole number"),
        ("index,1,a,LONG,1,1,buy,1,1\n", "expected a number"),
        ("trade,1,a,1,1,1,LONG,1,1\n", "expected `buy`"),
    ] {
        let said = of_file("capture", &(head.to_owned() + row), |file| {
            replay::read(&[file]).map_err(|error| error.to_string())
        });
        is_short(&said, expected);
    }
}
