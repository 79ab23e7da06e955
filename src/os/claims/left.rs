//! Files of claims that are not used any more.
//!
//! To close one ends every claim that this process has on it, also those of other copies of this
//! library. So it stays open as long as such claims count: until the file has no name, because
//! nobody looks for claims there then, or until this process has no lane.

use std::path::Path;

use super::claimed::Claimed;
use super::file::ClaimsFile;
use super::{LANE_NAME, machine, set};

/// The most files that stay open. A host can name a new file for each handle.
const MOST: usize = 4;

/// In the order in which they were left.
#[derive(Debug, Default)]
pub(super) struct Left(Vec<ClaimsFile>);

impl Left {
    /// Leaves a file, and closes what does not count any more.
    pub(super) fn add(&mut self, file: Option<ClaimsFile>, claimed: &Claimed) {
        self.0.extend(file);
        self.close_what_does_not_count(claimed);
        let too_many = self.0.len().saturating_sub(MOST);
        self.0.drain(..too_many);
    }

    /// The file at this path, if it was left: it is used again.
    pub(super) fn take(&mut self, path: &Path) -> Option<ClaimsFile> {
        let place = self.0.iter().position(|file| file.is_at(path))?;
        Some(self.0.remove(place))
    }

    /// Nobody uses this byte's core any more.
    pub(super) fn unlock(&self, byte: u64) {
        for file in self.0.iter().filter_map(|file| file.get().ok()) {
            set(file, byte, libc::F_UNLCK);
        }
    }

    /// Closes the files on which no claim counts. Takes no memory.
    pub(super) fn close_what_does_not_count(&mut self, claimed: &Claimed) {
        self.0.retain(|file| match file.get() {
            Ok(_) => !file.has_no_name(),
            // The host has closed it, or a thread with a table of descriptors of its own has it.
            Err(_) => file.is_with_others(),
        });
        if !self.0.is_empty() && claimed.is_empty() && !may_have_lanes() {
            self.0.clear();
        }
    }
}

/// Whether any copy of this library may have a lane in this process.
fn may_have_lanes() -> bool {
    let mut has_lanes = false;
    let looked = machine::each_thread(|thread| has_lanes |= thread.name.starts_with(LANE_NAME));
    // If the kernel cannot list the threads, there may be one.
    has_lanes || looked.is_err()
}
