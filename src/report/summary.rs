//! The JSON summary of a latency report.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::Facts;
use super::latency::HopSummary;
use super::monitor::{LaneReport, Monitor, RingReport};
use crate::os::machine::Throttling;
use crate::telemetry::hops::MAX_NS;

/// Changes whenever a field changes its meaning or goes.
const FORMAT: u32 = 1;

#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    format: u32,
    started_unix_s: f64,
    seconds: f64,
    hops: Vec<HopSummary>,
    /// What takes as long or longer is not told apart.
    latency_bound_ns: u64,
    counters: BTreeMap<&'static str, u64>,
    /// Of the lanes: heartbeat, longest duty cycle, stalls.
    vitals: Vec<LaneReport>,
    rings: Vec<RingReport>,
    /// Since the report began: how the control group's CPU quota held this process
    /// up.
    throttling: Option<Throttling>,
    /// What has been put in quarantine and why.
    incidents: Vec<String>,
    /// What a person should know, although all went on.
    notes: Vec<String>,
    #[serde(flatten)]
    facts: &'a Facts,
}

impl<'a> Summary<'a> {
    pub(crate) fn new(
        started_unix_s: f64,
        seconds: f64,
        hops: Vec<HopSummary>,
        monitor: &Monitor,
        facts: &'a Facts,
    ) -> Self {
        Self {
            format: FORMAT,
            started_unix_s,
            seconds,
            hops,
            latency_bound_ns: MAX_NS,
            counters: monitor.counters().iter().collect(),
            vitals: monitor.lanes(),
            rings: monitor.rings(),
            throttling: facts.throttling(),
            incidents: monitor.incidents().collect(),
            notes: monitor.notes(),
            facts,
        }
    }
}
