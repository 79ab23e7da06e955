//! What is looked at while the engine runs: its health, its lanes and its rings.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::Serialize;

use super::health::{Health, HealthState};
use crate::config;
use crate::pipeline::control::Control;
use crate::pipeline::plan::LanePlan;
use crate::stages::Assets;
use crate::sync::ring::Gauge;
use crate::telemetry::counters::{Counter, Counters, Snapshot};
use crate::telemetry::heartbeat::Vitals;

/// A lane and how it comes round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    /// The lane's stages, its core and what it does when idle, as in
    /// `ingest..egress@1(spin)`.
    pub name: String,
    /// The core that it is pinned to; `None` where lanes cannot be pinned.
    pub core: Option<usize>,
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
    /// Those on the events' way first.
    counters: Vec<Arc<Counters>>,
    control: Arc<Control>,
    lanes: Vec<(LanePlan, Vitals)>,
    rings: Vec<(String, Gauge)>,
    /// How many of `counters` are on the events' way.
    on_the_way: usize,
    /// Why the latency report has ended.
    report_end: OnceLock<String>,
    assets: Assets,
    last: Mutex<Look>,
}

/// What the last look found.
struct Look {
    counters: Snapshot,
    waited_ns: u64,
    /// Events that had come when the last new signal was seen.
    events_at_signal: u64,
}

/// Refused calls that are no events.
const NO_EVENTS: [Counter; 2] = [Counter::RefusedNullData, Counter::RefusedUnknownType];

/// Refusals that are not counted as a feed gone wrong: these were asked for, or are
/// a state of their own.
const EXPECTED: [Counter; 3] = [
    Counter::RefusedNotAnAsset,
    Counter::RefusedQuarantined,
    Counter::RefusedFailed,
];

impl Monitor {
    /// `counters` are those on the events' way, `aside` those of the threads that
    /// write files.
    pub(crate) fn new(
        config: config::Health,
        mut counters: Vec<Arc<Counters>>,
        aside: impl IntoIterator<Item = Arc<Counters>>,
        control: Arc<Control>,
        lanes: Vec<(LanePlan, Vitals)>,
        rings: Vec<(String, Gauge)>,
        assets: Assets,
    ) -> Self {
        let on_the_way = counters.len();
        counters.extend(aside);
        Self {
            config,
            counters,
            control,
            lanes,
            rings,
            on_the_way,
            report_end: OnceLock::new(),
            assets,
            last: Mutex::new(Look {
                counters: Snapshot::of(&[]),
                waited_ns: 0,
                events_at_signal: 0,
            }),
        }
    }

    pub(crate) fn counters(&self) -> Snapshot {
        Snapshot::of(&self.counters)
    }

    /// Only what is counted on the events' way: fewer to read.
    pub(crate) fn counters_on_the_way(&self) -> Snapshot {
        Snapshot::of(&self.counters[..self.on_the_way])
    }

    /// Has the host's thread hand its hops over at its next poll, if that finds no
    /// signal: with a signal it does so anyway.
    pub(crate) fn ask_host(&self) {
        self.control.ask_host();
    }

    /// The latency report has ended, and why. The first reason stays.
    pub(crate) fn report_has_ended(&self, why: String) {
        let _ = self.report_end.set(why);
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
        let counters = self.counters();
        let beside = self.beside(&last, &counters);
        let (state, why) = self.look(&mut last, counters);
        let (state, why) = match (state, beside.is_empty()) {
            (_, true) => (state, why),
            (HealthState::Ok, false) => (HealthState::Degraded, beside),
            (_, false) => (state, format!("{why}; besides, {beside}")),
        };
        let texts = std::iter::once(why).chain(self.notes());
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        Health {
            state,
            why: texts.join("; "),
        }
    }

    fn look(&self, last: &mut Look, counters: Snapshot) -> (HealthState, String) {
        let since = |count: fn(&Snapshot) -> u64| count(&counters) - count(&last.counters);
        let newly_lost = since(Snapshot::lost);
        let signals = counters.get(Counter::Delivered) != last.counters.get(Counter::Delivered);
        let waited_ns = self
            .lanes
            .iter()
            .map(|(_, vitals)| vitals.waited_ns())
            .sum();
        let newly_waited_us = (waited_ns - last.waited_ns) / 1000;
        if signals {
            last.events_at_signal = counters.events();
        }
        (last.counters, last.waited_ns) = (counters, waited_ns);

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
        if newly_lost > 0 || held > 0 || newly_waited_us > 0 {
            let why = format!(
                "since the last look {newly_lost} messages were dropped or conflated and lanes waited {newly_waited_us} us for room; \
                 {held} signals wait for room"
            );
            return (HealthState::Overloaded, why);
        }
        let silent = counters.events() - last.events_at_signal;
        if silent >= self.config.silent_events {
            let why = format!(
                "{silent} events in, nothing out: {}",
                whereabouts(&counters)
            );
            return (HealthState::Silent, why);
        }
        if counters.get(Counter::Panics) > 0 {
            let why = self.incidents().next();
            return (HealthState::Quarantined, why.unwrap_or_default());
        }
        (HealthState::Ok, String::new())
    }

    /// What is wrong beside the way from events to signals; empty if nothing is.
    fn beside(&self, last: &Look, counters: &Snapshot) -> String {
        let since = |counter| counters.get(counter) - last.counters.get(counter);
        let mut wrong = Vec::new();
        wrong.extend(refused(since, self.config.refused_percent));
        if counters.get(Counter::ReportEnded) > 0 {
            wrong.extend(self.report_end.get().cloned());
        }
        let failed = counters.get(Counter::CaptureFailed);
        if failed > 0 {
            wrong.push(format!(
                "the capture has ended: its file could not be written and lacks {failed} events"
            ));
        }
        let missed = since(Counter::CaptureMissed);
        if missed > 0 {
            wrong.push(format!(
                "since the last look the capture has missed {missed} events: its disk is slower than they came, \
                 or capture.buffer too small"
            ));
        }
        wrong.join("; ")
    }
}

/// Says so if this share of the events since the last look was refused.
fn refused(since: impl Fn(Counter) -> u64, percent: u64) -> Option<String> {
    let is_refused = |counter: &Counter| counter.name().starts_with("refused_");
    let reasons = Counter::ALL.iter().copied().filter(is_refused);
    let reasons = reasons.filter(|counter| !NO_EVENTS.contains(counter));
    let reasons = reasons.filter(|counter| !EXPECTED.contains(counter));
    let refused: u64 = reasons.clone().map(&since).sum();
    let taken = since(Counter::Updates) + since(Counter::Answered);
    let all = refused + taken + EXPECTED.map(&since).iter().sum::<u64>();
    if refused == 0 || u128::from(refused) * 100 < u128::from(all) * u128::from(percent) {
        return None;
    }
    let most = reasons.max_by_key(|&counter| since(counter))?;
    let cure = match most {
        Counter::RefusedTooManyInstruments => ": instruments.max is too small for this feed",
        _ => "",
    };
    Some(format!(
        "since the last look {refused} of {all} events were refused, most as {} ({}){cure}",
        most.name(),
        since(most)
    ))
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
