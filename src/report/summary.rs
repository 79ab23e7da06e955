//! The JSON summary of a latency report.

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::latency::HopSummary;
use super::monitor::Monitor;
use crate::pipeline::plan::LanePlan;
use crate::sync::ring::Gauge;
use crate::telemetry::counters::Counter;
use crate::telemetry::heartbeat::HeartbeatReader;
use crate::telemetry::hops::MAX_NS;

/// Changes whenever a field is removed or changes its meaning.
const FORMAT: u32 = 1;

/// Refers to existing data, so writing it does not allocate.
pub(super) struct Summary<'a, H> {
    pub(super) started_unix_s: f64,
    pub(super) seconds: f64,
    pub(super) hops: H,
    pub(super) monitor: &'a Monitor,
    pub(super) facts: &'a Map<String, Value>,
}

impl<H: Iterator<Item = HopSummary> + Clone> Serialize for Summary<'_, H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", &FORMAT)?;
        map.serialize_entry("started_unix_s", &self.started_unix_s)?;
        map.serialize_entry("seconds", &self.seconds)?;
        map.serialize_entry("hops", &List(|| self.hops.clone()))?;
        // Latencies this long or longer are not distinguished.
        map.serialize_entry("latency_bound_ns", &MAX_NS)?;
        map.serialize_entry("counters", &Counts(self.monitor))?;
        // Heartbeat, longest duty cycle, stalls and absences of each lane.
        map.serialize_entry("vitals", &List(|| self.lanes()))?;
        map.serialize_entry("rings", &List(|| self.monitor.each_ring().map(Ring::new)))?;
        // How CPU quotas of control groups have held this process up since the report began.
        map.serialize_entry("throttling", &self.monitor.throttling())?;
        // What was put in quarantine and why.
        map.serialize_entry("incidents", &List(|| self.monitor.incidents()))?;
        // What a person should know although everything continued.
        map.serialize_entry("notes", &Notes(self.monitor))?;
        for (key, value) in self.facts {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<H> Summary<'_, H> {
    fn lanes(&self) -> impl Iterator<Item = Lane<'_>> {
        let lanes = self.monitor.each_lane().enumerate();
        lanes.map(|(lane, of)| Lane::new(of, self.monitor.waited_ns(lane)))
    }
}

/// The items of an iterator.
struct List<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for item in self.0() {
            list.serialize_element(&item)?;
        }
        list.end()
    }
}

/// Counters in the order of their names.
struct Counts<'a>(&'a Monitor);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counters = self.0.counters();
        let mut sorted: [Counter; Counter::ALL.len()] = std::array::from_fn(|i| Counter::ALL[i]);
        sorted.sort_unstable_by_key(|counter| counter.name());
        serializer.collect_map(sorted.map(|counter| (counter.name(), counters.get(counter))))
    }
}

#[derive(Serialize)]
struct Lane<'a> {
    #[serde(serialize_with = "as_text")]
    name: &'a LanePlan,
    core: Option<usize>,
    beats: u64,
    longest_duty_ns: u64,
    stalls: u64,
    silence_ns: u64,
    away: u64,
    away_ns: u64,
    /// When it was first away, s after its start.
    away_since_s: Option<f64>,
    /// How long it waited for its core because others ran there, by the kernel's count at the end
    /// of the last interval.
    waited_for_core_ns: Option<u64>,
    /// How long it kept itself warm.
    rehearsed_ns: u64,
}

impl<'a> Lane<'a> {
    fn new(
        (plan, core, heartbeat): (&'a LanePlan, Option<usize>, &HeartbeatReader),
        waited_for_core_ns: Option<u64>,
    ) -> Self {
        let away = heartbeat.away();
        Self {
            name: plan,
            core,
            beats: heartbeat.beats(),
            longest_duty_ns: heartbeat.longest_ns(),
            stalls: heartbeat.stalls(),
            silence_ns: heartbeat.silence_ns(),
            away: away.times,
            away_ns: away.ns,
            away_since_s: (away.times > 0).then(|| away.first_ns as f64 / 1e9),
            waited_for_core_ns,
            rehearsed_ns: heartbeat.rehearsed_ns(),
        }
    }
}

#[derive(Serialize)]
struct Ring<'a> {
    name: &'a str,
    capacity: usize,
    high_water: usize,
}

impl<'a> Ring<'a> {
    fn new((name, gauge): (&'a str, &Gauge)) -> Self {
        Self {
            name,
            capacity: gauge.capacity(),
            high_water: gauge.high_water(),
        }
    }
}

fn as_text<S: Serializer>(what: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(what)
}

struct Notes<'a>(&'a Monitor);

impl Serialize for Notes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut done = Ok(());
        let mut each = |note: fmt::Arguments<'_>| {
            if done.is_ok() {
                done = list.serialize_element(&note);
            }
        };
        for harm in self.0.each_harm() {
            each(format_args!("{harm}"));
        }
        self.0.each_note_and_loss(&mut each);
        done?;
        list.end()
    }
}
