//! What is mounted where, as the kernel lists it (`mountinfo`), and what of it can be reached.
//!
//! A mount covers what was at its place and below before. The kernel lists the covered mounts all
//! the same, in no order that tells: one can be moved onto an older one, or put beneath it. But each
//! names the mount that it is mounted in. So a path is walked here as the kernel walks it.

use std::path::{Path, PathBuf};

/// A mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    /// The mount that it is mounted in.
    parent: u64,
    /// What of the file system is seen at the mount point.
    pub(super) root: String,
    pub(super) point: PathBuf,
    pub(super) kind: String,
    pub(super) options: String,
}

/// All mounts below this process' root.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Lines that are no mounts are left out.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.lines().filter_map(Mount::parse).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// Whether this path leads into this mount, and not to one that covers it there.
    pub(super) fn lead(&self, path: &Path, to: &Mount) -> bool {
        self.at(path).is_some_and(|found| found == to)
    }

    /// The mount that a path leads into. Symbolic links are not followed: the kernel lists places
    /// without any.
    fn at(&self, path: &Path) -> Option<&Mount> {
        let mut at: Option<&Mount> = None;
        let mut steps: Vec<&Path> = path.ancestors().collect();
        while let Some(step) = steps.pop() {
            // Mounts can lie on each other.
            let mut most = self.0.len();
            while let Some(next) = self.on(at, step)
                && most > 0
            {
                (at, most) = (Some(next), most - 1);
            }
        }
        at
    }

    /// The mount in `parent` at this place. `None` is what is not listed: where this process' root
    /// is a folder, the mount of that. The first mount of all names itself.
    fn on(&self, parent: Option<&Mount>, point: &Path) -> Option<&Mount> {
        let is_in = |mount: &&Mount| match parent {
            Some(parent) => mount.parent == parent.id,
            None => self
                .0
                .iter()
                .all(|other| other.id != mount.parent || other == *mount),
        };
        self.0
            .iter()
            .filter(|mount| mount.point == point && parent != Some(*mount))
            .find(is_in)
    }
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let mut after = after.split(' ');
        Some(Self {
            id: before.next()?.parse().ok()?,
            parent: before.next()?.parse().ok()?,
            root: unescape(before.nth(1)?),
            point: unescape(before.next()?).into(),
            kind: after.next()?.to_owned(),
            options: after.nth(1).unwrap_or_default().to_owned(),
        })
    }
}

/// The kernel writes a space, a tab, a line feed and a backslash in a path as `\040` and so on.
fn unescape(path: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let plain = |path: String, (code, text): (&str, &str)| path.replace(code, text);
    escapes.into_iter().fold(path.to_owned(), plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_the_kernel_writes_it() {
        assert_eq!(unescape(r"/a\040b\134x2d\011\012"), "/a b\\x2d\t\n");
    }

    /// The numbers of mounts whose place leads to them, in the order of the list.
    fn reached(list: &str) -> Vec<u64> {
        let mounts = Mounts::parse(list);
        let reached = mounts.iter();
        let reached = reached.filter(|mount| mounts.lead(&mount.point, mount));
        reached.map(|mount| mount.id).collect()
    }

    #[test]
    fn a_mount_that_another_one_covers_is_not_reached() {
        const ROOT: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        const SYS: &str = "23 27 0:22 / /sys rw - sysfs sysfs rw\n";
        const GROUPS: &str = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let reached = |more: &str| reached(&format!("{ROOT}{SYS}{GROUPS}{more}"));
        assert_eq!(reached(""), [27, 23, 31]);
        // At its place, once and twice.
        let above = "40 31 0:40 / /sys/fs/cgroup rw - tmpfs none rw\n";
        assert_eq!(reached(above), [27, 23, 40]);
        let twice = format!("{above}41 40 0:28 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert_eq!(reached(&twice), [27, 23, 41]);
        // At a path above it, and what is mounted in that.
        let sys = "40 23 0:22 / /sys rw - sysfs sysfs rw\n";
        assert_eq!(reached(sys), [27, 40]);
        let folder = "40 23 0:40 / /sys/fs rw - tmpfs none rw\n";
        assert_eq!(reached(folder), [27, 23, 40]);
        let inner = format!("{sys}42 40 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert_eq!(reached(&inner), [27, 40, 42]);
        // A new root.
        let root = "40 27 0:40 / / rw - tmpfs none rw\n";
        assert_eq!(reached(root), [40]);
        // Beside it, and below it.
        let beside = "40 23 0:40 / /sys/fs/cg rw - tmpfs none rw\n\
                      41 31 0:41 / /sys/fs/cgroup/a rw - tmpfs none rw\n";
        assert_eq!(reached(beside), [27, 23, 31, 40, 41]);
    }

    #[test]
    fn the_order_of_the_list_says_nothing() {
        let moved = "40 31 0:40 / /sys/fs/cgroup rw - tmpfs none rw\n\
                     31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                     23 27 0:22 / /sys rw - sysfs sysfs rw\n\
                     27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        assert_eq!(reached(moved), [40, 23, 27]);
    }

    #[test]
    fn mounts_are_reached_where_the_roots_own_is_not_listed() {
        // After `chroot` into a folder.
        let list = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                    40 31 0:40 / /sys/fs/cgroup/a rw - tmpfs none rw\n";
        assert_eq!(reached(list), [31, 40]);
        // A list that leads in circles.
        assert_eq!(
            reached("3 4 0:1 / / rw - a a rw\n4 3 0:1 / / rw - a a rw\n"),
            [0; 0]
        );
        // The first of all.
        let first = "1 1 0:2 / / rw - rootfs rootfs rw\n2 1 0:3 / /a rw - a a rw\nx\n1 2\n";
        assert_eq!(reached(first), [1, 2]);
    }
}
