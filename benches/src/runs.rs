//! Runs that were judged: the valid ones are compared, the INVALID ones counted.

use std::fmt;

use serde_json::{Value, json};

use crate::contention::{MOST_TAKEN, Taken};
use crate::threads::Watch;

/// What a run gave, and what its cores did beside it.
pub struct Judged<T> {
    /// What it gave.
    pub value: T,
    /// What took its cores.
    pub taken: Taken,
}

impl<T> Judged<T> {
    /// Part of it.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Judged<U> {
        Judged {
            value: of(self.value),
            taken: self.taken,
        }
    }
}

/// Measures on these cores, each with its role, until they were the bench's own, `tries`
/// times at most. `note` hears of each run, and whether it is the one that comes back.
///
/// # Errors
///
/// The run's own.
pub fn judged<T, E>(
    cores: &[(usize, &'static str)],
    tries: usize,
    mut note: impl FnMut(&Taken, bool),
    mut once: impl FnMut() -> Result<T, E>,
) -> Result<Judged<T>, E> {
    let mut number = 1;
    loop {
        let watch = Watch::begin(cores.to_vec());
        let value = once()?;
        let taken = watch.end();
        let is_last = taken.is_valid() || number == tries;
        note(&taken, is_last);
        if is_last {
            return Ok(Judged { value, taken });
        }
        number += 1;
    }
}

/// The runs of one row.
pub struct Runs<T> {
    valid: Vec<T>,
    invalid: Vec<T>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self {
            valid: Vec::new(),
            invalid: Vec::new(),
        }
    }
}

impl<T> Runs<T> {
    /// Adds one.
    pub fn push(&mut self, run: Judged<T>) {
        if run.taken.is_valid() {
            self.valid.push(run.value);
        } else {
            self.invalid.push(run.value);
        }
    }

    /// The valid ones, which may be compared.
    pub fn valid(&self) -> &[T] {
        &self.valid
    }

    /// The valid ones; where there is none, the others, to be shown as INVALID.
    pub fn shown(&self) -> &[T] {
        if self.valid.is_empty() {
            &self.invalid
        } else {
            &self.valid
        }
    }

    /// Whether what is shown may not be compared.
    pub fn are_invalid(&self) -> bool {
        self.valid.is_empty() && !self.invalid.is_empty()
    }

    /// Below the row: that it is INVALID, if it is.
    pub fn print_invalid(&self) {
        if self.are_invalid() {
            println!("  ^ INVALID: in none of its runs had it the core to itself");
        }
    }

    /// How many are invalid.
    pub fn invalid(&self) -> usize {
        self.invalid.len()
    }
}

/// How many runs were what, in a bench.
#[derive(Default)]
pub struct Tally {
    /// Measured in all.
    pub measured: usize,
    /// INVALID and measured anew.
    pub repeated: usize,
    /// INVALID and left.
    pub invalid: usize,
    why: Vec<(String, Taken)>,
}

/// INVALID runs that are told of in a line each.
const TOLD: usize = 8;

impl Tally {
    /// Counts a run.
    pub fn note(&mut self, name: &str, taken: &Taken, is_kept: bool) {
        self.measured += 1;
        if taken.is_valid() {
            return;
        }
        match is_kept {
            true => self.invalid += 1,
            false => self.repeated += 1,
        }
        self.why.push((name.to_owned(), taken.clone()));
    }

    /// Whether every run that is left had its cores to itself.
    pub fn is_valid(&self) -> bool {
        self.invalid == 0
    }

    /// For the result.
    pub fn to_json(&self) -> Value {
        let why = self.why.iter().map(|(name, taken)| {
            let mut value = taken.to_json();
            value["run"] = json!(name);
            value
        });
        json!({
            "measured": self.measured,
            "measured_anew": self.repeated,
            "invalid": self.invalid,
            "invalid_runs": why.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs: {} INVALID and in no comparison, {} INVALID and measured anew (something else had \
             one of the cores for more than {:.0} % of the time)",
            self.measured,
            self.invalid,
            self.repeated,
            100.0 * MOST_TAKEN
        )?;
        for (name, taken) in self.why.iter().take(TOLD) {
            writeln!(f, "  {name}: {}", taken.why().unwrap_or_default())?;
        }
        match self.why.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contention::Core;

    fn judged(value: u32, waited_ns: u64) -> Judged<u32> {
        let core = Core {
            core: 1,
            role: "lane",
            waited_ns,
            ..Core::default()
        };
        let taken = Taken {
            wall_ns: 1_000,
            cores: vec![core],
            others: Vec::new(),
        };
        Judged { value, taken }
    }

    #[test]
    fn an_invalid_run_is_in_no_comparison() {
        let mut runs = Runs::default();
        runs.push(judged(1, 470));
        assert!(runs.valid().is_empty() && runs.are_invalid());
        assert_eq!(runs.shown(), [1]);
        runs.push(judged(2, 0));
        runs.push(judged(3, 11));
        assert_eq!((runs.valid(), runs.shown()), (&[2][..], &[2][..]));
        assert!(!runs.are_invalid() && runs.invalid() == 2);
    }

    #[test]
    fn the_summary_says_how_many_and_why() {
        let mut tally = Tally::default();
        tally.note("50 %", &judged(1, 470).taken, false);
        tally.note("50 %", &judged(1, 5).taken, true);
        tally.note("60 %", &judged(1, 470).taken, true);
        let said = tally.to_string();
        assert!(
            said.starts_with("3 runs: 1 INVALID and in no comparison, 1 INVALID and measured anew")
        );
        assert!(
            said.contains("  60 %: the lane's core 1") && said.contains("47.0 %"),
            "{said}"
        );
        let json = tally.to_json();
        assert_eq!(
            (&json["measured"], &json["invalid"]),
            (&json!(3), &json!(1))
        );
        assert_eq!(json["invalid_runs"][1]["run"], "60 %");
        for _ in 0..TOLD {
            tally.note("70 %", &judged(1, 470).taken, true);
        }
        assert!(tally.to_string().ends_with("  and 2 more\n"));
    }
}
