//! Whether the cores were the bench's own while something was measured, and what is made
//! of runs for which they were not. Where the numbers come from is in [`crate::threads`].

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// A run is INVALID once other things had one of its cores for more than this part of
/// its time. A p99 is read off every run: from 1 % on it is theirs, not the program's.
pub const MOST_TAKEN: f64 = 0.01;

/// Another program's thread that ran on one of the cores meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Other {
    /// As `ps` shows it.
    pub name: String,
    pub process: u32,
    /// Where it ran last.
    pub core: usize,
    pub ran_ns: u64,
}

/// One core of the bench during one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Core {
    pub core: usize,
    /// `host`, `lane` or `bench`.
    pub role: &'static str,
    /// Part of the run's time for which other things had it, 0 to 1.
    pub share: f64,
    /// For how long a thread of the bench that is pinned there could have run and did
    /// not: other threads had the core.
    pub waited_ns: u64,
    /// How often the kernel took the core from such a thread.
    pub preempted: u64,
    /// For how long the hypervisor had the core, as far as that is certain: the kernel
    /// counts it in steps, one of which is left out.
    pub stolen_ns: u64,
}

/// What a run's cores did beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    valid: bool,
    wall_ns: u64,
    /// The host's core first.
    pub cores: Vec<Core>,
    /// Who else ran there, the longest first, as far as it could be seen; looked up for
    /// an INVALID run only.
    pub others: Vec<Other>,
}

impl Taken {
    /// Judges a run of this length.
    pub fn of(wall_ns: u64, mut cores: Vec<Core>) -> Self {
        for core in &mut cores {
            core.share = (core.waited_ns + core.stolen_ns) as f64 / wall_ns.max(1) as f64;
        }
        Self {
            valid: cores.iter().all(|core| core.share <= MOST_TAKEN),
            wall_ns,
            cores,
            others: Vec::new(),
        }
    }

    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// What took the cores, in a line; `None` for a valid run.
    pub fn why(&self) -> Option<String> {
        let ms = |ns: u64| ns as f64 / 1e6;
        let bad = self.cores.iter().filter(|core| core.share > MOST_TAKEN);
        let cores = bad.map(|core| {
            let there = self.others.iter().filter(|other| other.core == core.core);
            let named: Vec<String> = there
                .take(3)
                .map(|o| format!("{} ({}) {:.1} ms", o.name, o.process, ms(o.ran_ns)))
                .collect();
            let seen = if named.is_empty() { "" } else { ", seen there: " };
            format!(
                "the {}'s core {} was others' for {:.1} % of {:.0} ms (waited {:.1} ms, preempted {} \
                 times, hypervisor {:.0} ms){seen}{}",
                core.role,
                core.core,
                100.0 * core.share,
                ms(self.wall_ns),
                ms(core.waited_ns),
                core.preempted,
                ms(core.stolen_ns),
                named.join(", ")
            )
        });
        (!self.valid).then(|| cores.collect::<Vec<_>>().join("; "))
    }
}

/// What a run gave, and what its cores did beside it.
#[derive(Clone)]
pub struct Judged<T> {
    pub value: T,
    pub taken: Taken,
}

/// The runs of one row, in their order.
pub struct Runs<T>(pub Vec<Judged<T>>);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Runs<T> {
    /// The valid ones, which may be compared; where there is none all, to be shown as
    /// INVALID.
    pub fn shown(&self) -> Vec<&T> {
        let any = self.are_invalid();
        let shown = self.0.iter().filter(|run| any || run.taken.is_valid());
        shown.map(|run| &run.value).collect()
    }

    /// Whether what is shown may not be compared.
    pub fn are_invalid(&self) -> bool {
        !self.0.iter().any(|run| run.taken.is_valid())
    }
}

/// How many runs were what, in a bench.
#[derive(Default)]
pub struct Tally {
    measured: usize,
    /// INVALID runs by name, and whether it is left: the others were measured anew.
    invalid: Vec<(String, Taken, bool)>,
}

/// INVALID runs that are told of in a line each.
const TOLD: usize = 8;

impl Tally {
    pub fn note(&mut self, name: &str, taken: &Taken, is_left: bool) {
        self.measured += 1;
        if !taken.is_valid() {
            let name = name.to_owned();
            self.invalid.push((name, taken.clone(), is_left));
        }
    }

    fn left(&self) -> usize {
        self.invalid.iter().filter(|(_, _, left)| *left).count()
    }

    pub fn is_valid(&self) -> bool {
        self.left() == 0
    }

    pub fn to_json(&self) -> Value {
        let invalid = self.invalid.iter().map(|(name, taken, _)| {
            let mut value = json!(taken);
            value["run"] = json!(name);
            value
        });
        json!({
            "measured": self.measured,
            "measured_anew": self.invalid.len() - self.left(),
            "invalid": self.left(),
            "invalid_runs": invalid.collect::<Vec<_>>(),
            "most_taken": MOST_TAKEN,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs: {} INVALID and in no comparison, {} INVALID and measured anew (something else had \
             one of the cores for more than {:.0} % of the time)",
            self.measured,
            self.left(),
            self.invalid.len() - self.left(),
            100.0 * MOST_TAKEN
        )?;
        for (name, taken, _) in self.invalid.iter().take(TOLD) {
            write!(f, "\n  {name}: {}", taken.why().unwrap_or_default())?;
        }
        match self.invalid.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run of 100 ms in which a lane waited, and the hypervisor had its core, for so long.
    pub fn judged<T>(value: T, waited_ns: u64, stolen_ns: u64) -> Judged<T> {
        let core = |core, role, waited_ns, stolen_ns| Core {
            core,
            role,
            waited_ns,
            stolen_ns,
            preempted: 3,
            ..Core::default()
        };
        let cores = vec![core(0, "host", 0, 0), core(1, "lane", waited_ns, stolen_ns)];
        let taken = Taken::of(100_000_000, cores);
        Judged { value, taken }
    }

    #[test]
    fn a_run_is_valid_up_to_the_threshold_on_each_of_its_cores() {
        for (waited, stolen, valid) in [
            (0, 0, true),
            (1_000_000, 0, true),
            (1_000_001, 0, false),
            // What waits and what is stolen add up.
            (600_000, 600_000, false),
            (0, 1_000_001, false),
        ] {
            let taken = judged((), waited, stolen).taken;
            assert_eq!(taken.is_valid(), valid, "{taken:?}");
            assert_eq!(taken.why().is_none(), valid, "{taken:?}");
        }
    }

    #[test]
    fn what_took_the_core_is_named() {
        let mut taken = judged((), 47_000_000, 0).taken;
        taken.others = [("elsewhere", 0), ("rustc", 1)]
            .map(|(name, core)| Other {
                name: name.to_owned(),
                process: 7,
                core,
                ran_ns: 46_000_000,
            })
            .into();
        let why = taken.why().unwrap();
        for part in ["lane's core 1", "47.0 %", "3 times", "rustc (7) 46.0 ms"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("host") && !why.contains("elsewhere"), "{why}");
    }

    #[test]
    fn an_invalid_run_is_in_no_comparison() {
        let mut runs = Runs(vec![judged(1, 47_000_000, 0)]);
        assert!(runs.are_invalid());
        assert_eq!(runs.shown(), [&1]);
        runs.0.extend([judged(2, 0, 0), judged(3, 1_100_000, 0)]);
        assert!(!runs.are_invalid());
        assert_eq!(runs.shown(), [&2]);
    }

    #[test]
    fn the_summary_says_how_many_and_why() {
        let mut tally = Tally::default();
        let invalid = judged((), 47_000_000, 0).taken;
        tally.note("50 %", &invalid, false);
        tally.note("50 %", &judged((), 5, 0).taken, true);
        tally.note("60 %", &invalid, true);
        let said = tally.to_string();
        let counts = "3 runs: 1 INVALID and in no comparison, 1 INVALID and measured anew";
        assert!(said.starts_with(counts), "{said}");
        assert!(said.contains("  60 %: the lane's core 1"), "{said}");
        for _ in 0..TOLD {
            tally.note("70 %", &invalid, true);
        }
        assert!(tally.to_string().ends_with("  and 2 more"));
    }
}
