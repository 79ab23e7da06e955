//! The control groups that this process is in, v1 and v2: where their files are.
//!
//! A limit of a group binds all groups below it.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

use super::place::{self, Place};
use crate::os::files;

/// Which of the kernel's two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// What can be seen of the groups that bind this process in what a controller shares out.
pub(super) struct Seen {
    /// Folders of its own group and of those above, as far as they are mounted. In version 2
    /// a group need not have the controller's files.
    pub(super) folders: Vec<(Version, PathBuf)>,
    /// Why some of them may be missing, if so.
    pub(super) unseen: Option<String>,
}

/// Looks for the groups of the calling thread, with the system's files below `root`.
pub(super) fn seen(root: &Path, controller: &str) -> Seen {
    let mut seen = Seen {
        folders: Vec::new(),
        unseen: None,
    };
    let read = |path: &str| files::system(root.join(path));
    let unread = |file: &str, error| Some(format!("/proc/thread-self/{file}: {error}"));
    let groups = match read("proc/thread-self/cgroup") {
        Ok(groups) => groups,
        // A kernel without control groups.
        Err(error) if error.kind() == NotFound && read("proc/thread-self/status").is_ok() => {
            return seen;
        }
        Err(error) => {
            seen.unseen = unread("cgroup", error);
            return seen;
        }
    };
    let mounts = match read("proc/thread-self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => {
            seen.unseen = unread("mountinfo", error);
            return seen;
        }
    };
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    for (version, group) in own(&groups, controller) {
        let mounts = mounts.iter();
        let mounts = mounts.filter(|mount| mount.is_for(version, controller));
        let places = mounts.map(|mount| (mount, place::below(&mount.root, group)));
        let (folders, unseen) = match places.min_by_key(|(_, place)| place.rank()) {
            Some((mount, place)) => mount.folders(root, version, group, &place),
            // The group of all has no limits.
            None if group == "/" => continue,
            None => {
                let why = format!("control group {group} is not mounted here");
                (Vec::new(), Some(why))
            }
        };
        let folders = folders.into_iter().map(|folder| (version, folder));
        seen.folders.extend(folders);
        seen.unseen = seen.unseen.or(unseen);
    }
    seen
}

/// This process' groups, of a line each, in what `controller` shares out. A controller
/// is in one hierarchy: where version 1 has it, the group of version 2 says nothing of it.
fn own<'a>(groups: &'a str, controller: &str) -> impl Iterator<Item = (Version, &'a str)> {
    let all = || all(groups, controller);
    let is_in_v1 = all().any(|(version, _)| version == Version::V1);
    all().filter(move |(version, _)| !is_in_v1 || *version == Version::V1)
}

fn all<'a>(groups: &'a str, controller: &str) -> impl Iterator<Item = (Version, &'a str)> {
    groups.lines().filter_map(move |line| {
        // `hierarchy:controllers:path`; version 2 names no controllers.
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some((Version::V2, path)),
            _ => controllers
                .split(',')
                .any(|name| name == controller)
                .then_some((Version::V1, path)),
        }
    })
}

/// A number that is alone in a group's file. `None` for `max`, which is no number.
pub(super) fn number<T: std::str::FromStr>(group: &Path, file: &str) -> Option<T> {
    let text = files::system(group.join(file)).ok()?;
    text.trim().parse().ok()
}

/// Where a hierarchy of groups is mounted.
struct Mount {
    /// The group that is seen at the mount point.
    root: String,
    point: String,
    kind: String,
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Self {
            root: unescape(before.next()?),
            point: unescape(before.next()?),
            kind: after.next()?.to_owned(),
            options: after.nth(1).unwrap_or_default().to_owned(),
        })
    }

    fn is_for(&self, version: Version, controller: &str) -> bool {
        match version {
            Version::V2 => self.kind == "cgroup2",
            Version::V1 => {
                self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
            }
        }
    }

    /// The folders of a group and of those above it, and why some of them are missing, if so.
    fn folders(
        &self,
        root: &Path,
        version: Version,
        group: &str,
        place: &Place<'_>,
    ) -> (Vec<PathBuf>, Option<String>) {
        let point = root.join(self.point.trim_start_matches('/'));
        let found = match *place {
            Place::At(below) => Ok(point.join(below)),
            Place::Under { levels, rest } => place::find(version, &point, levels, rest)
                .ok_or_else(|| format!("{levels} levels below, and no folder lists this thread")),
            Place::Elsewhere => Err("elsewhere".to_owned()),
        };
        // Where it is not found, the mount's own group is the best that can be seen.
        let (own, unseen) = match found {
            Ok(own) => (own, None),
            Err(why) => {
                let (shown, at) = (&self.root, &self.point);
                let why = format!("{at} shows control group {shown}, and {group} is {why}");
                (point.clone(), Some(why))
            }
        };
        let above = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&point));
        (above.map(Path::to_path_buf).collect(), unseen)
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

/// Files below a folder, each with its text, for the tests of what control groups share out.
#[cfg(test)]
pub(super) fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

#[cfg(test)]
#[test]
fn a_path_is_read_as_the_kernel_writes_it() {
    assert_eq!(unescape(r"/a\040b\134x2d\011\012"), "/a b\\x2d\t\n");
}
