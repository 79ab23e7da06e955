//! The committed counts: a JSON file with a line a case, so that a change of the
//! counts is reviewed like any other; and the counts of now beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signal_bench::bench::write;
use signal_bench::report::Table;

/// A count that grew by so many percent fails.
const LIMIT: f64 = 3.0;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Baseline {
    #[serde(default)]
    about: String,
    /// What made the code and what counted: a name and a version each.
    made_with: BTreeMap<String, String>,
    /// Instructions a call of each case, by name, in the order of the cases.
    instructions: Map<String, Value>,
    /// Cache lines and pages that one event touches, by case.
    #[serde(default)]
    touched: Map<String, Value>,
}

impl Baseline {
    /// Counts made now, by this valgrind.
    pub fn new(
        valgrind: String,
        counts: impl IntoIterator<Item = (String, f64)>,
        touched: Map<String, Value>,
    ) -> Self {
        // SAFETY: takes nothing and returns a static NUL-terminated text.
        let glibc = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
        // Valgrind shows every program the same processor, if the machine has at least
        // what it shows.
        let processor = "x86-64 code, with AVX2 and FMA where it looks for them";
        let made_with = [
            ("rustc", compiler()),
            ("valgrind", valgrind),
            // The C library that this program runs with: its copies are counted, too.
            ("glibc", glibc.to_string_lossy().into_owned()),
            ("processor", processor.to_owned()),
        ];
        let counts = counts.into_iter().map(|(name, count)| (name, json!(count)));
        let about = "Instructions a call under callgrind; written by `counts --bless`, see benches/README.md";
        Self {
            about: about.to_owned(),
            made_with: made_with
                .map(|(name, version)| (name.to_owned(), version))
                .into(),
            instructions: counts.collect(),
            touched,
        }
    }

    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| named(format!("{error}; --bless writes a baseline")))?;
        Self::parse(&text).map_err(named)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_count = |count: &Value| count.as_f64().is_some_and(|count| count > 0.0);
        for (kind, counts) in [
            ("instructions", &read.instructions),
            ("touched", &read.touched),
        ] {
            if let Some((name, count)) = counts.iter().find(|(_, count)| !is_count(count)) {
                return Err(format!(
                    "{kind}.{name} is {count}; expected a number above 0"
                ));
            }
        }
        Ok(read)
    }

    pub fn write(&self, path: &Path) -> Result<usize, String> {
        let text = format!("{:#}\n", json!(self));
        write(path, &text).map(|()| self.instructions.len() + self.touched.len())
    }

    /// The same without cases that have not this in their name, and without what is counted only
    /// with all of them.
    pub fn only(mut self, text: &str) -> Self {
        self.instructions.retain(|name, _| name.contains(text));
        self.touched.retain(|_, _| text.is_empty());
        self
    }
}

fn compiler() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// Less by more than the limit: worth a new baseline, so that it stays so.
const LESS: &str = "less";

/// Where the allocator puts a handle's data moves by that many pages with any other allocation of
/// create: the data's lines are the same.
const SOME_DATA_PAGES: f64 = 6.5;

/// What two counts of a case mean, in a word, and whether that fails.
/// `some` more are within what differs between machines.
fn verdict(before: Option<f64>, now: Option<f64>, some: f64) -> (&'static str, bool) {
    let (before, now) = match (before, now) {
        (None, _) => return ("NEW: not in the baseline", true),
        (_, None) => return ("MISSING: in the baseline, not counted", true),
        (Some(before), Some(now)) => (before, now),
    };
    let (grown, limit) = (now - before, before * LIMIT / 100.0);
    if grown >= limit && grown > some {
        ("MORE", true)
    } else if -grown > limit && -grown > some {
        (LESS, false)
    } else {
        ("", false)
    }
}

/// The table and what follows from it, and whether nothing grew and the cases are the
/// baseline's. Cases come in the order of now, those that are missing behind.
pub fn compare(before: &Baseline, now: &Baseline) -> (String, bool) {
    let mut found = Found::default();
    found.table(
        "instructions a call",
        &before.instructions,
        &now.instructions,
        0.05,
    );
    if !now.touched.is_empty() {
        found.table(
            "lines and pages an event",
            &before.touched,
            &now.touched,
            1.5,
        );
    }
    let Found {
        mut text,
        all,
        less,
        failed,
    } = found;
    for (name, now) in &now.made_with {
        let before = before.made_with.get(name).map_or("unknown", String::as_str);
        if before != now {
            text +=
                &format!("note: the baseline was made with {name} {before:?}, this with {now:?}\n");
        }
    }
    if less > 0 {
        text += &format!(
            "{less} with more than {LIMIT} % less than the baseline: keep that, with --bless and the file in this change\n"
        );
    }
    text += &match failed {
        0 => format!("PASS: {all} counts, none {LIMIT} % above the baseline\n"),
        _ => format!(
            "FAIL: {failed} of {all} counts. Make it shorter again, or say in the change why it is worth it, \
             and commit what --bless writes\n"
        ),
    };
    (text, failed == 0)
}

/// The tables so far, and what is in them.
#[derive(Default)]
struct Found {
    text: String,
    all: usize,
    less: usize,
    failed: usize,
}

impl Found {
    fn table(
        &mut self,
        title: &str,
        before: &Map<String, Value>,
        now: &Map<String, Value>,
        some: f64,
    ) {
        let mut table = Table::new(title, ["baseline", "now", "change", ""]);
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        for name in now.keys().chain(gone) {
            let [before, now] =
                [before, now].map(|counts| counts.get(name).and_then(Value::as_f64));
            let some = match name.ends_with("data pages") {
                true => SOME_DATA_PAGES,
                false => some,
            };
            let (word, fails) = verdict(before, now, some);
            self.less += usize::from(word == LESS);
            self.failed += usize::from(fails);
            let change = before
                .zip(now)
                .map(|(before, now)| (now / before - 1.0) * 100.0);
            let [before, now] = [before, now].map(|count| count.map(|count| format!("{count:.1}")));
            let cells = [before, now, change.map(|change| format!("{change:+.1} %"))];
            let cells = cells.map(|cell| cell.unwrap_or("-".to_owned()));
            table.row(name, cells.into_iter().chain([word.to_owned()]));
        }
        self.all += table.rows.len();
        self.text += &format!("{table}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &[(&str, f64)]) -> Baseline {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count));
        Baseline::new("valgrind-3.19.0".to_owned(), counts, Map::new())
    }

    #[test]
    fn what_is_written_is_read_in_its_order_and_what_is_no_baseline_is_refused() {
        let made = counted(&[("on_data depth", 123.4), ("a poll", 9.0)]);
        let text = format!("{:#}\n", json!(made));
        assert_eq!(Baseline::parse(&text), Ok(made));
        assert!(text.contains("\n    \"on_data depth\": 123.4,\n    \"a poll\""));
        for (from, to, said) in [
            ("123.4", "-1", "instructions.on_data depth is -1"),
            ("123.4", "\"many\"", "expected a number"),
            ("\"instructions\"", "\"counts\"", "`instructions`"),
            ("\"valgrind-3.19.0\"", "3", "integer `3`"),
            ("\"about\"", "about", "line 2"),
        ] {
            let error = Baseline::parse(&text.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn three_percent_more_fails_and_less_is_pointed_out() {
        for (before, now, word) in [
            (100.0, 100.0, ""),
            (100.0, 102.9, ""),
            (100.0, 103.0, "MORE"),
            (100.0, 97.0, ""),
            (100.0, 96.9, "less"),
            // One instruction more in a short function is more than 3 %.
            (9.0, 10.0, "MORE"),
        ] {
            let expected = (word, word == "MORE");
            assert_eq!(
                verdict(Some(before), Some(now), 0.05),
                expected,
                "{before} {now}"
            );
        }
    }

    #[test]
    fn the_table_has_both_counts_what_made_them_and_cases_that_come_or_go() {
        let one = counted(&[("a", 200.0)]);
        let two = counted(&[("a", 200.0), ("b", 2.0)]);
        let mut other = counted(&[("a", 190.0)]);
        other
            .made_with
            .insert("rustc".to_owned(), "another".to_owned());
        for (before, now, passes, parts) in [
            (&one, &two, false, &["NEW"][..]),
            (&two, &one, false, &["MISSING", "FAIL: 1 of 2"]),
            (
                &one,
                &other,
                true,
                &[
                    "200.0",
                    "190.0  -5.0 %  less",
                    "this with \"another\"",
                    "--bless",
                    "PASS",
                ],
            ),
        ] {
            let (table, is_fine) = compare(before, now);
            assert_eq!(is_fine, passes, "{table}");
            for part in parts {
                assert!(table.contains(part), "{part}: {table}");
            }
        }
    }

    #[test]
    fn lines_and_pages_are_compared_if_they_are_counted() {
        let counted = |pages: &[(&str, i32)]| {
            let mut counted = counted(&[("a", 200.0)]);
            let pages = pages
                .iter()
                .map(|&(name, count)| (name.to_owned(), json!(count)));
            counted.touched = pages.collect();
            counted
        };
        let before = counted(&[("inline: code pages", 11)]);
        for (now, passes, part) in [
            // Two more is more than what differs between machines, whatever the percentage.
            (&[("inline: code pages", 12)][..], true, "12.0  +9.1 %"),
            (&[("inline: code pages", 13)], false, "MORE"),
            (&[("inline: code lines", 11)], false, "MISSING"),
            (&[], true, "PASS: 1 counts"),
        ] {
            let (table, is_fine) = compare(&before, &counted(now));
            assert_eq!(is_fine, passes, "{table}");
            assert!(table.contains(part), "{part}: {table}");
        }
        let before = counted(&[("inline: data pages", 40)]);
        for (now, passes) in [(46, true), (47, false)] {
            let (table, is_fine) = compare(&before, &counted(&[("inline: data pages", now)]));
            assert_eq!(is_fine, passes, "{table}");
        }
    }
}
