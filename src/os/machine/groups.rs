//! The control groups that this process is in, v1 and v2: where their files are.
//!
//! A limit of a group binds all groups below it.

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
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut folders = Vec::new();
    for line in groups.lines() {
        // `hierarchy:controllers:path`; version 2 names no controllers.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let version = match controllers {
            "" => Version::V2,
            _ => Version::V1,
        };
        if version == Version::V1 && !controllers.split(',').any(|name| name == controller) {
            continue;
        }
        let mut mounts = mounts.iter();
        if let Some(mount) = mounts.find(|mount| mount.is_for(version, controller)) {
            let those = mount.folders(root, path).into_iter();
            folders.extend(those.map(|folder| (version, folder)));
        }
    }
    folders
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
