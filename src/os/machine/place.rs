//! Where a control group is below the mount of its hierarchy.
//!
//! The kernel writes both as paths from the root of the reader's control group namespace, and
//! what is above that root as `/..`, without names. A container with a namespace of its own and
//! the outer hierarchy's mount is in `/` of a mount that shows `/../..`: two levels below the
//! mount point, in a folder that only its list of threads tells from others.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::groups::Version;
use crate::os::{files, this_thread};

/// Most folders of one level that are looked at.
const MOST: usize = 4096;

/// Where a group is below a mount point.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In this folder.
    At(&'a Path),
    /// In `rest` of a folder so many levels below.
    Under { levels: usize, rest: &'a Path },
    /// Outside of what is mounted.
    Elsewhere,
}

impl Place<'_> {
    /// Lower is better, of several mounts.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::At(_) => 0,
            Self::Under { .. } => 1,
            Self::Elsewhere => 2,
        }
    }
}

/// Where `group` is in a mount that shows the group `root` at its mount point.
pub(super) fn below<'a>(root: &str, group: &'a str) -> Place<'a> {
    let ((root_ups, root), (ups, group)) = (ups(root), ups(group));
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !group.components().all(is_plain) {
        return Place::Elsewhere;
    }
    match group.strip_prefix(root) {
        Ok(below) if ups == root_ups => Place::At(below),
        // Other names beside the namespace's root lead away from it.
        _ if ups < root_ups && root == Path::new("") => Place::Under {
            levels: root_ups - ups,
            rest: group,
        },
        _ => Place::Elsewhere,
    }
}

/// How many levels a path begins above the root of the namespace, and what follows.
fn ups(path: &str) -> (usize, &Path) {
    let (mut ups, mut rest) = (0, path.trim_start_matches('/'));
    while let Some(below) = rest.strip_prefix("..")
        && (below.is_empty() || below.starts_with('/'))
    {
        (ups, rest) = (ups + 1, below.trim_start_matches('/'));
    }
    (ups, Path::new(rest))
}

/// The folder of the calling thread's group: `rest` of a folder so many levels below `point`.
/// `None` if none lists the thread, or there are too many.
pub(super) fn find(version: Version, point: &Path, levels: usize, rest: &Path) -> Option<PathBuf> {
    let mut level = vec![point.to_path_buf()];
    for _ in 0..levels {
        let mut next = Vec::new();
        for folder in &level {
            let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
            // One that cannot be read, or has just been removed, is not this thread's.
            let _ = files::each_folder(&path, |name| {
                next.push(folder.join(OsStr::from_bytes(name.to_bytes())));
            });
            if next.len() > MOST {
                return None;
            }
        }
        level = next;
    }
    // Of the thread, not of the process: their groups may differ.
    let list = match version {
        Version::V1 => "tasks",
        Version::V2 => "cgroup.threads",
    };
    let this = this_thread::id().to_string();
    let is_listed = |group: &PathBuf| {
        let listed = files::system(group.join(list));
        listed.is_ok_and(|listed| listed.lines().any(|thread| thread == this))
    };
    level
        .into_iter()
        .map(|folder| folder.join(rest))
        .find(is_listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_exact_where_its_names_are_known() {
        let under = |levels, rest| Place::Under {
            levels,
            rest: Path::new(rest),
        };
        for (root, group, place) in [
            ("/", "/", Place::At(Path::new(""))),
            ("/", "/a/b", Place::At(Path::new("a/b"))),
            ("/a", "/a/b", Place::At(Path::new("b"))),
            ("/a", "/ab", Place::Elsewhere),
            ("/a", "/", Place::Elsewhere),
            ("/", "/../a", Place::Elsewhere),
            ("/..", "/", under(1, "")),
            ("/../..", "/a", under(2, "a")),
            ("/../..", "/../a", under(1, "a")),
            ("/../..", "/../../a", Place::At(Path::new("a"))),
            ("/../a", "/../a/b", Place::At(Path::new("b"))),
            // A sibling's mount.
            ("/../a", "/", Place::Elsewhere),
            ("/..", "/../..", Place::Elsewhere),
            ("/", "/a/../b", Place::Elsewhere),
            // A name that only begins with dots.
            ("/", "/..a", Place::At(Path::new("..a"))),
        ] {
            assert_eq!(below(root, group), place, "{group} in {root}");
        }
    }
}
