//! A folder that stays the same one, even if it is renamed.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::about::{about, about_at_once, about_path, is_folder};
use super::held::Held;
use super::open::{close, may_make_in, open, open_at};
use super::output::{Output, TAKEN, is_taken};
use super::place::whole;
use crate::os::fixed_text::Told;
use crate::os::interrupted::{done, unless_interrupted};

/// How many other names are tried for a new file.
const ATTEMPTS: usize = 16;

/// A folder that is held open. The host may change its working directory or rename this folder;
/// files are still written into the same one.
#[derive(Debug)]
pub(crate) struct Folder {
    open: Held,
    /// Given back before files are replaced: the host may have none left by then.
    spare: Mutex<Option<Held>>,
    path: PathBuf,
}

/// Creates a folder and its parents.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let mut missing = 0;
    for folder in path.ancestors() {
        match make_one(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => missing += 1,
            made => {
                made?;
                break;
            }
        }
    }
    let missing: Vec<&Path> = path.ancestors().take(missing).collect();
    missing.into_iter().rev().try_for_each(make_one)
}

fn make_one(path: &Path) -> io::Result<()> {
    match unless_interrupted(|| std::fs::create_dir(path)) {
        Ok(()) => check_made(path),
        Err(_) if is_folder(path) => Ok(()),
        made => made,
    }
}

/// Removes a new folder in which its owner can make nothing.
fn check_made(path: &Path) -> io::Result<()> {
    const OWNERS: u32 = libc::S_IWUSR | libc::S_IXUSR;
    let mode = about_path(path)?.mode;
    match may_make_in(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && mode & OWNERS != OWNERS => {
            unless_interrupted(|| std::fs::remove_dir(path))?;
            Err(io::Error::other(
                "the umask takes the owner's own rights from a new folder; expected one that leaves \
                 them, such as 022",
            ))
        }
        _ => Ok(()),
    }
}

impl Folder {
    /// Creates the folder if it does not exist, and opens it.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let whole = whole(path)?;
        make(&whole)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let spare = Held::new(open(&whole, flags, 0)?)?;
        Ok(Self {
            open: Held::new(open(&whole, flags, 0)?)?,
            spare: Mutex::new(Some(spare)),
            path: whole,
        })
    }

    /// Its path when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens or creates a file in it. See [`Output::open`].
    pub(crate) fn output(&self, name: &str) -> Result<Output, String> {
        let path = self.path.join(name);
        let name = Name::new(format_args!("{name}")).map_err(|error| error.to_string())?;
        let folder = self.open.get().map_err(|error| error.to_string())?;
        Output::in_folder(folder.as_raw_fd(), name.as_c(), path)
    }

    /// Whether a file of this name may be removed or replaced: there is none, or it is a link, or a
    /// regular file that is not being written.
    ///
    /// # Errors
    ///
    /// What is there instead.
    pub(crate) fn check_replaceable(&self, name: &str) -> Result<(), String> {
        let found = Name::new(format_args!("{name}")).map_err(Obstacle::Error);
        found
            .and_then(|name| self.look(&name))
            .map_err(|what| format!("{}: {what}", self.path.join(name).display()))
    }

    fn look(&self, name: &Name) -> Result<(), Obstacle> {
        let folder = self.open.get()?.as_raw_fd();
        let there = |flags| {
            let flags = flags | libc::O_NOFOLLOW;
            open_at(folder, name.as_c(), flags, 0)
        };
        match there(libc::O_PATH).and_then(|file| about(&file)) {
            Ok(about) if about.kind() == libc::S_IFLNK => return Ok(()),
            Ok(about) => match about.other_kind() {
                None => {}
                Some(kind) => return Err(Obstacle::Kind(kind)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Obstacle::Error(error)),
        }
        // Without the right to read it, this cannot be checked.
        match there(libc::O_RDONLY | libc::O_NONBLOCK) {
            Ok(file) if is_taken(&file) => Err(Obstacle::Taken),
            _ => Ok(()),
        }
    }

    /// Removes a file, if it exists.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.check_replaceable(name).map_err(io::Error::other)?;
        self.unlink(&Name::new(format_args!("{name}"))?)
    }

    fn unlink(&self, name: &Name) -> io::Result<()> {
        let folder = self.open.get()?.as_raw_fd();
        let removed = unless_interrupted(|| {
            // SAFETY: the name is NUL-terminated, and the folder is open.
            done(unsafe { libc::unlinkat(folder, name.as_c().as_ptr(), 0) })
        });
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Replaces a file by a new one that `write` writes through `room`, or, on an error, leaves the
    /// old one as it is. Does not allocate.
    pub(crate) fn replace(
        &self,
        name: &str,
        room: &mut Vec<u8>,
        write: impl FnOnce(&mut Buffered<'_>) -> io::Result<()>,
    ) -> Result<(), Obstacle> {
        drop(
            self.spare
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let to = Name::new(format_args!("{name}"))?;
        self.look(&to)?;
        let (file, fresh) = self.fresh(name).map_err(|error| self.not_made(error))?;
        let file = File::from(file);
        room.clear();
        let mut through = Buffered {
            file: &file,
            room,
            failed: Ok(()),
        };
        let written = write(&mut through).and_then(|()| through.finish());
        let closed = close(file.into());
        let replaced = written.and(closed).and_then(|()| {
            let folder = self.open.get()?.as_raw_fd();
            let (from, to) = (fresh.as_c().as_ptr(), to.as_c().as_ptr());
            // SAFETY: both names are NUL-terminated, and the folder is open.
            unless_interrupted(|| done(unsafe { libc::renameat(folder, from, folder, to) }))
        });
        if replaced.is_err() {
            let _ = self.unlink(&fresh);
        }
        Ok(replaced?)
    }

    fn not_made(&self, error: io::Error) -> Obstacle {
        match error.kind() {
            ErrorKind::NotFound if self.is_gone() => Obstacle::Gone,
            _ => Obstacle::Error(error),
        }
    }

    /// Whether someone has removed it: there may be another of its name, but no file can be made in
    /// this one any more. Does not allocate.
    pub(crate) fn is_gone(&self) -> bool {
        let open = self.open.get();
        let about = open.and_then(|folder| about_at_once(folder.as_raw_fd()));
        about.is_ok_and(|about| about.has_no_name())
    }

    /// A newly created file, and its name.
    fn fresh(&self, name: &str) -> io::Result<(OwnedFd, Name)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let fresh = Name::new(format_args!(".{name}.{}-{count}", std::process::id()))?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
            let folder = self.open.get()?.as_raw_fd();
            match open_at(folder, fresh.as_c(), flags, 0o666) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {}
                made => return made.map(|file| (file, fresh)),
            }
        }
    }
}

/// Why a file is not replaced.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// The file is not regular; this names its kind.
    Kind(&'static str),
    /// The file is being written.
    Taken,
    /// Someone has removed the folder.
    Gone,
    Error(io::Error),
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "it is {kind}; expected a regular file"),
            Self::Taken => f.write_str(TAKEN),
            Self::Gone => f.write_str(
                "someone removed this folder while it was in use; expected one that stays until the \
                 handle is destroyed",
            ),
            Self::Error(error) => Told(error).fmt(f),
        }
    }
}

/// Writes to a file through memory that is already allocated.
///
/// The first error is kept until the end: serde_json, which writes through it, allocates
/// to pass an error on.
pub(crate) struct Buffered<'a> {
    file: &'a File,
    room: &'a mut Vec<u8>,
    failed: io::Result<()>,
}

impl Buffered<'_> {
    fn put(&mut self, bytes: Option<&[u8]>) {
        if self.failed.is_ok() {
            let mut file = self.file;
            self.failed = file.write_all(bytes.unwrap_or(self.room));
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.put(None);
        self.room.clear();
        std::mem::replace(&mut self.failed, Ok(()))
    }
}

impl Write for Buffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room.len() + bytes.len() > self.room.capacity() {
            self.flush()?;
        }
        match bytes.len() > self.room.capacity() {
            true => self.put(Some(bytes)),
            false => self.room.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put(None);
        self.room.clear();
        Ok(())
    }
}

/// The name of a file in a folder, for C.
struct Name {
    bytes: [u8; 256],
    len: usize,
}

impl Name {
    fn new(text: fmt::Arguments<'_>) -> io::Result<Self> {
        let mut name = Self {
            bytes: [0; 256],
            len: 0,
        };
        match fmt::Write::write_fmt(&mut name, text) {
            Ok(()) => Ok(name),
            Err(_) => Err(ErrorKind::InvalidFilename.into()),
        }
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.len + more.len();
        // The last byte stays the NUL.
        let is_last = end >= self.bytes.len();
        if is_last || more.contains('\0') {
            return Err(fmt::Error);
        }
        self.bytes[self.len..end].copy_from_slice(more.as_bytes());
        self.len = end;
        Ok(())
    }
}
