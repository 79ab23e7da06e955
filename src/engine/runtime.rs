//! What an engine has apart from its two ends, and how it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blueprint::ModelInfo;
use super::delivery::Delivery;
use super::feeder::Feeder;
use super::poller::Poller;
use crate::capture::Writer;
use crate::error::Error;
use crate::os::claims::Claims;
use crate::os::clock::Clock;
use crate::os::limit::Limit;
use crate::os::stderr::say_parts;
use crate::pipeline::control::{Control, LONGEST_FAREWELL};
use crate::pipeline::lane::Lane;
use crate::pipeline::plan::Plan;
use crate::report::{Exporter, Latency, Monitor};

/// An engine without its two ends: lanes, counters and reports.
pub(crate) struct Runtime {
    pub(super) running: Mutex<Running>,
    pub(super) plan: Plan,
    pub(crate) control: Arc<Control>,
    pub(crate) clock: Clock,
    pub(super) latency: Arc<Mutex<Latency>>,
    pub(crate) about: String,
    pub(crate) models: Vec<ModelInfo>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) delivery: Delivery,
    /// Cores for threads that must not disturb the host or a lane.
    pub(crate) aside: Vec<usize>,
}

/// The parts with threads. The host's thread ends them, even while another thread still reads
/// the rest.
pub(super) struct Running {
    pub(super) lanes: Vec<Lane>,
    /// Released when the lanes have ended.
    pub(super) claims: Claims,
    pub(super) exporter: Option<Exporter>,
    pub(super) capture: Option<Writer>,
}

impl Runtime {
    pub(super) fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the report and the capture begin, which empties their files. Everything else of
    /// the engine has been started before.
    pub(super) fn begin_files(&self) -> Result<(), Error> {
        let mut running = self.running();
        if let Some(exporter) = &mut running.exporter {
            exporter.begin().map_err(Error::Report)?;
        }
        if let Some(capture) = &mut running.capture {
            capture.begin().map_err(Error::Capture)?;
        }
        Ok(())
    }

    /// Ends the lanes. Returns whether all have ended; one that has not still uses what it
    /// was given.
    pub(crate) fn end_lanes(&self) -> bool {
        self.control.stop();
        let mut limit = Limit::of(LONGEST_FAREWELL);
        let mut all = true;
        let mut running = self.running();
        for lane in running.lanes.drain(..) {
            all &= lane.join(&mut limit);
        }
        if !all {
            running.claims.keep();
        }
        all
    }

    /// Ends the capture and the report. Call it when the lanes have ended and both of the
    /// host's ends have sent their last histograms. A disk that does not respond is waited
    /// for as long as a lane that does not.
    fn end_files(&self) {
        let mut running = self.running();
        let (capture, exporter) = (running.capture.take(), running.exporter.take());
        drop(running);
        for missing in self.monitor.missing() {
            say_parts(format_args!("{missing}"));
        }
        let mut limit = Limit::of(LONGEST_FAREWELL / 2);
        let capture = capture.map(|mut capture| {
            // The summary includes the capture's counters, if its writer ends in time.
            capture.end(&mut limit);
            capture
        });
        limit.extend(LONGEST_FAREWELL / 2);
        if let Some(mut exporter) = exporter {
            exporter.end();
            exporter.finish(&mut limit);
        }
        if let Some(capture) = capture {
            capture.finish(&mut limit);
        }
    }

    /// Ends everything that needs ending but leaves the memory as it is: a reader that was
    /// interrupted may still use it.
    pub(crate) fn end(&self, feeder: &mut Feeder, poller: &mut Poller) {
        feeder.finish();
        poller.finish();
        self.end_lanes();
        self.end_files();
    }

    /// What the host's thread does apart from polling for signals: hands over its hops if the
    /// latency report has requested them. Otherwise those of the last signals would wait for
    /// the next signal, and be lost if the host leaves before that.
    pub(crate) fn attend(&self, feeder: &mut Feeder, poller: &mut Poller) {
        if self.control.take_wish() {
            hand_over(feeder, poller);
        }
    }

    /// The hops, with everything timed so far. Does not allocate.
    pub(crate) fn latency(
        &self,
        feeder: &mut Feeder,
        poller: &mut Poller,
    ) -> MutexGuard<'_, Latency> {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
        hand_over(feeder, poller);
        latency.wait_for_lanes();
        latency
    }
}

/// Hands over the hops of the host's thread, if they were requested.
fn hand_over(feeder: &mut Feeder, poller: &mut Poller) {
    poller.record_batch();
    if let Some(recorder) = &mut poller.recorder {
        recorder.hand_over();
    }
    if let Some(work) = &mut feeder.inline {
        work.hand_over();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.end_lanes();
        // The host's ends have already been dropped.
        self.end_files();
    }
}
