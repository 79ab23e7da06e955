//! Descriptors that are held for as long as a handle lives.
//!
//! The host may close every descriptor above 2, as programs do that go into the
//! background, and its next files get the same numbers: so each use looks whether the
//! file there is still ours. A moment between the look and the use remains.
//!
//! The child of a fork closes what it has of them: it can use no handle of its parent,
//! and would keep files locked that its parent has locked, for as long as it lives.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::about::{About, Identity, about_at_once, about_target};
use super::listing::each_number;
use super::open::close;

/// Four for each of 256 handles, and some for what they share. What finds no place stays open in
/// children.
const PLACES: usize = 4 * 256 + 32;
const FREE: RawFd = -1;
const TAKEN: RawFd = -2;

static TABLE: [Entry; PLACES] = [const { Entry::new() }; PLACES];

/// What a child must know of a descriptor.
#[derive(Debug)]
struct Entry {
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl Entry {
    const fn new() -> Self {
        Self {
            descriptor: AtomicI32::new(FREE),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
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
        entry.device.store(identity.device, order);
        entry.inode.store(identity.inode, order);
        entry.descriptor.store(descriptor, Ordering::Release);
        Some(entry)
    }
}

/// How a file stands in its folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The names that it has; none once it was deleted.
    pub(super) names: u32,
    pub(super) size: u64,
}

impl Standing {
    /// `None` where the file system does not say.
    fn of(about: &About) -> Option<Self> {
        let (names, size) = (about.names?, about.size?);
        Some(Self { names, size })
    }
}

/// A descriptor that is closed when this is dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct Held {
    file: ManuallyDrop<File>,
    identity: Identity,
    entry: Option<&'static Entry>,
}

impl Held {
    /// Takes over a descriptor that was just opened.
    ///
    /// # Errors
    ///
    /// The kernel does not say which file it is, so nobody would know it again.
    pub(crate) fn new(file: OwnedFd) -> io::Result<Self> {
        let descriptor = file.as_raw_fd();
        let identity = about_at_once(descriptor)?.identity;
        Ok(Self {
            file: ManuallyDrop::new(file.into()),
            identity,
            entry: Entry::take(descriptor, identity),
        })
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// The host has closed its descriptor, or the kernel does not say any more which file is
    /// there: it may be the host's.
    pub(crate) fn get(&self) -> io::Result<&File> {
        self.look().map(|_| &*self.file)
    }

    /// How the file stands; `None` where its file system does not say.
    ///
    /// # Errors
    ///
    /// As [`Held::get`].
    pub(super) fn look(&self) -> io::Result<Option<Standing>> {
        let there = about_at_once(self.file.as_raw_fd())?;
        match there.identity == self.identity {
            true => Ok(Standing::of(&there)),
            false => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    /// Whether another thread of this process has it open, in a table of descriptors of its own
    /// (`unshare(CLONE_FILES)`). False where the kernel does not say. Takes no memory.
    pub(crate) fn is_in_another_table(&self) -> bool {
        let descriptor = self.file.as_raw_fd();
        let mut is_there = false;
        let _ = each_number(c"/proc/self/task", |thread| {
            is_there =
                is_there || of_thread(thread, descriptor).is_ok_and(|there| there == self.identity);
        });
        is_there
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

/// Which file a thread has open.
fn of_thread(thread: u32, descriptor: RawFd) -> io::Result<Identity> {
    // The last byte stays the NUL.
    let mut path = [0; 64];
    write!(&mut path[..63], "/proc/self/task/{thread}/fd/{descriptor}")?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(about_target(path)?.identity)
}

/// In the child of a fork: closes what it has of its parent's. Calls only what a child of
/// a process with several threads may call.
pub(crate) fn leave_to_parent() {
    for entry in &TABLE {
        let descriptor = entry.descriptor.swap(FREE, Ordering::Acquire);
        if descriptor < 0 {
            continue;
        }
        let ours = Identity {
            device: entry.device.load(Ordering::Relaxed),
            inode: entry.inode.load(Ordering::Relaxed),
        };
        if about_at_once(descriptor).is_ok_and(|there| there.identity == ours) {
            // SAFETY: the descriptor is the child's copy of one that a `Held` of its parent
            // owns. The child's copy of that value sees that it is closed.
            unsafe { libc::close(descriptor) };
        }
    }
}
