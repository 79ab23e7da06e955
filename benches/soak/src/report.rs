//! The table as it grows, the report in Markdown, and the JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use signal_soak::cases::{Case, ROOT};
use signal_soak::memory::{CASE_KIB, Flatness, HEAP_KIB, TREND_KIB};
use signal_soak::round::Round;

/// The whole run.
pub struct Run<'a> {
    /// All cases.
    pub cases: &'a [Case],
    /// All rounds.
    pub rounds: &'a [Round],
    /// What memory did.
    pub flatness: &'a Flatness,
    /// What did not hold, with its round.
    pub wrong: &'a [String],
    /// Facts of machine and build.
    pub facts: Value,
    /// The library's version.
    pub version: String,
    /// Seed of the run.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// Length of a round.
    pub round: Duration,
}

/// Below this share of the rate wanted, a round is marked.
const REACHED: f64 = 0.95;

const COLUMNS: [&str; 17] = [
    "round",
    "configuration",
    "events/s wanted",
    "reached",
    "events",
    "stalls, longest ms",
    "refused",
    "dropped events",
    "signals",
    "delivered",
    "dropped signals",
    "conflated",
    "health",
    "tick to callback p50 / p99 / p99.9 / max, us",
    "RSS MiB, handle alive / destroyed",
    "heap KiB",
    "threads, descriptors",
];

fn row(number: usize, case: &Case, round: &Round) -> [String; 17] {
    let counters = &round.counters;
    let by_name = |beginning: &str| {
        let some = counters
            .iter()
            .filter(|(name, count)| name.starts_with(beginning) && *count > 0);
        let all: Vec<String> = some
            .map(|(name, count)| {
                let name = name.trim_start_matches(beginning).replace('_', " ");
                format!("{name} {count}")
            })
            .collect();
        if all.is_empty() {
            "-".to_owned()
        } else {
            all.join(", ")
        }
    };
    let mark = if round.rate < REACHED * f64::from(case.rate) {
        " (missed)"
    } else {
        ""
    };
    let latency = round.latency.map_or("-".to_owned(), |ns| {
        ns.map(|ns| format!("{:.1}", ns as f64 / 1e3)).join(" / ")
    });
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    [
        number.to_string(),
        case.name.to_owned(),
        case.rate.to_string(),
        format!("{:.0}{mark}", round.rate),
        round.given.events().to_string(),
        format!("{}, {}", round.stalls.0, round.stalls.1),
        by_name("refused_"),
        counters.dropped_events().to_string(),
        counters.get("signals").to_string(),
        counters.get("delivered").to_string(),
        counters.sum("dropped_egress_").to_string(),
        counters.sum("conflated_egress").to_string(),
        round.health.to_owned(),
        latency,
        format!(
            "{} / {}",
            mib(round.full.resident_kib),
            mib(round.after.resident_kib)
        ),
        round.after.heap_kib.to_string(),
        format!("{}, {}", round.full.threads, round.full.descriptors),
    ]
}

/// One line a round on the terminal.
pub fn line(number: usize, case: &Case, round: &Round) -> String {
    let [
        number,
        name,
        _,
        reached,
        events,
        _,
        _,
        dropped,
        _,
        delivered,
        lost,
        conflated,
        health,
        latency,
        rss,
        heap,
        _,
    ] = row(number, case, round);
    format!(
        "{number:>4} {name:<42} events {events:>9}, a second {reached:>7}, dropped {dropped:>7}; signals delivered {delivered:>9}, \
         dropped {lost:>7}, conflated {conflated:>7}; {health}; {latency} us; {rss} MiB, heap {heap} KiB"
    )
}

/// Sums over all rounds, by name.
fn totals(rounds: &[Round]) -> Vec<(&'static str, u64)> {
    let Some(first) = rounds.first() else {
        return Vec::new();
    };
    let sum = |name| rounds.iter().map(|round| round.counters.get(name)).sum();
    first
        .counters
        .iter()
        .map(|(name, _)| (name, sum(name)))
        .collect()
}

/// What is said at the end, also on the terminal.
pub fn verdict(run: &Run<'_>) -> String {
    let mut text = String::new();
    let flat = run.flatness;
    let _ = match flat.rounds {
        0 => writeln!(text, "memory: too few rounds after the warm-up to judge"),
        rounds => writeln!(
            text,
            "memory over {rounds} rounds after the warm-up: heap after destroy within {} KiB (at most {HEAP_KIB}), \
             trend of the resident memory {:+.0} KiB (at most {TREND_KIB:.0}), \
             most growth of a configuration {} KiB (at most {CASE_KIB})",
            flat.heap_kib,
            flat.trend_kib,
            if flat.case_kib.1.is_empty() {
                "-".to_owned()
            } else {
                format!("{:+}, '{}'", flat.case_kib.0, flat.case_kib.1)
            }
        ),
    };
    let missed = run
        .rounds
        .iter()
        .filter(|round| round.rate < REACHED * f64::from(run.cases[round.case].rate))
        .count();
    let _ = writeln!(
        text,
        "{missed} of {} rounds missed their rate by more than 5 %",
        run.rounds.len()
    );
    for wrong in run.wrong {
        let _ = writeln!(text, "FAILED: {wrong}");
    }
    if run.wrong.is_empty() {
        let _ = writeln!(text, "every check held");
    }
    text
}

/// The report.
pub fn markdown(run: &Run<'_>) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Soak report\n\n{}\n\n| | |\n|---|---|\n| library | {} |\n| seed | {} |\n| took | {:.0} s, {} rounds of {:.1} s |",
        verdict(run).trim_end().replace('\n', "\n\n"),
        run.version,
        run.seed,
        run.took.as_secs_f64(),
        run.rounds.len(),
        run.round.as_secs_f64(),
    );
    for (name, value) in run.facts.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        let _ = writeln!(text, "| {} | {value} |", name.replace('_', " "));
    }
    let _ = writeln!(text, "\n## Totals\n\n| counter | sum |\n|---|---|");
    for (name, count) in totals(run.rounds)
        .into_iter()
        .filter(|&(_, count)| count > 0)
    {
        let _ = writeln!(text, "| `{name}` | {count} |");
    }
    let _ = writeln!(text, "\n## Rounds\n\n| {} |", COLUMNS.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(COLUMNS.len()));
    for (number, round) in run.rounds.iter().enumerate() {
        let cells = row(number + 1, &run.cases[round.case], round);
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(
        text,
        "\n## Configurations\n\n| name | instruments | configuration |\n|---|---|---|"
    );
    let root = format!("{ROOT}/");
    for case in run.cases {
        let config = case.config.to_string().replace(&root, "");
        let _ = writeln!(
            text,
            "| {} | {} | `{config}` |",
            case.name, case.instruments
        );
    }
    text
}

/// Everything, for other programs.
pub fn to_json(run: &Run<'_>) -> Value {
    let named = |counts: Vec<(&'static str, u64)>| {
        let counts = counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), json!(count)));
        Value::Object(counts.collect::<Map<_, _>>())
    };
    let rounds: Vec<Value> = run
        .rounds
        .iter()
        .map(|round| {
            let case = &run.cases[round.case];
            json!({
                "configuration": case.name,
                "rate_wanted": case.rate,
                "rate": round.rate,
                "health": round.health,
                "stalls": round.stalls.0,
                "longest_stall_ms": round.stalls.1,
                "counters": named(round.counters.iter().collect()),
                "tick_to_callback_ns": round.latency,
                "before_destroy": round.full.to_json(),
                "after_destroy": round.after.to_json(),
                "wrong": round.wrong,
            })
        })
        .collect();
    json!({
        "bench": "soak",
        "library_version": run.version,
        "seed": run.seed,
        "seconds": run.took.as_secs_f64(),
        "round_seconds": run.round.as_secs_f64(),
        "machine": run.facts,
        "memory": {
            "rounds": run.flatness.rounds,
            "heap_kib": run.flatness.heap_kib,
            "trend_kib": run.flatness.trend_kib,
        },
        "totals": named(totals(run.rounds)),
        "rounds": rounds,
        "wrong": run.wrong,
        "held": run.wrong.is_empty(),
    })
}
