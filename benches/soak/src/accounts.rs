//! The books: every event and every signal ends somewhere, once.
//!
//! Counters are read by name, and by the beginning of names: `refused_*`. One that has no
//! place here is an error.

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
const NO_EVENTS: &str = "refused_null_data refused_unknown_type refused_concurrent";
/// Where an event that went all the way ends.
const EVENT_ENDS: &str = "updates answered";
/// Where an event ends that was dropped on its way.
pub const DROPPED_EVENTS: &str = "dropped_ingest_* dropped_stage_*";
/// Where a signal ends that will never be delivered.
pub const LOST_SIGNALS: &str = "dropped_egress_* conflated_egress*";
/// Under way, so these may go down.
const LEVELS: &str = "in_flight queued";
const OTHERS: &str = "events_* refused_* capture_* signals delivered triggered predicted ingest_gap \
    egress_gap ring_waits panics model_vectors_missed lost_stage_parts failed index_copies \
    index_copies_ended latency_beyond report_ended deliver_late rehearsals stood_in lane_away \
    lane_away_ns deliver_late_begun";

/// Whether a name is one of these.
fn has(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == known,
    })
}

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

    /// Adds one to a counter that is there.
    pub fn add(&mut self, name: &str) {
        let counter = self.named.iter_mut().find(|(known, _)| *known == name);
        counter.expect(name).1 += 1;
    }

    /// The sum of all counters with these names; 0 for one that the library does not have.
    pub fn sum(&self, names: &str) -> u64 {
        let counts = self.iter().filter(|(name, _)| has(names, name));
        counts.map(|(_, count)| count).sum()
    }

    /// Events that have ended.
    fn ended(&self) -> u64 {
        let refused = self.sum("refused_*") - self.sum(NO_EVENTS);
        refused + self.sum(DROPPED_EVENTS) + self.sum(EVENT_ENDS)
    }

    /// Whether nothing is under way: what remains is to compare sums.
    pub fn at_rest(&self) -> bool {
        let arrived = self.sum("delivered") + self.sum(LOST_SIGNALS);
        self.sum(LEVELS) == 0 && arrived >= self.sum("signals")
    }

    /// Whether the capture's writer has dealt with every event that ingest took.
    pub fn captured(&self) -> bool {
        self.sum("capture_*") == self.taken()
    }

    /// Events that ingest took, at rest: what went all the way, and what met a
    /// quarantine.
    fn taken(&self) -> u64 {
        self.sum(EVENT_ENDS) + self.sum("refused_quarantined")
    }

    /// What is below an earlier reading though it only ever counts up.
    pub fn gone_back(&self, earlier: &Counters) -> Vec<String> {
        let both = self.iter().zip(earlier.iter());
        both.filter(|((name, now), (_, then))| now < then && !has(LEVELS, name))
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
    let sum = |names: &str| counters.sum(names);
    let delivered = sum("delivered");
    let ends = delivered + sum(LOST_SIGNALS) + sum("queued");
    let signals = sum("signals") + sum("model_vectors_missed");
    let vectors = sum("triggered") * case.signals;
    let captured = if case.capture { counters.taken() } else { 0 };
    let mut wrong = Vec::new();
    let mut equal = |what: &str, left: u64, right: u64| {
        if left != right {
            wrong.push(format!("{what}: {left} is not {right}"));
        }
    };
    equal(
        "events = their endings",
        given.sum("events_*"),
        counters.ended(),
    );
    equal(
        "signals = delivered + dropped + conflated + queued",
        sum("signals"),
        ends,
    );
    equal(
        "signals + missed by lanes of models = triggered x signals a vector",
        signals,
        vectors,
    );
    equal(
        "captured + missed + failed = taken by ingest",
        sum("capture_*"),
        captured,
    );
    equal("delivered = callbacks made", delivered, received);
    for none in ["in_flight", "capture_failed", "report_ended"] {
        equal(&format!("{none} = 0"), sum(none), 0);
    }
    for (left, right) in [
        ("index_copies", "index_copies_ended"),
        ("egress_gap", LOST_SIGNALS),
        ("ingest_gap", "dropped_ingest_*"),
    ] {
        equal(&format!("{left} = {right}"), sum(left), sum(right));
    }
    if case.one_vector {
        equal("answered = triggered", sum("answered"), sum("triggered"));
    }
    for (name, given) in given.iter() {
        // What was dropped on the way was refused by nobody.
        let dropped = if has("refused_bad_*", name) {
            sum(DROPPED_EVENTS)
        } else {
            0
        };
        let (least, count) = (given.saturating_sub(dropped), sum(name));
        if !(least..=given).contains(&count) {
            wrong.push(format!(
                "{name}: {count} of {given} given, at least {least}"
            ));
        }
    }
    let filters = !case.config["assets"].is_null();
    let others = sum("refused_not_an_asset");
    if (others > 0) != filters {
        wrong.push(format!("refused_not_an_asset: {others}"));
    }
    if delivered == 0 || sum("refused_failed") > 0 {
        wrong.push("events in, nothing out".to_owned());
    }
    let known = [EVENT_ENDS, DROPPED_EVENTS, LOST_SIGNALS, LEVELS, OTHERS];
    let unknown = counters
        .iter()
        .filter(|(name, _)| !known.iter().any(|names| has(names, name)));
    wrong.extend(unknown.map(|(name, _)| format!("{name} has no place in the books")));
    wrong
}
