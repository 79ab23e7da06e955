//! The thread that writes the latency report: the interval log as time goes by,
//! the other files when the engine ends.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::sync::{Parker, Unparker};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use std::sync::atomic::{AtomicBool, Ordering};

use super::facts::Facts;
use super::hgrm::write_hgrm;
use super::latency::Latency;
use super::monitor::Monitor;
use super::summary::Summary;
use super::whole_lines::WholeLines;
use crate::config;
use crate::os::clock::Clock;
use crate::os::stderr::say;
use crate::os::threads::{self, Thread, Wanted};
use crate::telemetry::hops::{Hop, MAX_NS, beyond};

/// How long lanes get to hand over at the end of an interval.
const HAND_OVER: Duration = Duration::from_millis(2);
/// The host's thread answers at its next poll: it is looked for twice as late each
/// time, at last so often.
const LATE_HAND_OVER: Duration = Duration::from_millis(100);

/// A running exporter.
pub(crate) struct Exporter {
    thread: Thread<()>,
    wake: Unparker,
    done: Arc<AtomicBool>,
}

struct Job {
    dir: PathBuf,
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
    /// Makes the folder and the log, then starts the thread on the `aside`
    /// cores.
    pub(crate) fn start(
        dir: &Path,
        interval_ms: u64,
        latency: Arc<Mutex<Latency>>,
        clock: Clock,
        monitor: Arc<Monitor>,
        facts: Facts,
        aside: Vec<usize>,
    ) -> Result<Self, String> {
        let open = || -> io::Result<File> {
            fs::create_dir_all(dir)?;
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(dir.join(config::Latency::LOG))?;
            // Two engines that write one file would spoil each other's report.
            file.try_lock().map_err(io::Error::from)?;
            file.set_len(0)?;
            // A run that ends without its files must not wear another's.
            let log = dir.join(config::Latency::LOG);
            let files = config::Latency::files(dir);
            for stale in files.iter().filter(|file| **file != log) {
                match fs::remove_file(stale) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(file)
        };
        let file = open().map_err(|error| {
            format!(
                "cannot write in {}: {error}; expected a folder that no other handle writes in",
                dir.display()
            )
        })?;
        Latency::lock(&latency).keep_intervals();
        let parker = Parker::new();
        let wake = parker.unparker().clone();
        let done = Arc::new(AtomicBool::new(false));
        let job = Job {
            dir: dir.to_path_buf(),
            interval: Duration::from_millis(interval_ms),
            latency,
            started: SystemTime::now(),
            started_ticks: clock.now(),
            clock,
            monitor,
            facts,
            done: done.clone(),
        };
        let (latency, monitor) = (job.latency.clone(), job.monitor.clone());
        // When the engine has started, its thread is off the host's core.
        let wanted = Wanted::aside("signal-report", "the report thread", aside);
        let thread = threads::spawn(wanted, move || {
            let shown = job.dir.clone();
            let result = match catch_unwind(AssertUnwindSafe(|| job.run(file, &parker))) {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(_) => Err("its thread panicked".to_owned()),
            };
            if let Err(why) = result {
                let what = format!("cannot write the latency report in {}", shown.display());
                say(&format!("{what}: {why}; it ends here, the engine goes on"));
                monitor.report_has_ended(format!("{what}: {why}"));
                // Last: who sees it counted can ask why.
                Latency::lock(&latency).report_has_ended();
            }
        })?;
        Ok(Self { thread, wake, done })
    }

    /// Writes the rest of the report, unless it has ended before.
    pub(crate) fn finish(self) {
        self.done.store(true, Ordering::Release);
        self.wake.unpark();
        // The thread says itself what went wrong.
        let _ = self.thread.join();
    }
}

impl Job {
    fn run(self, file: File, parker: &Parker) -> io::Result<()> {
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
                let whole = self.write_intervals(&mut log)?;
                patience = (!whole).then(|| (waited * 2).min(LATE_HAND_OVER));
            }
        }
        self.write_intervals(&mut log)?;
        drop(log);
        file.flush()?;
        self.write_totals()
    }

    /// Writes what has come; whether every recorder has answered.
    fn write_intervals(&self, log: &mut Log<'_, '_>) -> io::Result<bool> {
        let (intervals, whole) = {
            let mut latency = Latency::lock(&self.latency);
            latency.collect();
            (latency.take_intervals(), latency.has_every_answer())
        };
        for interval in intervals {
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
        let latency = Latency::lock(&self.latency);
        for (hop, histogram) in latency.totals() {
            write_file(&self.dir.join(format!("{}.hgrm", hop.name())), |out| {
                write_hgrm(out, histogram)
            })?;
        }
        let since_epoch = self
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let summary = Summary::new(
            since_epoch.as_secs_f64(),
            self.clock.nanos(self.started_ticks, self.clock.now()) as f64 / 1e9,
            latency.summaries(),
            &self.monitor,
            &self.facts,
        );
        write_file(&self.dir.join(config::Latency::SUMMARY), |out| {
            serde_json::to_writer_pretty(&mut *out, &summary)?;
            writeln!(out)
        })
    }
}

/// Writes a file whole, or leaves none.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let written = write(&mut out).and_then(|()| out.flush());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}
