//! What can be observed while the engine runs: its health, its lanes and its rings.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};

use serde::Serialize;

use super::away::{self, SharedCore, Told, Windows};
use super::findings::{Beside, Cause, Findings, Missing, NamedBy};
use super::health::{Health, HealthState};
use super::late::Late;
use super::stalls::Stalls;
use super::watched::{Seen, Watched};
use crate::config;
use crate::os::files::Harm;
use crate::os::fixed_text::FixedText;
use crate::os::machine::Throttling;
use crate::pipeline::control::Control;
use crate::pipeline::plan::LanePlan;
use crate::stages::Rules;
use crate::sync::ring::Gauge;
use crate::telemetry::counters::{Counter, Counters, Snapshot};
use crate::telemetry::heartbeat::{Away, HeartbeatReader};

/// A lane, and whether it makes progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    /// The lane's stages, its core at the start and what it does when idle, as in
    /// `ingest..egress@1(spin)`.
    pub name: String,
    /// The core that it is pinned to now; `None` if it is not pinned to one: lanes could not be
    /// pinned, or it was moved since.
    pub core: Option<usize>,
    /// The heartbeat's sequence.
    pub beats: u64,
    /// The longest duty cycle, ns, without time given away on purpose or spent waiting for
    /// room.
    pub longest_duty_ns: u64,
    /// Duty cycles longer than `health.stall_us`. One in which the whole process was stopped counts
    /// as long as it took, as for `longest_duty_ns`.
    pub stalls: u64,
    /// Time since the last beat, ns.
    pub silence_ns: u64,
    /// How often a lane that spins was away from its core for 50 us or longer while it had nothing
    /// to do: something else ran there, the hypervisor of a virtual machine took the core, or the
    /// process was stopped.
    pub away: u64,
    /// How long in all, ns.
    pub away_ns: u64,
    /// How long it has kept itself warm (key `warm`) in all, ns.
    pub rehearsed_ns: u64,
}

/// A ring, and how full it has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingReport {
    /// `ingest` and `egress`, as in the configuration. `stage.NAME` for the ring between
    /// lanes that leads to a stage. If there are several, a number follows: that of the lane
    /// that it comes from, or of the shard.
    pub name: String,
    /// Messages that it can hold.
    pub capacity: usize,
    /// Most messages that have waited in it at once.
    pub high_water: usize,
}

/// What can be observed while the engine runs, and what the last look found.
pub(crate) struct Monitor {
    pub(super) config: config::Health,
    /// Those of the events' path come first.
    counters: Vec<Arc<Counters>>,
    pub(crate) control: Arc<Control>,
    pub(super) lanes: Vec<(LanePlan, HeartbeatReader)>,
    rings: Vec<(String, Gauge)>,
    /// How many of `counters` belong to the events' path.
    on_the_way: usize,
    /// Why the latency report has ended.
    pub(super) report_end: OnceLock<FixedText>,
    /// What others have done to the report's log and to the capture.
    harm: [Harm; 2],
    rules: Rules,
    pub(crate) watched: Watched,
    last: Mutex<Look>,
    /// The state that the last look found.
    found: AtomicU8,
}

/// What the last look found.
struct Look {
    counters: Snapshot,
    waited_ns: u64,
    /// Events that had arrived when the last new signal was seen.
    events_at_signal: u64,
    watched: Seen,
    away: Windows,
    stalls: Stalls,
}

impl Monitor {
    /// `counters` are those of the events' path, `aside` those of the threads that write
    /// files.
    pub(crate) fn new(
        config: config::Health,
        mut counters: Vec<Arc<Counters>>,
        aside: impl IntoIterator<Item = Arc<Counters>>,
        control: Arc<Control>,
        lanes: Vec<(LanePlan, HeartbeatReader)>,
        rings: Vec<(String, Gauge)>,
        rules: Rules,
    ) -> Self {
        let on_the_way = counters.len();
        counters.extend(aside);
        let away = Windows::new(lanes.len());
        let stalls = Stalls::new(lanes.len());
        Self {
            config,
            counters,
            control,
            lanes,
            rings,
            on_the_way,
            report_end: OnceLock::new(),
            harm: [Harm::default(), Harm::default()],
            rules,
            watched: Watched::default(),
            last: Mutex::new(Look {
                counters: Snapshot::of(&[]),
                waited_ns: 0,
                events_at_signal: 0,
                watched: Seen::default(),
                away,
                stalls,
            }),
            found: AtomicU8::new(HealthState::Ok as u8),
        }
    }

    pub(crate) fn counters(&self) -> Snapshot {
        self.counters_with(self.watched.has_lost_report())
    }

    /// [`counters`](Self::counters), where it is known whether the report's thread is lost.
    fn counters_with(&self, has_lost_report: bool) -> Snapshot {
        let mut counters = self.counted();
        if has_lost_report {
            // It could not count this itself.
            counters.set(Counter::ReportEnded, 1);
        }
        counters
    }

    /// What the threads have counted. Asks the system nothing.
    fn counted(&self) -> Snapshot {
        Snapshot::of(&self.counters)
    }

    /// Only the counters of the events' path: there are fewer to read.
    pub(crate) fn counters_on_the_way(&self) -> Snapshot {
        Snapshot::of(&self.counters[..self.on_the_way])
    }

    /// Makes the host's thread hand over its hops at its next poll, if that finds no signal.
    /// With a signal it does so anyway.
    pub(crate) fn ask_host(&self) {
        self.control.ask_host();
    }

    /// Notes that the latency report has ended, and why. The first reason stays.
    pub(crate) fn report_has_ended(&self, why: FixedText) {
        let _ = self.report_end.set(why);
    }

    /// Makes claims on cores again that were lost.
    pub(crate) fn keep_claims(&self) {
        // What cannot be had is for `health`.
        let _ = self.watched.look_at_claims();
    }

    /// Asks the kernel what it changes at any time. Only for a thread that opens files anyway; call
    /// it about once a second.
    pub(super) fn look_around(&self) {
        if let Some(held_up) = self.watched.held_up() {
            held_up.look();
        }
        self.watched.look_at_pins();
    }

    /// How CPU quotas have held this process up; `None` if there was never one.
    pub(super) fn throttling(&self) -> Option<Throttling> {
        self.watched.held_up()?.so_far()
    }

    /// What happens to the report's log. Its writer notes it.
    pub(super) fn harm_to_report(&self) -> &Harm {
        &self.harm[0]
    }

    /// What happens to the capture. Its writer notes it.
    pub(crate) fn harm_to_capture(&self) -> &Harm {
        &self.harm[1]
    }

    /// What has happened to the files that are written. Neither allocates nor waits.
    pub(super) fn each_harm(&self) -> impl Iterator<Item = &FixedText> {
        self.harm.iter().flat_map(Harm::texts)
    }

    /// Whether a lane could not continue.
    pub(crate) fn has_failed(&self) -> bool {
        self.control.has_failed()
    }

    /// What was put in quarantine and why, one line each.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let texts = (0..).map_while(|place| self.control.incident(place));
        texts.map(|text| text.to_string_lossy())
    }

    /// Calls `each` with what a person should know although everything continues. Does not
    /// allocate.
    pub(super) fn each_note(&self, each: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let (notes, more) = self.control.notes();
        for note in notes {
            each(format_args!("{note}"));
        }
        if more > 0 {
            each(format_args!("{more} more such notes"));
        }
        for missing in self.missing() {
            each(format_args!("{missing}"));
        }
    }

    /// As [`Monitor::each_note`], with what is lost, and so far came late or had to share its core:
    /// for a report that has no word for health.
    pub(super) fn each_note_and_loss(&self, each: &mut dyn FnMut(fmt::Arguments<'_>)) {
        self.each_note(each);
        if let Some(late) = Late::so_far(&self.counted()) {
            each(format_args!("the {late}"));
        }
        if let Some(shared) = away::so_far(&self.lanes) {
            let waited_ns = self.waited_ns(shared.lane());
            each(format_args!("{}", self.told(shared, waited_ns)));
        }
        self.watched.look_now().each(each);
    }

    /// What the configuration names but no event contained, one item for each of its keys. Empty
    /// if there were no events.
    pub(crate) fn missing(&self) -> impl Iterator<Item: fmt::Display> {
        let rules = &self.rules;
        let keys = [NamedBy::Assets, NamedBy::Map].into_iter();
        // Reading the counters disturbs all lanes, so only if something is missing.
        let missing = keys.filter(|key| key.missing(rules).next().is_some());
        let missing = missing.map(|key| (key, self.counted().events()));
        let missing = missing.filter(|(_, events)| *events > 0);
        missing.map(|(key, events)| Missing { key, rules, events })
    }

    /// What is told of a shared core.
    pub(super) fn told(&self, shared: SharedCore, waited_ns: Option<u64>) -> Told<'_> {
        Told {
            shared,
            lanes: &self.lanes,
            waited_ns,
        }
    }

    /// Late signals so far, if they are worth telling.
    pub(super) fn late_enough_to_tell(&self) -> Option<Late> {
        // The host's thread counts them, in the first counters. To read all disturbs all lanes.
        let late = self.counters.first()?.peek(Counter::DeliverLate);
        Late::are_worth_telling(late).then(|| Late::worth_telling(&self.counted()))?
    }

    /// Windows of time, with the memory that they need.
    pub(super) fn windows(&self) -> Windows {
        Windows::new(self.lanes.len())
    }

    /// A core that a lane had to share in the window that ends now, if one does.
    pub(super) fn shared_core(&self, windows: &mut Windows) -> Option<SharedCore> {
        windows.look_once(&self.lanes)
    }

    /// Asks the kernel how long the lanes have waited for their cores. Only for a thread that opens
    /// files anyway.
    pub(super) fn ask_for_waits(&self) {
        if let Some(waits) = self.watched.waits() {
            waits.ask();
        }
    }

    /// How long a lane had waited for its core when the kernel was last asked, ns.
    pub(super) fn waited_ns(&self, lane: usize) -> Option<u64> {
        self.watched.waits()?.last(lane)
    }

    /// How long lanes were away from their cores, so far and all together.
    pub(crate) fn away(&self) -> Away {
        let lanes = self.lanes.iter().map(|(_, heartbeat)| heartbeat.away());
        lanes.fold(Away::default(), Away::and)
    }

    pub(crate) fn lanes(&self) -> Vec<LaneReport> {
        self.watched.look_at_pins();
        let report = |(plan, core, heartbeat): (&LanePlan, Option<usize>, &HeartbeatReader)| {
            let away = heartbeat.away();
            LaneReport {
                name: plan.to_string(),
                core,
                beats: heartbeat.beats(),
                longest_duty_ns: heartbeat.longest_ns(),
                stalls: heartbeat.stalls(),
                silence_ns: heartbeat.silence_ns(),
                away: away.times,
                away_ns: away.ns,
                rehearsed_ns: heartbeat.rehearsed_ns(),
            }
        };
        self.each_lane().map(report).collect()
    }

    /// As [`Monitor::lanes`], but does not allocate, and a lane's core is that of the last look.
    pub(crate) fn each_lane(
        &self,
    ) -> impl Iterator<Item = (&LanePlan, Option<usize>, &HeartbeatReader)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.map(|(lane, (plan, heartbeat))| {
            let pins = self.watched.pins();
            (
                plan,
                pins.map_or(plan.core, |pins| pins.core(lane)),
                heartbeat,
            )
        })
    }

    /// Asks the kernel where lanes may run. Neither waits for a lock nor allocates.
    pub(crate) fn look_at_pins(&self) {
        self.watched.look_at_pins();
    }

    pub(crate) fn rings(&self) -> Vec<RingReport> {
        let report = |(name, gauge): &(String, Gauge)| RingReport {
            name: name.clone(),
            capacity: gauge.capacity(),
            high_water: gauge.high_water(),
        };
        self.rings.iter().map(report).collect()
    }

    /// As [`Monitor::rings`], but does not allocate.
    pub(crate) fn each_ring(&self) -> impl Iterator<Item = (&str, &Gauge)> {
        self.rings
            .iter()
            .map(|(name, gauge)| (name.as_str(), gauge))
    }

    /// The engine's state, and the reason for it.
    pub(crate) fn health(&self) -> Health {
        self.look().health()
    }

    /// As [`Monitor::health`], but neither allocates nor waits. If another look is in progress,
    /// perhaps one that the caller has interrupted, this returns what the previous look found.
    pub(crate) fn look(&self) -> Findings<'_> {
        let mut last = match self.last.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(last)) => last.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let state = match self.control.has_failed() {
                    true => HealthState::Failed,
                    false => HealthState::of(self.found.load(Ordering::Relaxed)),
                };
                return Findings::of_another_look(self, state);
            }
        };
        // Once for all questions: to look is to ask the system.
        let lost = self.watched.look(&mut last.watched);
        let counters = self.counters_with(lost.has_report());
        let shared = last.away.look(&self.lanes);
        let beside = Beside::new(self, &last.counters, &counters, lost);
        let (mut state, cause) = self.conclude(&mut last, &counters);
        if state == HealthState::Ok && beside.is_wrong() {
            state = HealthState::Degraded;
        }
        self.found.store(state as u8, Ordering::Relaxed);
        Findings {
            monitor: self,
            state,
            cause,
            beside,
            shared,
            counters,
        }
    }

    fn conclude(&self, last: &mut Look, counters: &Snapshot) -> (HealthState, Cause) {
        let since = |count: fn(&Snapshot) -> u64| count(counters) - count(&last.counters);
        let lost = since(Snapshot::lost);
        let signals = counters.get(Counter::Delivered) != last.counters.get(Counter::Delivered);
        let waited_ns = self
            .lanes
            .iter()
            .map(|(_, heartbeat)| heartbeat.waited_ns())
            .sum();
        let waited_us = (waited_ns - last.waited_ns) / 1000;
        if signals {
            last.events_at_signal = counters.events();
        }
        (last.counters, last.waited_ns) = (*counters, waited_ns);
        let stall = last.stalls.look(&self.lanes, self.config.stall_us);

        if self.control.has_failed() {
            return (HealthState::Failed, Cause::Failure);
        }
        if let Some(stall) = stall {
            return (HealthState::Stalled, Cause::Stall(stall));
        }
        let held = counters.get(Counter::Held);
        if lost > 0 || held > 0 || waited_us > 0 {
            let cause = Cause::Load {
                lost,
                waited_us,
                held,
            };
            return (HealthState::Overloaded, cause);
        }
        let events = counters.events() - last.events_at_signal;
        if events >= self.config.silent_events {
            return (HealthState::Silent, Cause::Silence { events });
        }
        if counters.get(Counter::Panics) > 0 {
            return (HealthState::Quarantined, Cause::Incident);
        }
        (HealthState::Ok, Cause::Nothing)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}
