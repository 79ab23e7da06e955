//! Files that are written.

use std::ffi::CStr;
use std::io::{self, ErrorKind, Write};
#[cfg(feature = "replay")]
use std::os::fd::{AsFd, BorrowedFd};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::about::{About, about};
use super::held::{Held, Standing};
use super::lease;
use super::open::{self, c_path, open, open_at};
use super::place::whole;
use crate::os::interrupted::{done, unless_interrupted};
use crate::os::stderr::say;

/// A file that is written. It is locked until it is dropped, so that no other handle and no other
/// process writes to it.
#[derive(Debug)]
pub(crate) struct Output {
    file: Held,
    path: PathBuf,
    is_locked: bool,
    is_regular: bool,
}

impl Output {
    /// Opens or creates a regular file, with its parent folders; existing content stays. The
    /// kernel's null and full devices, which never block, are accepted too.
    ///
    /// # Errors
    ///
    /// The file, what is wrong with it and what was expected.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        // Absolute, because the host may change its working directory before the path is shown.
        let whole = whole(path).map_err(|error| wrong(path, &error))?;
        let folder = whole.parent().unwrap_or(Path::new("/"));
        super::folder::make(folder).map_err(|error| wrong(path, &error))?;
        Self::at_path(path, |about| match about.other_kind() {
            Some(_) if never_waits(about) => Ok(()),
            Some(kind) => Err(kind),
            None => Ok(()),
        })
    }

    pub(super) fn at_path(
        path: &Path,
        may: impl Fn(&About) -> Result<(), &'static str>,
    ) -> Result<Self, String> {
        let wrong = |error: io::Error| wrong(path, &error);
        let whole = whole(path).map_err(wrong)?;
        // Opening a device may have an effect, so its kind is checked first.
        match open(path, libc::O_PATH, 0).and_then(|file| about(&file)) {
            Ok(about) => may(&about).map_err(|kind| refused(path, kind))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(error)),
        }
        let file = opened(libc::AT_FDCWD, &c_path(path).map_err(wrong)?);
        let file = file.map_err(|error| not_opened(path, &error))?;
        Self::of(file, whole, may)
    }

    /// A regular file in an open folder.
    pub(super) fn in_folder(folder: RawFd, name: &CStr, path: PathBuf) -> Result<Self, String> {
        let may = |about: &About| about.other_kind().map_or(Ok(()), Err);
        match open_at(folder, name, libc::O_PATH, 0).and_then(|file| about(&file)) {
            Ok(about) => may(&about).map_err(|kind| refused(&path, kind))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(&path, &error)),
        }
        let file = opened(folder, name).map_err(|error| not_opened(&path, &error))?;
        Self::of(file, path, may)
    }

    fn of(
        file: OwnedFd,
        path: PathBuf,
        may: impl Fn(&About) -> Result<(), &'static str>,
    ) -> Result<Self, String> {
        let about = about(&file).map_err(|error| wrong(&path, &error))?;
        may(&about).map_err(|kind| refused(&path, kind))?;
        let is_regular = about.other_kind().is_none();
        // A device is shared by the whole machine.
        let is_locked = is_regular && lock(&file, &path)?;
        Ok(Self {
            file: Held::new(file).map_err(|error| wrong(&path, &error))?,
            path,
            is_locked,
            is_regular,
        })
    }

    /// Its path when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties it, if it is a regular file.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn empty(&self) -> io::Result<()> {
        self.cut(0)
    }

    #[cfg(test)]
    pub(super) fn as_fd_for_tests(&self) -> &std::fs::File {
        self.file.get().unwrap()
    }

    /// The descriptor, unless the host has closed it.
    #[cfg(feature = "replay")]
    pub(super) fn as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.file.get()?.as_fd())
    }

    /// Cuts the file to `length` bytes.
    pub(crate) fn cut(&self, length: u64) -> io::Result<()> {
        match self.is_regular {
            true => self.file.get()?.set_len(length),
            false => Ok(()),
        }
    }

    /// How a regular file stands; `None` for others, and where the kernel does not say.
    pub(super) fn standing(&self) -> io::Result<Option<Standing>> {
        let found = self.file.look()?;
        Ok(found.filter(|_| self.is_regular))
    }

    /// The file's length, as its file system says now. It may wait for a disk.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(about(self.file.get()?)?.size.unwrap_or(0))
    }

    /// Has the file system write what it would write at a close, and say what it could not. A file
    /// that the host has closed has been through that.
    ///
    /// # Errors
    ///
    /// The system's error: something that was written is lost.
    pub(crate) fn settle(&self) -> io::Result<()> {
        // Closes a copy: the file itself is unlocked before it is closed, which would already write
        // without a word. Where no descriptor is left, nothing is said.
        match self.file.get().and_then(open::copy).and_then(Held::new) {
            Ok(copy) => copy.close(),
            Err(_) => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.get()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.get()?.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_locked {
            return;
        }
        if let Ok(file) = self.file.get() {
            // A child of the host that was made without `fork`'s handlers shares the open file
            // description, so closing alone would leave the lock held.
            // SAFETY: the descriptor is open; the call unlocks it and does no more.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
        }
    }
}

/// Opens or creates a file. Waits for nothing but leases of others.
fn opened(folder: RawFd, path: &CStr) -> io::Result<OwnedFd> {
    // O_APPEND: in a file that someone else cuts, no gap of zeros comes before the next line.
    const FLAGS: libc::c_int = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_APPEND;
    // Without O_CREAT: systems refuse that on other users' files in folders like /tmp.
    lease::wait(|| match open_at(folder, path, FLAGS, 0) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            open_at(folder, path, FLAGS | libc::O_CREAT, 0o666)
        }
        there => there,
    })
}

/// Locks the file; false if locking is not possible there.
fn lock(file: &OwnedFd, path: &Path) -> Result<bool, String> {
    static SAID: AtomicBool = AtomicBool::new(false);
    match try_lock(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(format!("cannot write {}: {TAKEN}", path.display()))
        }
        Err(error) => {
            if !SAID.swap(true, Ordering::Relaxed) {
                say(&format!(
                    "{} cannot be locked: {error}; it is written all the same, and nothing keeps \
                     another handle or process from writing it too",
                    path.display()
                ));
            }
            Ok(false)
        }
    }
}

/// What is wrong with a file that is locked.
pub(super) const TAKEN: &str =
    "it is locked; expected a file that no other handle writes, nor another process";

fn try_lock(file: &OwnedFd) -> io::Result<()> {
    let how = libc::LOCK_EX | libc::LOCK_NB;
    // SAFETY: the descriptor is open, and the call does not wait.
    unless_interrupted(|| done(unsafe { libc::flock(file.as_raw_fd(), how) }))
}

/// Whether the file is being written, as far as its lock shows.
pub(super) fn is_taken(file: &OwnedFd) -> bool {
    match try_lock(file) {
        Ok(()) => {
            // SAFETY: the descriptor is open; the call unlocks it and does no more.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
            false
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// The kernel's null and full devices.
pub(super) fn never_waits(about: &About) -> bool {
    let number = (libc::major(about.special), libc::minor(about.special));
    about.kind() == libc::S_IFCHR && matches!(number, (1, 3 | 7))
}

pub(super) fn wrong(path: &Path, error: &io::Error) -> String {
    let expected = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "; expected folders, or nothing yet, on the way there"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; expected a file that this process may write"
        }
        ErrorKind::NotFound => "",
        _ if super::cure(error).is_some() => "",
        _ => "; expected a place where a file can be written",
    };
    let error = super::with_cause(path, error);
    format!("cannot write {}: {error}{expected}", path.display())
}

pub(super) fn refused(path: &Path, kind: &str) -> String {
    let path = path.display();
    format!("cannot write {path}: it is {kind}; expected a regular file")
}

pub(super) fn not_opened(path: &Path, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENXIO) => format!(
            "cannot write {}: nobody reads it; expected a regular file",
            path.display()
        ),
        _ => wrong(path, error),
    }
}
