//! How the CPU quotas of control groups hold this process up.
//!
//! A quota can be set at any time, and the process can be moved into a group that has one. So each
//! look asks all groups: the thread's own, and those above it. A look takes no memory.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::group_folder::Folder;
use super::groups::{Groups, Version};
use super::open_groups::OpenGroups;
use super::quota::{self, Quota};
use crate::os::files;

/// How often, and for how long, a group was held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Throttling {
    /// Periods that have passed.
    pub nr_periods: u64,
    /// Those in which the quota was used up before the end.
    pub nr_throttled: u64,
    /// How long threads have waited for the next period, us.
    pub throttled_us: u64,
}

impl Throttling {
    /// What has come since an earlier look.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            nr_periods: self.nr_periods.saturating_sub(earlier.nr_periods),
            nr_throttled: self.nr_throttled.saturating_sub(earlier.nr_throttled),
            throttled_us: self.throttled_us.saturating_sub(earlier.throttled_us),
        }
    }

    /// Both together.
    pub fn and(self, more: Self) -> Self {
        Self {
            nr_periods: self.nr_periods.saturating_add(more.nr_periods),
            nr_throttled: self.nr_throttled.saturating_add(more.nr_throttled),
            throttled_us: self.throttled_us.saturating_add(more.throttled_us),
        }
    }
}

/// A group's file with these counts.
pub(super) const STAT: &str = "cpu.stat";
/// More than the counts and what comes before them.
pub(super) const STAT_BYTES: usize = 512;

/// A group that this process is in, or one above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level {
    /// Tells it from other groups.
    pub(crate) id: u64,
    pub(crate) quota: Option<Quota>,
    /// All that it was held up so far; `None` where the kernel does not say.
    pub(crate) so_far: Option<Throttling>,
}

/// The groups that may hold this process up, to be asked again and again.
#[derive(Clone, Debug)]
pub(crate) struct Throttled {
    version: Version,
    /// The list of the calling thread's groups, and that of its process' first thread.
    list: CString,
    own_list: CString,
    /// The group that it was in, as that list names it, and its folder.
    name: Box<[u8]>,
    folder: Box<[u8]>,
    /// Length of the path of the topmost folder that can be seen.
    top: usize,
}

impl Throttled {
    /// `None` where no group can be seen.
    pub(crate) fn find() -> Option<Self> {
        Self::of(Path::new("/"), &Groups::of_this_thread())
    }

    /// [`find`](Self::find), with the system's files below `root`.
    #[cfg(test)]
    pub(crate) fn find_in(root: &Path) -> Option<Self> {
        Self::of(root, &Groups::read(root))
    }

    fn of(root: &Path, groups: &Groups) -> Option<Self> {
        let seen = &groups.cpu;
        let (version, own) = seen.folders.first()?;
        let (_, top) = seen.folders.last()?;
        let list = |of: &str| {
            let path = root.join("proc").join(of).join("cgroup");
            CString::new(path.as_os_str().as_bytes()).ok()
        };
        Some(Self {
            version: *version,
            list: list("thread-self")?,
            own_list: list("self")?,
            name: without_slash(seen.name.as_bytes()).into(),
            folder: without_slash(own.as_os_str().as_bytes()).into(),
            top: without_slash(top.as_os_str().as_bytes()).len(),
        })
    }

    /// Calls `each` with the groups that the process was in at first, from its own upwards.
    pub(crate) fn each_level_of_then(&self, each: impl FnMut(Level)) {
        self.each_level_from(Folder::new(&[&self.folder]), each);
    }

    /// Calls `each` with the groups that the process is in now.
    pub(crate) fn each_level(&self, each: impl FnMut(Level)) {
        self.each_level_from(self.folder_now(), each);
    }

    /// The files of the groups that the process was in at first, open: `None` where that fails.
    pub(crate) fn open(&self) -> Option<Arc<OpenGroups>> {
        OpenGroups::of(&self.own_list, &self.folder, self.top)
    }

    /// `None` where the process has been moved to a place that cannot be told.
    fn folder_now(&self) -> Option<Folder> {
        let mut now = None;
        let read = files::each_line(&self.list, |line| {
            if let Some(name) = self.name_in(line) {
                now = Some(match without_slash(name) == &*self.name {
                    true => Folder::new(&[&self.folder]),
                    false => self.folder_of(name),
                });
            }
        });
        match read {
            Ok(()) => now?,
            // Nothing says that it was moved.
            Err(_) => Folder::new(&[&self.folder]),
        }
    }

    /// The group's name, if this line of the list, `hierarchy:controllers:name`, is the one.
    fn name_in<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
        let (controllers, name) = (fields.next()?, fields.next()?);
        let is_here = match self.version {
            Version::V1 => controllers
                .split(|&byte| byte == b',')
                .any(|of| of == b"cpu"),
            Version::V2 => controllers.is_empty(),
        };
        is_here.then_some(name)
    }

    /// The folder of another group: its name stands where the first one's stood.
    fn folder_of(&self, name: &[u8]) -> Option<Folder> {
        let before = self.folder.strip_suffix(&*self.name)?;
        // Outside of what this process can see.
        let is_above = name.split(|&byte| byte == b'/').any(|part| part == b"..");
        (!is_above).then(|| Folder::new(&[before, without_slash(name)]))?
    }

    fn each_level_from(&self, folder: Option<Folder>, mut each: impl FnMut(Level)) {
        let Some(mut folder) = folder else {
            return;
        };
        loop {
            each(Level {
                id: folder.id(),
                quota: quota_of(self.version, &mut folder),
                so_far: throttling(&mut folder),
            });
            if folder.length() <= self.top || !folder.go_up() {
                return;
            }
        }
    }
}

fn throttling(folder: &mut Folder) -> Option<Throttling> {
    let mut text = [0; STAT_BYTES];
    counts(folder.text(STAT, &mut text)?)
}

/// The counts in the text of a `cpu.stat`.
pub(super) fn counts(text: &str) -> Option<Throttling> {
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(name, _)| *name == key)?;
        value.trim().parse::<u64>().ok()
    };
    Some(Throttling {
        nr_periods: value("nr_periods")?,
        nr_throttled: value("nr_throttled")?,
        // Version 1 counts nanoseconds.
        throttled_us: value("throttled_usec")
            .or_else(|| Some(value("throttled_time")? / 1000))
            .unwrap_or(0),
    })
}

fn quota_of(version: Version, folder: &mut Folder) -> Option<Quota> {
    let mut text = [0; 64];
    let cores = match version {
        Version::V2 => quota::of_v2(folder.text("cpu.max", &mut text)?),
        Version::V1 => {
            let mut number = |file: &str| {
                let number = folder.text(file, &mut text)?;
                number.trim().parse().ok()
            };
            quota::ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
        }
    };
    cores.map(|cores| Quota { cores })
}

/// A path without the slash at its end.
fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::groups::system;
    use super::*;

    const V2: (&str, &str) = (
        "proc/thread-self/mountinfo",
        "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    const LIST: &str = "proc/thread-self/cgroup";

    fn levels(throttled: &Throttled) -> Vec<(Option<f64>, [u64; 3])> {
        let mut levels = Vec::new();
        throttled.each_level(|level| {
            let Some(Throttling {
                nr_periods,
                nr_throttled,
                throttled_us,
            }) = level.so_far
            else {
                return;
            };
            let quota = level.quota.map(|quota| quota.cores);
            levels.push((quota, [nr_periods, nr_throttled, throttled_us]));
        });
        levels
    }

    fn write(root: &tempfile::TempDir, path: &str, text: &str) {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn each_group_is_asked_from_the_own_one_upwards() {
        let stat = "usage_usec 7\nnr_periods 123\nnr_throttled 121\nthrottled_usec 9000\n";
        let root = system(&[
            V2,
            (LIST, "0::/user.slice/app.service\n"),
            (
                "sys/fs/cgroup/user.slice/app.service/cpu.max",
                "200000 100000\n",
            ),
            (
                "sys/fs/cgroup/user.slice/app.service/cpu.stat",
                "nr_periods 3\nnr_throttled 0\nthrottled_usec 0\n",
            ),
            ("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/user.slice/cpu.stat", stat),
            // The group of all has no quota, and is not held up.
            ("sys/fs/cgroup/cpu.stat", "usage_usec 7\n"),
        ]);
        let throttled = Throttled::find_in(root.path()).unwrap();
        assert_eq!(
            levels(&throttled),
            [(Some(2.0), [3, 0, 0]), (Some(0.5), [123, 121, 9000])]
        );
        // Nothing is said of a file that is none any more.
        std::fs::remove_dir_all(root.path().join("sys")).unwrap();
        assert_eq!(levels(&throttled), []);
    }

    #[test]
    fn a_quota_that_is_set_later_is_seen() {
        let root = system(&[
            V2,
            (LIST, "0::/app\n"),
            ("sys/fs/cgroup/app/cpu.max", "max 100000\n"),
        ]);
        let throttled = Throttled::find_in(root.path()).unwrap();
        assert_eq!(levels(&throttled), []);
        write(&root, "sys/fs/cgroup/app/cpu.max", "50000 100000\n");
        let stat = "nr_periods 9\nnr_throttled 8\nthrottled_usec 7\n";
        write(&root, "sys/fs/cgroup/app/cpu.stat", stat);
        assert_eq!(levels(&throttled), [(Some(0.5), [9, 8, 7])]);
        // A list that is gone leaves the groups as they were.
        std::fs::remove_file(root.path().join(LIST)).unwrap();
        assert_eq!(levels(&throttled).len(), 1);
    }

    #[test]
    fn a_process_that_is_moved_is_followed_in_both_versions() {
        let mounts = (
            "proc/thread-self/mountinfo",
            "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
        );
        let root = system(&[mounts, (LIST, "4:cpuset:/\n3:cpu,cpuacct:/\n0::/\n")]);
        let throttled = Throttled::find_in(root.path()).unwrap();
        let stat = "nr_periods 5\nnr_throttled 3\nthrottled_time 4000000\n";
        write(&root, "sys/fs/cgroup/cpu/a/b/cpu.stat", stat);
        write(&root, "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "50000\n");
        write(&root, "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
        write(&root, "sys/fs/cgroup/cpu/a/cpu.stat", stat);
        write(&root, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
        assert_eq!(levels(&throttled), []);
        write(&root, LIST, "4:cpuset:/\n3:cpu,cpuacct:/a/b\n0::/\n");
        let both = [(Some(0.5), [5, 3, 4000]), (None, [5, 3, 4000])];
        assert_eq!(levels(&throttled), both);

        let root = system(&[V2, (LIST, "0::/old/app\n")]);
        let stat = "nr_periods 2\nnr_throttled 1\nthrottled_usec 6\n";
        write(&root, "sys/fs/cgroup/new/cpu.stat", stat);
        let throttled = Throttled::find_in(root.path()).unwrap();
        write(&root, LIST, "0::/new\n");
        assert_eq!(levels(&throttled), [(None, [2, 1, 6])]);
        // Out of what can be seen.
        for elsewhere in ["0::/../new\n", "0::/gone\n", "7:memory:/new\n"] {
            write(&root, LIST, elsewhere);
            assert_eq!(levels(&throttled), [], "{elsewhere}");
        }
    }

    #[test]
    fn a_group_whose_name_is_not_in_its_folders_path_is_not_followed() {
        let mounts = (
            "proc/thread-self/mountinfo",
            "32 30 0:28 /docker/c1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
        );
        let root = system(&[mounts, (LIST, "3:cpu:/docker/c1/inner\n")]);
        let stat = "nr_periods 5\nnr_throttled 3\nthrottled_time 4000000\n";
        write(&root, "sys/fs/cgroup/cpu/inner/cpu.stat", stat);
        write(&root, "sys/fs/cgroup/cpu/cpu.stat", stat);
        let throttled = Throttled::find_in(root.path()).unwrap();
        assert_eq!(levels(&throttled).len(), 2);
        write(&root, LIST, "3:cpu:/docker/c1/other\n");
        assert_eq!(levels(&throttled), []);
    }
}
