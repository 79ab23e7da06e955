//! The engine's state in a word, its lanes and its rings.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::config;
use crate::pipeline::control::Control;
use crate::pipeline::plan::LanePlan;
use crate::stages::Assets;
use crate::sync::ring::Gauge;
use crate::telemetry::counters::{Counter, Counters, Snapshot};
use crate::telemetry::heartbeat::Vitals;

/// The engine's state in a word. Where several hold, the one further down the
/// list is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// Events go in, signals come out.
    Ok,
    /// A factor set's instrument or a model has been put in quarantine.
    Quarantined,
    /// Events in, nothing out: `health.silent_events` events have come since
    /// the last signal that the host took.
    Silent,
    /// Events or signals were dropped or conflated, or lanes waited for room,
    /// since the last look; or signals wait for room now.
    Overloaded,
    /// A lane has not come round for `health.stall_us`.
    Stalled,
    /// A lane could not go on: events are counted and refused.
    Failed,
}

impl HealthState {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            HealthState::Ok => "ok",
            HealthState::Quarantined => "quarantined",
            HealthState::Silent => "silent",
            HealthState::Overloaded => "overloaded",
            HealthState::Stalled => "stalled",
            HealthState::Failed => "failed",
        }
    }
}

/// What a look at the engine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// What it is concluded from, nothing for [`HealthState::Ok`]; behind that what a
    /// person should know in any state: instruments of one name, assets that have not
    /// occurred.
    pub why: String,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

/// A lane and how it comes round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    /// The lane's stages, its core and what it does when idle, as in
    /// `ingest..egress@1(spin)`.
    pub name: String,
    /// The core that it is pinned to.
    pub core: usize,
    /// The heartbeat's sequence.
    pub beats: u64,
    /// The longest duty cycle, ns, without time given away on purpose or spent
    /// waiting for room.
    pub longest_duty_ns: u64,
    /// Duty cycles longer than `health.stall_us`.
    pub stalls: u64,
    /// Time since the last beat, ns.
    pub silence_ns: u64,
}

/// A ring and how full it has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingReport {
    /// `ingest` and `egress`, as in the configuration; `stage.NAME` for the ring
    /// between lanes that leads to a stage, with a number behind it where there
    /// are several: of the lane that it comes from, or of the shard.
    pub name: String,
    /// Messages that it can hold.
    pub capacity: usize,
    /// Most messages that have waited in it at once.
    pub high_water: usize,
}

/// What is looked at while the engine runs, and what the last look found.
pub(crate) struct Monitor {
    config: config::Health,
    counters: Vec<Arc<Counters>>,
    control: Arc<Control>,
    lanes: Vec<(LanePlan, Vitals)>,
    rings: Vec<(String, Gauge)>,
    assets: Assets,
    last: Mutex<Look>,
}

#[derive(Clone, Copy, Default)]
struct Look {
    lost: u64,
    delivered: u64,
    waited_ns: u64,
    /// Events that had come when the last new signal was seen.
    events_at_signal: u64,
}

impl Monitor {
    pub(crate) fn new(
        config: config::Health,
        counters: Vec<Arc<Counters>>,
        control: Arc<Control>,
        lanes: Vec<(LanePlan, Vitals)>,
        rings: Vec<(String, Gauge)>,
        assets: Assets,
    ) -> Self {
        Self {
            config,
            counters,
            control,
            lanes,
            rings,
            assets,
            last: Mutex::default(),
        }
    }

    pub(crate) fn counters(&self) -> Snapshot {
        Snapshot::of(&self.counters)
    }

    /// Whether a lane could not go on.
    pub(crate) fn has_failed(&self) -> bool {
        self.control.has_failed()
    }

    /// What has been put in quarantine and why, a line each.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = String> + '_ {
        let texts = (0..).map_while(|place| self.control.incident(place));
        texts.map(|text| text.to_string_lossy().into_owned())
    }

    /// What a person should know, although all goes on.
    pub(crate) fn notes(&self) -> Vec<String> {
        let (notes, more) = self.control.notes();
        let mut notes: Vec<_> = notes.map(str::to_owned).collect();
        if more > 0 {
            notes.push(format!("{more} more such notes"));
        }
        notes.extend(self.missing_assets());
        notes
    }

    /// Which assets have not occurred in the events that came, if there were any.
    pub(crate) fn missing_assets(&self) -> Option<String> {
        const NAMED: usize = 16;
        let events = self.counters().events();
        let mut missing = self.assets.missing();
        let named: Vec<_> = missing.by_ref().take(NAMED).collect();
        if named.is_empty() || events == 0 {
            return None;
        }
        let more = match missing.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = named.join(", ");
        Some(format!(
            "assets: no event came of {named}{more}, in {events} events; expected symbols of the host, in either \
             spelling (btc_usdt or BTCUSDT), or names of symbols.map"
        ))
    }

    pub(crate) fn lanes(&self) -> Vec<LaneReport> {
        let report = |(plan, vitals): &(LanePlan, Vitals)| LaneReport {
            name: plan.to_string(),
            core: plan.core,
            beats: vitals.beats(),
            longest_duty_ns: vitals.longest_ns(),
            stalls: vitals.stalls(),
            silence_ns: vitals.silence_ns(),
        };
        self.lanes.iter().map(report).collect()
    }

    pub(crate) fn rings(&self) -> Vec<RingReport> {
        let report = |(name, gauge): &(String, Gauge)| RingReport {
            name: name.clone(),
            capacity: gauge.capacity(),
            high_water: gauge.high_water(),
        };
        self.rings.iter().map(report).collect()
    }

    pub(crate) fn health(&self) -> Health {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, why) = self.look(&mut last, &self.counters());
        let texts = std::iter::once(why).chain(self.notes());
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        Health {
            state,
            why: texts.join("; "),
        }
    }

    fn look(&self, last: &mut Look, counters: &Snapshot) -> (HealthState, String) {
        let before = *last;
        let delivered = counters.get(Counter::Delivered);
        let lost = counters.lost();
        if delivered != before.delivered {
            last.events_at_signal = counters.events();
        }
        let waited_ns = self
            .lanes
            .iter()
            .map(|(_, vitals)| vitals.waited_ns())
            .sum();
        (last.lost, last.delivered, last.waited_ns) = (lost, delivered, waited_ns);

        if self.control.has_failed() {
            let why = self.control.failure().unwrap_or("no reason is known");
            return (HealthState::Failed, why.to_owned());
        }
        let stall_ns = self.config.stall_us.saturating_mul(1000);
        // Those before the last one that stands still may only wait for it.
        for lane in self.lanes().iter().rev() {
            if lane.silence_ns > stall_ns {
                let why = format!(
                    "lane {} has not come round for {} us",
                    lane.name,
                    lane.silence_ns / 1000
                );
                return (HealthState::Stalled, why);
            }
        }
        let held = counters.get(Counter::Held);
        let newly_waited_us = (waited_ns - before.waited_ns) / 1000;
        if lost > before.lost || held > 0 || newly_waited_us > 0 {
            let why = format!(
                "since the last look {} messages were dropped or conflated and lanes waited {newly_waited_us} us for room; \
                 {held} signals wait for room",
                lost - before.lost
            );
            return (HealthState::Overloaded, why);
        }
        let silent = counters.events() - last.events_at_signal;
        if silent >= self.config.silent_events {
            let why = format!("{silent} events in, nothing out: {}", whereabouts(counters));
            return (HealthState::Silent, why);
        }
        if counters.get(Counter::Panics) > 0 {
            let why = self.incidents().next();
            return (HealthState::Quarantined, why.unwrap_or_default());
        }
        (HealthState::Ok, String::new())
    }
}

/// Where most events or their signals have ended.
fn whereabouts(counters: &Snapshot) -> String {
    let queued = counters.queued();
    if queued > 0 {
        return format!("{queued} signals wait to be polled");
    }
    let ends = counters
        .iter()
        .filter(|(name, _)| name.starts_with("refused") || *name == "updates");
    match ends.max_by_key(|(_, count)| *count) {
        Some((name, count)) if count > 0 => format!("most ended as {name} ({count})"),
        _ => "they are on their way".to_owned(),
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}
