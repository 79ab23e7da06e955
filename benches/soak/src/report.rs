//! What a run says: a line a round, the verdict, the report in Markdown, and the JSON.

use std::time::Duration;

use serde_json::{Value, json};
use signal_bench::machine::{self, Cores};
use signal_bench::report::Table;

use crate::accounts::{Counters, DROPPED_EVENTS, LOST_SIGNALS};
use crate::cases::{Case, ROOT};
use crate::memory::{CASE_KIB, Flatness, HEAP_KIB, TREND_KIB};
use crate::round::Round;

/// The whole run.
pub struct Run {
    pub cases: Vec<Case>,
    pub rounds: Vec<Round>,
    pub flatness: Flatness,
    /// What did not hold, with its round.
    pub wrong: Vec<String>,
    /// What the machine says about itself.
    pub facts: Value,
    pub version: String,
    pub seed: u64,
    pub took: Duration,
    /// Of a round.
    pub length: Duration,
}

/// What the machine says about itself. Nothing is pinned here but the lanes, and those as
/// each configuration says.
pub fn facts() -> Value {
    let mut facts = machine::facts(&Cores {
        host: machine::allowed().last().copied().unwrap_or(0),
        lanes: Vec::new(),
    });
    let known = [
        "cpu",
        "hypervisor",
        "kernel",
        "allowed_cores",
        "isolated_cores",
        "load_average",
    ];
    if let Some(facts) = facts.as_object_mut() {
        facts.retain(|name, _| known.contains(&name.as_str()));
    }
    facts
}

/// Whether the round reached so little of its rate that it is marked.
fn missed(case: &Case, round: &Round) -> bool {
    round.rate < 0.95 * f64::from(case.rate)
}

/// Times from tick to callback.
fn latency(round: &Round) -> String {
    let us = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
    let all = round.latency.map(|ns| ns.map(us).join(" / "));
    all.unwrap_or("-".to_owned())
}

/// A round's columns with their cells.
fn cells(number: usize, case: &Case, round: &Round) -> [(&'static str, String); 17] {
    let counters = &round.counters;
    let refused = counters.iter().filter_map(|(name, count)| {
        let reason = name.strip_prefix("refused_").filter(|_| count > 0)?;
        Some(format!("{} {count}", reason.replace('_', " ")))
    });
    let refused = Some(refused.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty());
    let mark = if missed(case, round) { " (missed)" } else { "" };
    let stalls = format!("{}, {}", round.stalls.0, round.stalls.1);
    let [full, after] = [round.full, round.after].map(|of| of.resident_kib as f64 / 1024.0);
    let held = format!("{}, {}", round.full.threads, round.full.descriptors);
    [
        ("round", number.to_string()),
        ("configuration", case.name.to_owned()),
        ("events/s wanted", case.rate.to_string()),
        ("reached", format!("{:.0}{mark}", round.rate)),
        ("events", counters.sum("events_*").to_string()),
        ("stalls, longest ms", stalls),
        ("refused", refused.unwrap_or("-".to_owned())),
        ("dropped events", counters.sum(DROPPED_EVENTS).to_string()),
        ("signals", counters.sum("signals").to_string()),
        ("delivered", counters.sum("delivered").to_string()),
        (
            "dropped signals",
            counters.sum("dropped_egress_*").to_string(),
        ),
        ("conflated", counters.sum("conflated_egress*").to_string()),
        ("health", round.health.to_owned()),
        (
            "tick to callback p50 / p99 / p99.9 / max, us",
            latency(round),
        ),
        (
            "RSS MiB, handle alive / destroyed",
            format!("{full:.1} / {after:.1}"),
        ),
        ("heap KiB", round.after.heap_kib.to_string()),
        ("threads, descriptors", held),
    ]
}

/// One line a round on the terminal.
pub fn line(number: usize, case: &Case, round: &Round) -> String {
    let counters = &round.counters;
    let latency = latency(round);
    format!(
        "{number:>4} {:<42} events {:>9}, a second {:>7.0}; signals delivered {:>9}, lost {:>7}; {}; {latency} us; \
         heap {} KiB",
        case.name,
        counters.sum("events_*"),
        round.rate,
        counters.sum("delivered"),
        counters.sum(LOST_SIGNALS),
        round.health,
        round.after.heap_kib,
    )
}

impl Run {
    /// What is said at the end, also on the terminal.
    pub fn verdict(&self) -> String {
        let flat = &self.flatness;
        let case = flat
            .case_kib
            .map(|(growth, name)| format!("{growth:+}, '{name}'"));
        let mut text = match flat.rounds {
            0 => "memory: too few rounds after the warm-up to judge\n".to_owned(),
            rounds => format!(
                "memory over {rounds} rounds after the warm-up: heap after destroy within {} KiB (at most {HEAP_KIB}), \
                 trend of the resident memory {:+.0} KiB (at most {TREND_KIB:.0}), \
                 most growth of a configuration {} KiB (at most {CASE_KIB})\n",
                flat.heap_kib,
                flat.trend_kib,
                case.unwrap_or("-".to_owned())
            ),
        };
        let rounds = self.rounds.iter();
        let missed = rounds.filter(|round| missed(&self.cases[round.case], round));
        text += &format!(
            "{} of {} rounds missed their rate by more than 5 %\n",
            missed.count(),
            self.rounds.len()
        );
        for wrong in &self.wrong {
            text += &format!("FAILED: {wrong}\n");
        }
        if self.wrong.is_empty() {
            text += "every check held\n";
        }
        text
    }

    /// Sums over all rounds.
    fn totals(&self) -> Counters {
        let sum = |name| {
            self.rounds
                .iter()
                .map(|round| round.counters.sum(name))
                .sum()
        };
        let names = self.rounds.first().map(|round| round.counters);
        let names = names.iter().flat_map(Counters::iter);
        Counters::new(&names.map(|(name, _)| (name, sum(name))).collect::<Vec<_>>())
    }

    /// The report.
    pub fn markdown(&self) -> String {
        let mut about = Table::new("", [""]);
        about.row("library", [self.version.clone()]);
        about.row("seed", [self.seed.to_string()]);
        let (took, length) = (self.took.as_secs_f64(), self.length.as_secs_f64());
        let rounds = self.rounds.len();
        about.row(
            "took",
            [format!("{took:.0} s, {rounds} rounds of {length:.1} s")],
        );
        for (name, value) in self.facts.as_object().into_iter().flatten() {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            about.row(&name.replace('_', " "), [value]);
        }
        let mut totals = Table::new("counter", ["sum"]);
        for (name, count) in self.totals().iter().filter(|&(_, count)| count > 0) {
            totals.row(&format!("`{name}`"), [count.to_string()]);
        }
        let mut rounds = Table::new("", []);
        for (number, round) in self.rounds.iter().enumerate() {
            let cells = cells(number + 1, &self.cases[round.case], round);
            rounds.columns = cells.iter().map(|(name, _)| (*name).to_owned()).collect();
            rounds.rows.push(cells.map(|(_, cell)| cell).into());
        }
        let mut cases = Table::new("name", ["instruments", "configuration"]);
        for case in &self.cases {
            let config = case.config.to_string().replace(&format!("{ROOT}/"), "");
            cases.row(
                case.name,
                [case.instruments.to_string(), format!("`{config}`")],
            );
        }
        let mut text = "# Soak report\n".to_owned();
        for line in self.verdict().lines() {
            text += &format!("\n{line}\n");
        }
        text += &format!("\n{}", about.markdown());
        for (title, table) in [
            ("Totals", totals),
            ("Rounds", rounds),
            ("Configurations", cases),
        ] {
            text += &format!("\n## {title}\n\n{}", table.markdown());
        }
        text
    }

    /// Everything, for other programs.
    pub fn to_json(&self) -> Value {
        let round = |round: &Round| {
            let case = &self.cases[round.case];
            json!({
                "configuration": case.name,
                "rate_wanted": case.rate,
                "rate": round.rate,
                "health": round.health,
                "stalls": round.stalls.0,
                "longest_stall_ms": round.stalls.1,
                "counters": round.counters,
                "tick_to_callback_ns": round.latency,
                "before_destroy": round.full,
                "after_destroy": round.after,
                "wrong": round.wrong,
            })
        };
        json!({
            "bench": "soak",
            "library_version": self.version,
            "seed": self.seed,
            "seconds": self.took.as_secs_f64(),
            "round_seconds": self.length.as_secs_f64(),
            "machine": self.facts,
            "memory": {
                "rounds": self.flatness.rounds,
                "heap_kib": self.flatness.heap_kib,
                "trend_kib": self.flatness.trend_kib,
            },
            "totals": self.totals(),
            "rounds": self.rounds.iter().map(round).collect::<Vec<_>>(),
            "wrong": self.wrong,
            "held": self.wrong.is_empty(),
        })
    }
}
