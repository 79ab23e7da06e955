//! The thread that writes the capture.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::row;
use crate::messages::wire;
use crate::os::clock::Clock;
use crate::os::files::{Appended, Harm, Output, Role};
use crate::os::fixed_text::Told;
use crate::os::limit::Limit;
use crate::os::stderr::say_parts;
use crate::os::threads::handover::{Giver, Taker, handover};
use crate::os::threads::{self, CUT_SHORT, Life, Thread, Wanted};
use crate::os::time::wall_clock;
use crate::sync::broadcast::{Consumer, Received};
use crate::telemetry::counters::{Counter, Counters, Snapshot};

/// Lines are written together up to so many bytes.
const TOGETHER: usize = 1 << 16;
/// How long the writer sleeps when there is nothing to write.
const NAP: Duration = Duration::from_millis(2);

const CAPTURE: Role = Role {
    name: "capture",
    without: "it ends here, no signal is affected",
};

/// A running writer.
pub(crate) struct Writer {
    thread: Thread<Outcome>,
    to_thread: Giver<Output>,
    path: PathBuf,
    counters: Arc<Counters>,
    /// The file, until the thread may write.
    waiting: Option<Output>,
}

/// Events that the thread has dealt with.
#[derive(Default)]
struct Outcome {
    written: u64,
    missed: u64,
    failures: u64,
}

struct Job {
    file: Appended,
    events: Consumer,
    levels: usize,
    clock: Clock,
    /// When this began: ns since the Unix epoch, and TSC ticks.
    started: (i64, u64),
    counters: Arc<Counters>,
    lines: Vec<u8>,
    /// Events in `lines`.
    pending: u64,
    /// Nothing is written after the first error: what follows would not be a
    /// whole capture.
    failed: bool,
    failures: u64,
}

impl Writer {
    /// Starts the thread on the `aside` cores. It writes nothing before
    /// [`Writer::begin`].
    pub(crate) fn start(
        file: Output,
        events: Consumer,
        levels: usize,
        clock: Clock,
        counters: Arc<Counters>,
        harm: Harm,
        aside: Vec<usize>,
    ) -> Result<Self, String> {
        let path = file.path().to_path_buf();
        let since_epoch = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = (since_epoch.as_nanos() as i64, clock.now());
        let lines = Vec::with_capacity(TOGETHER * 2);
        let head = row::header().into_bytes();
        let (to_thread, given) = handover();
        let seen = counters.clone();
        let wanted = Wanted::aside("signal-capture", "the capture thread", aside);
        let thread = threads::spawn(wanted, move || {
            let Some(file) = given.take() else {
                return Outcome::default();
            };
            let mut job = Job {
                file: Appended::new(file, CAPTURE, head, harm),
                events,
                levels,
                started,
                clock,
                counters,
                lines,
                pending: 0,
                failed: false,
                failures: 0,
            };
            job.run(&given);
            job.outcome()
        })?;
        Ok(Self {
            thread,
            to_thread,
            path,
            counters: seen,
            waiting: Some(file),
        })
    }

    /// Empties the file and has the thread write into it: all else of the engine has
    /// been started.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        if let Some(file) = self.waiting.take() {
            file.empty()
                .map_err(|error| format!("cannot empty {}: {error}", self.path.display()))?;
            self.to_thread.give(file);
            self.thread.give_way();
        }
        Ok(())
    }

    /// What others may see of the thread.
    pub(crate) fn life(&self) -> Arc<Life> {
        self.thread.life()
    }

    /// Tells the thread to write what is left; the lanes have ended. Waits for it, and
    /// no longer.
    pub(crate) fn end(&mut self, limit: &mut Limit) {
        self.waiting = None;
        self.to_thread.end();
        self.thread.ends_within(limit);
    }

    /// Waits for the thread, which was told to end, and no longer. Says in one line on
    /// stderr what is not in the file.
    pub(crate) fn finish(self, limit: &mut Limit) {
        let name = self.path.display();
        let life = self.thread.life();
        match self.thread.join_within(limit) {
            Ok(_) if !life.has_ended() => say_parts(format_args!(
                "capture {name}: the capture thread {CUT_SHORT}; {} events were written",
                Snapshot::of(&[self.counters]).get(Counter::CaptureWritten)
            )),
            Ok(Ok(outcome)) if outcome.missed + outcome.failures > 0 => say_parts(format_args!(
                "capture {name}: {} events written, {} missed (the disk was slow and capture.buffer \
                 full), {} not written after an error",
                outcome.written, outcome.missed, outcome.failures,
            )),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => say_parts(format_args!("capture {name}: the capture thread panicked")),
            Err(_) => say_parts(format_args!(
                "capture {name}: the disk does not respond, or the machine is too busy; the thread that \
                 writes it is left behind, and the file stays locked"
            )),
        }
    }
}

impl Job {
    fn outcome(&self) -> Outcome {
        Outcome {
            written: self.events.received() - self.failures,
            missed: self.events.missed(),
            failures: self.failures,
        }
    }

    fn run(&mut self, told: &Taker<Output>) {
        // A capture without events has its head, too.
        let begun = self.file.append(b"");
        self.conclude(begun);
        loop {
            // Before the look: when it is set, nothing more is written.
            let last_look = told.is_over();
            match self.take() {
                Received::Message(()) => self.pending += 1,
                Received::Missed(missed) => self.counters.add(Counter::CaptureMissed, missed),
                Received::Empty if !last_look => {
                    self.flush();
                    told.sleep(NAP);
                }
                Received::Empty | Received::Finished => break,
            }
            if self.lines.len() >= TOGETHER {
                self.flush();
            }
        }
        self.flush();
        if !self.failed {
            self.file.finish();
        }
    }

    /// Turns the next event into a line.
    fn take(&mut self) -> Received<()> {
        let (lines, clock, started) = (&mut self.lines, &self.clock, self.started);
        let (levels, failed) = (self.levels, self.failed);
        self.events.try_receive(|words| {
            if failed {
                return;
            }
            let raw = wire::raw_event(words);
            // With timing off nobody has stamped the event: now is near.
            let arrival = match raw.head.arrival {
                0 => clock.now(),
                arrival => arrival,
            };
            let since = clock.nanos(started.1, arrival) as i64;
            row::write(lines, &raw, levels, started.0.saturating_add(since));
        })
    }

    /// Writes whole lines: a host that leaves without destroy leaves a capture
    /// that can be read.
    fn flush(&mut self) {
        if !self.failed && !self.lines.is_empty() {
            let written = self.file.append(&self.lines);
            self.conclude(written);
        }
        self.lines.clear();
        if self.pending > 0 {
            self.failures += self.pending;
            self.counters.add(Counter::CaptureFailed, self.pending);
            self.pending = 0;
        }
    }

    fn conclude(&mut self, written: io::Result<()>) {
        match written {
            // The file has said so itself.
            Ok(()) if self.file.is_deleted() => self.failed = true,
            Ok(()) => {
                self.counters.add(Counter::CaptureWritten, self.pending);
                self.pending = 0;
            }
            Err(error) => {
                self.failed = true;
                say_parts(format_args!(
                    "capture {}: cannot write: {}; it ends here, no signal is affected",
                    self.file.path().display(),
                    Told(&error)
                ));
            }
        }
    }
}
