//! The thread that writes the latency report: the interval log as time goes by,
//! the other files when the engine ends.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use std::sync::atomic::{AtomicBool, Ordering};

use super::facts::Facts;
use super::hgrm::write_hgrm;
use super::latency::{Interval, Latency};
use super::monitor::Monitor;
use super::summary::Summary;
use super::whole_lines::WholeLines;
use crate::config;
use crate::os::clock::Clock;
use crate::os::files::{Folder, Output};
use crate::os::limit::Limit;
use crate::os::parker::{Parker, Unparker};
use crate::os::stderr::say;
use crate::os::threads::{self, Thread, Wanted};
use crate::os::time::{Instant, wall_clock};
use crate::telemetry::hops::{Hop, MAX_NS, beyond};

/// How long lanes get to hand over at the end of an interval.
const HAND_OVER: Duration = Duration::from_millis(2);
/// The host's thread answers at its next poll: it is looked for twice as late each
/// time, at last so often.
const LATE_HAND_OVER: Duration = Duration::from_millis(100);

/// The report's folder and its log, opened; what is in them stays.
pub(crate) struct ReportFiles {
    folder: Folder,
    log: Output,
}

impl ReportFiles {
    /// Makes the folder and locks the log: two engines that write one report would
    /// spoil each other's.
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        let cannot = |what: String| {
            format!(
                "cannot write in {}: {what}; expected a folder that no other handle writes in",
                dir.display()
            )
        };
        let folder = Folder::make(dir).map_err(|error| cannot(error.to_string()))?;
        let log = folder.output(config::Latency::LOG).map_err(cannot)?;
        for name in others() {
            folder.check_replaceable(&name).map_err(cannot)?;
        }
        Ok(Self { folder, log })
    }

    /// Empties the log and removes the rest: a run that ends without its files must not
    /// wear another's.
    fn empty(&self) -> io::Result<()> {
        for name in others() {
            self.folder.remove(&name)?;
        }
        self.log.empty()
    }
}

/// The files of a report that are written when it ends.
fn others() -> impl Iterator<Item = String> {
    let names = config::Latency::names().into_iter();
    names.filter(|name| name != config::Latency::LOG)
}

/// A running exporter.
pub(crate) struct Exporter {
    thread: Thread<()>,
    wake: Unparker,
    done: Arc<AtomicBool>,
    shown: String,
    /// The files and the way to the thread, until it begins.
    waiting: Option<(ReportFiles, mpsc::Sender<ReportFiles>)>,
}

struct Job {
    folder: Folder,
    interval: Duration,
    latency: Arc<Mutex<Latency>>,
    clock: Clock,
    monitor: Arc<Monitor>,
    facts: Facts,
    started: SystemTime,
    started_ticks: u64,
    done: Arc<AtomicBool>,
}

type Log<'a, 'b> = IntervalLogWriter<'a, 'b, WholeLines, V2DeflateSerializer>;

impl Exporter {
    /// Starts the thread on the `aside` cores. It writes nothing before
    /// [`Exporter::begin`].
    pub(crate) fn start(
        files: ReportFiles,
        interval_ms: u64,
        latency: Arc<Mutex<Latency>>,
        clock: Clock,
        monitor: Arc<Monitor>,
        facts: Facts,
        aside: Vec<usize>,
    ) -> Result<Self, String> {
        Latency::lock(&latency).keep_intervals();
        let intervals = Interval::of_each_hop();
        let parker = Parker::new();
        let wake = parker.unparker();
        let done = Arc::new(AtomicBool::new(false));
        let ending = done.clone();
        let shown = files.folder.path().display().to_string();
        let named = shown.clone();
        let (started, started_ticks) = (wall_clock(), clock.now());
        let (begin, may_begin) = mpsc::channel::<ReportFiles>();
        // When the engine has started, its thread is off the host's core.
        let wanted = Wanted::aside("signal-report", "the report thread", aside);
        let thread = threads::spawn(wanted, move || {
            let Ok(ReportFiles { folder, log }) = may_begin.recv() else {
                return;
            };
            let (seen, kept) = (monitor.clone(), latency.clone());
            let job = Job {
                folder,
                interval: Duration::from_millis(interval_ms),
                latency,
                clock,
                monitor,
                facts,
                started,
                started_ticks,
                done: ending,
            };
            let result = match catch_unwind(AssertUnwindSafe(|| job.run(intervals, log, &parker))) {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(_) => Err("its thread panicked".to_owned()),
            };
            if let Err(why) = result {
                let what = format!("cannot write the latency report in {named}");
                say(&format!("{what}: {why}; it ends here, the engine goes on"));
                seen.report_has_ended(format!("{what}: {why}"));
                // Last: who sees it counted can ask why.
                Latency::lock(&kept).report_has_ended();
            }
        })?;
        Ok(Self {
            thread,
            wake,
            done,
            shown,
            waiting: Some((files, begin)),
        })
    }

    /// Empties the log, removes the files of an earlier report and has the thread
    /// write: all else of the engine has been started.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        if let Some((files, begin)) = self.waiting.take() {
            files
                .empty()
                .map_err(|error| format!("cannot empty the report in {}: {error}", self.shown))?;
            let _ = begin.send(files);
        }
        Ok(())
    }

    /// Tells the thread to write the rest of the report, unless it has ended before.
    pub(crate) fn end(&mut self) {
        self.waiting = None;
        self.done.store(true, Ordering::Release);
        self.wake.unpark();
    }

    /// Waits for the thread, which was told to end, and no longer.
    pub(crate) fn finish(self, limit: &mut Limit) {
        // The thread says itself what went wrong.
        if self.thread.join_within(limit).is_err() {
            say(&format!(
                "the latency report in {} is not whole: the disk does not answer; the thread that writes \
                 it is left behind, and the log stays locked",
                self.shown
            ));
        }
    }
}

impl Job {
    fn run(self, mut intervals: Vec<Interval>, file: Output, parker: &Parker) -> io::Result<()> {
        let mut file = WholeLines::new(file);
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("[Latencies in ns; untagged intervals are tick_to_callback]")
            .with_start_time(self.started)
            .with_base_time(self.started)
            .begin_log_with(&mut file, &mut serializer)?;
        log.write_comment(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
        )?;
        let mut next = Instant::now() + self.interval;
        // While recorders have not answered: how long to wait for them this time.
        let mut patience = None::<Duration>;
        while !self.done.load(Ordering::Acquire) {
            let late = patience.map(|patience| Instant::now() + patience);
            parker.park_deadline(late.map_or(next, |late| late.min(next)));
            let now = Instant::now();
            if now >= next {
                next += self.interval;
                Latency::lock(&self.latency).request();
                self.monitor.ask_host();
                patience = Some(HAND_OVER);
            } else if let (Some(waited), Some(late)) = (patience, late)
                && now >= late
            {
                // At once: a host that leaves before the next interval ends leaves
                // this one in the log.
                let whole = self.write_intervals(&mut intervals, &mut log)?;
                patience = (!whole).then(|| (waited * 2).min(LATE_HAND_OVER));
            }
        }
        self.write_intervals(&mut intervals, &mut log)?;
        drop(log);
        file.flush()?;
        self.write_totals()
    }

    /// Writes what has come; whether every recorder has answered.
    fn write_intervals(
        &self,
        intervals: &mut Vec<Interval>,
        log: &mut Log<'_, '_>,
    ) -> io::Result<bool> {
        let whole = {
            let mut latency = Latency::lock(&self.latency);
            latency.collect();
            latency.take_intervals(intervals);
            latency.has_every_answer()
        };
        let those = intervals.iter_mut();
        for interval in those.filter(|interval| !interval.histogram.is_empty()) {
            let tag = match interval.hop {
                Hop::TickToCallback => None,
                hop => Tag::new(hop.name()),
            };
            let longer = beyond(&interval.histogram);
            if longer > 0 {
                log.write_comment(&format!(
                    "[Beyond: {longer} of {} in the next interval took {MAX_NS} ns or longer]",
                    interval.hop.name()
                ))?;
            }
            let nanos = |from, to| Duration::from_nanos(self.clock.nanos(from, to));
            log.write_histogram(
                &interval.histogram,
                nanos(self.started_ticks, interval.started),
                nanos(interval.started, interval.ended),
                tag,
            )
            .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(whole)
    }

    fn write_totals(&self) -> io::Result<()> {
        for (name, text) in self.totals()? {
            self.folder.replace(&name, &text)?;
        }
        Ok(())
    }

    /// The files of the end, by name. The lock is given back before they are written:
    /// a disk may never answer.
    fn totals(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let latency = Latency::lock(&self.latency);
        let mut files = Vec::new();
        for (hop, histogram) in latency.totals() {
            let mut table = Vec::new();
            write_hgrm(&mut table, histogram)?;
            files.push((config::Latency::table(*hop), table));
        }
        let since_epoch = self
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let summary = Summary::new(
            since_epoch.as_secs_f64(),
            self.clock.nanos(self.started_ticks, self.clock.now()) as f64 / 1e9,
            latency.summaries().collect(),
            &self.monitor,
            &self.facts,
        );
        let mut text = serde_json::to_vec_pretty(&summary)?;
        text.push(b'\n');
        // Last: whoever waits for it finds the others.
        files.push((config::Latency::SUMMARY.to_owned(), text));
        Ok(files)
    }
}
