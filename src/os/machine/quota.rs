//! The CPU time that control groups leave to this process, v1 and v2.
//!
//! A group's quota binds all groups below it, so the tightest one from this
//! process' own group upwards counts.

use std::io::ErrorKind::NotFound;
use std::path::Path;

use super::groups::{self, Groups, Version};
use crate::os::files;

/// A quota.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// CPU time for each unit of time: 0.5 is half a core.
    pub cores: f64,
}

/// The quota of this process; `None` without one.
pub fn quota() -> Option<Quota> {
    quota_of(&Groups::of_this_thread())
}

/// Why there may be a quota that [`quota`] does not know of, if so.
pub fn quota_unknown() -> Option<String> {
    unknown_of(&Groups::of_this_thread())
}

fn quota_of(groups: &Groups) -> Option<Quota> {
    let folders = groups.cpu.folders.iter();
    let quotas = folders.filter_map(|(version, folder)| match version {
        Version::V2 => read_v2(folder),
        Version::V1 => read_v1(folder),
    });
    let tightest = quotas.min_by(f64::total_cmp);
    tightest.map(|cores| Quota { cores })
}

fn unknown_of(groups: &Groups) -> Option<String> {
    let seen = &groups.cpu;
    seen.unseen.clone().or_else(|| {
        seen.folders.iter().find_map(|(version, folder)| {
            let file = folder.join(match version {
                Version::V2 => "cpu.max",
                Version::V1 => "cpu.cfs_quota_us",
            });
            let error = files::system(&file).err()?;
            // A group of which nobody shares the time out.
            let has_none = error.kind() == NotFound && files::entries(folder).is_ok();
            (!has_none).then(|| format!("{}: {error}", file.display()))
        })
    })
}

fn read_v2(group: &Path) -> Option<f64> {
    of_v2(&files::system(group.join("cpu.max")).ok()?)
}

/// The quota in the text of a `cpu.max`.
pub(super) fn of_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    // `max` is no number.
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

fn read_v1(group: &Path) -> Option<f64> {
    let number = |file| groups::number(group, file);
    ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
}

/// `None` for -1, which is no quota.
pub(super) fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::super::groups::system;
    use super::*;

    fn quota_in(root: &Path) -> Option<Quota> {
        quota_of(&Groups::read(root))
    }

    fn quota_unknown_in(root: &Path) -> Option<String> {
        unknown_of(&Groups::read(root))
    }

    fn cores(root: &tempfile::TempDir) -> Option<f64> {
        quota_in(root.path()).map(|quota| quota.cores)
    }

    const V2: (&str, &str) = (
        "proc/thread-self/mountinfo",
        "22 1 0:21 / /proc rw - proc proc rw\n30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    );

    #[test]
    fn the_tightest_quota_of_version_2_counts() {
        let root = system(&[
            V2,
            ("proc/thread-self/cgroup", "0::/user.slice/app.service\n"),
            (
                "sys/fs/cgroup/user.slice/app.service/cpu.max",
                "200000 100000\n",
            ),
            ("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n"),
        ]);
        assert_eq!(cores(&root), Some(0.5));
    }

    #[test]
    fn no_quota_is_none_and_a_containers_own_group_is_at_the_mount_point() {
        let own = ("sys/fs/cgroup/cpu.max", "max 100000\n");
        let root = system(&[V2, ("proc/thread-self/cgroup", "0::/\n"), own]);
        assert_eq!(cores(&root), None);
        let own = ("sys/fs/cgroup/cpu.max", "150000 100000\n");
        for group in ["0::/\n", "0::/../other\n"] {
            let root = system(&[V2, ("proc/thread-self/cgroup", group), own]);
            assert_eq!(cores(&root), Some(1.5), "{group}");
        }
        assert_eq!(cores(&system(&[])), None);
    }

    #[test]
    fn what_cannot_be_read_of_the_groups_is_no_absence_of_a_quota() {
        let unknown = |files: &[(&str, &str)]| quota_unknown_in(system(files).path());
        let status = ("proc/thread-self/status", "Name: x\n");
        let root = ("proc/thread-self/cgroup", "0::/\n");
        let group = ("proc/thread-self/cgroup", "4:cpuset:/\n0::/app.service\n");
        let none = (
            "proc/thread-self/mountinfo",
            "22 1 0:21 / /proc rw - proc proc rw\n",
        );
        let own = ("sys/fs/cgroup/app.service/cgroup.procs", "7\n");
        // Known: no groups, the group of all, and one whose time nobody shares out.
        assert_eq!(unknown(&[status]), None);
        assert_eq!(unknown(&[status, root, none]), None);
        assert_eq!(unknown(&[status, group, V2, own]), None);
        let max = ("sys/fs/cgroup/app.service/cpu.max", "max 100000\n");
        assert_eq!(unknown(&[status, group, V2, max]), None);
        // A controller that version 1 has is none of version 2's groups', which a
        // container of both versions may not see.
        let both = (
            "proc/thread-self/cgroup",
            "3:cpu,cpuacct:/docker/c1\n0::/system.slice/containerd.service\n",
        );
        let v1 = (
            "proc/thread-self/mountinfo",
            "32 30 0:28 /docker/c1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
        );
        let unlimited = ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
        assert_eq!(unknown(&[status, both, v1, unlimited]), None);
        // No /proc, none of its lists, no mount, no folder, a file that is none.
        let folder = ("sys/fs/cgroup/app.service/cpu.max/x", "");
        for (files, part) in [
            (&[][..], "/proc/thread-self/cgroup"),
            (&[status, group], "/proc/thread-self/mountinfo"),
            (&[status, group, none], "/app.service is not mounted"),
            (&[status, group, V2], "app.service/cpu.max: "),
            (&[status, group, V2, folder], "app.service/cpu.max: "),
        ] {
            let why = unknown(files).unwrap();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_quota_of_version_1_is_found_in_a_container() {
        let mounts = (
            "proc/thread-self/mountinfo",
            "31 30 0:27 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             32 30 0:28 /docker/c1 /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
        );
        let groups = "5:memory:/docker/c1\n4:cpuset:/\n3:cpu,cpuacct:/docker/c1/inner\n";
        let root = system(&[
            mounts,
            ("proc/thread-self/cgroup", groups),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "-1\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us",
                "100000\n",
            ),
        ]);
        assert_eq!(cores(&root), Some(0.5));
    }

    /// A namespace of this process' own below `/a/b` of each hierarchy, whose outer mounts it
    /// sees: of version 1, of version 2, and of both.
    fn in_a_namespace(is_v1: bool, own_threads: &str) -> tempfile::TempDir {
        let (mount, folder, list, quota) = match is_v1 {
            true => (
                "32 30 0:28 /../.. /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                 33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
                "sys/fs/cgroup/cpu/a",
                "tasks",
                [
                    ("cpu.cfs_quota_us", "50000"),
                    ("cpu.cfs_period_us", "100000"),
                ],
            ),
            false => (
                "33 30 0:29 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "sys/fs/cgroup/a",
                "cgroup.threads",
                [("cpu.max", "50000 100000"), ("cgroup.type", "domain")],
            ),
        };
        let file = |name: &str| format!("{folder}/{name}");
        let files = [
            ("proc/thread-self/status".to_owned(), "Name: x\n"),
            ("proc/thread-self/mountinfo".to_owned(), mount),
            (
                "proc/thread-self/cgroup".to_owned(),
                if is_v1 {
                    "3:cpu:/own\n0::/\n"
                } else {
                    "0::/own\n"
                },
            ),
            // Others' groups, of the same depth and deeper.
            (file("c/own/").clone() + list, "1\n2\n"),
            (file("b/own/").clone() + list, own_threads),
            (file("b/own/below/").clone() + list, own_threads),
            (file("b/own/") + quota[0].0, quota[0].1),
            (file("b/own/") + quota[1].0, quota[1].1),
        ];
        system(&files.each_ref().map(|(path, text)| (path.as_str(), *text)))
    }

    #[test]
    fn a_group_of_a_namespace_is_found_by_its_threads_in_the_outer_mount() {
        let this = format!("1\n{}\n", crate::os::this_thread::id());
        for is_v1 in [true, false] {
            let root = in_a_namespace(is_v1, &this);
            assert_eq!(cores(&root), Some(0.5), "{is_v1}");
            assert_eq!(quota_unknown_in(root.path()), None);
        }
    }

    #[test]
    fn a_group_that_no_folder_of_the_outer_mount_lists_leaves_the_quota_unknown() {
        for is_v1 in [true, false] {
            let root = in_a_namespace(is_v1, "1\n");
            assert_eq!(cores(&root), None);
            let why = quota_unknown_in(root.path()).unwrap();
            let part = "shows control group /../.., and /own is 2 levels below";
            assert!(why.contains(part), "{why}");
        }
        // Another group's mount.
        let group = ("proc/thread-self/cgroup", "0::/../other\n");
        let own = ("sys/fs/cgroup/cpu.max", "max 100000\n");
        let why = quota_unknown_in(system(&[V2, group, own]).path()).unwrap();
        assert!(
            why.contains("shows control group /, and /../other is elsewhere"),
            "{why}"
        );
    }
}
