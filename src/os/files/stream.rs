//! Files that a program writes while its user waits: a terminal or a FIFO, too, whose reader may
//! stall.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::output::Output;
use super::stop::Room;

/// A file, a terminal, or a FIFO with a reader.
#[derive(Debug)]
pub struct Stream {
    output: Output,
    room: Room,
}

impl Stream {
    /// Opens or creates a file, in a folder that exists; existing content stays. A terminal, or a
    /// FIFO with a reader, is accepted too.
    ///
    /// # Errors
    ///
    /// The file, what is wrong with it and what was expected.
    pub fn open(path: &Path) -> Result<Self, String> {
        let output = Output::at_path(path, |about| match about.kind() {
            libc::S_IFCHR | libc::S_IFIFO => Ok(()),
            _ => about.other_kind().map_or(Ok(()), Err),
        });
        Ok(Self {
            output: output?,
            room: Room::default(),
        })
    }

    /// Once `flag` is set, a reader that takes nothing for a second is not waited for any more.
    pub fn stop_when(&self, flag: Arc<AtomicBool>) {
        self.room.stop_when(flag);
    }

    /// Its path when it was opened.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// Empties it, if it is a regular file.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn empty(&self) -> io::Result<()> {
        self.output.cut(0)
    }

    /// Has the file system write what it would write at a close, and say what it could not.
    ///
    /// # Errors
    ///
    /// The system's error: something that was written is lost.
    pub fn settle(&self) -> io::Result<()> {
        self.output.settle()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.output.write(bytes) {
                // It was opened so that nothing waits in the kernel, where no flag ends it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.room.wait(self.output.as_fd()?)?;
                }
                Ok(written) => {
                    self.room.was_there();
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
