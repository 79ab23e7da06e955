//! Recorded data, which may come through a pipe: its reader may have to wait.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::open::{about, name_of_kind, open};

/// Longest time between two checks whether the wait for a pipe should end.
const GLANCE_MS: libc::c_int = 50;

/// Whether the reader of a pipe should keep waiting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<OnceLock<Arc<AtomicBool>>>);

impl Stop {
    /// From now on a wait ends once `flag` is set. Only the first flag counts.
    pub(crate) fn when(&self, flag: Arc<AtomicBool>) {
        let _ = self.0.set(flag);
    }

    fn is_set(&self) -> bool {
        self.0
            .get()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// An open file, or the end of a pipe.
pub(crate) struct Recorded {
    file: File,
    /// Whether a read may block for ever: true unless it is a regular file.
    may_wait: bool,
    stop: Stop,
}

impl Recorded {
    pub(crate) fn open(path: &Path, stop: Stop) -> io::Result<Self> {
        let file = open(path, libc::O_RDONLY, 0)?;
        let may_wait = name_of_kind(about(&file)?.st_mode).is_some();
        Ok(Self {
            file: file.into(),
            may_wait,
            stop,
        })
    }

    /// Waits until there is data, or the end of the file. A signal handler does not interrupt
    /// `read`, because the kernel restarts it.
    fn wait(&self) -> io::Result<()> {
        let mut asked = libc::pollfd {
            fd: self.file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        loop {
            // SAFETY: one valid entry, of a descriptor that `file` keeps open.
            let answers = unsafe { libc::poll(&mut asked, 1, GLANCE_MS) };
            if answers > 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if answers < 0 && error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            if self.stop.is_set() {
                return Err(io::Error::other("the wait for it was ended"));
            }
        }
    }
}

impl Read for Recorded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.may_wait {
            self.wait()?;
        }
        self.file.read(out)
    }
}
