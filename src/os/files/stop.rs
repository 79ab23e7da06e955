//! Whether to keep waiting for whoever is at the other end of a pipe.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::os::limit::Limit;

/// Longest time between two checks whether the wait should end.
const GLANCE_MS: libc::c_int = 50;
/// How long a reader may take nothing once the wait should end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether waits should go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<OnceLock<Arc<AtomicBool>>>);

impl Stop {
    /// From now on a wait ends once `flag` is set. Only the first flag counts.
    pub(crate) fn when(&self, flag: Arc<AtomicBool>) {
        let _ = self.0.set(flag);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0
            .get()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Waits a moment for one of these `events`; whether it came. A signal handler does not interrupt
/// `read` or `write`, because the kernel restarts them.
pub(super) fn glance(file: &impl AsRawFd, events: libc::c_short) -> io::Result<bool> {
    let mut asked = libc::pollfd {
        fd: file.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one valid entry, of a descriptor that the caller keeps open.
    let answers = unsafe { libc::poll(&mut asked, 1, GLANCE_MS) };
    let error = io::Error::last_os_error();
    match answers {
        1.. => Ok(true),
        0 => Ok(false),
        _ if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

/// Room in a stream, whose reader may have stalled.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Room {
    stop: Stop,
    /// Since the wait should end.
    limit: Option<Limit>,
}

impl Room {
    /// From now on, once `flag` is set, a reader that takes nothing for a second ends the wait.
    pub fn stop_when(&self, flag: Arc<AtomicBool>) {
        self.stop.when(flag);
    }

    /// Waits until the stream has room; a pipe then has some for `PIPE_BUF` bytes.
    ///
    /// # Errors
    ///
    /// The system's, or that the wait was ended.
    pub fn wait(&mut self, stream: BorrowedFd<'_>) -> io::Result<()> {
        while !glance(&stream, libc::POLLOUT)? {
            if !self.stop.is_set() {
                continue;
            }
            let limit = self.limit.get_or_insert_with(|| Limit::of(PATIENCE));
            if limit.is_over() {
                return Err(io::Error::other("its reader takes no more"));
            }
        }
        Ok(())
    }

    /// The reader has taken something, so that it may have more time.
    pub fn was_there(&mut self) {
        self.limit = None;
    }
}
