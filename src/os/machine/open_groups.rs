//! Files of control groups that stay open, for a look on a thread of the host's: a sandbox may end a
//! thread that opens a file.
//!
//! All handles share them: the host may have few descriptors.

use std::ffi::CStr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::group_folder::{EMPTY, Folder, hash};
use super::throttled::{Level, STAT, STAT_BYTES, counts};
use crate::os::files::{self, Held};
use crate::os::limit;
use crate::os::process_lock::ProcessLock;

/// Most groups whose files are open: the own one and those above it.
const MOST: usize = 4;

/// Longest wait for another thread that opens such files.
const PATIENCE: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(1);

/// What handles of this process have open. Threads may be in different groups.
static SHARED: ProcessLock<Vec<Weak<OpenGroups>>> = ProcessLock::new();

/// The list of the process' groups, and counts of the groups that it was in when that was opened.
#[derive(Debug)]
pub(crate) struct OpenGroups {
    /// The own group's folder.
    folder: Box<[u8]>,
    list: Held,
    /// A hash of what the list said at first.
    as_listed: u64,
    groups: [Option<Held>; MOST],
}

impl OpenGroups {
    /// Those of another handle, if they are the same ones and the host has closed none. `None` where
    /// they cannot be opened.
    pub(super) fn of(list: &CStr, folder: &[u8], top: usize) -> Option<Arc<Self>> {
        let mut shared = limit::ask_for(PATIENCE, STEP, || SHARED.try_lock());
        if let Some(shared) = &mut shared {
            shared.retain(|groups| groups.strong_count() > 0);
            let mut others = shared.iter().filter_map(Weak::upgrade);
            if let Some(same) = others.find(|other| other.are_now(folder)) {
                return Some(same);
            }
        }
        let opened = Arc::new(Self::open(list, folder, top)?);
        if let Some(shared) = &mut shared {
            shared.push(Arc::downgrade(&opened));
        }
        Some(opened)
    }

    fn open(list: &CStr, folder: &[u8], top: usize) -> Option<Self> {
        let list = files::hold_system(list)?;
        let as_listed = hash_of(&list)?;
        let mut above = Folder::new(&[folder])?;
        let mut groups = [const { None }; MOST];
        for group in &mut groups {
            *group = above.with(STAT, files::hold_system);
            if above.length() <= top || !above.go_up() {
                break;
            }
        }
        Some(Self {
            folder: folder.into(),
            list,
            as_listed,
            groups,
        })
    }

    /// Whether the process is in these groups, and each file is still open. False for a thread with
    /// a table of descriptors of its own.
    fn are_now(&self, folder: &[u8]) -> bool {
        let mut open = self.groups.iter().flatten();
        *self.folder == *folder
            && hash_of(&self.list) == Some(self.as_listed)
            && open.all(|group| group.get().is_ok())
    }

    /// Calls `each` with the groups, without their quotas, as long as the process is in those that it
    /// was in at first. Opens nothing and takes no memory.
    pub(crate) fn each_level(&self, mut each: impl FnMut(Level)) {
        if hash_of(&self.list) != Some(self.as_listed) {
            return;
        }
        for (id, group) in (0..).zip(&self.groups) {
            let Some(group) = group else {
                continue;
            };
            let mut text = [0; STAT_BYTES];
            let text = files::system_part_into(group, 0, &mut text).ok();
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            each(Level {
                id,
                quota: None,
                so_far: text.and_then(counts),
            });
        }
    }
}

/// A hash of a file's text.
fn hash_of(file: &Held) -> Option<u64> {
    let (mut hash, mut from) = (hash(EMPTY, &[]), 0);
    loop {
        let mut part = [0; 512];
        let part = files::system_part_into(file, from, &mut part).ok()?;
        if part.is_empty() {
            return Some(hash);
        }
        hash = super::group_folder::hash(hash, part);
        from += part.len() as u64;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::os::fd::AsRawFd;

    use super::super::groups::system;
    use super::super::throttled::Throttled;
    use super::*;

    fn in_group(root: &tempfile::TempDir, group: &str) {
        for of in ["thread-self", "self"] {
            write(
                root,
                &format!("proc/{of}/cgroup"),
                &format!("0::/{group}\n"),
            );
        }
    }

    fn write(root: &tempfile::TempDir, path: &str, text: &str) {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A machine whose process is in one of two groups.
    fn machine() -> tempfile::TempDir {
        let root = system(&[
            (
                "proc/thread-self/mountinfo",
                "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/above/app/cpu.stat", "usage_usec 1\n"),
            ("sys/fs/cgroup/above/cpu.stat", "usage_usec 1\n"),
        ]);
        in_group(&root, "above/app");
        root
    }

    fn open(root: &tempfile::TempDir) -> Option<Arc<OpenGroups>> {
        Throttled::find_in(root.path()).unwrap().open()
    }

    #[test]
    fn files_that_are_open_tell_as_long_as_the_process_is_where_it_was() {
        let root = machine();
        let open_groups = open(&root).unwrap();
        let levels = || {
            let mut levels = Vec::new();
            open_groups.each_level(|level| {
                levels.extend(level.so_far.map(|so_far| (level.id, so_far.nr_throttled)));
            });
            levels
        };
        assert_eq!(levels(), []);
        let stat = "nr_periods 9\nnr_throttled 8\nthrottled_usec 7\n";
        write(&root, "sys/fs/cgroup/above/cpu.stat", stat);
        assert_eq!(levels(), [(1, 8)]);
        write(&root, "proc/self/cgroup", "0::/above/other\n");
        assert_eq!(levels(), []);
        // None where the list cannot be had.
        std::fs::remove_file(root.path().join("proc/self/cgroup")).unwrap();
        assert!(open(&root).is_none());
    }

    #[test]
    fn handles_share_the_files_as_long_as_one_has_them_and_they_are_the_same() {
        let root = machine();
        let (first, second) = (open(&root).unwrap(), open(&root).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        // In another group.
        in_group(&root, "above");
        let above = open(&root).unwrap();
        assert!(!Arc::ptr_eq(&first, &above));
        in_group(&root, "above/app");
        assert!(Arc::ptr_eq(&first, &open(&root).unwrap()));
        // What the host has closed is opened again.
        let closed = first.groups[1].as_ref().unwrap().get().unwrap();
        // SAFETY: its owner sees that it is closed.
        unsafe { libc::close(closed.as_raw_fd()) };
        let again = open(&root).unwrap();
        assert!(!Arc::ptr_eq(&first, &again));
        assert!(again.groups[1].as_ref().unwrap().get().is_ok());
        assert!(Arc::ptr_eq(&again, &open(&root).unwrap()));
    }

    #[test]
    fn the_files_are_closed_with_the_last_handle() {
        let root = machine();
        let (first, second) = (open(&root).unwrap(), open(&root).unwrap());
        let shared = Arc::downgrade(&first);
        drop(first);
        assert!(shared.strong_count() > 0);
        drop(second);
        assert_eq!(shared.strong_count(), 0);
    }
}
