//! The books: every event and every signal ends somewhere, once.
//!
//! Counters are read by name, so that new ones find their place by their names'
//! beginning; one that has no place is an error.

use crate::cases::Case;
use crate::feed::Given;

/// Counters by name, as `signal_stats` gives them. In place, so that a run's rounds
/// take no memory that its own checks would see.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    named: [(&'static str, u64); MOST],
    count: usize,
}

/// More than the library has.
const MOST: usize = 64;

/// Refused, but no event: not among the events given.
const NO_EVENTS: [&str; 3] = [
    "refused_null_data",
    "refused_unknown_type",
    "refused_concurrent",
];
/// Where an event that went all the way ends.
const EVENT_ENDS: [&str; 2] = ["updates", "answered"];
/// Counters in which no message ends.
const OTHERS: [&str; 25] = [
    "events_depth",
    "events_ticker",
    "events_trade",
    "events_index_price",
    "ingest_gap",
    "triggered",
    "predicted",
    "signals",
    "egress_gap",
    "ring_waits",
    "in_flight",
    "panics",
    "model_vectors_missed",
    "capture_written",
    "capture_missed",
    "capture_failed",
    "lost_stage_parts",
    "failed",
    "index_copies",
    "index_copies_ended",
    "latency_beyond",
    "report_ended",
    "deliver_late",
    "rehearsals",
    "stood_in",
];
/// These may go down.
const LEVELS: [&str; 2] = ["in_flight", "queued"];

impl Counters {
    /// From what `signal_stats` gave.
    pub fn new(all: &[(&'static str, u64)]) -> Self {
        let mut named = [("", 0); MOST];
        named[..all.len()].copy_from_slice(all);
        Self {
            named,
            count: all.len(),
        }
    }

    /// A counter; 0 for one that the library does not have.
    pub fn get(&self, name: &str) -> u64 {
        let mut found = self.iter().filter(|&(known, _)| known == name);
        found.next().map_or(0, |(_, count)| count)
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.named[..self.count].iter().copied()
    }

    /// The sum of the counters whose names begin so.
    pub fn sum(&self, beginning: &str) -> u64 {
        let counts = self.iter().filter(|(name, _)| name.starts_with(beginning));
        counts.map(|(_, count)| count).sum()
    }

    /// Events of a known type that were refused.
    pub fn refused(&self) -> u64 {
        self.sum("refused_") - NO_EVENTS.iter().map(|name| self.get(name)).sum::<u64>()
    }

    /// Events that were dropped on their way.
    pub fn dropped_events(&self) -> u64 {
        self.sum("dropped_ingest_") + self.sum("dropped_stage_")
    }

    /// Signals that will never be delivered.
    pub fn lost_signals(&self) -> u64 {
        self.sum("dropped_egress_") + self.sum("conflated_egress")
    }

    /// Events that have ended.
    fn ended(&self) -> u64 {
        let through: u64 = EVENT_ENDS.iter().map(|name| self.get(name)).sum();
        self.refused() + self.dropped_events() + through
    }

    /// Whether nothing is under way: what remains is to compare sums.
    pub fn at_rest(&self) -> bool {
        let arrived = self.get("delivered") + self.lost_signals();
        self.get("in_flight") == 0 && self.get("queued") == 0 && arrived >= self.get("signals")
    }

    /// Whether the capture's writer has dealt with every event that ingest took.
    pub fn captured(&self) -> bool {
        self.sum("capture_") == self.taken()
    }

    /// Events that ingest took, at rest: what went all the way, and what met a
    /// quarantine.
    fn taken(&self) -> u64 {
        let through: u64 = EVENT_ENDS.iter().map(|name| self.get(name)).sum();
        through + self.get("refused_quarantined")
    }

    /// What is below an earlier reading though it only ever counts up.
    pub fn gone_back(&self, earlier: &Counters) -> Vec<String> {
        let both = self.iter().zip(earlier.iter());
        both.filter(|((name, now), (_, then))| now < then && !LEVELS.contains(name))
            .map(|((name, now), (_, then))| format!("{name} went back from {then} to {now}"))
            .collect()
    }
}

/// Compares the books with what the host gave and got. The handle is at rest, and
/// its last event was a good one whose signals were delivered, so that every gap in
/// the numbers has been seen.
pub fn check(case: &Case, counters: &Counters, given: &Given, received: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut equal = |what: &str, left: u64, right: u64| {
        if left != right {
            wrong.push(format!("{what}: {left} is not {right}"));
        }
    };
    let get = |name: &str| counters.get(name);
    for (name, count) in [
        "events_depth",
        "events_ticker",
        "events_trade",
        "events_index_price",
    ]
    .into_iter()
    .zip(given.kinds)
    {
        equal(&format!("{name} = given"), get(name), count);
    }
    let null = given.null_data;
    equal("refused_null_data = given", get("refused_null_data"), null);
    let unknown = given.unknown_type;
    equal(
        "refused_unknown_type = given",
        get("refused_unknown_type"),
        unknown,
    );
    equal("events = their endings", given.events(), counters.ended());
    equal("in_flight at rest = 0", get("in_flight"), 0);
    equal(
        "index_copies = ended ones",
        get("index_copies"),
        get("index_copies_ended"),
    );
    let ends = get("delivered") + counters.lost_signals() + get("queued");
    equal(
        "signals = delivered + dropped + conflated + queued",
        get("signals"),
        ends,
    );
    equal("delivered = callbacks made", get("delivered"), received);
    equal(
        "egress_gap = dropped + conflated",
        get("egress_gap"),
        counters.lost_signals(),
    );
    equal(
        "ingest_gap = dropped on the way to ingest",
        get("ingest_gap"),
        counters.sum("dropped_ingest_"),
    );
    equal(
        "signals + missed by lanes of models = triggered x signals a vector",
        get("signals") + get("model_vectors_missed"),
        get("triggered") * case.signals,
    );
    if case.one_vector {
        equal("answered = triggered", get("answered"), get("triggered"));
    }
    let captured = if case.capture { counters.taken() } else { 0 };
    equal(
        "captured + missed + failed = taken by ingest",
        counters.sum("capture_"),
        captured,
    );
    equal("capture_failed = 0", get("capture_failed"), 0);
    equal("report_ended = 0", get("report_ended"), 0);
    for (name, bad) in [
        ("refused_bad_symbol", given.bad_symbol),
        ("refused_bad_price", given.bad_price),
        ("refused_bad_size", given.bad_size),
    ] {
        // What was dropped on the way was refused by nobody.
        let (least, count) = (bad.saturating_sub(counters.dropped_events()), get(name));
        if !(least..=bad).contains(&count) {
            wrong.push(format!("{name}: {count} of {bad} given, at least {least}"));
        }
    }
    let filters = !case.config["assets"].is_null();
    if (counters.get("refused_not_an_asset") > 0) != filters {
        wrong.push(format!(
            "refused_not_an_asset: {}",
            get("refused_not_an_asset")
        ));
    }
    if get("delivered") == 0 || get("refused_failed") > 0 {
        wrong.push("events in, nothing out".to_owned());
    }
    for (name, _) in counters.iter() {
        let beginnings = [
            "refused_",
            "dropped_ingest_",
            "dropped_stage_",
            "dropped_egress_",
            "conflated_egress",
            "high_water",
        ];
        let known = [&EVENT_ENDS[..], &OTHERS, &["delivered", "queued"]];
        if !known.iter().any(|names| names.contains(&name))
            && !beginnings
                .iter()
                .any(|beginning| name.starts_with(beginning))
        {
            wrong.push(format!("{name} has no place in the books"));
        }
    }
    wrong
}
