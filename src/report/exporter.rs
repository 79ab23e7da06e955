//! The thread that writes the latency report: the interval log as time goes by,
//! the other files when the engine ends.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriter, IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use super::away::Windows;
use super::deflate::Deflate;
use super::facts::Facts;
use super::latency::{Interval, Latency};
use super::losses::Losses;
use super::monitor::Monitor;
use super::slow::Slow;
use super::told_once::ToldOnce;
use super::totals::Totals;
use super::whole_lines::WholeLines;
use crate::config;
use crate::os::clock::Clock;
use crate::os::files::{
    Appended, Folder, InTheWay, Obstacle, Output, Role, about_path, check_files_in,
};
use crate::os::fixed_text::FixedText;
use crate::os::limit::Limit;
use crate::os::stderr::say_parts;
use crate::os::threads::handover::{Giver, Taker, handover};
use crate::os::threads::{self, CUT_SHORT, Life, Thread, Wanted};
use crate::os::time::{Instant, sleep, wall_clock};
use crate::telemetry::hops::{Hop, MAX_NS, beyond, histogram};

/// How long the thread may take to make its memory ready.
const READY: Duration = Duration::from_secs(10);
/// How long a create waits for the log's first lines. On a disk that does not answer, they come
/// later or never.
const FIRST_LINES: Duration = Duration::from_secs(1);
/// As long as any hop's.
const LONGEST_NAME: &str = "tick_to_callback";
/// How long lanes get to hand over at the end of an interval.
const HAND_OVER: Duration = Duration::from_millis(2);
/// Between two looks at what the kernel may change at any time.
const LOOK: Duration = Duration::from_secs(1);
/// The host's thread answers at its next poll. The wait for it doubles each time, up to
/// this.
const LATE_HAND_OVER: Duration = Duration::from_millis(100);

const LOG: Role = Role {
    name: "latency report's log",
    without: "the report's other files are made at the end, if its folder is still there",
};
const FOLDER_GONE: &str = "its folder is gone too, and with it the report";

/// The report's folder and its log, opened; what is in them stays.
pub(crate) struct ReportFiles {
    folder: Arc<Folder>,
    log: Output,
}

impl ReportFiles {
    /// Makes the folder and locks the log: two engines that write one report would
    /// spoil each other's.
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        Self::open_in(dir).map_err(|what| cannot_write(dir, &what))
    }

    fn open_in(dir: &Path) -> Result<Self, InTheWay> {
        let folder = Folder::make(dir)?;
        let log = folder.output(config::Latency::LOG)?;
        for name in others() {
            folder.check_replaceable(&name)?;
        }
        let folder = Arc::new(folder);
        Ok(Self { folder, log })
    }

    /// Whether [`ReportFiles::open`] would find anything in its way; makes nothing.
    pub(crate) fn check(dir: &Path) -> Result<(), String> {
        let names = config::Latency::names();
        check_files_in(dir, names.iter().map(String::as_str))
            .map_err(|what| cannot_write(dir, &what))
    }

    /// Empties the log and removes the rest: a run that ends without its files must not
    /// keep those of another run.
    fn empty(&self) -> io::Result<()> {
        for name in others() {
            self.folder.remove(&name)?;
        }
        self.log.empty()
    }
}

fn cannot_write(dir: &Path, what: &InTheWay) -> String {
    let there = about_path(dir).ok().filter(|about| !about.is_folder());
    if let Some(about) = there {
        let kind = about.other_kind().unwrap_or("a regular file");
        return format!(
            "cannot write in {}: it is {kind}; expected a folder",
            dir.display()
        );
    }
    format!("cannot write in {}: {what}", dir.display())
}

/// The files of a report that are written when it ends.
fn others() -> impl Iterator<Item = String> {
    let names = config::Latency::names().into_iter();
    names.filter(|name| name != config::Latency::LOG)
}

/// A running exporter.
pub(crate) struct Exporter {
    thread: Thread<()>,
    to_thread: Giver<ReportFiles>,
    /// How far the thread has come: [`STARTING`] and what follows.
    state: Arc<AtomicU8>,
    shown: String,
    /// The files, until the thread may write.
    waiting: Option<ReportFiles>,
}

const STARTING: u8 = 0;
/// It has all the memory that it will ever need.
const READY_TO_WRITE: u8 = 1;
/// The log has its first lines.
const WRITING: u8 = 2;
const ENDED: u8 = 3;

struct Job {
    interval: Duration,
    latency: Arc<Mutex<Latency>>,
    clock: Clock,
    monitor: Arc<Monitor>,
    started: SystemTime,
    started_ticks: u64,
    given: Taker<ReportFiles>,
    state: Arc<AtomicU8>,
}

type Log<'a, 'b> = IntervalLogWriter<'a, 'b, WholeLines, Deflate>;

impl Exporter {
    /// Starts the thread on the `aside` cores. It writes nothing before
    /// [`Exporter::begin`], and takes no memory when this has returned: the host may use
    /// it up.
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
        let (to_thread, given) = handover();
        let state = Arc::new(AtomicU8::new(STARTING));
        let shown = files.folder.path().display().to_string();
        let what = format!("cannot write the latency report in {shown}");
        let (started, started_ticks) = (wall_clock(), clock.now());
        // Of many parts: in a thread that has no heap of its own each would take a page.
        let totals = Totals::new(&facts);
        let job = Job {
            interval: Duration::from_millis(interval_ms),
            latency,
            clock,
            monitor,
            started,
            started_ticks,
            given,
            state: state.clone(),
        };
        // When the engine has started, its thread is off the host's core.
        let wanted = Wanted::aside("signal-report", "the report thread", aside);
        let thread = threads::spawn(wanted, move || {
            let (seen, kept) = (job.monitor.clone(), job.latency.clone());
            let state = job.state.clone();
            let ended = catch_unwind(AssertUnwindSafe(|| job.run(totals)));
            state.store(ENDED, Ordering::Release);
            let failed = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => FixedText::new(format_args!("{what}: {error}")),
                Err(_) => FixedText::new(format_args!("{what}: its thread panicked")),
            };
            say_parts(format_args!(
                "{failed}; it ends here, no signal is affected"
            ));
            seen.report_has_ended(failed);
            // Last: who sees it counted can ask why.
            Latency::lock(&kept).report_has_ended();
        })?;
        let exporter = Self {
            thread,
            to_thread,
            state,
            shown,
            waiting: Some(files),
        };
        exporter.wait_until_ready().map(|()| exporter)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let mut limit = Limit::of(READY);
        loop {
            // Before the look: it may be the last one.
            let is_over = limit.is_over();
            match self.state.load(Ordering::Acquire) {
                READY_TO_WRITE | WRITING => return Ok(()),
                ENDED => return Err("the report thread ended before it was ready".to_owned()),
                STARTING if !is_over => sleep(Duration::from_micros(100)),
                _ => break,
            }
        }
        self.to_thread.end();
        Err(format!(
            "the report thread has not made its memory ready within {} s: the machine is too busy",
            READY.as_secs()
        ))
    }

    /// Empties the log, removes the files of an earlier report and has the thread
    /// write: all else of the engine has been started. Waits for the log's first lines, since the
    /// thread gives way to all others from then on: a host that leaves soon would leave an empty file.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        if let Some(files) = self.waiting.take() {
            files
                .empty()
                .map_err(|error| format!("cannot empty the report in {}: {error}", self.shown))?;
            self.to_thread.give(files);
            let mut limit = Limit::of(FIRST_LINES);
            while self.state.load(Ordering::Acquire) == READY_TO_WRITE && !limit.is_over() {
                sleep(Duration::from_micros(100));
            }
            self.thread.give_way();
        }
        Ok(())
    }

    /// What others may see of the thread.
    pub(crate) fn life(&self) -> Arc<Life> {
        self.thread.life()
    }

    /// Tells the thread to write the rest of the report, unless it has ended before.
    pub(crate) fn end(&mut self) {
        self.waiting = None;
        self.to_thread.end();
    }

    /// Waits for the thread, which was told to end, and no longer.
    pub(crate) fn finish(self, limit: &mut Limit) {
        let life = self.thread.life();
        let shown = &self.shown;
        match self.thread.join_within(limit) {
            // The thread says itself what went wrong.
            Ok(_) if life.has_ended() => {}
            Ok(_) => say_parts(format_args!(
                "the latency report in {shown} is not whole: its thread {CUT_SHORT}"
            )),
            Err(_) => say_parts(format_args!(
                "the latency report in {shown} is not whole: the disk does not respond, or the \
                 machine is too busy; the thread that writes it is left behind, and the log stays locked"
            )),
        }
    }
}

impl Job {
    /// Makes all memory ready, tells so, and writes once there are files.
    fn run(self, mut totals: Totals) -> Result<(), Obstacle> {
        let mut intervals = Interval::of_each_hop();
        let mut away = self.monitor.windows();
        let mut slow = Slow::new(&Latency::lock(&self.latency));
        let mut told = ToldOnce::new(&self.monitor);
        let to = Rc::new(RefCell::new(None));
        let mut file = WholeLines::new(to.clone());
        let head = self.head().into_bytes();
        let widest = widest();
        let mut serializer = Deflate::new(&widest);
        let mut log = IntervalLogWriterBuilder::new().begin_log_with(&mut file, &mut serializer)?;
        // Dropped, for want of a file: behind it, the longest line has memory.
        let (from, length) = (Duration::MAX, Duration::MAX);
        log.write_histogram(&widest, from, length, Tag::new(LONGEST_NAME))
            .map_err(of_log)?;
        drop(widest);
        self.state.store(READY_TO_WRITE, Ordering::Release);
        // Not if the engine has not come so far.
        let Some(ReportFiles {
            folder,
            log: output,
        }) = self.given.take()
        else {
            return Ok(());
        };
        let appended = Appended::new(output, LOG, head, self.monitor.harm_to_report().clone());
        let mut appended = appended.beside(folder.clone(), FOLDER_GONE);
        appended.append(b"")?;
        self.state.store(WRITING, Ordering::Release);
        *to.borrow_mut() = Some(appended);
        self.write_log(&mut intervals, &mut away, &mut slow, &mut told, log)?;
        {
            let latency = Latency::lock(&self.latency);
            totals.take(&latency);
        }
        self.monitor.look_around();
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = self.clock.nanos(self.started_ticks, self.clock.now()) as f64 / 1e9;
        totals.write(&folder, &self.monitor, started, seconds)?;
        // Last: it keeps the report locked until its files are there.
        if let Some(log) = &mut *to.borrow_mut() {
            log.finish();
        }
        Ok(())
    }

    /// The first lines of the log.
    fn head(&self) -> String {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = started.as_secs_f64();
        format!(
            "#[Histogram log format version 1.3]\n\
             #[Latencies in ns; untagged intervals are tick_to_callback]\n\
             #[StartTime: {since:.3} (seconds since epoch)]\n\
             #[BaseTime: {since:.3} (seconds since epoch)]\n\
             #\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        )
    }

    fn write_log(
        &self,
        intervals: &mut Vec<Interval>,
        away: &mut Windows,
        slow: &mut Slow,
        told: &mut ToldOnce,
        mut log: Log<'_, '_>,
    ) -> io::Result<()> {
        self.monitor.ask_for_waits();
        let mut losses = Losses::none();
        let mut next = Instant::now() + self.interval;
        let mut look = Instant::now() + LOOK;
        // While recorders have not answered: how long to wait for them this time.
        let mut patience = None::<Duration>;
        while !self.given.is_over() {
            let late = patience.map(|patience| Instant::now() + patience);
            self.given
                .sleep_until(late.map_or(next, |late| late.min(next)).min(look));
            let now = Instant::now();
            if now >= look {
                self.monitor.look_around();
                told.look(&self.monitor, &mut |line| say_parts(line));
                look = now + LOOK;
            }
            if now >= next {
                next += self.interval;
                Latency::lock(&self.latency).request();
                self.monitor.ask_host();
                self.monitor.keep_claims();
                self.monitor.ask_for_waits();
                self.write_away(away, &mut log)?;
                self.write_losses(&mut losses, &mut log)?;
                patience = Some(HAND_OVER);
            } else if let (Some(waited), Some(late)) = (patience, late)
                && now >= late
            {
                // At once: a host that leaves before the next interval ends leaves
                // this one in the log.
                let whole = self.write_intervals(intervals, &mut log)?;
                self.write_slow(slow, &mut log)?;
                patience = (!whole).then(|| (waited * 2).min(LATE_HAND_OVER));
            }
        }
        self.write_intervals(intervals, &mut log)?;
        self.write_slow(slow, &mut log)?;
        self.write_losses(&mut losses, &mut log)
    }

    /// Writes the slow signals that have come.
    fn write_slow(&self, slow: &mut Slow, log: &mut Log<'_, '_>) -> io::Result<()> {
        slow.take(&mut Latency::lock(&self.latency));
        slow.tell(&self.monitor, &self.clock, self.started_ticks, |line| {
            log.write_comment(line)
        })
    }

    /// Writes what was lost since the last call.
    fn write_losses(&self, losses: &mut Losses, log: &mut Log<'_, '_>) -> io::Result<()> {
        let since = self.clock.nanos(self.started_ticks, self.clock.now());
        losses.tell(self.monitor.counters(), since as f64 / 1e9, |line| {
            log.write_comment(line)
        })
    }

    /// Writes which lane was away from its core, if one was since the last such line.
    fn write_away(&self, away: &mut Windows, log: &mut Log<'_, '_>) -> io::Result<()> {
        let Some(shared) = self.monitor.shared_core(away) else {
            return Ok(());
        };
        let told = FixedText::new(format_args!("[{}]", self.monitor.told(shared, None)));
        log.write_comment(told.as_str())?;
        Ok(())
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
                let text = format_args!(
                    "[Beyond: {longer} of {} in the next interval took {MAX_NS} ns or longer]",
                    interval.hop.name()
                );
                log.write_comment(FixedText::new(text).as_str())?;
            }
            let nanos = |from, to| Duration::from_nanos(self.clock.nanos(from, to));
            log.write_histogram(
                &interval.histogram,
                nanos(self.started_ticks, interval.started),
                nanos(interval.started, interval.ended),
                tag,
            )
            .map_err(of_log)?;
        }
        Ok(whole)
    }
}

/// A histogram that takes as much as any.
fn widest() -> Histogram<u64> {
    let mut widest = histogram();
    widest.saturating_record(MAX_NS);
    widest
}

fn of_log(error: IntervalLogWriterError<io::Error>) -> io::Error {
    match error {
        IntervalLogWriterError::SerializeError(error) | IntervalLogWriterError::IoError(error) => {
            error
        }
    }
}
