//! Which paths lead to the same file.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use super::about::{Identity, about_path, is_folder};
use super::open::c_path;

/// Where a path leads: two paths with the same place lead to the same file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An existing file.
    There(Identity),
    /// A file that does not exist yet: its nearest existing folder, and the rest of its path.
    NotYet(Identity, PathBuf),
}

/// The path without links, `.` and `..`.
///
/// The standard library has the C library take the memory for it, and would free it here: but what is
/// freed here must have been taken through `os/allocator.rs`.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = c_path(path)?;
    let mut room: Vec<u8> = Vec::with_capacity(libc::PATH_MAX as usize);
    let to = room.as_mut_ptr().cast();
    // SAFETY: the path is NUL-terminated, and `realpath` writes at most PATH_MAX bytes, which the
    // vector has room for.
    let found = unsafe { libc::realpath(path.as_ptr(), to) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has written a text and its NUL into the vector's room.
    unsafe { room.set_len(libc::strlen(found)) };
    Ok(OsString::from_vec(room).into())
}

/// The path from the root on: the host may change its working directory.
pub(super) fn whole(path: &Path) -> io::Result<PathBuf> {
    const MOST: usize = libc::PATH_MAX as usize;
    const TOO_LONG: &str = "the working directory's own path is too long";
    let whole = std::path::absolute(path);
    if path.is_absolute() || path.as_os_str().is_empty() {
        return whole;
    }
    let what = match whole {
        Ok(whole) if whole.as_os_str().len() < MOST || path.as_os_str().len() >= MOST => {
            return Ok(whole);
        }
        Ok(_) => TOO_LONG.to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => "the working directory is gone".to_owned(),
            ErrorKind::InvalidFilename => TOO_LONG.to_owned(),
            _ => format!("the working directory is not known: {error}"),
        },
    };
    Err(io::Error::other(format!(
        "{what}; expected an absolute path"
    )))
}

impl Place {
    /// Where `path` leads, through links, even dangling ones. `None` for a folder, for a character
    /// device such as `/dev/null`, which no output overwrites, and if it cannot be determined.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        // The maximum number of links that the kernel follows.
        const MOST_LINKS: usize = 40;
        let mut path = std::path::absolute(path).ok()?;
        for _ in 0..MOST_LINKS {
            match about_path(&path) {
                Ok(about) if about.is_folder() || about.kind() == libc::S_IFCHR => return None,
                Ok(about) => return Some(Self::There(about.identity)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => return None,
            }
            match path.read_link() {
                Ok(to) => path = path.parent()?.join(to),
                Err(_) => return Self::in_a_folder(&path),
            }
        }
        None
    }

    /// The place of a file that does not exist.
    fn in_a_folder(path: &Path) -> Option<Self> {
        for folder in path.ancestors().skip(1) {
            let (Ok(real), Ok(rest)) = (real(folder), path.strip_prefix(folder)) else {
                continue;
            };
            // A path that does not exist contains no links, so `..` only removes a component.
            let mut folder = real;
            let mut name = PathBuf::new();
            for part in rest.components() {
                match part {
                    Component::ParentDir if !name.pop() => drop(folder.pop()),
                    Component::ParentDir => {}
                    other => name.push(other),
                }
            }
            // After `..`, the path may lead to an existing file.
            let whole = folder.join(&name);
            if let Ok(about) = about_path(&whole) {
                return Some(Self::There(about.identity));
            }
            let mut above = whole.ancestors().skip(1);
            let nearest = above.find(|folder| is_folder(folder))?;
            let rest = whole.strip_prefix(nearest).ok()?.to_owned();
            let about = about_path(nearest).ok()?;
            return Some(Self::NotYet(about.identity, rest));
        }
        None
    }
}
