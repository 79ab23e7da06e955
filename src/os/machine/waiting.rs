//! How long threads have waited for a core.

use std::ffi::CString;
use std::time::Duration;

use crate::os::files;

/// For how long this thread of the process could have run and did not, so far; `None` where the
/// kernel does not count it, or the thread is gone.
pub fn waited_for_a_core(thread: u32) -> Option<Duration> {
    WaitForCore::of(thread).so_far()
}

/// A thread of this process, to be asked again and again for how long it has waited.
#[derive(Debug)]
pub(crate) struct WaitForCore {
    file: CString,
}

impl WaitForCore {
    pub(crate) fn of(thread: u32) -> Self {
        let file = CString::new(format!("/proc/self/task/{thread}/schedstat"));
        Self {
            file: file.unwrap_or_default(),
        }
    }

    /// As [`waited_for_a_core`]. Takes no memory.
    pub(crate) fn so_far(&self) -> Option<Duration> {
        waited(files::system_into(&self.file, &mut [0; 128]).ok()?)
    }
}

/// Of the time that it ran, the time that it waited, and the number of slices; ns.
fn waited(times: &str) -> Option<Duration> {
    let mut times = times.split_whitespace().map(str::parse);
    let (Some(Ok(ran)), Some(Ok(waited))) = (times.next(), times.next()) else {
        return None;
    };
    // A kernel that does not count says 0.
    (ran > 0_u64).then(|| Duration::from_nanos(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_what_a_thread_waited() {
        assert_eq!(waited("5 7 2\n"), Some(Duration::from_nanos(7)));
        for unknown in ["0 0 0\n", "", "5", "5 x 2"] {
            assert_eq!(waited(unknown), None, "{unknown:?}");
        }
    }
}
