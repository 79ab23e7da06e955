//! Recorded data, which may come through a pipe: its reader may have to wait.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::about::about;
use super::lease;
use super::open::open;
use super::stop::{Stop, glance};

/// An open file, or the end of a pipe.
pub(crate) struct Recorded {
    file: File,
    /// Whether a read may block for ever: true unless it is a regular file.
    may_wait: bool,
    stop: Stop,
}

impl Recorded {
    pub(crate) fn open(path: &Path, stop: Stop) -> io::Result<Self> {
        let about = open(path, libc::O_PATH, 0).and_then(|file| about(&file))?;
        let may_wait = about.other_kind().is_some();
        let file = match may_wait {
            true => open(path, libc::O_RDONLY, 0)?,
            false => lease::wait(|| open(path, libc::O_RDONLY | libc::O_NONBLOCK, 0))?,
        };
        Ok(Self {
            file: file.into(),
            may_wait,
            stop,
        })
    }

    /// Waits until there is data, or the end of the file.
    fn wait(&self) -> io::Result<()> {
        while !glance(&self.file, libc::POLLIN)? {
            if self.stop.is_set() {
                return Err(io::Error::other("the wait for it was ended"));
            }
        }
        Ok(())
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
