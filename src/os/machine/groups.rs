//! The control groups that this process is in, v1 and v2: where their files are.
//!
//! A limit of a group binds all groups below it.
//!
//! To find the groups can take a walk through thousands of folders ([`place`]), and a create asks
//! for them many times. So it looks once ([`stay_known`]).

use std::cell::RefCell;
use std::io::ErrorKind::NotFound;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::mounts::{Mount, Mounts};
use super::place::{self, Place};
use crate::os::files;

/// Which of the kernel's two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// What can be seen of the groups that bind this process in what a controller shares out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Folders of its own group and of those above, as far as they are mounted. In version 2
    /// a group need not have the controller's files.
    pub(super) folders: Vec<(Version, PathBuf)>,
    /// The group's own name, as the kernel lists it.
    pub(super) name: String,
    /// Why some of them may be missing, if so.
    pub(super) unseen: Option<String>,
}

/// The groups of a thread.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) cpu: Seen,
    pub(super) memory: Seen,
}

const CONTROLLERS: [&str; 2] = ["cpu", "memory"];

thread_local! {
    /// Without a destructor, for which a thread would be registered at its first use.
    static KNOWN: ManuallyDrop<RefCell<Known>> =
        const { ManuallyDrop::new(RefCell::new(Known { holders: 0, groups: None })) };
}

struct Known {
    holders: usize,
    groups: Option<Rc<Groups>>,
}

/// Until it is dropped, the calling thread looks for its groups once.
#[must_use]
#[derive(Debug)]
pub struct StayKnown(PhantomData<*const ()>);

/// See [`StayKnown`].
pub fn stay_known() -> StayKnown {
    let _ = KNOWN.try_with(|known| known.borrow_mut().holders += 1);
    StayKnown(PhantomData)
}

impl Drop for StayKnown {
    fn drop(&mut self) {
        let _ = KNOWN.try_with(|known| {
            let mut known = known.borrow_mut();
            known.holders = known.holders.saturating_sub(1);
            if known.holders == 0 {
                known.groups = None;
            }
        });
    }
}

impl Groups {
    /// Those of the calling thread.
    pub(super) fn of_this_thread() -> Rc<Self> {
        let known = |known: &ManuallyDrop<RefCell<Known>>| {
            let mut known = known.borrow_mut();
            if known.holders == 0 {
                return None;
            }
            let read = || Rc::new(Self::read(Path::new("/")));
            Some(known.groups.get_or_insert_with(read).clone())
        };
        let known = KNOWN.try_with(known).ok().flatten();
        known.unwrap_or_else(|| Rc::new(Self::read(Path::new("/"))))
    }

    /// Looks for the groups of the calling thread, with the system's files below `root`.
    pub(super) fn read(root: &Path) -> Self {
        let mut found = Self::default();
        let read = |path: &str| files::system(root.join(path));
        let unread = |file: &str, error| Self::unseen(format!("/proc/thread-self/{file}: {error}"));
        let groups = match read("proc/thread-self/cgroup") {
            Ok(groups) => groups,
            // A kernel without control groups.
            Err(error) if error.kind() == NotFound && read("proc/thread-self/status").is_ok() => {
                return found;
            }
            Err(error) => return unread("cgroup", error),
        };
        let mounts = match read("proc/thread-self/mountinfo") {
            Ok(mounts) => Mounts::parse(&mounts),
            Err(error) => return unread("mountinfo", error),
        };
        for own in own(&groups) {
            let (folders, unseen) = own.folders(root, &mounts);
            for controller in &own.controllers {
                let seen = found.of(controller);
                let folders = folders.iter().map(|folder| (own.version, folder.clone()));
                seen.folders.extend(folders);
                seen.name = own.path.to_owned();
                seen.unseen = seen.unseen.take().or_else(|| unseen.clone());
            }
        }
        found
    }

    fn unseen(why: String) -> Self {
        let seen = || Seen {
            folders: Vec::new(),
            name: String::new(),
            unseen: Some(why.clone()),
        };
        Self {
            cpu: seen(),
            memory: seen(),
        }
    }

    fn of(&mut self, controller: &str) -> &mut Seen {
        match controller {
            "cpu" => &mut self.cpu,
            _ => &mut self.memory,
        }
    }
}

/// The group of this thread in one hierarchy.
struct Own<'a> {
    version: Version,
    /// Those of [`CONTROLLERS`] that it is for.
    controllers: Vec<&'static str>,
    path: &'a str,
}

/// This thread's groups, of a line each. A controller is in one hierarchy: where version 1 has
/// it, the group of version 2 says nothing of it.
fn own(groups: &str) -> impl Iterator<Item = Own<'_>> {
    let lines = || {
        groups.lines().filter_map(|line| {
            // `hierarchy:controllers:path`; version 2 names no controllers.
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        })
    };
    let names = |list: &str, wanted: &str| list.split(',').any(|name| name == wanted);
    let is_in_v1 = move |wanted: &str| lines().any(|(list, _)| names(list, wanted));
    let all = lines().map(move |(list, path)| {
        let version = match list {
            "" => Version::V2,
            _ => Version::V1,
        };
        let is_here = |wanted: &&'static str| match version {
            Version::V1 => names(list, wanted),
            Version::V2 => !is_in_v1(wanted),
        };
        Own {
            version,
            controllers: CONTROLLERS.into_iter().filter(is_here).collect(),
            path,
        }
    });
    all.filter(|own| !own.controllers.is_empty())
}

impl Own<'_> {
    fn is_mounted_by(&self, mount: &Mount) -> bool {
        match self.version {
            Version::V2 => mount.kind == "cgroup2",
            Version::V1 => {
                let mut options = mount.options.split(',');
                mount.kind == "cgroup" && options.any(|option| self.controllers.contains(&option))
            }
        }
    }

    /// The folders of the group and of those above it, and why some of them are missing, if so.
    fn folders(&self, root: &Path, mounts: &Mounts) -> (Vec<PathBuf>, Option<String>) {
        let group = self.path;
        let ours = || mounts.iter().filter(|mount| self.is_mounted_by(mount));
        let places = ours().filter(|mount| mounts.lead(&mount.point, mount));
        let places = places.map(|mount| (mount, place::below(&mount.root, group)));
        if let Some((mount, place)) = places.min_by_key(|(_, place)| place.rank()) {
            return self.folders_in(mount, &place, root, mounts);
        }
        let why = match ours().next() {
            Some(covered) => {
                let point = covered.point.display();
                format!("{point} is covered by another mount, and would show control group {group}")
            }
            // The group of all has no limits.
            None if group == "/" => return (Vec::new(), None),
            None => format!("control group {group} is not mounted here"),
        };
        (Vec::new(), Some(why))
    }

    /// [`folders`](Self::folders), in the mount where they can be seen best.
    fn folders_in(
        &self,
        mount: &Mount,
        place: &Place<'_>,
        root: &Path,
        mounts: &Mounts,
    ) -> (Vec<PathBuf>, Option<String>) {
        let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let point = below(&mount.point);
        let found = match *place {
            Place::At(below) => Ok(point.join(below)),
            Place::Under { levels, rest } => place::find(self.version, &point, levels, rest)
                .ok_or_else(|| format!("{levels} levels below, and no folder lists this thread")),
            Place::Elsewhere => Err("elsewhere".to_owned()),
        };
        // Where it is not found, the mount's own group is the best that can be seen.
        let (own, mut unseen) = match found {
            Ok(own) => (own, None),
            Err(why) => {
                let (shown, at, group) = (&mount.root, mount.point.display(), self.path);
                let why = format!("{at} shows control group {shown}, and {group} is {why}");
                (point.clone(), Some(why))
            }
        };
        let above = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&point));
        let mut folders: Vec<PathBuf> = above.map(Path::to_path_buf).collect();
        folders.retain(|folder| {
            let path = Path::new("/").join(folder.strip_prefix(root).unwrap_or(folder));
            let is_there = mounts.lead(&path, mount);
            if !is_there {
                unseen = Some(format!("{} is covered by another mount", path.display()));
            }
            is_there
        });
        (folders, unseen)
    }
}

/// A number that is alone in a group's file. `None` for `max`, which is no number.
pub(super) fn number<T: std::str::FromStr>(group: &Path, file: &str) -> Option<T> {
    let text = files::system(group.join(file)).ok()?;
    text.trim().parse().ok()
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
mod tests {
    use super::*;

    #[test]
    fn a_thread_looks_once_as_long_as_its_groups_stay_known() {
        let groups = Groups::of_this_thread;
        assert!(!Rc::ptr_eq(&groups(), &groups()));
        let outer = stay_known();
        let first = groups();
        drop(stay_known());
        assert!(Rc::ptr_eq(&first, &groups()));
        // Another thread's are its own.
        std::thread::spawn(|| assert_eq!(Rc::strong_count(&Groups::of_this_thread()), 1))
            .join()
            .unwrap();
        drop(outer);
        assert_eq!(Rc::strong_count(&first), 1);
        assert_eq!(Rc::strong_count(&groups()), 1);
    }

    #[test]
    fn a_hierarchy_is_looked_at_where_no_other_mount_covers_it() {
        const ROOT: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        const GROUPS: &str = "31 27 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let look = |more: &str, group: &str| {
            let list = format!("{ROOT}{GROUPS}{more}");
            let root = system(&[
                ("proc/thread-self/mountinfo", &list),
                ("proc/thread-self/cgroup", group),
            ]);
            let seen = Groups::read(root.path());
            assert_eq!(seen.cpu, seen.memory);
            let folders = seen.cpu.folders.into_iter().map(|(_, folder)| {
                let folder = folder.strip_prefix(root.path()).unwrap();
                folder.display().to_string()
            });
            (folders.collect::<Vec<_>>(), seen.cpu.unseen)
        };
        let all = ["sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"];
        let all = all.map(str::to_owned).to_vec();
        assert_eq!(look("", "0::/a/b\n"), (all, None));
        // Nothing of it can be seen, not even whether it is the group of all.
        for (cover, group) in [
            (
                "40 31 0:40 / /sys/fs/cgroup rw - tmpfs none rw\n",
                "0::/a/b\n",
            ),
            ("40 27 0:40 / /sys rw - tmpfs none rw\n", "0::/a/b\n"),
            ("40 27 0:40 / /sys rw - tmpfs none rw\n", "0::/\n"),
        ] {
            let (folders, unseen) = look(cover, group);
            assert!(folders.is_empty(), "{cover}");
            let unseen = unseen.unwrap();
            assert!(
                unseen.starts_with("/sys/fs/cgroup is covered by another mount, and"),
                "{unseen}"
            );
        }
        // The mount on top counts, though the one below it would show the group.
        let other = "40 31 0:28 /c /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let (folders, unseen) = look(other, "0::/a/b\n");
        assert_eq!(folders, ["sys/fs/cgroup"]);
        assert!(
            unseen
                .unwrap()
                .contains("shows control group /c, and /a/b is elsewhere")
        );
        let own = "40 31 0:28 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let expected = ["sys/fs/cgroup/b", "sys/fs/cgroup"].map(str::to_owned);
        assert_eq!(look(own, "0::/a/b\n"), (expected.to_vec(), None));
        // One at another place.
        let elsewhere = "40 31 0:40 / /sys/fs/cgroup rw - tmpfs none rw\n\
                         41 27 0:28 / /groups rw - cgroup2 cgroup2 rw\n";
        assert_eq!(look(elsewhere, "0::/a\n").0, ["groups/a", "groups"]);
        // A folder of the hierarchy.
        let inner = "40 31 0:40 / /sys/fs/cgroup/a rw - tmpfs none rw\n";
        let (folders, unseen) = look(inner, "0::/a/b\n");
        assert_eq!(folders, ["sys/fs/cgroup"]);
        assert!(unseen.unwrap().starts_with("/sys/fs/cgroup/a"));
    }
}
