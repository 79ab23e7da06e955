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
