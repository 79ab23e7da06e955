//! What an engine has besides its two ends, and how it ends.

use std::ffi::CStr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::blueprint::ModelInfo;
use super::delivery::Delivery;
use super::feeder::Feeder;
use super::poller::Poller;
use crate::capture::Writer;
use crate::os::claims::Claims;
use crate::os::clock::Clock;
use crate::os::stderr::say;
use crate::pipeline::control::{Control, LONGEST_FAREWELL};
use crate::pipeline::lane::Lane;
use crate::pipeline::plan::Plan;
use crate::report::{Exporter, Health, HopSummary, Latency, Monitor};
use crate::telemetry::counters::Snapshot;

/// The rest of an engine: lanes, counters and reports.
pub(crate) struct Base {
    pub(super) lanes: Vec<Lane>,
    /// Given back when the lanes have ended.
    pub(super) claims: Claims,
    pub(super) plan: Plan,
    pub(super) control: Arc<Control>,
    pub(super) clock: Clock,
    pub(super) latency: Arc<Mutex<Latency>>,
    pub(super) exporter: Option<Exporter>,
    pub(super) capture: Option<Writer>,
    pub(super) about: String,
    pub(super) models: Vec<ModelInfo>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) delivery: Delivery,
}

impl Base {
    pub(crate) fn counters(&self) -> Snapshot {
        self.monitor.counters()
    }

    /// Ends the lanes. Whether all came back; one that did not still uses what it
    /// was given.
    pub(crate) fn end_lanes(&mut self) -> bool {
        self.control.stop();
        let deadline = Instant::now() + LONGEST_FAREWELL;
        let mut all = true;
        for lane in self.lanes.drain(..) {
            all &= lane.join(deadline);
        }
        if !all {
            self.claims.keep();
        }
        all
    }

    /// Whether the engine has failed and nothing more will be published.
    pub(crate) fn has_failed_for_good(&self) -> bool {
        self.control.has_failed_for_good()
    }

    /// Whether [`Self::attend`] has something to do, or the engine has failed.
    #[inline]
    pub(crate) fn needs_attention(&self) -> bool {
        self.control.needs_attention()
    }

    /// What the host's thread does beside looking for signals: hands its hops over if
    /// the latency report has asked. Else those of the last signals would wait for
    /// the next one, and be lost with a host that leaves before.
    pub(crate) fn attend(&self, feeder: &mut Feeder, poller: &mut Poller) {
        if self.control.take_wish() {
            hand_over(feeder, poller);
        }
    }

    /// Tells the lanes to end; dropping joins them.
    pub(crate) fn stop(&self) {
        self.control.stop();
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.control.failure()
    }

    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    pub(crate) fn incident(&self, place: usize) -> Option<&CStr> {
        self.control.incident(place)
    }

    pub(crate) fn health(&self) -> Health {
        self.monitor.health()
    }

    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    pub(crate) fn models(&self) -> &[ModelInfo] {
        &self.models
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub(crate) fn stamp_cost_ns(&self) -> f64 {
        self.clock.stamp_cost_ns()
    }

    pub(crate) fn latency(&self, feeder: &mut Feeder, poller: &mut Poller) -> Vec<HopSummary> {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
        hand_over(feeder, poller);
        latency.wait_for_lanes();
        latency.summaries()
    }
}

/// Hands over the hops of the host's thread, if they have been asked for.
fn hand_over(feeder: &mut Feeder, poller: &mut Poller) {
    poller.record_batch();
    if let Some(recorder) = &mut poller.recorder {
        recorder.hand_over();
    }
    if let Some(work) = &mut feeder.inline {
        work.hand_over();
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.end_lanes();
        if let Some(missing) = self.monitor.missing_assets() {
            say(&missing);
        }
        if let Some(capture) = self.capture.take() {
            capture.finish();
        }
        // The host's ends have been dropped by now and have sent their last
        // histograms, as the lanes did when they ended.
        if let Some(exporter) = self.exporter.take() {
            exporter.finish();
        }
    }
}
