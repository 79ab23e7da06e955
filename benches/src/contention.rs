//! Whether the cores were the bench's own while something was measured, and what else
//! had them. [`Taken`] is the judgement, a plain function of numbers; where these come
//! from is in [`crate::threads`].

use serde_json::{Value, json};

/// A run is INVALID once other things had one of its cores for more than this part of
/// its time. A p99 is read off every run: from 1 % on it is theirs, not the program's.
pub const MOST_TAKEN: f64 = 0.01;

/// Another program's thread that ran on one of the cores meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// As `ps` shows it.
    pub name: String,
    /// Its process.
    pub process: u32,
    /// Where it ran last.
    pub core: usize,
    /// For how long it ran, ns.
    pub ran_ns: u64,
}

/// One core of the bench during one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Core {
    /// Its number.
    pub core: usize,
    /// `host` or `lane`.
    pub role: &'static str,
    /// For how long a thread of the bench that is pinned there could have run and did
    /// not, ns: other threads had the core.
    pub waited_ns: u64,
    /// How often the kernel took the core from such a thread.
    pub preempted: u64,
    /// For how long the hypervisor had the core, ns, as far as that is certain: the kernel
    /// counts it in steps, one of which is left out.
    pub stolen_ns: u64,
}

impl Core {
    fn taken_ns(&self) -> u64 {
        self.waited_ns + self.stolen_ns
    }
}

/// What a run's cores did beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Length of the run, ns.
    pub wall_ns: u64,
    /// The host's core first.
    pub cores: Vec<Core>,
    /// Who else ran there, the longest first, as far as it could be seen; looked up for
    /// an INVALID run only.
    pub others: Vec<Other>,
}

impl Taken {
    /// Part of the run's time for which other things had this core, 0 to 1.
    pub fn share(&self, core: &Core) -> f64 {
        core.taken_ns() as f64 / self.wall_ns.max(1) as f64
    }

    /// The core that others had longest.
    pub fn worst(&self) -> Option<&Core> {
        self.cores.iter().max_by_key(|core| core.taken_ns())
    }

    /// Whether the figures are the program's.
    pub fn is_valid(&self) -> bool {
        let worst = self.worst();
        worst.is_none_or(|core| self.share(core) <= MOST_TAKEN)
    }

    /// What took the cores, in a line; `None` for a valid run.
    pub fn why(&self) -> Option<String> {
        if self.is_valid() {
            return None;
        }
        let bad = self.cores.iter().filter(|c| self.share(c) > MOST_TAKEN);
        let cores = bad.map(|core| {
            format!(
                "the {}'s core {} was others' for {:.1} % of {:.0} ms (waited {:.1} ms, preempted {} \
                 times, hypervisor {:.0} ms){}",
                core.role,
                core.core,
                100.0 * self.share(core),
                ms(self.wall_ns),
                ms(core.waited_ns),
                core.preempted,
                ms(core.stolen_ns),
                self.others_on(core.core)
            )
        });
        Some(cores.collect::<Vec<_>>().join("; "))
    }

    fn others_on(&self, core: usize) -> String {
        const MOST: usize = 3;
        let there = self.others.iter().filter(|other| other.core == core);
        let named: Vec<String> = there
            .take(MOST)
            .map(|o| format!("{} ({}) {:.1} ms", o.name, o.process, ms(o.ran_ns)))
            .collect();
        if named.is_empty() {
            return String::new();
        }
        format!(", seen there: {}", named.join(", "))
    }

    /// For the result.
    pub fn to_json(&self) -> Value {
        let core = |core: &Core| {
            json!({
                "core": core.core,
                "role": core.role,
                "share": self.share(core),
                "waited_ns": core.waited_ns,
                "preempted": core.preempted,
                "stolen_ns": core.stolen_ns,
            })
        };
        let other = |other: &Other| {
            json!({
                "name": other.name,
                "process": other.process,
                "core": other.core,
                "ran_ns": other.ran_ns,
            })
        };
        json!({
            "valid": self.is_valid(),
            "wall_ns": self.wall_ns,
            "cores": self.cores.iter().map(core).collect::<Vec<_>>(),
            "others": self.others.iter().map(other).collect::<Vec<_>>(),
        })
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(host: (u64, u64), lane: (u64, u64)) -> Taken {
        let core = |core, role, (waited_ns, stolen_ns)| Core {
            core,
            role,
            waited_ns,
            preempted: 3,
            stolen_ns,
        };
        Taken {
            wall_ns: 100_000_000,
            cores: vec![core(0, "host", host), core(1, "lane", lane)],
            others: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_valid_up_to_the_threshold_on_each_of_its_cores() {
        assert!(run((0, 0), (0, 0)).is_valid());
        assert!(run((1_000_000, 0), (1_000_000, 0)).is_valid());
        assert!(!run((1_000_001, 0), (0, 0)).is_valid());
        assert!(!run((0, 0), (1_000_001, 0)).is_valid());
        // What waits and what is stolen add up.
        assert!(!run((0, 0), (600_000, 600_000)).is_valid());
        assert!(!run((0, 1_000_001), (0, 0)).is_valid());
        // However often a core was taken: for how long is what counts.
        assert_eq!(run((900_000, 0), (0, 0)).why(), None);
        assert!(Taken::default().is_valid());
    }

    #[test]
    fn what_took_the_core_is_named() {
        let mut taken = run((0, 0), (47_000_000, 0));
        let other = |name: &str, core| Other {
            name: name.to_owned(),
            process: 7,
            core,
            ran_ns: 46_000_000,
        };
        taken.others = vec![other("elsewhere", 0), other("rustc", 1)];
        let why = taken.why().unwrap();
        for part in ["lane's core 1", "47.0 %", "3 times", "rustc (7) 46.0 ms"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("host") && !why.contains("elsewhere"), "{why}");
        let json = taken.to_json();
        assert_eq!(json["valid"], false);
        assert_eq!(json["cores"][1]["share"], 0.47);
    }
}
