//! Operators that tract 0.22 supports, whether or not our kernels do.

mod table;

use table::{DOUBTFUL, PROVEN};

/// The newest version of the operator set that onnxruntime runs in the comparison.
#[cfg(feature = "tract")]
const NEWEST: i64 = 26;

fn attributes(op: &str) -> Option<&'static str> {
    let proven = PROVEN.binary_search_by_key(&op, |row| row.0);
    let doubtful = DOUBTFUL.binary_search_by_key(&op, |row| row.0);
    let proven = proven.ok().map(|at| PROVEN[at].2);
    proven.or_else(|| doubtful.ok().map(|at| DOUBTFUL[at].1))
}

/// Why only a check file can tell what tract makes of an operator in this version of the operator
/// set.
#[cfg(feature = "tract")]
pub fn tract_doubt(op: &str, opset: i64) -> Option<String> {
    if let Ok(at) = DOUBTFUL.binary_search_by_key(&op, |row| row.0) {
        return Some(format!("operator {op} runs in tract, {}", DOUBTFUL[at].2));
    }
    let at = PROVEN.binary_search_by_key(&op, |row| row.0).ok()?;
    let first = PROVEN[at].1;
    (!(first..=NEWEST).contains(&opset)).then(|| {
        format!(
            "operator {op} of version {opset} runs in tract, which was compared with other \
             runtimes in versions {first} to {NEWEST}"
        )
    })
}

/// Whether the feature `tract` can run the operator.
pub fn tract_has(domain: &str, op: &str) -> bool {
    match op {
        "ArrayFeatureExtractor" => domain == super::ML,
        _ => matches!(domain, "" | "ai.onnx") && attributes(op).is_some(),
    }
}

/// What tract makes of an attribute.
#[cfg(feature = "tract")]
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// It computes with it.
    Read,
    /// It computes with it, and was compared with other runtimes for these values only.
    Compared(Vec<&'static str>),
    /// It ignores it, which is right for these values, or for all if there are none.
    Ignored(Vec<&'static str>),
}

/// What tract makes of the attribute of an operator in this version of the operator set. `None` if
/// the operator has no such attribute, or if tract always gets it wrong.
#[cfg(feature = "tract")]
pub fn tract_use(op: &str, attribute: &str, opset: i64) -> Option<Use> {
    attributes(op)?.split(' ').find_map(|word| {
        let list = |values: &'static str| values.split('|').collect();
        let (name, values) = match word.split_once(['=', '~']) {
            Some((name, "*")) => (name, Use::Ignored(Vec::new())),
            Some((name, values)) if word.contains('~') => (name, Use::Compared(list(values))),
            Some((name, values)) => (name, Use::Ignored(list(values))),
            None => (word, Use::Read),
        };
        let (name, range) = name.split_once('[').unwrap_or((name, "..]"));
        let (first, end) = range.strip_suffix(']')?.split_once("..")?;
        let from = first.parse().unwrap_or(i64::MIN);
        let to = end.parse().unwrap_or(i64::MAX);
        (name == attribute && (from..to).contains(&opset)).then_some(values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted() {
        assert!(PROVEN.is_sorted_by(|a, b| a.0 < b.0));
        assert!(DOUBTFUL.is_sorted_by(|a, b| a.0 < b.0));
        let twice = |row: &&(&str, i64, &str)| DOUBTFUL.iter().any(|other| other.0 == row.0);
        assert_eq!(PROVEN.iter().find(twice), None);
        assert!(tract_has("", "Elu") && tract_has("ai.onnx", "Xor"));
        assert!(!tract_has("", "Elux") && !tract_has("com.microsoft", "Elu"));
    }

    #[cfg(feature = "tract")]
    #[test]
    fn attributes_are_those_of_the_version() {
        assert_eq!(tract_use("Elu", "alpha", 7), Some(Use::Read));
        assert_eq!(tract_use("Elu", "scale", 7), None);
        assert_eq!(tract_use("Clip", "min", 10), Some(Use::Read));
        assert_eq!(tract_use("Clip", "min", 11), None);
        assert_eq!(tract_use("Shape", "end", 14), None);
        assert_eq!(tract_use("Shape", "end", 15), Some(Use::Read));
        let direction = Some(Use::Ignored(vec!["forward", "bidirectional"]));
        assert_eq!(tract_use("LSTM", "direction", 14), direction);
        assert_eq!(tract_use("LSTM", "clip", 14), None);
        assert_eq!(tract_use("Dropout", "seed", 12), Some(Use::Ignored(vec![])));
        let proven = PROVEN.iter().map(|&(op, _, words)| (op, words));
        let doubtful = DOUBTFUL.iter().map(|&(op, words, _)| (op, words));
        for (op, words) in proven.chain(doubtful) {
            for word in words.split_terminator(' ') {
                let name = word.split(['[', '=', '~']).next().unwrap();
                let known = (7..30).any(|opset| tract_use(op, name, opset).is_some());
                assert!(known, "{op} {word}");
            }
        }
    }
}
