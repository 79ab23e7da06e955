//! A file that gets whole lines, each in one write. A host that ends between two of them, for
//! whatever reason, leaves a file that can be read.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::os::files::Appended;

/// Writes each line when it is complete. Until there is a file, everything is dropped.
pub(super) struct WholeLines {
    file: Rc<RefCell<Option<Appended>>>,
    /// What has been passed in since the last end of a line.
    begun: Vec<u8>,
}

impl WholeLines {
    /// Writes to `file` once it is there.
    pub(super) fn new(file: Rc<RefCell<Option<Appended>>>) -> Self {
        Self {
            file,
            begun: Vec::new(),
        }
    }
}

impl Write for WholeLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        if let Some(end) = self.begun.iter().rposition(|&byte| byte == b'\n') {
            if let Some(file) = &mut *self.file.borrow_mut() {
                file.append(&self.begun[..=end])?;
            }
            self.begun.drain(..=end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
