//! The control groups that this process is in, v1 and v2: where their files are.
//!
//! A limit of a group binds all groups below it.

use std::io::ErrorKind::NotFound;
use std::path::{Component, Path, PathBuf};

use crate::os::files;

/// Which of the kernel's two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// Folders of the groups that bind this process in what `controller` shares out: its
/// own and those above, as far as they can be seen, with the system's files below
/// `root`. In version 2 a group need not have the controller's files.
pub(super) fn folders(root: &Path, controller: &str) -> Vec<(Version, PathBuf)> {
    let read = |path| files::system(root.join(path)).unwrap_or_default();
    let (groups, mounts) = (
        read("proc/thread-self/cgroup"),
        read("proc/thread-self/mountinfo"),
    );
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut folders = Vec::new();
    for (version, path) in own(&groups, controller) {
        let mut mounts = mounts.iter();
        if let Some(mount) = mounts.find(|mount| mount.is_for(version, controller)) {
            let those = mount.folders(root, path).into_iter();
            folders.extend(those.map(|folder| (version, folder)));
        }
    }
    folders
}

/// Why some of those folders may be missing in [`folders`], if so.
pub(super) fn unseen(root: &Path, controller: &str) -> Option<String> {
    let read = |path: &str| files::system(root.join(path));
    let groups = match read("proc/thread-self/cgroup") {
        Ok(groups) => groups,
        // A kernel without control groups.
        Err(error) if error.kind() == NotFound && read("proc/thread-self/status").is_ok() => {
            return None;
        }
        Err(error) => return Some(format!("/proc/thread-self/cgroup: {error}")),
    };
    let mounts = match read("proc/thread-self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => return Some(format!("/proc/thread-self/mountinfo: {error}")),
    };
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    own(&groups, controller).find_map(|(version, path)| {
        let is_mounted = mounts.iter().any(|mount| mount.is_for(version, controller));
        // The group of all has no limits.
        let is_unseen = !is_mounted && path != "/";
        is_unseen.then(|| format!("control group {path} is not mounted here"))
    })
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

    /// The folders of a group and of those above it, as far as they can be seen.
    fn folders(&self, root: &Path, group: &str) -> Vec<PathBuf> {
        let point = root.join(self.point.trim_start_matches('/'));
        let below = Path::new(group).strip_prefix(&self.root);
        // In a container the group's path may be the machine's, and the mount point
        // the container's own group.
        let below = below.unwrap_or(Path::new(""));
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let below = match below.components().all(is_plain) {
            true => below,
            false => Path::new(""),
        };
        let above = below.ancestors();
        above.map(|folder| point.join(folder)).collect()
    }
}

/// The kernel writes a space in a path as `\040`.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
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
