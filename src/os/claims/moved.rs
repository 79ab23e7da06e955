//! Claims of lanes that were moved to other cores.

use super::{Bytes, MAX_CORES, STATE, State, Watch, byte, set};
use crate::os::this_thread::keep_errno;

impl Watch {
    /// Has the handle claim these cores for its lanes, where they are now, and no others. A core
    /// that another process has claimed is left to that. False while another thread chooses its
    /// cores: nothing has changed then. Neither waits for a lock nor allocates.
    pub(crate) fn follow(&self, cores: impl Iterator<Item = usize> + Clone) -> bool {
        keep_errno(|| {
            let state = STATE.try_lock();
            state
                .map(|mut state| state.follow(&self.0, cores))
                .is_some()
        })
    }
}

impl State {
    pub(super) fn follow(&mut self, claimed: &Bytes, cores: impl Iterator<Item = usize> + Clone) {
        if claimed.are_given_up() {
            return;
        }
        let wanted = cores
            .filter(|&core| core < MAX_CORES)
            .map(|core| byte(core, false));
        let of_lanes = claimed.iter().filter(|&byte| byte < MAX_CORES as u64);
        for byte in of_lanes {
            if !wanted.clone().any(|wanted| wanted == byte) {
                claimed.remove(byte);
                self.release(byte);
            }
        }
        for byte in wanted {
            if !claimed.contains(byte) && self.hold(byte) && !claimed.add(byte) {
                self.release(byte);
            }
        }
    }

    /// Gives up one handle's claim. Unlike where a handle ends, nobody looks whether another copy of
    /// the library in this process has a lane there: that is in files, and a sandbox may end a
    /// thread that opens one. Such a copy makes its claim again when it next looks.
    pub(super) fn release(&mut self, byte: u64) {
        self.claimed.take(byte);
        let is_claimed = self.claimed.in_use().any(|claimed| claimed == byte);
        if !is_claimed {
            self.claimed.retain(|other, _| other != byte);
            self.left.unlock(byte);
            if let Some(file) = self.file() {
                set(file, byte, libc::F_UNLCK);
            }
        }
    }
}
