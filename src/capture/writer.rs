//! The thread that writes the capture.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_utils::sync::{Parker, Unparker};

use super::row;
use crate::messages::wire;
use crate::os::clock::Clock;
use crate::os::stderr::say;
use crate::os::threads::{self, Thread, Wanted};
use crate::sync::broadcast::{Consumer, Received};
use crate::telemetry::counters::{Counter, Counters};

/// Lines are written together up to so many bytes.
const TOGETHER: usize = 1 << 16;
/// How long the writer sleeps when there is nothing to write.
const NAP: Duration = Duration::from_millis(2);

/// A running writer.
pub(crate) struct Writer {
    thread: Thread<Job>,
    wake: Unparker,
    done: Arc<AtomicBool>,
    path: PathBuf,
}

struct Job {
    file: File,
    path: PathBuf,
    events: Consumer,
    levels: usize,
    clock: Clock,
    /// When this began: ns since the Unix epoch, and TSC ticks.
    started: (i64, u64),
    counters: Arc<Counters>,
    lines: Vec<u8>,
    /// Events in `lines`.
    pending: u64,
    /// Bytes in the file, whole lines.
    len: u64,
    /// Nothing is written after the first error: what follows would not be a
    /// whole capture.
    failed: bool,
    failures: u64,
}

impl Writer {
    /// Opens the file and locks it; what is in it stays.
    pub(crate) fn open(path: &Path) -> Result<File, String> {
        open(path).map_err(|error| {
            format!(
                "cannot write {}: {error}; expected a file that no other handle writes",
                path.display()
            )
        })
    }

    /// Empties the opened file, then starts the thread on the `aside` cores.
    pub(crate) fn start(
        path: &Path,
        file: File,
        events: Consumer,
        levels: usize,
        clock: Clock,
        counters: Arc<Counters>,
        aside: Vec<usize>,
    ) -> Result<Self, String> {
        let emptied = file.metadata().and_then(|about| match about.is_file() {
            true => file.set_len(0),
            false => Ok(()),
        });
        emptied.map_err(|error| format!("cannot empty {}: {error}", path.display()))?;
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut job = Job {
            file,
            path: path.to_path_buf(),
            events,
            levels,
            started: (since_epoch.as_nanos() as i64, clock.now()),
            clock,
            counters,
            lines: Vec::with_capacity(TOGETHER * 2),
            pending: 0,
            len: 0,
            failed: false,
            failures: 0,
        };
        job.lines.extend_from_slice(row::header().as_bytes());
        let parker = Parker::new();
        let wake = parker.unparker().clone();
        let done = Arc::new(AtomicBool::new(false));
        let ending = done.clone();
        let wanted = Wanted::aside("signal-capture", "the capture thread", aside);
        let thread = threads::spawn(wanted, move || {
            job.run(&parker, &ending);
            job
        })?;
        Ok(Self {
            thread,
            wake,
            done,
            path: path.to_path_buf(),
        })
    }

    /// Writes what is left; the lanes have ended. Says in one line on stderr
    /// what is not in the file.
    pub(crate) fn finish(self) {
        self.done.store(true, Ordering::Release);
        self.wake.unpark();
        let name = self.path.display();
        match self.thread.join() {
            Ok(job) if job.events.missed() + job.failures > 0 => say(&format!(
                "capture {name}: {} events written, {} missed (the disk was behind by all of \
                 capture.buffer), {} not written after an error",
                job.events.received() - job.failures,
                job.events.missed(),
                job.failures,
            )),
            Ok(_) => {}
            Err(_) => say(&format!("capture {name}: the capture thread panicked")),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        // Opening a FIFO would wait for a reader, and the host with it.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    // Two engines that write one file would spoil each other's capture.
    file.try_lock().map_err(io::Error::from)?;
    Ok(file)
}

impl Job {
    fn run(&mut self, parker: &Parker, ending: &AtomicBool) {
        loop {
            // Before the look: when it is set, nothing more is written.
            let last_look = ending.load(Ordering::Acquire);
            match self.take() {
                Received::Message(()) => self.pending += 1,
                Received::Missed(missed) => self.counters.add(Counter::CaptureMissed, missed),
                Received::Empty if !last_look => {
                    self.flush();
                    parker.park_timeout(NAP);
                }
                Received::Empty | Received::Finished => break,
            }
            if self.lines.len() >= TOGETHER {
                self.flush();
            }
        }
        self.flush();
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
            match self.file.write_all(&self.lines) {
                Ok(()) => {
                    self.len += self.lines.len() as u64;
                    self.counters.add(Counter::CaptureWritten, self.pending);
                    self.pending = 0;
                }
                Err(error) => {
                    self.failed = true;
                    // Cut off the line that was begun, if the disk lets us.
                    let _ = self.file.set_len(self.len);
                    say(&format!(
                        "capture {}: cannot write: {error}; it ends here, the engine goes on",
                        self.path.display()
                    ));
                }
            }
        }
        self.lines.clear();
        if self.pending > 0 {
            self.failures += self.pending;
            self.counters.add(Counter::CaptureFailed, self.pending);
            self.pending = 0;
        }
    }
}
