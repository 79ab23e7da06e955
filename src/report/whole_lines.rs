//! A file that gets whole lines, each in one write: a host that is ended between
//! two of them, by whatever, leaves a file that can be read.

use std::io::{self, Write};

use crate::os::files::Output;

/// Writes each line at its end. A line that the disk takes only a part of is cut
/// off again.
pub(super) struct WholeLines {
    file: Output,
    /// Bytes of whole lines in the file.
    len: u64,
    /// What has been written since the last line's end.
    begun: Vec<u8>,
}

impl WholeLines {
    /// Writes to an empty file.
    pub(super) fn new(file: Output) -> Self {
        Self {
            file,
            len: 0,
            begun: Vec::new(),
        }
    }
}

impl Write for WholeLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        if let Some(end) = self.begun.iter().rposition(|&byte| byte == b'\n') {
            let lines = &self.begun[..=end];
            if let Err(error) = self.file.write_all(lines) {
                // If the disk lets us.
                let _ = self.file.cut(self.len);
                return Err(error);
            }
            self.len += lines.len() as u64;
            self.begun.drain(..=end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
