//! A file that gets whole lines, each in one write: a host that is ended between
//! two of them, by whatever, leaves a file that can be read.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::os::files::Output;

/// Writes each line at its end. A line that the disk takes only a part of is cut
/// off again. Until it has a file it drops what it is given.
pub(super) struct WholeLines {
    file: Rc<RefCell<Option<Output>>>,
    /// Bytes of whole lines in the file.
    len: u64,
    /// What has been written since the last line's end.
    begun: Vec<u8>,
}

impl WholeLines {
    /// Writes to an empty file, once it is there.
    pub(super) fn new(file: Rc<RefCell<Option<Output>>>) -> Self {
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
            if let Some(file) = &mut *self.file.borrow_mut() {
                if let Err(error) = file.write_all(lines) {
                    // If the disk lets us.
                    let _ = file.cut(self.len);
                    return Err(error);
                }
                self.len += lines.len() as u64;
            }
            self.begun.drain(..=end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.file.borrow_mut() {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}
