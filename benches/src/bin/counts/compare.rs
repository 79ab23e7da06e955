//! The counts of now beside those of the baseline.

use std::fmt;

use crate::baseline::Baseline;

/// A count that grew by so many percent fails.
const LIMIT: f64 = 3.0;

/// What a case's two counts say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Within the limit.
    Same,
    /// Less by more than the limit: worth a new baseline, so that it stays so.
    Less,
    /// More by the limit or beyond it.
    More,
    /// The baseline does not have the case.
    New,
    /// The baseline has a case that is no more.
    Missing,
}

impl Verdict {
    fn of(before: Option<f64>, now: Option<f64>) -> Self {
        match (before, now) {
            (None, _) => Self::New,
            (_, None) => Self::Missing,
            (Some(before), Some(now)) => {
                // A tenth of an instruction is what a count can tell.
                let grown = now - before;
                let limit = before * LIMIT / 100.0;
                if grown >= limit && grown > 0.05 {
                    Self::More
                } else if -grown > limit {
                    Self::Less
                } else {
                    Self::Same
                }
            }
        }
    }

    fn fails(self) -> bool {
        matches!(self, Self::More | Self::New | Self::Missing)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Less => "less",
            Self::More => "MORE",
            Self::New => "NEW: not in the baseline",
            Self::Missing => "MISSING: in the baseline, not counted",
        }
    }
}

struct Row {
    name: String,
    before: Option<f64>,
    now: Option<f64>,
}

impl Row {
    fn verdict(&self) -> Verdict {
        Verdict::of(self.before, self.now)
    }
}

/// A baseline and the counts of now, case by case.
pub struct Comparison {
    rows: Vec<Row>,
    /// What made the two, where it differs: name, before, now.
    made_with: Vec<(String, String, String)>,
}

impl Comparison {
    /// Compares. Cases come in the order of now, those that are missing behind.
    pub fn of(before: &Baseline, now: &Baseline) -> Self {
        let count = |of: &Baseline, name: &str| {
            let found = of.counts.iter().find(|(known, _)| known == name);
            found.map(|&(_, count)| count)
        };
        let gone = before
            .counts
            .iter()
            .filter(|(name, _)| count(now, name).is_none());
        let rows = now.counts.iter().chain(gone).map(|(name, _)| Row {
            name: name.clone(),
            before: count(before, name),
            now: count(now, name),
        });
        let version = |of: &Baseline, name: &str| {
            let found = of.made_with.iter().find(|(known, _)| known == name);
            found.map_or("unknown".to_owned(), |(_, version)| version.clone())
        };
        let made_with = now.made_with.iter().filter_map(|(name, now)| {
            let before = version(before, name);
            (before != *now).then(|| (name.clone(), before, now.clone()))
        });
        Self {
            rows: rows.collect(),
            made_with: made_with.collect(),
        }
    }

    /// Whether nothing grew and the cases are the baseline's.
    pub fn is_fine(&self) -> bool {
        !self.rows.iter().any(|row| row.verdict().fails())
    }

    fn number(&self, which: impl Fn(Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| which(row.verdict())).count()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max();
        let width = width.unwrap_or(0).max("instructions a call".len());
        let number =
            |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
        writeln!(
            f,
            "{:width$}  {:>9}  {:>9}  {:>8}",
            "instructions a call", "baseline", "now", "change"
        )?;
        for row in &self.rows {
            let change = row
                .before
                .zip(row.now)
                .map_or("-".to_owned(), |(before, now)| {
                    format!("{:+.1} %", (now / before - 1.0) * 100.0)
                });
            let (before, now, verdict) =
                (number(row.before), number(row.now), row.verdict().text());
            let line = format!(
                "{:width$}  {before:>9}  {now:>9}  {change:>8}  {verdict}",
                row.name
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        for (name, before, now) in &self.made_with {
            writeln!(
                f,
                "note: the baseline was made with {name} {before}, this with {now}"
            )?;
        }
        let less = self.number(|verdict| verdict == Verdict::Less);
        if less > 0 {
            writeln!(
                f,
                "{less} with more than {LIMIT} % less than the baseline: keep that, with --bless and the file in this change"
            )?;
        }
        match self.number(Verdict::fails) {
            0 => writeln!(
                f,
                "PASS: {} counts, none {LIMIT} % above the baseline",
                self.rows.len()
            ),
            failed => writeln!(
                f,
                "FAIL: {failed} of {} counts. Make it shorter again, or say in the change why it is worth it, \
                 and commit what --bless writes",
                self.rows.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &[(&str, f64)]) -> Baseline {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count));
        Baseline::new("valgrind-3.19.0".to_owned(), counts.collect())
    }

    fn verdict(before: f64, now: f64) -> Verdict {
        let comparison = Comparison::of(&counted(&[("a", before)]), &counted(&[("a", now)]));
        let verdict = comparison.rows[0].verdict();
        assert_eq!(comparison.is_fine(), !verdict.fails());
        verdict
    }

    #[test]
    fn three_percent_more_fails_and_less_is_pointed_out() {
        assert_eq!(verdict(100.0, 100.0), Verdict::Same);
        assert_eq!(verdict(100.0, 102.9), Verdict::Same);
        assert_eq!(verdict(100.0, 103.0), Verdict::More);
        assert_eq!(verdict(100.0, 97.0), Verdict::Same);
        assert_eq!(verdict(100.0, 96.9), Verdict::Less);
        // One instruction more in a short function is more than 3 %.
        assert_eq!(verdict(9.0, 10.0), Verdict::More);
    }

    #[test]
    fn cases_that_come_or_go_fail() {
        let (one, two) = (counted(&[("a", 1.0)]), counted(&[("a", 1.0), ("b", 2.0)]));
        let comes = Comparison::of(&one, &two);
        assert!(!comes.is_fine());
        assert!(comes.to_string().contains("NEW"), "{comes}");
        let goes = Comparison::of(&two, &one);
        assert!(!goes.is_fine());
        assert!(goes.to_string().contains("MISSING"), "{goes}");
        assert!(goes.to_string().contains("FAIL: 1 of 2"), "{goes}");
    }

    #[test]
    fn the_table_has_both_counts_and_what_made_them() {
        let before = counted(&[("a", 200.0)]);
        let mut now = counted(&[("a", 190.0)]);
        now.made_with[0].1 = "another".to_owned();
        let table = Comparison::of(&before, &now).to_string();
        assert!(
            table.contains("200.0      190.0    -5.0 %  less"),
            "{table}"
        );
        assert!(table.contains("this with another"), "{table}");
        assert!(table.contains("--bless"), "{table}");
        assert!(table.contains("PASS"), "{table}");
    }
}
