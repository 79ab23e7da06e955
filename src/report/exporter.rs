//! The thread that writes the latency report: the interval log as time goes by,
//! the other files when the engine ends.

use std::fs::{self, File};
use std::io::{self, BufWriter, LineWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
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
use crate::config;
use crate::os::clock::Clock;
use crate::os::stderr::say;
use crate::os::{cores, threads};
use crate::telemetry::hops::Hop;

/// How long lanes get to hand over at the end of an interval.
const HAND_OVER: Duration = Duration::from_millis(2);

/// A running exporter.
pub(crate) struct Exporter {
    thread: JoinHandle<io::Result<()>>,
    wake: Unparker,
    done: Arc<AtomicBool>,
    dir: PathBuf,
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

type Log<'a, 'b> = IntervalLogWriter<'a, 'b, LineWriter<File>, V2DeflateSerializer>;

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
        let thread = threads::spawn("signal-report".into(), move || {
            cores::step_aside(&aside);
            job.run(file, &parker)
        })
        .map_err(|error| format!("cannot start the report thread: {error}"))?;
        Ok(Self {
            thread,
            wake,
            done,
            dir: dir.to_path_buf(),
        })
    }

    /// Writes the rest of the report. Says so in one line on stderr if it could
    /// not.
    pub(crate) fn finish(self) {
        self.done.store(true, Ordering::Release);
        self.wake.unpark();
        let result = match self.thread.join() {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the report thread panicked".to_owned()),
        };
        if let Err(why) = result {
            say(&format!(
                "cannot write the latency report in {}: {why}",
                self.dir.display()
            ));
        }
    }
}

impl Job {
    fn run(self, file: File, parker: &Parker) -> io::Result<()> {
        // Whole lines reach the file, so a host that leaves without destroy
        // leaves a log that can be read.
        let mut file = LineWriter::new(file);
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
        while !self.done.load(Ordering::Acquire) {
            parker.park_deadline(next);
            if Instant::now() < next {
                continue;
            }
            next += self.interval;
            Latency::lock(&self.latency).request();
            std::thread::sleep(HAND_OVER);
            self.write_intervals(&mut log)?;
        }
        self.write_intervals(&mut log)?;
        drop(log);
        file.flush()?;
        self.write_totals()
    }

    fn write_intervals(&self, log: &mut Log<'_, '_>) -> io::Result<()> {
        let intervals = {
            let mut latency = Latency::lock(&self.latency);
            latency.collect();
            latency.take_intervals()
        };
        for interval in intervals {
            let tag = match interval.hop {
                Hop::TickToCallback => None,
                hop => Tag::new(hop.name()),
            };
            let nanos = |from, to| Duration::from_nanos(self.clock.nanos(from, to));
            log.write_histogram(
                &interval.histogram,
                nanos(self.started_ticks, interval.started),
                nanos(interval.started, interval.ended),
                tag,
            )
            .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(())
    }

    fn write_totals(&self) -> io::Result<()> {
        let latency = Latency::lock(&self.latency);
        for (hop, histogram) in latency.totals() {
            let path = self.dir.join(format!("{}.hgrm", hop.name()));
            let mut out = BufWriter::new(File::create(path)?);
            write_hgrm(&mut out, histogram)?;
            out.flush()?;
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
        let mut out = BufWriter::new(File::create(self.dir.join(config::Latency::SUMMARY))?);
        serde_json::to_writer_pretty(&mut out, &summary)?;
        writeln!(out)?;
        out.flush()
    }
}
