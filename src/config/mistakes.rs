//! Likely causes of errors in JSON: the mistakes that people make in a file.

use serde_json::Value;
use serde_json::error::Category;

use super::schema;
use crate::error::content::shortened;
use crate::error::json::{self, Cause};
use crate::error::nearest;

/// Says what is wrong with `text`; `key` is the path to the place, if known.
pub(super) fn explain(text: &str, key: &str, error: &serde_json::Error) -> String {
    let shown: Vec<_> = key.split('.').map(shortened).collect();
    let shown = shown.join(".");
    if error.classify() == Category::Data {
        let shown = if key == "." { "top level" } else { &shown };
        return format!(
            "{shown}: {}",
            with_suggestion(&json::worded(&error.to_string()), key)
        );
    }
    let what = match json::cause(text.as_bytes(), error) {
        Some(Cause::Empty) => {
            return "it is empty; expected a JSON object, {} for the defaults".into();
        }
        Some(Cause::Cut) => format!(
            "the text ends too early, at line {} column {}: a quote, bracket or brace is never \
             closed, or the file is cut off",
            error.line(),
            error.column()
        ),
        Some(Cause::NotFinite(word)) => {
            format!("{error}: {word} is not JSON, which has finite numbers alone")
        }
        Some(Cause::Other(cause)) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    // If reading ended inside a key, that key is unknown.
    match key == "." || key.contains('?') {
        true => what,
        false => format!("{shown}: {what}"),
    }
}

/// An unknown name with the one that was probably meant, instead of a list of all names if that
/// list is long.
fn with_suggestion(said: &str, key: &str) -> String {
    const NAMES_AT_ONCE: usize = 8;
    let Some(rest) = said.strip_prefix("unknown ") else {
        return said.to_owned();
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let (Some(name), known) = (quoted.next(), quoted.collect::<Vec<_>>()) else {
        return said.to_owned();
    };
    let is_key = rest.starts_with("key");
    let meant = nearest(name, known.iter().copied())
        .map(str::to_owned)
        .or_else(|| is_key.then(|| elsewhere(name, key)).flatten());
    let shown = format!("`{}`", shortened(name));
    let Some(meant) = meant else {
        return said.replacen(&format!("`{name}`"), &shown, 1);
    };
    let (before, place) = match said.rsplit_once(" at line ") {
        Some((before, place)) => (before, format!(" at line {place}")),
        None => (said, String::new()),
    };
    let expected = before
        .rsplit_once(", expected ")
        .filter(|_| known.len() <= NAMES_AT_ONCE)
        .map_or_else(String::new, |(_, names)| format!(" Expected {names}"));
    let what = if is_key { "key" } else { "value" };
    format!("unknown {what} {shown}{place}; did you mean `{meant}`?{expected}")
}

/// The key of this name in another section.
fn elsewhere(name: &str, key: &str) -> Option<String> {
    let schema = schema();
    let mut all = Vec::new();
    keys(&schema, &schema["properties"], "", &mut all);
    let last = |path: &'_ String| path.rsplit('.').next() == Some(name) && path != key;
    all.into_iter().find(last)
}

/// Collects the paths of all keys of the schema.
fn keys(schema: &Value, properties: &Value, path: &str, all: &mut Vec<String>) {
    for (name, about) in properties.as_object().into_iter().flatten() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let pointer = about["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        if let Some(section) = pointer.and_then(|to| schema.pointer(to)) {
            keys(schema, &section["properties"], &path, all);
        }
        all.push(path);
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn refusal(json: &str) -> String {
        Config::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn a_typo_in_a_name_is_answered_with_the_name() {
        for (json, meant) in [
            (r#"{"facters": "market"}"#, "factors"),
            (r#"{"Models": "none"}"#, "models"),
            (r#"{"placment": "auto"}"#, "placement"),
            (r#"{"call_back": "per-model"}"#, "callback"),
            (r#"{"rings": {"ingst": 64}}"#, "ingest"),
            (r#"{"latency": {"dri": "x"}}"#, "dir"),
            (r#"{"placement": "inlin"}"#, "inline"),
            (r#"{"trigger": ["depht"]}"#, "depth"),
            (r#"{"models": [{"flie": "m.onnx"}]}"#, "file"),
            // The right name, but in another section.
            (r#"{"stall_us": 100}"#, "health.stall_us"),
            (r#"{"rings": {"block_ms": 100}}"#, "overload.block_ms"),
        ] {
            let said = refusal(json);
            assert!(said.contains(&format!("did you mean `{meant}`?")), "{said}");
            assert!(said.contains("line 1"), "{said}");
            assert_eq!(said.matches("did you mean").count(), 1, "{said}");
        }
        // One sentence, not a list of all keys.
        assert!(refusal(r#"{"facters": 1}"#).len() < 120);
        let short = refusal(r#"{"rings": {"stag": 1}}"#);
        assert!(
            short.contains("did you mean `stage`? Expected one of `ingest`"),
            "{short}"
        );
        // No name is close.
        let far = refusal(r#"{"xyzzy": 1}"#);
        assert!(
            !far.contains("did you mean") && far.contains("expected one of"),
            "{far}"
        );
        let set = refusal(r#"{"rings": {"size": 4}}"#);
        assert!(!set.contains("did you mean"), "{set}");
    }

    #[test]
    fn the_likely_cause_of_text_that_is_no_json_is_named() {
        for (json, parts) in [
            ("", ["it is empty", "{} for the defaults"]),
            (" \n\t", ["it is empty", "{} for the defaults"]),
            ("{\"timing\": true,}", ["line 1", "remove the comma"]),
            ("{\"cores\": [1, 2,],\n}", ["line 1", "remove the comma"]),
            ("{\"timing\": true,\n}\n", ["line 2", "remove the comma"]),
            ("{\"timing\": tru", ["ends too early", "line 1"]),
            ("{\"rings\": {\"egress\": 4}", ["ends too early", "line 1"]),
            ("{\"model", ["ends too early", "line 1"]),
            ("{\n // mine\n \"timing\": true}", ["no comments", "line 2"]),
            ("{\"timing\": true /* mine */}", ["no comments", "line 1"]),
            ("# mine\n{}", ["no comments", "line 1"]),
            ("{'timing': true}", ["double quotes", "line 1"]),
            ("{\"model\": 'none'}", ["double quotes", "line 1"]),
            ("{timing: true}", ["double quotes around keys", "line 1"]),
            ("{\"model\": none}", ["double quotes", "line 1"]),
            (
                "{\"factors\": {\"set\": \"market\", \"window\": NaN}}",
                ["NaN is not", "line 1"],
            ),
            ("{\"shards\": Infinity}", ["Infinity is not", "line 1"]),
            ("{\"timing\": True}", ["lower case", "line 1"]),
            (
                "{\"timing\": true\n\"shards\": 1}",
                ["comma is missing", "line 2"],
            ),
            ("{} {}", ["after the end", "line 1"]),
            // The key is named in every error after which it is known.
            (
                "{\"rings\": {\"egress\": tru}}",
                ["rings.egress: ", "line 1"],
            ),
            ("{\"shards\": NaN}", ["shards: ", "NaN is not"]),
            ("{\"model\": 'none'}", ["model: ", "double quotes"]),
            ("{\"cores\": [1, 2,]}", ["cores: ", "remove the comma"]),
            (
                "{\"latency\": {\"dir\": \"x",
                ["latency.dir: ", "ends too early"],
            ),
            (
                "{\"health\": {\"stall_us\": 1e999}}",
                ["health.stall_us: ", "finite"],
            ),
        ] {
            let said = refusal(json);
            for part in parts {
                assert!(said.contains(part), "{json:?}: {part:?} is not in {said}");
            }
            assert!(!said.contains('?') && !said.contains("EOF"), "{said}");
        }
    }

    #[test]
    fn a_section_is_an_object_and_no_list_of_its_values() {
        for json in [
            r#"{"rings": [64, 128, 256]}"#,
            r#"{"limits": [5, 6]}"#,
            r#"{"overload": ["block", "block", "block", 5]}"#,
            r#"{"latency": ["x", 100, 1]}"#,
            r#"{"health": [100, 100, 10]}"#,
            r#"{"capture": "events.csv"}"#,
            r#"{"instruments": 10}"#,
            r#"{"symbols": {"map": [["binance", "spot", "btc_usdt", "A"]]}}"#,
            "[]",
            "5",
            "null",
        ] {
            let said = refusal(json);
            assert!(said.contains("expected an object"), "{json}: {said}");
        }
        let nulls = r#"{"rings": null, "latency": {"dir": null}, "capture": {"file": null}}"#;
        assert_eq!(Config::from_json(nulls).unwrap(), Config::default());
    }

    #[test]
    fn an_empty_path_is_refused() {
        for json in [
            r#"{"latency": {"dir": ""}}"#,
            r#"{"capture": {"file": ""}}"#,
            r#"{"model": {"file": ""}}"#,
        ] {
            let said = refusal(json);
            assert!(said.contains("it is empty; expected a path"), "{said}");
        }
    }

    #[test]
    fn a_path_for_a_shell_is_refused_with_what_to_write() {
        for (json, key) in [
            (r#"{"latency": {"dir": "~/reports"}}"#, "latency.dir: "),
            (r#"{"capture": {"file": "~/events.csv"}}"#, "capture.file: "),
            (r#"{"model": "~/m.onnx"}"#, "model: "),
            (r#"{"models": [{"file": "~/m.onnx"}]}"#, "models[0]"),
        ] {
            let said = refusal(json);
            for part in [key, "~ is not expanded here", "; expected /", "line 1"] {
                assert!(said.contains(part), "{part:?} is not in {said}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, r#"{"latency": {"dir": "./~/a"}}"#).unwrap();
        let config = Config::from_file(&file).unwrap();
        assert_eq!(config.latency.dir, Some(dir.path().join("./~/a")));
        let said = Config::from_file("~/none.json".as_ref()).unwrap_err();
        assert!(
            said.to_string().contains("~ is not expanded here"),
            "{said}"
        );
    }

    #[test]
    fn a_path_with_quotes_or_blanks_around_it_is_refused_with_what_to_write() {
        for (json, part) in [
            (
                r#"{"latency": {"dir": " /tmp/a"}}"#,
                r#"latency.dir: the path " /tmp/a" begins"#,
            ),
            (
                r#"{"capture": {"file": "/tmp/a b.csv\r"}}"#,
                r#"capture.file: the path "/tmp/a b.csv\r" begins"#,
            ),
            (
                r#"{"model": "'m.onnx'"}"#,
                r#"model: the path "'m.onnx'" is in quotes; expected m.onnx"#,
            ),
        ] {
            let said = refusal(json);
            assert!(said.contains(part), "{part} is not in {said}");
        }
        Config::from_json(r#"{"capture": {"file": "a b.csv"}}"#).unwrap();
    }

    #[test]
    fn a_message_stays_one_short_line_whatever_the_file_has() {
        let said = refusal("{\"a\\nb\\u001b[31m\": 1}");
        assert!(
            !said.contains(['\n', '\u{1b}']) && said.contains("a\\nb"),
            "{said}"
        );
        let said = refusal(&format!("{{\"{}\": 1}}", "k".repeat(100_000)));
        assert!(said.len() < 800, "{} bytes", said.len());
    }

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, "\u{feff}{\"shards\": 2}").unwrap();
        assert_eq!(Config::from_file(&file).unwrap().shards, 2);
        std::fs::write(&file, "").unwrap();
        let said = Config::from_file(&file).unwrap_err().to_string();
        assert!(said.contains("config.json: it is empty"), "{said}");
        let utf_16 = |mark: &[u8], text: &str| {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            [mark, &units.collect::<Vec<_>>()].concat()
        };
        for (bytes, what) in [
            (utf_16(b"\xff\xfe", "{}"), "UTF-16"),
            (utf_16(b"", "{}"), "UTF-16"),
            (b"\x1f\x8b\x08".to_vec(), "gzip"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let said = Config::from_file(&file).unwrap_err().to_string();
            assert!(said.contains(what), "{said}");
        }
    }
}
