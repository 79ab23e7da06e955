//! Descriptors that are held for as long as a handle lives.
//!
//! The host may close every descriptor above 2, as programs do that go into the
//! background, and its next files get the same numbers: so each use looks whether the
//! file there is still ours. A moment between the look and the use remains.
//!
//! The child of a fork closes what it has of them: it can use no handle of its parent,
//! and would keep files locked that its parent has locked, for as long as it lives.

use std::fs::File;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::open::close;

/// Four for each of 256 handles. What finds no place stays open in children.
const PLACES: usize = 1024;
const FREE: RawFd = -1;
const TAKEN: RawFd = -2;

static TABLE: [Entry; PLACES] = [const { Entry::new() }; PLACES];

/// What a child must know of a descriptor.
#[derive(Debug)]
struct Entry {
    descriptor: AtomicI32,
    identity: [AtomicU64; 2],
}

impl Entry {
    const fn new() -> Self {
        Self {
            descriptor: AtomicI32::new(FREE),
            identity: [const { AtomicU64::new(0) }; 2],
        }
    }

    fn take(descriptor: RawFd, identity: Identity) -> Option<&'static Self> {
        let (expected, order) = (FREE, Ordering::Relaxed);
        let entry = TABLE.iter().find(|entry| {
            let taken = entry
                .descriptor
                .compare_exchange(expected, TAKEN, order, order);
            taken.is_ok()
        })?;
        for (word, value) in entry.identity.iter().zip(identity.0) {
            word.store(value, order);
        }
        entry.descriptor.store(descriptor, Ordering::Release);
        Some(entry)
    }
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity([u64; 2]);

/// How a file stands in its folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The names that it has; none once it was deleted.
    pub(super) names: u32,
    pub(super) size: u64,
}

/// What the kernel says of a descriptor.
struct Found {
    identity: Identity,
    /// `None` where the file system does not say.
    standing: Option<Standing>,
}

impl Found {
    /// Asks for what the kernel knows already: a disk that does not answer is not waited
    /// for.
    fn at(descriptor: RawFd) -> io::Result<Self> {
        const OF_STANDING: u32 = libc::STATX_NLINK | libc::STATX_SIZE;
        let mut about = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path is NUL-terminated, `about` is a valid place for the answer, and
        // all zeros is a valid one.
        let (failed, about) = unsafe {
            let failed = libc::syscall(
                libc::SYS_statx,
                descriptor,
                c"".as_ptr(),
                libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
                libc::STATX_INO | OF_STANDING,
                about.as_mut_ptr(),
            );
            (failed != 0, about.assume_init())
        };
        if failed {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                // A sandbox, or a kernel that does not know the call yet.
                Some(libc::EPERM | libc::ENOSYS) => Self::at_by_fstat(descriptor),
                _ => Err(error),
            };
        }
        let device = u64::from(about.stx_dev_major) << 32 | u64::from(about.stx_dev_minor);
        let is_said = about.stx_mask & OF_STANDING == OF_STANDING;
        Ok(Self {
            identity: Identity([device, about.stx_ino]),
            standing: is_said.then_some(Standing {
                names: about.stx_nlink,
                size: about.stx_size,
            }),
        })
    }

    /// May wait for a disk.
    fn at_by_fstat(descriptor: RawFd) -> io::Result<Self> {
        let about = super::about(&descriptor)?;
        Ok(Self {
            identity: Identity([about.st_dev, about.st_ino]),
            standing: Some(Standing {
                names: u32::try_from(about.st_nlink).unwrap_or(u32::MAX),
                size: u64::try_from(about.st_size).unwrap_or(0),
            }),
        })
    }
}

/// A descriptor that is closed when this is dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct Held {
    file: ManuallyDrop<File>,
    /// `None` where the kernel does not say: then it is taken to be ours.
    identity: Option<Identity>,
    entry: Option<&'static Entry>,
}

impl Held {
    pub(crate) fn new(file: OwnedFd) -> Self {
        let descriptor = file.as_raw_fd();
        let identity = Found::at(descriptor).ok().map(|found| found.identity);
        Self {
            file: ManuallyDrop::new(file.into()),
            identity,
            entry: identity.and_then(|identity| Entry::take(descriptor, identity)),
        }
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// The host has closed its descriptor.
    pub(crate) fn get(&self) -> io::Result<&File> {
        self.look().map(|_| &*self.file)
    }

    /// How the file stands; `None` where the kernel does not say.
    ///
    /// # Errors
    ///
    /// As [`Held::get`].
    pub(super) fn look(&self) -> io::Result<Option<Standing>> {
        let closed = || io::Error::from_raw_os_error(libc::EBADF);
        match (self.identity, Found::at(self.file.as_raw_fd())) {
            (Some(ours), Ok(there)) if ours != there.identity => Err(closed()),
            (_, Err(error)) if error.raw_os_error() == Some(libc::EBADF) => Err(closed()),
            (_, found) => Ok(found.ok().and_then(|found| found.standing)),
        }
    }

    /// Closes it, if it is still ours.
    ///
    /// # Errors
    ///
    /// What the file system says at that: over a network it may write only then.
    pub(super) fn close(self) -> io::Result<()> {
        ManuallyDrop::new(self).end()
    }

    /// For `close` or `drop`, once.
    fn end(&mut self) -> io::Result<()> {
        let is_ours = self.get().is_ok();
        // Before the number can be another file's.
        if let Some(entry) = self.entry {
            entry.descriptor.store(FREE, Ordering::Release);
        }
        match is_ours {
            // SAFETY: `end` runs once, and is the last to use the file.
            true => close(unsafe { ManuallyDrop::take(&mut self.file) }.into()),
            false => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// In the child of a fork: closes what it has of its parent's. Calls only what a child of
/// a process with several threads may call.
pub(crate) fn leave_to_parent() {
    for entry in &TABLE {
        let descriptor = entry.descriptor.swap(FREE, Ordering::Acquire);
        if descriptor < 0 {
            continue;
        }
        let ours = Identity([
            entry.identity[0].load(Ordering::Relaxed),
            entry.identity[1].load(Ordering::Relaxed),
        ]);
        if Found::at(descriptor).is_ok_and(|there| there.identity == ours) {
            // SAFETY: the descriptor is the child's copy of one that a `Held` of its parent
            // owns. The child's copy of that value sees that it is closed.
            unsafe { libc::close(descriptor) };
        }
    }
}

#[cfg(all(test, not(loom)))]
#[test]
fn a_file_is_known_again_where_statx_is_refused() {
    let [one, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    one.set_len(7).unwrap();
    let found = |file: &File| Found::at_by_fstat(file.as_raw_fd()).unwrap();
    assert!(found(&one).identity == found(&one.try_clone().unwrap()).identity);
    assert!(found(&one).identity != found(&other).identity);
    let standing = found(&one).standing.unwrap();
    // A file of this kind has no name.
    assert_eq!((standing.size, standing.names), (7, 0));
}
