//! Likely causes for text that is not JSON: the mistakes that people make.

use serde_json::Error;
use serde_json::error::Category;

/// Why text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no text.
    Empty,
    /// The text ends in the middle of a value.
    Cut,
    /// A word for NaN or an infinity, which Python's `json.dump` and XGBoost write.
    NotFinite(String),
    /// What is wrong, or what to do.
    Other(String),
}

/// The likely cause. `None` if the text is valid JSON with unexpected content, or if the cause is
/// unknown.
pub(crate) fn cause(text: &[u8], error: &Error) -> Option<Cause> {
    if text.trim_ascii().is_empty() {
        return Some(Cause::Empty);
    }
    match error.classify() {
        Category::Data => None,
        _ if error.is_eof() => Some(Cause::Cut),
        _ => at(text, error),
    }
}

/// The likely cause, told from the text where reading ended.
fn at(text: &[u8], error: &Error) -> Option<Cause> {
    let said = error.to_string();
    let mut lines = text.split(|&byte| byte == b'\n');
    let line = lines.nth(error.line().checked_sub(1)?)?;
    // A column counts bytes from 1; the offending byte may be the next one.
    let place = error.column().saturating_sub(1).min(line.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = line[..place].iter().rev().take_while(|byte| is_word(byte));
    let begin = place - before.count();
    let here = line.get(begin).copied().unwrap_or(b' ');
    let rest = &line[begin..];
    let unsigned = rest.strip_prefix(b"-").unwrap_or(rest);
    let word: Vec<u8> = unsigned.iter().copied().take_while(is_word).collect();
    let word = String::from_utf8_lossy(&word).into_owned();
    if ["nan", "inf", "infinity"].contains(&word.to_lowercase().as_str()) {
        return Some(Cause::NotFinite(word));
    }
    let starts = |starts: &[&str]| starts.iter().any(|start| said.starts_with(start));
    let cause = if starts(&["trailing comma"]) {
        "remove the comma before the closing brace or bracket".into()
    } else if rest.starts_with(b"//") || rest.starts_with(b"/*") || here == b'#' {
        "JSON has no comments".into()
    } else if here == b'\'' {
        "JSON has double quotes around keys and text".into()
    } else if ["True", "False", "None"].contains(&word.as_str()) {
        "JSON has true, false and null, in lower case".into()
    } else if starts(&["key must be a string"]) {
        "JSON has double quotes around keys".into()
    } else if starts(&["expected value", "expected ident"]) && !word.is_empty() {
        format!("text needs double quotes: \"{word}\"")
    } else if starts(&["expected `,` or"]) {
        "a comma is missing before this, or a quote".into()
    } else if starts(&["trailing characters"]) {
        "there is more text after the end of the object: expected one object".into()
    } else if starts(&["number out of range"]) {
        "expected a finite number".into()
    } else {
        return None;
    };
    Some(Cause::Other(cause))
}

/// What serde says of JSON that has something else than was expected, in JSON's words. serde's are
/// those of Rust.
pub(crate) fn worded(said: &str) -> String {
    for (rust, json) in [
        ("unknown field ", "unknown key "),
        ("unknown variant ", "unknown value "),
        ("missing field ", "missing key "),
        ("duplicate field ", "duplicate key "),
    ] {
        if let Some(rest) = said.strip_prefix(rust) {
            return format!("{json}{rest}");
        }
    }
    let parts = said.strip_prefix("invalid ").and_then(|rest| {
        let (given, expected) = rest.rsplit_once(", expected ")?;
        Some((
            given,
            expected.split_once(" at line ").unwrap_or((expected, "")),
        ))
    });
    let Some((given, (expected, place))) = parts else {
        return said.into();
    };
    let place = match place {
        "" => String::new(),
        place => format!(" at line {place}"),
    };
    let (given, expected) = (given_word(given), expected_word(expected));
    format!("invalid {given}, expected {expected}{place}")
}

fn given_word(given: &str) -> String {
    match given.split_once(": ") {
        Some(("type", "map")) => "type: object".into(),
        Some(("type", "sequence")) => "type: list".into(),
        Some((kind, value)) => match value.strip_prefix("floating point ") {
            Some(number) => format!("{kind}: number {number}"),
            None => given.into(),
        },
        None => given.into(),
    }
}

fn expected_word(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "path string" => "a path",
        "a sequence" => "a list",
        "a map" => "an object",
        "string or map" => "a string or an object",
        "unit" => "null",
        name if name.starts_with("struct ") => "an object",
        other => other,
    }
}

/// Whether objects and lists are nested in each other more than `most` deep. Reading each level
/// into values takes stack of the host's.
pub(crate) fn is_nested_deeper(text: &[u8], most: usize) -> bool {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for &byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'{' | b'[' if !is_quoted => depth += 1,
            b'}' | b']' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Cause> {
        let error = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
        cause(text.as_bytes(), &error)
    }

    #[test]
    fn what_is_expected_is_said_in_the_words_of_json() {
        fn said<T: serde::de::DeserializeOwned>(text: &str) -> String {
            let error = serde_json::from_str::<T>(text).err().unwrap();
            worded(&error.to_string())
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Section {
            #[serde(rename = "key")]
            _key: std::path::PathBuf,
        }
        for (said, expected) in [
            (
                said::<f64>("{}"),
                "invalid type: object, expected a number at line 1",
            ),
            (
                said::<f64>("null"),
                "invalid type: null, expected a number at line 1",
            ),
            (
                said::<u32>("1.5"),
                "number `1.5`, expected a whole number from 0 at",
            ),
            (
                said::<u8>("256"),
                "integer `256`, expected a whole number from 0 at",
            ),
            (
                said::<i64>("[]"),
                "invalid type: list, expected a whole number at",
            ),
            (
                said::<String>("[]"),
                "invalid type: list, expected a string at",
            ),
            (
                said::<Vec<u8>>("\"1, expected f64\""),
                "\"1, expected f64\", expected a list at",
            ),
            (
                said::<Section>("7"),
                "invalid type: integer `7`, expected an object at",
            ),
            (
                said::<Section>("{\"key\": 7}"),
                "integer `7`, expected a path at",
            ),
            (said::<Section>("{}"), "missing key `key` at line 1"),
            (
                said::<Section>("{\"k\": 7}"),
                "unknown key `k`, expected `key` at line 1",
            ),
            (
                said::<Section>("{\"key\": \"\", \"key\": \"\"}"),
                "duplicate key `key` at line 1",
            ),
        ] {
            assert!(said.contains(expected), "{expected} is not in {said}");
        }
        let value = serde_json::from_value::<f64>(serde_json::json!([])).unwrap_err();
        assert_eq!(
            worded(&value.to_string()),
            "invalid type: list, expected a number"
        );
        assert_eq!(worded("expected the key file"), "expected the key file");
    }

    #[test]
    fn nesting_counts_outside_of_text_alone() {
        let deep = |text: &str| is_nested_deeper(text.as_bytes(), 2);
        assert!(!deep(r#"{"a": [1], "b": [2], "[[[": "{{{"}"#));
        assert!(!deep(r#"{"a": "\"[[[", "b": ["[", "]"]}"#));
        assert!(deep(r#"{"a": [{}]}"#));
        assert!(deep(r#"{"a": "\\", "b": [[]]}"#));
        assert!(!deep("]]]{}"));
    }

    #[test]
    fn words_for_what_is_no_number_are_found_wherever_they_stand() {
        for word in ["NaN", "nan", "Infinity", "inf"] {
            for sign in ["", "-"] {
                for text in [
                    format!("{sign}{word}"),
                    format!("[1, {sign}{word}]"),
                    format!("{{\"a\": {sign}{word}}}"),
                    format!("[\n0.5,\n{sign}{word}\n]"),
                ] {
                    assert_eq!(of(&text), Some(Cause::NotFinite(word.into())), "{text}");
                }
            }
        }
        // A word that only begins like `NaN`.
        assert!(matches!(of("[nancy]"), Some(Cause::Other(_))));
    }

    #[test]
    fn the_end_and_nothing_at_all_are_told_apart() {
        assert_eq!(of(" \n"), Some(Cause::Empty));
        assert_eq!(of("{\"a\": [1"), Some(Cause::Cut));
        let error = serde_json::from_str::<u8>("\"text\"").unwrap_err();
        assert_eq!(cause(b"\"text\"", &error), None);
    }
}
