//! What the kernel says of a file.
//!
//! It is asked by `statx`, and where that fails by the older calls: a sandbox may refuse the newer
//! one at any time, with any error. The standard library asks the older ones only if `statx` was
//! refused at its first use.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use libc::{c_int, c_uint, dev_t, mode_t, uid_t};

use super::open::c_path;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) identity: Identity,
    /// Kind and permissions.
    pub(crate) mode: mode_t,
    pub(crate) owner: uid_t,
    /// Which device it is, if it is one.
    pub(crate) special: dev_t,
    /// How many names it has; `None` where the file system does not say.
    pub(crate) names: Option<u32>,
    /// Bytes; `None` where the file system does not say.
    pub(crate) size: Option<u64>,
}

impl About {
    /// One of libc's `S_IF` constants.
    pub(crate) fn kind(&self) -> mode_t {
        self.mode & libc::S_IFMT
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it was removed: only those who have it open still have it.
    pub(crate) fn has_no_name(&self) -> bool {
        self.names == Some(0)
    }

    /// What it is if it is no regular file.
    pub(crate) fn other_kind(&self) -> Option<&'static str> {
        match self.kind() {
            libc::S_IFREG => None,
            libc::S_IFDIR => Some("a folder"),
            libc::S_IFIFO => Some("a FIFO"),
            libc::S_IFSOCK => Some("a socket"),
            libc::S_IFCHR | libc::S_IFBLK => Some("a device"),
            libc::S_IFLNK => Some("a link"),
            _ => Some("of a kind that is not known"),
        }
    }
}

/// Of an open file. It may wait for a disk.
pub(crate) fn about(file: &impl AsRawFd) -> io::Result<About> {
    Which::Open(file.as_raw_fd()).ask(libc::AT_STATX_SYNC_AS_STAT)
}

/// Of an open file, as far as the kernel knows it already: a disk that does not answer is not
/// waited for, unless `statx` is refused.
pub(super) fn about_at_once(descriptor: RawFd) -> io::Result<About> {
    Which::Open(descriptor).ask(libc::AT_STATX_DONT_SYNC)
}

/// Of the file of this name, without following a link. Does not allocate.
pub(crate) fn about_name(path: &CStr) -> io::Result<About> {
    Which::Name(path).ask(libc::AT_STATX_SYNC_AS_STAT)
}

/// Of the file of this name, which may be a link.
pub(crate) fn about_link(path: &Path) -> io::Result<About> {
    about_name(&c_path(path)?)
}

/// Of the file that a path leads to, without opening it.
pub(crate) fn about_path(path: &Path) -> io::Result<About> {
    about_target(&c_path(path)?)
}

/// [`about_path`] without allocating.
pub(super) fn about_target(path: &CStr) -> io::Result<About> {
    Which::Target(path).ask(libc::AT_STATX_SYNC_AS_STAT)
}

/// Whether a path leads to a folder.
pub(super) fn is_folder(path: &Path) -> bool {
    about_path(path).is_ok_and(|about| about.is_folder())
}

/// The file that is asked about.
#[derive(Clone, Copy)]
enum Which<'a> {
    Open(RawFd),
    Target(&'a CStr),
    Name(&'a CStr),
}

impl Which<'_> {
    fn ask(self, how: c_int) -> io::Result<About> {
        // The answer to the older call stands: whether the first error was a sandbox's or the
        // file's, nobody knows.
        self.by_statx(how).or_else(|_| self.by_stat())
    }

    fn by_statx(self, how: c_int) -> io::Result<About> {
        let (at, path, flags) = match self {
            Self::Open(descriptor) => (descriptor, c"", libc::AT_EMPTY_PATH),
            Self::Target(path) => (libc::AT_FDCWD, path, 0),
            Self::Name(path) => (libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW),
        };
        let mut answer = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path is NUL-terminated, and there is room for the answer, for which all
        // zeros is valid.
        let (failed, answer) = unsafe {
            let failed = libc::syscall(
                libc::SYS_statx,
                at,
                path.as_ptr(),
                flags | how,
                libc::STATX_BASIC_STATS,
                answer.as_mut_ptr(),
            );
            (failed != 0, answer.assume_init())
        };
        match failed {
            true => Err(io::Error::last_os_error()),
            false => Ok(said_by_statx(&answer)),
        }
    }

    fn by_stat(self) -> io::Result<About> {
        let mut answer = MaybeUninit::<libc::stat64>::zeroed();
        let into = answer.as_mut_ptr();
        // SAFETY: the paths are NUL-terminated, and there is room for the answer, for which all
        // zeros is valid.
        let (failed, answer) = unsafe {
            let failed = match self {
                Self::Open(descriptor) => libc::fstat64(descriptor, into),
                Self::Target(path) => libc::stat64(path.as_ptr(), into),
                Self::Name(path) => libc::lstat64(path.as_ptr(), into),
            };
            (failed != 0, answer.assume_init())
        };
        match failed {
            true => Err(io::Error::last_os_error()),
            false => Ok(said_by_stat(&answer)),
        }
    }
}

fn said_by_statx(answer: &libc::statx) -> About {
    let says = |what: c_uint| answer.stx_mask & what != 0;
    About {
        identity: Identity {
            device: libc::makedev(answer.stx_dev_major, answer.stx_dev_minor),
            inode: answer.stx_ino,
        },
        mode: answer.stx_mode.into(),
        owner: answer.stx_uid,
        special: libc::makedev(answer.stx_rdev_major, answer.stx_rdev_minor),
        names: says(libc::STATX_NLINK).then_some(answer.stx_nlink),
        size: says(libc::STATX_SIZE).then_some(answer.stx_size),
    }
}

fn said_by_stat(answer: &libc::stat64) -> About {
    About {
        identity: Identity {
            device: answer.st_dev,
            inode: answer.st_ino,
        },
        mode: answer.st_mode,
        owner: answer.st_uid,
        special: answer.st_rdev,
        names: Some(u32::try_from(answer.st_nlink).unwrap_or(u32::MAX)),
        size: Some(u64::try_from(answer.st_size).unwrap_or(0)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ffi::CString;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn both_calls_say_the_same_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "seven b").unwrap();
        std::fs::hard_link(at("file"), at("second name")).unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let (file, device) = (
            File::open(at("file")).unwrap(),
            File::open("/dev/null").unwrap(),
        );
        let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let (link, of_system) = (c(&at("link")), c(Path::new("/proc/self/status")));
        for which in [
            Which::Open(file.as_raw_fd()),
            Which::Open(device.as_raw_fd()),
            Which::Target(&link),
            Which::Name(&link),
            Which::Target(&of_system),
        ] {
            let by_statx = which.by_statx(libc::AT_STATX_DONT_SYNC).unwrap();
            assert_eq!(by_statx, which.by_stat().unwrap());
        }
        let whole = about(&file).unwrap();
        assert_eq!((whole.size, whole.names), (Some(7), Some(2)));
        assert_eq!(whole.other_kind(), None);
        assert_eq!(whole, about_at_once(file.as_raw_fd()).unwrap());
        assert_eq!(whole, about_path(&at("link")).unwrap());
        assert_eq!(
            about_link(&at("link")).unwrap().other_kind(),
            Some("a link")
        );
        let null = about(&device).unwrap();
        assert_eq!(null.special, libc::makedev(1, 3));
        assert!(is_folder(folder.path()) && !is_folder(&at("file")) && !is_folder(&at("none")));
    }

    #[test]
    fn a_file_is_known_again_where_statx_is_refused() {
        let [one, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let known = |file: &File| {
            let which = Which::Open(file.as_raw_fd());
            which.by_statx(libc::AT_STATX_DONT_SYNC).unwrap().identity
        };
        let refused = |file: &File| Which::Open(file.as_raw_fd()).by_stat().unwrap().identity;
        assert_eq!(known(&one), refused(&one.try_clone().unwrap()));
        assert_ne!(known(&one), refused(&other));
        // Not every machine has a disk with such a number.
        let mut answer = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: plain data, for which all zeros is valid.
        let answer = unsafe {
            (*answer.as_mut_ptr()).stx_dev_major = 254;
            (*answer.as_mut_ptr()).stx_dev_minor = 0x1_02;
            answer.assume_init()
        };
        assert_eq!(said_by_statx(&answer).identity.device, 0x10_fe02);
    }

    #[test]
    fn what_is_not_there_or_not_open_has_the_systems_error() {
        let error = about_path(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = about(&-1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        let error = about_path(Path::new("a\0b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_a_file_system_does_not_say_is_not_known() {
        let mut answer = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: plain data, for which all zeros is valid.
        let answer = unsafe {
            (*answer.as_mut_ptr()).stx_mask = libc::STATX_SIZE;
            answer.assume_init()
        };
        let about = said_by_statx(&answer);
        assert_eq!((about.names, about.size), (None, Some(0)));
    }
}
