//! Splits lines into sections of keys.

use std::fmt::Display;
use std::str::FromStr;

use super::objective::Objective;
use crate::error::content::quoted;
use crate::models::{MAX_FEATURES, ModelError};

/// Keys before the trees that do not affect predictions.
const UNUSED_HEADER: &[&str] = &["label_index", "monotone_constraints", "feature_infos"];

/// Keys of a tree that do not affect predictions. The leaves already include `shrinkage`. The keys
/// after it belong to linear trees, which `is_linear` marks.
const UNUSED_TREE: &[&str] = &[
    "split_gain",
    "leaf_weight",
    "leaf_count",
    "leaf_parent",
    "internal_value",
    "internal_weight",
    "internal_count",
    "shrinkage",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
];

/// Sections after the trees with arbitrary content: each starts with the first line and ends with
/// the second, or with an empty line.
const FREE_FORM: &[(&str, &str)] = &[
    ("feature_importances:", ""),
    ("feature importances:", ""),
    ("parameters:", "end of parameters"),
];

/// The same, as a single line.
const FREE_LINE: &str = "pandas_categorical:";

/// `key=value` lines up to an empty line. Only the keys that matter are kept; a key that is neither
/// needed nor known to be irrelevant is refused.
#[derive(Debug)]
pub(super) struct Section<'a, const N: usize> {
    keys: &'static [&'static str; N],
    unused: &'static [&'static str],
    values: [Option<(usize, &'a str)>; N],
}

impl<'a, const N: usize> Section<'a, N> {
    fn new(keys: &'static [&'static str; N], unused: &'static [&'static str]) -> Self {
        Self {
            keys,
            unused,
            values: [None; N],
        }
    }

    fn line(&mut self, number: usize, line: &'a str) -> Result<(), ModelError> {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let Some(index) = self.keys.iter().position(|known| *known == key) else {
            return match self.unused.contains(&key) {
                true => Ok(()),
                false => Err(unknown(number, key)),
            };
        };
        if let Some((before, _)) = self.values[index] {
            return Err(ModelError(format!(
                "line {number}: {key} is on line {before} already"
            )));
        }
        self.values[index] = Some((number, value));
        Ok(())
    }

    /// The text and line of a key that may be absent.
    pub(super) fn text(&self, key: impl Into<usize>) -> Option<(usize, &'a str)> {
        self.values[key.into()]
    }

    /// The text and line of a key that must be present.
    pub(super) fn required(&self, key: impl Into<usize>) -> Result<(usize, &'a str), ModelError> {
        let key = key.into();
        self.values[key].ok_or_else(|| ModelError(format!("{} is missing", self.keys[key])))
    }

    /// A number that must be present.
    pub(super) fn number<T: FromStr>(&self, key: impl Into<usize>) -> Result<T, ModelError> {
        let key = key.into();
        let (line, text) = self.required(key)?;
        parse(text).ok_or_else(|| wrong(line, self.keys[key], text, "a whole number in range"))
    }

    /// Exactly `count` numbers. Memory grows only with the text, because `count` may be wrong.
    pub(super) fn numbers<T: FromStr>(
        &self,
        key: impl Into<usize>,
        count: usize,
    ) -> Result<Vec<T>, ModelError> {
        let key = key.into();
        let (line, text) = self.required(key)?;
        let mut numbers = Vec::new();
        for (index, word) in text.split_ascii_whitespace().enumerate() {
            let name = format_args!("{}[{index}]", self.keys[key]);
            numbers.push(parse(word).ok_or_else(|| wrong(line, name, word, "a number"))?);
        }
        if numbers.len() != count {
            return Err(ModelError(format!(
                "line {line}: {} has {} entries; expected {count}",
                self.keys[key],
                numbers.len()
            )));
        }
        Ok(numbers)
    }
}

fn unknown(line: usize, key: &str) -> ModelError {
    ModelError(format!(
        "line {line}: the key {} is not known and may change what the model predicts; \
         expected what LightGBM's save_model writes, in version v2, v3 or v4",
        quoted(key)
    ))
}

fn parse<T: FromStr>(word: &str) -> Option<T> {
    word.trim_ascii().parse().ok()
}

/// An error about a word of the text, which is shortened if it is long.
pub(super) fn wrong(line: usize, name: impl Display, word: &str, expected: &str) -> ModelError {
    ModelError(format!(
        "line {line}: {name} is {}; expected {expected}",
        quoted(word)
    ))
}

macro_rules! keys {
    ($keys:ident, $names:ident: $($key:ident = $name:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug)]
        pub(super) enum $keys { $($key),* }

        const $names: &[&str; [$($name),*].len()] = &[$($name),*];

        impl From<$keys> for usize {
            fn from(key: $keys) -> usize {
                key as usize
            }
        }
    };
}

keys! { HeaderKey, HEADER:
    Version = "version",
    Classes = "num_class",
    PerIteration = "num_tree_per_iteration",
    MaxFeature = "max_feature_idx",
    Objective = "objective",
    Average = "average_output",
    Names = "feature_names",
    Sizes = "tree_sizes",
}

keys! { TreeKey, TREE:
    Tree = "Tree",
    Leaves = "num_leaves",
    Categorical = "num_cat",
    Feature = "split_feature",
    Threshold = "threshold",
    Decision = "decision_type",
    Left = "left_child",
    Right = "right_child",
    Value = "leaf_value",
    CategoryBoundaries = "cat_boundaries",
    CategoryThreshold = "cat_threshold",
    Linear = "is_linear",
}

/// A tree's lines.
pub(super) type TreeSection<'a> = Section<'a, { TREE.len() }>;

/// The file, section by section.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Sections<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            line: 0,
        }
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<(usize, &'a str)>, ModelError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[..0]),
        };
        self.rest = rest;
        let text = std::str::from_utf8(line)
            .map_err(|_| ModelError(format!("line {}: it is not UTF-8", self.line)))?;
        Ok(Some((self.line, text.trim_end_matches('\r'))))
    }

    fn section<const N: usize>(
        &mut self,
        mut section: Section<'a, N>,
    ) -> Result<Section<'a, N>, ModelError> {
        while let Some((number, line)) = self.next()? {
            if line.is_empty() {
                return Ok(section);
            }
            section.line(number, line)?;
        }
        Err(ended(self.line))
    }

    /// The next tree, or `None` at `end of trees`.
    pub(super) fn tree(&mut self) -> Result<Option<TreeSection<'a>>, ModelError> {
        while let Some((number, line)) = self.next()? {
            if line == "end of trees" {
                return Ok(None);
            }
            if line.starts_with("Tree=") {
                let mut section = Section::new(TREE, UNUSED_TREE);
                section.line(number, line)?;
                return self.section(section).map(Some);
            }
            if !line.is_empty() {
                return Err(wrong(number, "it", line, "Tree= or end of trees"));
            }
        }
        Err(ended(self.line))
    }

    /// Reads the rest of the file: only the sections with arbitrary content are allowed.
    pub(super) fn finish(mut self) -> Result<(), ModelError> {
        while let Some((number, line)) = self.next()? {
            if line.is_empty() || line.starts_with(FREE_LINE) {
                continue;
            }
            let Some((_, end)) = FREE_FORM.iter().find(|(start, _)| *start == line) else {
                return Err(unknown(number, line));
            };
            while self.next()?.is_some_and(|(_, line)| line != *end) {}
        }
        Ok(())
    }
}

fn ended(line: usize) -> ModelError {
    ModelError(format!(
        "the file ends after line {line}, before the line `end of trees`: it is cut off"
    ))
}

/// The part before the trees.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) features: usize,
    /// Empty if they are LightGBM's default names.
    pub(super) names: Vec<String>,
    pub(super) objective: Objective,
    /// Whether the output is the mean of the trees.
    pub(super) average: bool,
    /// The number of trees according to the file.
    pub(super) trees: Option<usize>,
}

impl Header {
    pub(super) fn read(sections: &mut Sections<'_>) -> Result<Self, ModelError> {
        match sections.next()? {
            Some((_, "tree")) => {}
            _ => return Err(ModelError::new("line 1: expected tree")),
        }
        let section = sections.section(Section::new(HEADER, UNUSED_HEADER))?;
        let (line, version) = section.required(HeaderKey::Version)?;
        // The versions have the same format, except that v2 has fewer weights of a tree.
        if !["v2", "v3", "v4"].contains(&version) {
            return Err(wrong(line, "version", version, "v2, v3 or v4"));
        }
        for key in [HeaderKey::Classes, HeaderKey::PerIteration] {
            let count: u64 = section.number(key)?;
            if count != 1 {
                return Err(ModelError(format!(
                    "{} is {count}; models of several classes are not supported, expected 1: train \
                     one model for each class",
                    HEADER[key as usize]
                )));
            }
        }
        let last: usize = section.number(HeaderKey::MaxFeature)?;
        if last >= MAX_FEATURES {
            return Err(ModelError(format!(
                "max_feature_idx is {last}; expected less than {MAX_FEATURES}"
            )));
        }
        let (line, names) = section.required(HeaderKey::Names)?;
        // One name too many is enough to detect the error, so no more are kept.
        let names = names.split_ascii_whitespace().take(last + 2);
        let names: Vec<&str> = names.collect();
        if last.checked_add(1) != Some(names.len()) {
            return Err(ModelError(format!(
                "line {line}: feature_names has {} names, but max_feature_idx is {last}; \
                 expected one more",
                names.len()
            )));
        }
        let features = names.len();
        let given = names
            .iter()
            .enumerate()
            .any(|(index, name)| name.strip_prefix("Column_").and_then(parse) != Some(index));
        let objective = match section.text(HeaderKey::Objective) {
            None => Objective::Identity,
            Some((line, text)) => Objective::parse(text)
                .map_err(|error| ModelError(format!("line {line}: objective: {error}")))?,
        };
        Ok(Self {
            features,
            names: if given {
                names.into_iter().map(String::from).collect()
            } else {
                Vec::new()
            },
            objective,
            average: section.text(HeaderKey::Average).is_some(),
            trees: section
                .text(HeaderKey::Sizes)
                .map(|(_, text)| text.split_ascii_whitespace().count()),
        })
    }
}
