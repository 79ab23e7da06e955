//! Which number, besides NaN, stands for a missing factor.
//!
//! XGBoost's scikit-learn wrapper takes it as `missing`, and predicts with it. Versions 1.5 to 1.7
//! save it with the wrapper's other parameters in an attribute; 3.2 does not write it anywhere.

use serde::Deserialize;

use crate::error::content::quoted;
use crate::models::ModelError;

#[derive(Deserialize)]
struct Parameters {
    missing: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Word(String),
}

/// The number that the wrapper's attribute names; `None` for NaN, or if it names none.
pub(super) fn number(attribute: Option<&str>) -> Result<Option<f32>, ModelError> {
    let Some(text) = attribute.filter(|text| text.contains("\"missing\"")) else {
        return Ok(None);
    };
    let wrong = |found: &str| {
        ModelError(format!(
            "learner.attributes.scikit_learn: missing cannot be read from {}; expected a number or \
             NaN",
            quoted(found)
        ))
    };
    let read: Parameters = serde_json::from_str(&strict(text)).map_err(|_| wrong(text))?;
    let number = match read.missing {
        None => return Ok(None),
        Some(Number::Finite(number)) => number as f32,
        Some(Number::Word(word)) => match word.as_str() {
            INFINITE => f32::INFINITY,
            NEGATIVE => f32::NEG_INFINITY,
            _ => return Err(wrong(&word)),
        },
    };
    Ok(Some(number))
}

const INFINITE: &str = "Infinity";
const NEGATIVE: &str = "-Infinity";

/// The JSON that Python writes, as JSON: NaN as null, infinities as words.
fn strict(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (taken, put) = if letter == '"' {
            let end = end_of_string(rest);
            (end, rest[..end].to_owned())
        } else if rest.starts_with("NaN") {
            (3, "null".to_owned())
        } else if let Some(word) = [INFINITE, NEGATIVE]
            .into_iter()
            .find(|word| rest.starts_with(word))
        {
            (word.len(), format!("\"{word}\""))
        } else {
            (letter.len_utf8(), letter.to_string())
        };
        json += &put;
        rest = &rest[taken..];
    }
    json
}

/// Where the string that a text begins with ends.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = true;
    let end = text.find(|letter| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrappers_parameters_name_the_number() {
        for (text, expected) in [
            ("{}", None),
            ("", None),
            (r#"{"_estimator_type": "regressor"}"#, None),
            (r#"{"missing": NaN}"#, None),
            (r#"{"missing": null}"#, None),
            (r#"{"missing": -1}"#, Some(-1.0)),
            (
                r#"{"n": 3, "missing": -999.0, "gamma": NaN, "le": [1, Infinity]}"#,
                Some(-999.0),
            ),
            (r#"{"missing": 0.1}"#, Some(0.1_f32)),
            (r#"{"missing": Infinity}"#, Some(f32::INFINITY)),
            (r#"{"missing": -Infinity}"#, Some(f32::NEG_INFINITY)),
            // Of another object, and in texts.
            (r#"{"kwargs": {"missing": -1}}"#, None),
            (
                r#"{"note": "\"missing\": -1", "a\\": "NaN \"Infinity"}"#,
                None,
            ),
            (
                r#"{"kwargs": {"missing": 3}, "b": "\\", "missing": 2}"#,
                Some(2.0),
            ),
        ] {
            assert_eq!(number(Some(text)), Ok(expected), "{text}");
        }
        assert_eq!(number(None), Ok(None));
    }

    #[test]
    fn what_names_no_number_is_refused() {
        for text in [
            r#"{"missing": "NaN"}"#,
            r#"{"missing": [1]}"#,
            r#"{"missing": 1"#,
            r#"{"missing": 1, "missing": 2}"#,
            r#"{"x": "missing": 1}"#,
        ] {
            let said = number(Some(text)).unwrap_err().to_string();
            assert!(
                said.contains("scikit_learn: missing cannot be read"),
                "{said}"
            );
        }
    }
}
