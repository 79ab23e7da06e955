//! A folder that stays the same one.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::open::{about, c_path, name_of_kind, open, open_at};
use super::output::{Output, TAKEN, is_taken};

/// How often another name is tried for a file that is not there yet.
const ATTEMPTS: usize = 16;

/// A folder that is held open: the host may change its own, or give this one another
/// name, and what is written comes into the same one.
#[derive(Debug)]
pub(crate) struct Folder {
    open: OwnedFd,
    path: PathBuf,
}

/// Makes a folder and those above it.
pub(super) fn make(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

impl Folder {
    /// Makes the folder, unless it is there, and opens it.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let whole = std::path::absolute(path)?;
        make(&whole)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let open = open(&whole, flags, 0)?;
        Ok(Self { open, path: whole })
    }

    /// Where it was when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in it, or makes it. See [`Output::open`].
    pub(crate) fn output(&self, name: &str) -> Result<Output, String> {
        let path = self.path.join(name);
        let name = c_name(name).map_err(|error| error.to_string())?;
        Output::in_folder(self.open.as_raw_fd(), &name, path)
    }

    /// Whether a file of this name could be removed or replaced: there is none, or
    /// a regular one that nobody writes, or a link.
    ///
    /// # Errors
    ///
    /// What is there instead.
    pub(crate) fn check_replaceable(&self, name: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{}: {what}", self.path.join(name).display());
        let there = |flags| {
            let name = c_name(name)?;
            open_at(self.open.as_raw_fd(), &name, flags | libc::O_NOFOLLOW, 0)
        };
        match there(libc::O_PATH).and_then(|file| about(&file)) {
            Ok(about) if about.st_mode & libc::S_IFMT == libc::S_IFLNK => return Ok(()),
            Ok(about) => match name_of_kind(about.st_mode) {
                None => {}
                Some(kind) => return Err(wrong(&format!("it is {kind}; expected a regular file"))),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(&error.to_string())),
        }
        // Who may not read it cannot tell.
        match there(libc::O_RDONLY | libc::O_NONBLOCK) {
            Ok(file) if is_taken(&file) => Err(wrong(TAKEN)),
            _ => Ok(()),
        }
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.check_replaceable(name).map_err(io::Error::other)?;
        self.unlink(name)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: the name is NUL-terminated, and the folder is open.
        match unsafe { libc::unlinkat(self.open.as_raw_fd(), name.as_ptr(), 0) } {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Puts a whole file in the place of what is there, or leaves that as it is.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.check_replaceable(name).map_err(io::Error::other)?;
        let (file, fresh) = self.fresh(name)?;
        let mut file = File::from(file);
        let done = file.write_all(bytes).and_then(|()| {
            let (from, to) = (c_name(&fresh)?, c_name(name)?);
            let folder = self.open.as_raw_fd();
            // SAFETY: both names are NUL-terminated, and the folder is open.
            match unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
        if done.is_err() {
            let _ = self.unlink(&fresh);
        }
        done
    }

    /// A file that was not there, and its name.
    fn fresh(&self, name: &str) -> io::Result<(OwnedFd, String)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let fresh = format!(".{name}.{}-{count}", std::process::id());
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
            match open_at(self.open.as_raw_fd(), &c_name(&fresh)?, flags, 0o666) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {}
                made => return made.map(|file| (file, fresh)),
            }
        }
    }
}

fn c_name(name: &str) -> io::Result<CString> {
    c_path(Path::new(name))
}
