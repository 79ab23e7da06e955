//! A file that gets whole lines, each in one write. A host that ends between two of them, for
//! whatever reason, leaves a file that can be read.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::os::files::Output;

/// Writes each line when it is complete. If the disk takes only a part of a line, that part
/// is removed again. Until there is a file, everything is dropped.
pub(super) struct WholeLines {
    file: Rc<RefCell<Option<Output>>>,
    /// Bytes of whole lines in the file.
    len: u64,
    /// What has been passed in since the last end of a line.
    begun: Vec<u8>,
}

impl WholeLines {
    /// Writes to `file` once it is there; it must be empty.
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
                    // If the disk allows it.
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
