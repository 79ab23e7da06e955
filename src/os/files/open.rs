//! Opens files at descriptor 3 or above.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_int, mode_t};

/// The first descriptor that is not stdin, stdout or stderr.
const FIRST: RawFd = 3;

/// Opens a file, with close-on-exec.
pub(crate) fn open(path: &Path, flags: c_int, mode: mode_t) -> io::Result<OwnedFd> {
    open_at(libc::AT_FDCWD, &c_path(path)?, flags, mode)
}

/// [`open`] without allocating.
pub(crate) fn open_c(path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    open_at(libc::AT_FDCWD, path, flags, 0)
}

/// [`open`], with the path relative to a folder. Does not allocate.
pub(super) fn open_at(
    folder: RawFd,
    path: &CStr,
    flags: c_int,
    mode: mode_t,
) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
    let _low = Low::taken();
    loop {
        // SAFETY: the path is NUL-terminated; a returned descriptor is new, and has no other owner.
        let file = unsafe {
            match libc::openat(folder, path.as_ptr(), flags, mode) {
                -1 => Err(io::Error::last_os_error()),
                file => Ok(OwnedFd::from_raw_fd(file)),
            }
        };
        match file {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another thread has closed a low descriptor in the meantime.
            Ok(file) if file.as_raw_fd() < FIRST => return copy(&file),
            file => return file,
        }
    }
}

/// Another descriptor of the same open file, 3 or above.
pub(super) fn copy(file: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call duplicates an open descriptor; the one it returns is new, and has no other
    // owner.
    unsafe {
        match libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) {
            -1 => Err(io::Error::last_os_error()),
            file => Ok(OwnedFd::from_raw_fd(file)),
        }
    }
}

/// Closes a file, and says what the system does: a file system over a network may write what it
/// has only then.
pub(super) fn close(file: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor was this value's own, and is used no more, whatever the answer is.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "its name has a NUL in it"))
}

/// Those of descriptors 0 to 2 that were closed, occupied so that new files get higher numbers.
/// Meanwhile they can be neither read nor written, as before.
pub(super) struct Low([Option<RawFd>; FIRST as usize]);

impl Low {
    pub(super) fn taken() -> Self {
        let mut low = Self([None; FIRST as usize]);
        for place in &mut low.0 {
            if (0..FIRST).all(|file| flags(file) != -1) {
                break;
            }
            // SAFETY: the path is NUL-terminated; the descriptor is closed by `drop`.
            let file = unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
            if file == -1 {
                break;
            }
            *place = Some(file);
        }
        low
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        for file in self.0.into_iter().flatten() {
            let flags = flags(file);
            // Another thread of the host may have opened a file of its own on this number.
            if flags != -1 && flags & libc::O_PATH != 0 {
                // SAFETY: `taken` has opened it, and only for this value.
                unsafe { libc::close(file) };
            }
        }
    }
}

/// The flags that a descriptor was opened with; -1 if it is closed.
pub(super) fn flags(file: RawFd) -> c_int {
    // SAFETY: the call asks for flags and changes nothing.
    unsafe { libc::fcntl(file, libc::F_GETFL) }
}

/// The type of `/sys`.
pub(super) const SYSFS_MAGIC: libc::__fsword_t = 0x6265_6572;

/// Whether this process may make a file in a folder.
pub(super) fn may_make_in(folder: &Path) -> io::Result<()> {
    let path = c_path(folder)?;
    let mode = libc::W_OK | libc::X_OK;
    // SAFETY: the path is NUL-terminated; the call asks and changes nothing.
    if unsafe { libc::access(path.as_ptr(), mode) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Some of the kernel's own folders refuse new files to whoever may write there.
    match file_system(&path)? {
        libc::PROC_SUPER_MAGIC => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        SYSFS_MAGIC => Err(io::Error::from_raw_os_error(libc::EACCES)),
        _ => Ok(()),
    }
}

/// The type of the file system that a path leads to. By a system call: the host may have a function
/// of its own called `statfs`.
pub(super) fn file_system(path: &CStr) -> io::Result<libc::__fsword_t> {
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is NUL-terminated; `about` is a valid place for the answer, and is read only
    // if the call has filled it.
    unsafe {
        match libc::syscall(libc::SYS_statfs, path.as_ptr(), about.as_mut_ptr()) {
            0 => Ok(about.assume_init().f_type),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
