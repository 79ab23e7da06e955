//! The books: every event and every signal ends somewhere, once.
//!
//! Counters are read by name, so that new ones find their place by their names'
//! beginning; one that has no place is an error.

use serde::{Serialize, Serializer};

use crate::cases::Case;

/// Counters by name, as `signal_stats` gives them. In place, so that a run's rounds
/// take no memory that its own checks would see.
#[derive(Clone, Copy, Debug, PartialEq)]
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
/// Counters that are summed up by their names' beginnings.
const SUMS: [&str; 7] = [
    "events_",
    "refused_",
    "dropped_ingest_",
    "dropped_stage_",
    "dropped_egress_",
    "conflated_egress",
    "capture_",
];
/// All others.
const OTHERS: [&str; 21] = [
    "updates",
    "answered",
    "delivered",
    "queued",
    "ingest_gap",
    "triggered",
    "predicted",
    "signals",
    "egress_gap",
    "ring_waits",
    "in_flight",
    "panics",
    "model_vectors_missed",
    "lost_stage_parts",
    "failed",
    "index_copies",
    "index_copies_ended",
    "latency_beyond",
    "report_ended",
    "deliver_late",
    "rehearsals",
];
/// These may go down.
const LEVELS: [&str; 2] = ["in_flight", "queued"];

impl Counters {
    pub fn new(all: &[(&'static str, u64)]) -> Self {
        let mut named = [("", 0); MOST];
        named[..all.len()].copy_from_slice(all);
        let count = all.len();
        Self { named, count }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.named[..self.count].iter().copied()
    }

    /// A counter; 0 for one that the library does not have.
    pub fn get(&self, name: &str) -> u64 {
        let mut found = self.iter().filter(|&(known, _)| known == name);
        found.next().map_or(0, |(_, count)| count)
    }

    /// Adds one to a counter that is there.
    pub fn add(&mut self, name: &str) {
        let counter = self.named.iter_mut().find(|(known, _)| *known == name);
        counter.expect(name).1 += 1;
    }

    /// The sum of the counters whose names begin so.
    pub fn sum(&self, beginning: &str) -> u64 {
        let counts = self.iter().filter(|(name, _)| name.starts_with(beginning));
        counts.map(|(_, count)| count).sum()
    }

    fn sum_of(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.get(name)).sum()
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
        let refused = self.sum("refused_") - self.sum_of(&NO_EVENTS);
        refused + self.dropped_events() + self.sum_of(&EVENT_ENDS)
    }

    /// Whether nothing is under way: what remains is to compare sums.
    pub fn at_rest(&self) -> bool {
        let arrived = self.get("delivered") + self.lost_signals();
        self.sum_of(&LEVELS) == 0 && arrived >= self.get("signals")
    }

    /// Whether the capture's writer has dealt with every event that ingest took.
    pub fn captured(&self) -> bool {
        self.sum("capture_") == self.taken()
    }

    /// Events that ingest took, at rest: what went all the way, and what met a
    /// quarantine.
    fn taken(&self) -> u64 {
        self.sum_of(&EVENT_ENDS) + self.get("refused_quarantined")
    }

    /// What is below an earlier reading though it only ever counts up.
    pub fn gone_back(&self, earlier: &Counters) -> Vec<String> {
        let both = self.iter().zip(earlier.iter());
        both.filter(|((name, now), (_, then))| now < then && !LEVELS.contains(name))
            .map(|((name, now), (_, then))| format!("{name} went back from {then} to {now}"))
            .collect()
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Compares the books with what the host gave, counted under the names of the library's
/// counters, and got. The handle is at rest, and its last event was a good one whose signals
/// were delivered, so that every gap in the numbers has been seen.
pub fn check(case: &Case, counters: &Counters, given: &Counters, received: u64) -> Vec<String> {
    let get = |name: &str| counters.get(name);
    let lost = counters.lost_signals();
    let vectors = get("triggered") * case.signals;
    let answered = if case.one_vector {
        get("triggered")
    } else {
        get("answered")
    };
    let captured = if case.capture { counters.taken() } else { 0 };
    let mut wrong = Vec::new();
    for (what, left, right) in [
        (
            "events = their endings",
            given.sum("events_"),
            counters.ended(),
        ),
        ("in_flight at rest = 0", get("in_flight"), 0),
        (
            "index_copies = ended ones",
            get("index_copies"),
            get("index_copies_ended"),
        ),
        (
            "signals = delivered + dropped + conflated + queued",
            get("signals"),
            get("delivered") + lost + get("queued"),
        ),
        ("delivered = callbacks made", get("delivered"), received),
        ("egress_gap = dropped + conflated", get("egress_gap"), lost),
        (
            "ingest_gap = dropped on the way to ingest",
            get("ingest_gap"),
            counters.sum("dropped_ingest_"),
        ),
        (
            "signals + missed by lanes of models = triggered x signals a vector",
            get("signals") + get("model_vectors_missed"),
            vectors,
        ),
        ("answered = triggered", get("answered"), answered),
        (
            "captured + missed + failed = taken by ingest",
            counters.sum("capture_"),
            captured,
        ),
        ("capture_failed = 0", get("capture_failed"), 0),
        ("report_ended = 0", get("report_ended"), 0),
    ] {
        if left != right {
            wrong.push(format!("{what}: {left} is not {right}"));
        }
    }
    for (name, given) in given.iter() {
        // What was dropped on the way was refused by nobody.
        let least = match name.starts_with("refused_bad_") {
            true => given.saturating_sub(counters.dropped_events()),
            false => given,
        };
        let count = get(name);
        if !(least..=given).contains(&count) {
            wrong.push(format!(
                "{name}: {count} of {given} given, at least {least}"
            ));
        }
    }
    let filters = !case.config["assets"].is_null();
    let others = get("refused_not_an_asset");
    if (others > 0) != filters {
        wrong.push(format!("refused_not_an_asset: {others}"));
    }
    if get("delivered") == 0 || get("refused_failed") > 0 {
        wrong.push("events in, nothing out".to_owned());
    }
    let has_place = |name: &str| {
        OTHERS.contains(&name) || SUMS.iter().any(|beginning| name.starts_with(beginning))
    };
    let lost = counters.iter().filter(|(name, _)| !has_place(name));
    wrong.extend(lost.map(|(name, _)| format!("{name} has no place in the books")));
    wrong
}
