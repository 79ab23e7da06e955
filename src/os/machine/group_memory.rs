//! The memory that control groups leave to this process, v1 and v2.

use std::path::Path;

use super::groups::{self, Groups, Version};
use crate::os::files;

/// What the group that leaves least has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMemory {
    /// Bytes that can still be taken before the kernel ends a process, or holds up all of
    /// the group's. What files have in the group's memory can be had back, and counts
    /// as free.
    pub(crate) left: u64,
    /// The group's limit, bytes.
    pub(crate) limit: u64,
    /// The file that says so.
    pub(crate) file: String,
}

/// `None` without a limit, or where it cannot be read.
pub(crate) fn group_memory() -> Option<GroupMemory> {
    least_left(&Groups::of_this_thread())
}

/// Why there may be a limit that `group_memory` does not know of, if so.
pub fn group_memory_unknown() -> Option<String> {
    let groups = Groups::of_this_thread();
    let why = groups.memory.unseen.as_ref()?;
    Some(format!(
        "whether a control group limits memory is not known: {why}"
    ))
}

fn least_left(groups: &Groups) -> Option<GroupMemory> {
    let folders = groups.memory.folders.iter();
    folders
        .flat_map(|(version, folder)| left_in(*version, folder))
        .min_by_key(|group| group.left)
}

/// The limits of one group.
fn left_in(version: Version, group: &Path) -> Vec<GroupMemory> {
    /// Version 1 writes the largest number of pages where there is no limit.
    const NONE: u64 = 1 << 62;
    let (limits, usage, prefix): (&[&str], _, _) = match version {
        Version::V1 => (
            &["memory.limit_in_bytes"],
            "memory.usage_in_bytes",
            "total_",
        ),
        Version::V2 => (&["memory.max", "memory.high"], "memory.current", ""),
    };
    let limits = limits.iter().filter_map(|&file| {
        let limit = groups::number::<u64>(group, file)?;
        (limit < NONE).then_some((file, limit))
    });
    let limits: Vec<_> = limits.collect();
    if limits.is_empty() {
        return Vec::new();
    }
    let Some(used) = groups::number::<u64>(group, usage) else {
        return Vec::new();
    };
    let about = files::system(group.join("memory.stat")).unwrap_or_default();
    let of_files = about.lines().filter_map(|line| {
        let (name, bytes) = line.split_once(' ')?;
        let kind = name.strip_prefix(prefix)?;
        let is_of_files = matches!(kind, "active_file" | "inactive_file");
        is_of_files.then(|| bytes.trim().parse::<u64>().ok())?
    });
    let used = used.saturating_sub(of_files.sum());
    let left = |(file, limit): (&str, u64)| GroupMemory {
        left: limit.saturating_sub(used),
        limit,
        file: group.join(file).display().to_string(),
    };
    limits.into_iter().map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::super::groups::system;
    use super::*;

    fn group_memory_in(root: &Path) -> Option<GroupMemory> {
        least_left(&Groups::read(root))
    }

    const V1: (&str, &str) = (
        "proc/thread-self/mountinfo",
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    );
    const V2: (&str, &str) = (
        "proc/thread-self/mountinfo",
        "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );

    #[test]
    fn version_1_leaves_what_is_not_used_and_what_files_have() {
        let root = system(&[
            V1,
            ("proc/thread-self/cgroup", "4:memory:/host/inner\n0::/\n"),
            (
                "sys/fs/cgroup/memory/host/inner/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/memory/host/inner/memory.usage_in_bytes",
                "5000\n",
            ),
            (
                "sys/fs/cgroup/memory/host/memory.limit_in_bytes",
                "1000000\n",
            ),
            (
                "sys/fs/cgroup/memory/host/memory.usage_in_bytes",
                "900000\n",
            ),
            (
                "sys/fs/cgroup/memory/host/memory.stat",
                "inactive_file 7\ntotal_inactive_file 200000\ntotal_active_file 50000\ntotal_shmem 9\n",
            ),
        ]);
        let found = group_memory_in(root.path()).unwrap();
        assert_eq!((found.left, found.limit), (350_000, 1_000_000));
        assert!(
            found.file.ends_with("host/memory.limit_in_bytes"),
            "{found:?}"
        );
    }

    #[test]
    fn version_2_has_two_limits_and_the_least_that_a_group_leaves_counts() {
        let own = "sys/fs/cgroup/host/own";
        let file = |name: &str| format!("{own}/{name}");
        let (max, high, current, stat) = (
            file("memory.max"),
            file("memory.high"),
            file("memory.current"),
            file("memory.stat"),
        );
        let mut files = vec![
            V2,
            ("proc/thread-self/cgroup", "0::/host/own\n"),
            (max.as_str(), "700\n"),
            (&high, "500\n"),
            (&current, "400\n"),
            (&stat, "anon 300\nactive_file 20\ninactive_file 30\n"),
            ("sys/fs/cgroup/host/memory.max", "max\n"),
            ("sys/fs/cgroup/host/memory.high", "max\n"),
            ("sys/fs/cgroup/host/memory.current", "100000\n"),
        ];
        let found = group_memory_in(system(&files).path()).unwrap();
        assert_eq!((found.left, found.limit), (150, 500));
        assert!(found.file.ends_with("own/memory.high"), "{found:?}");
        // The group above has less.
        files[6].1 = "100100\n";
        let found = group_memory_in(system(&files).path()).unwrap();
        assert_eq!((found.left, found.limit), (100, 100_100));
        // More in use than the limit that was set behind it.
        files[6].1 = "1\n";
        assert_eq!(group_memory_in(system(&files).path()).unwrap().left, 0);
    }

    #[test]
    fn no_limit_is_none_and_so_is_one_that_cannot_be_read() {
        assert_eq!(group_memory_in(system(&[]).path()), None);
        let root = system(&[
            V2,
            ("proc/thread-self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ]);
        assert_eq!(group_memory_in(root.path()), None);
        let root = system(&[
            V2,
            ("proc/thread-self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "5000\n"),
        ]);
        assert_eq!(group_memory_in(root.path()), None);
    }

    #[test]
    fn a_limit_counts_where_the_group_lies_below_an_outer_mount() {
        let this = crate::os::this_thread::id().to_string();
        let own = "sys/fs/cgroup/memory/a/own";
        let file = |name: &str| format!("{own}/{name}");
        let (tasks, limit, usage) = (
            file("tasks"),
            file("memory.limit_in_bytes"),
            file("memory.usage_in_bytes"),
        );
        let root = system(&[
            (
                "proc/thread-self/mountinfo",
                "31 30 0:27 /../.. /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("proc/thread-self/cgroup", "4:memory:/\n0::/\n"),
            (&tasks, &this),
            (&limit, "700\n"),
            (&usage, "300\n"),
        ]);
        let found = group_memory_in(root.path()).unwrap();
        assert_eq!((found.left, found.limit), (400, 700));
    }
}
