//! The file of claims: where it lies, and whether others find it there.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::STEP;
use crate::os::environment;
use crate::os::files::{self, Held};
use crate::os::limit::Limit;
use crate::os::time;

/// Names a file to use instead of the usual one, for containers that share one, and for tests.
pub const ENV_CLAIMS: &str = "SIGNAL_CORE_CLAIMS";

const FOLDERS: [&str; 2] = ["/dev/shm", "/tmp"];
const NAME: &str = "godzilla-signal-cores";
/// The file, open until this is dropped. That ends every claim of this process on it.
#[derive(Debug)]
pub(super) struct ClaimsFile {
    file: Held,
    /// Where it was opened, and others look for it.
    path: CString,
}

impl ClaimsFile {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Held::new(open(path)?)?,
            path: CString::new(path.as_os_str().as_bytes())?,
        })
    }

    /// The file, unless the host has closed its descriptor.
    pub(super) fn get(&self) -> io::Result<&impl AsRawFd> {
        self.file.get()
    }

    /// Whether threads with another table of descriptors have it open, and the calling one has not.
    pub(super) fn is_with_others(&self) -> bool {
        self.file.get().is_err() && self.file.is_in_another_table()
    }

    /// Whether this path leads to the open file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        path.as_os_str().as_bytes() == self.path.as_bytes() && self.finds_itself() == Some(true)
    }

    /// Whether other processes, which look for it by its name, find this very file. True if that is
    /// not known: the host may have another root by now. Takes no memory.
    pub(super) fn is_found(&self) -> bool {
        !self.has_no_name() && self.finds_itself() != Some(false)
    }

    /// Whether the file has no name any more, so that nobody can open it.
    pub(super) fn has_no_name(&self) -> bool {
        let about = self.get().and_then(files::about);
        about.is_ok_and(|about| about.has_no_name())
    }

    fn finds_itself(&self) -> Option<bool> {
        let (ours, there) = (
            self.get().and_then(files::about),
            files::about_name(&self.path),
        );
        let (ours, there) = (ours.ok()?, there.ok()?);
        Some(ours.identity == there.identity)
    }
}

/// Whether no process can create files there, so that all of them use another path.
pub(super) fn is_no_place(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    matches!(code, Some(libc::ENOENT | libc::ENOTDIR | libc::EROFS))
}

/// Where the file of claims may lie, the best place first.
///
/// # Errors
///
/// What is wrong with the path that the variable names, and what to write.
pub(crate) fn paths() -> Result<Vec<PathBuf>, String> {
    paths_for(environment::variable(ENV_CLAIMS))
}

fn paths_for(variable: Option<OsString>) -> Result<Vec<PathBuf>, String> {
    let Some(path) = files::path_of(ENV_CLAIMS, variable)? else {
        let usual = FOLDERS.iter();
        return Ok(usual
            .map(|folder| PathBuf::from(folder).join(NAME))
            .collect());
    };
    // Two processes in two working directories would each find its own, and take one core.
    if path.is_relative() {
        return Err(format!(
            "{ENV_CLAIMS}: the path {path:?} is relative, so that each working directory has its own; \
             expected one that begins with /"
        ));
    }
    Ok(vec![path])
}

/// Opens or creates the file of claims. Anyone who may write in the folder can put anything there,
/// so links are not followed and nothing is ever written.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    const FLAGS: libc::c_int = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut limit = Limit::of(STEP * 20);
    loop {
        let is_over = limit.is_over();
        // Without O_CREAT, which systems refuse on other users' files in such folders.
        let made = match files::open(path, FLAGS, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::open(path, FLAGS | libc::O_CREAT | libc::O_EXCL, 0o666)
            }
            there => there,
        };
        let error = match made {
            Ok(file) => return checked(file),
            Err(error) => error,
        };
        // Its creator may not yet have made it accessible to all.
        let may_come = [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::AlreadyExists,
        ];
        if !may_come.contains(&error.kind()) || is_over {
            return Err(error);
        }
        time::sleep(STEP);
    }
}

fn checked(file: OwnedFd) -> io::Result<OwnedFd> {
    let about = files::about(&file)?;
    if about.kind() != libc::S_IFREG || about.names.is_some_and(|names| names > 1) {
        return Err(io::Error::other("expected a regular file with one name"));
    }
    if about.size != Some(0) {
        return Err(io::Error::other(
            "expected an empty file: claims are locks in it, not its content",
        ));
    }
    // SAFETY: the call takes nothing and cannot fail.
    let own = about.owner == unsafe { libc::geteuid() };
    if own && about.mode & 0o666 != 0o666 {
        // The creator's umask has removed the access of others.
        // SAFETY: the descriptor is open; the call changes only the file's permissions.
        if unsafe { libc::fchmod(file.as_raw_fd(), 0o666) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_names_no_file() {
        let usual = paths_for(None).unwrap();
        assert_eq!(usual.len(), FOLDERS.len());
        assert_eq!(paths_for(Some("".into())), Ok(usual));
        assert_eq!(paths_for(Some("/x/y".into())), Ok(vec!["/x/y".into()]));
    }

    #[test]
    fn a_path_that_other_processes_do_not_find_names_no_file() {
        for (path, part) in [
            ("claims", r#"the path "claims" is relative"#),
            ("./claims", "expected one that begins with /"),
            ("~/claims", "~ is not expanded here"),
            ("'/x/y'", r#"the path "'/x/y'" is in quotes; expected /x/y"#),
            ("/x/y\r", r#"the path "/x/y\r" begins or ends"#),
        ] {
            let said = paths_for(Some(path.into())).unwrap_err();
            assert!(said.starts_with("SIGNAL_CORE_CLAIMS: "), "{said}");
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}
