//! The files that an engine writes: its latency report and its capture.

use std::sync::Arc;

use super::runtime::Runtime;
use crate::capture::{Capture, Writer};
use crate::config::Config;
use crate::error::Error;
use crate::os::cores::Cores;
use crate::os::files::{Output, check_output};
use crate::os::memory::{self, Reserved};
use crate::report::{Exporter, Facts, ReportFiles};
use crate::sync::broadcast::Consumer;
use crate::telemetry::counters::Counters;

/// The configured files, opened and locked. Each is emptied only when the rest of the engine
/// has succeeded ([`Runtime::begin_files`]), so a refused engine destroys nothing.
pub(super) struct Outputs {
    report: Option<ReportFiles>,
    capture: Option<CaptureFile>,
    /// Which folders were made for them.
    made: Vec<String>,
}

struct CaptureFile {
    file: Output,
    events: Consumer,
    counters: Arc<Counters>,
    levels: usize,
}

impl Outputs {
    /// Opens the files. Also returns ingest's end of the capture, if there is a capture.
    #[inline(never)]
    pub(super) fn open(config: &Config, levels: usize) -> Result<(Self, Option<Capture>), Error> {
        let made = config.missing_folders();
        let report = config.latency.dir.as_deref().map(ReportFiles::open);
        let report = report.transpose().map_err(Error::Report)?;
        let (mut capture, mut producer) = (None, None);
        if let Some(file) = &config.capture.file {
            let (ours, events) = Capture::new(config.capture.buffer, levels);
            capture = Some(CaptureFile {
                file: Output::open(file).map_err(Error::Capture)?,
                events,
                counters: Counters::new(),
                levels,
            });
            producer = Some(ours);
        }
        let files = Self {
            report,
            capture,
            made,
        };
        Ok((files, producer))
    }

    /// Whether [`Outputs::open`] would find anything in its way; makes and empties nothing.
    pub(super) fn check(config: &Config) -> Result<(), Error> {
        let dir = config.latency.dir.as_deref();
        dir.map_or(Ok(()), ReportFiles::check)
            .map_err(Error::Report)?;
        let file = config.capture.file.as_deref();
        file.map_or(Ok(()), check_output).map_err(Error::Capture)
    }

    /// Memory that the report takes besides its thread's: buffers of fixed size, and its facts,
    /// which contain the configuration.
    pub(super) fn bytes(config: &Config) -> usize {
        const BUFFERS: usize = 4 << 20;
        const OF_CONFIG: usize = 16;
        match &config.latency.dir {
            Some(_) => BUFFERS.saturating_add(config.bytes().saturating_mul(OF_CONFIG)),
            None => 0,
        }
    }

    /// Number of threads that write these files.
    pub(super) fn threads(config: &Config) -> usize {
        usize::from(config.latency.dir.is_some()) + usize::from(config.capture.file.is_some())
    }

    /// Which folders were made for the files, a phrase each.
    pub(super) fn made(&self) -> &[String] {
        &self.made
    }

    /// Counters of the thread that writes the capture.
    pub(super) fn counters(&self) -> Option<Arc<Counters>> {
        let capture = self.capture.as_ref();
        capture.map(|capture| capture.counters.clone())
    }

    /// Starts the threads. `room` is the memory reserved for them.
    pub(super) fn start(
        self,
        config: &Config,
        runtime: &Runtime,
        cores: &Cores,
        room: &mut Reserved,
    ) -> Result<(), Error> {
        let clock = &runtime.clock;
        if let Some(files) = self.report {
            room.give_back(memory::of_a_thread().saturating_add(Self::bytes(config)));
            let exporter = Exporter::start(
                files,
                config.latency.interval_ms,
                runtime.latency.clone(),
                clock.clone(),
                runtime.monitor.clone(),
                Facts::new(config, &runtime.plan, cores, clock),
                runtime.aside.clone(),
            );
            let exporter = exporter.map_err(Error::Report)?;
            runtime.monitor.watched.report(exporter.life());
            runtime.running().exporter = Some(exporter);
        }
        if let Some(capture) = self.capture {
            room.give_back(memory::of_a_thread());
            let writer = Writer::start(
                capture.file,
                capture.events,
                capture.levels,
                clock.clone(),
                capture.counters,
                runtime.monitor.harm_to_capture().clone(),
                runtime.aside.clone(),
            );
            let writer = writer.map_err(Error::Capture)?;
            runtime.monitor.watched.capture(writer.life());
            runtime.running().capture = Some(writer);
        }
        Ok(())
    }
}
