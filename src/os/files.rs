//! The one place that opens files: those that people bring (configurations, models,
//! check files), those that are written (captures, reports), and the system's own.
//!
//! The host may have closed its descriptors 0 to 2, and whatever it prints would land
//! in a file of ours that got one of them: no file is ever opened there. A FIFO or a
//! device is refused by name, and opening one never waits. The child of a fork holds
//! all descriptors too, so it closes those of ours, and a lock is given back, not just
//! closed.
//!
//! | file | what |
//! |---|---|
//! | `open` | opens, at descriptor 3 or above |
//! | `about` | what the kernel says of a file, whatever a sandbox refuses |
//! | `output` | files that are written: locked, emptied when all else has succeeded |
//! | `appended` | files that grow by lines, and what others do to them meanwhile |
//! | `held` | descriptors that stay ours, or are not used |
//! | `folder` | a folder that stays the same one, wherever the host goes |
//! | `place` | which paths are one file |
//! | `in_use` | files that this process needs as they are |
//! | `lease` | waits for programs that have a lease on a file |
//! | `lines` | lines of a file of the system, without allocating |
//! | `listing` | what is in a folder of the system, without allocating |
//! | `tilde` | paths that were written for a shell, or with quotes or blanks around them |
//! | `probe` | whether a file could be written, without making anything |
//! | `recorded` | recorded data, which may come through a pipe |
//! | `stream` | what a program writes while its user waits, to a pipe as well |
//! | `stop` | until when to wait for the other end of a pipe |

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::resources;

mod about;
mod appended;
mod folder;
mod held;
mod in_use;
mod lease;
mod lines;
mod listing;
mod open;
mod output;
mod place;
mod probe;
#[cfg(feature = "replay")]
mod recorded;
#[cfg(feature = "replay")]
mod stop;
#[cfg(feature = "replay")]
mod stream;
mod tilde;

pub(crate) use about::{About, Identity, about, about_link, about_name, about_path};
pub(crate) use appended::{Appended, Harm, Role};
pub(crate) use folder::{Folder, Obstacle};
pub(crate) use held::{Held, leave_to_parent};
pub(crate) use in_use::needed;
pub(crate) use lines::each_line;
pub(crate) use listing::{each_folder, each_number};
pub(crate) use open::{open, open_c};
pub(crate) use output::Output;
pub(crate) use place::{Place, real};
pub use probe::check_output;
pub(crate) use probe::{InTheWay, check_files_in};
#[cfg(feature = "replay")]
pub(crate) use recorded::Recorded;
#[cfg(feature = "replay")]
pub(crate) use stop::Stop;
pub(crate) use tilde::path_of;
pub use tilde::{check_expanded, check_written};
#[cfg(feature = "replay")]
pub use {stop::Room, stream::Stream};

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
///
/// What is wrong with it, without its name.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let (file, about) = open_known(path)?;
    let cannot = |error: io::Error| cannot_read(path, &error);
    let too_big = || format!("it has more than {limit} bytes; expected at most as many");
    let size = about.size.unwrap_or(0);
    if size > limit {
        return Err(too_big());
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // It may grow while it is read.
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(too_big());
    }
    Ok(bytes)
}

/// Opens a regular file for reading.
///
/// # Errors
///
/// What is wrong with it, without its name.
pub fn open_regular(path: &Path) -> Result<File, String> {
    open_known(path).map(|(file, _)| file)
}

fn open_known(path: &Path) -> Result<(File, About), String> {
    let cannot = |error: io::Error| cannot_read(path, &error);
    // A device may do something when it is opened, so it is looked at before.
    let is_regular = |about: &About| match about.other_kind() {
        None => Ok(()),
        Some(kind) => Err(format!("cannot read it: it is {kind}, not a regular file")),
    };
    is_regular(&about_path(path).map_err(cannot)?)?;
    let opened = lease::wait(|| open(path, libc::O_RDONLY | libc::O_NONBLOCK, 0));
    let file = opened.map_err(cannot)?;
    let about = about(&file).map_err(cannot)?;
    is_regular(&about)?;
    Ok((file.into(), about))
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read it: {}", with_cause(path, error))
}

/// The error, with its likely cause if there is no file, or with the cure.
pub(crate) fn with_cause(path: &Path, error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => check_written(path).err(),
        _ => cure(error).map(str::to_owned),
    };
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// What to do about an error, whatever the file.
fn cure(error: &io::Error) -> Option<&'static str> {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::WouldBlock, _) => Some(lease::KEPT),
        (_, Some(libc::EMFILE)) => Some("expected fewer at once, or a higher limit (ulimit -n)"),
        _ => None,
    }
}

/// Reads a file of the system's own, below `/proc` or `/sys`. Bytes that are no UTF-8 are
/// replaced: a process' name may be cut within a character, and stands beside the rest.
pub(crate) fn system(path: impl AsRef<Path>) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = open(path.as_ref(), libc::O_RDONLY, 0)?;
    File::from(file).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The beginning of such a file, without taking memory.
pub(crate) fn system_into<'a>(path: &CStr, into: &'a mut [u8]) -> io::Result<&'a str> {
    let bytes = system_bytes_into(path, into)?;
    std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// [`system_into`], of a file with a name that may be no UTF-8.
pub(crate) fn system_bytes_into<'a>(path: &CStr, into: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut file = File::from(open_c(path, libc::O_RDONLY)?);
    let mut len = 0;
    while len < into.len() {
        match file.read(&mut into[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&into[..len])
}

/// Opens a file of the system's own, to be read again and again: `None` where that fails, or half
/// of the descriptors that the process may have are in use, which others need more.
pub(crate) fn hold_system(path: &CStr) -> Option<Held> {
    let file = open_c(path, libc::O_RDONLY).ok()?;
    let most = resources::limit(libc::RLIMIT_NOFILE).unwrap_or(u64::MAX);
    let number = u64::try_from(file.as_raw_fd()).ok()?;
    if number >= most / 2 {
        return None;
    }
    Held::new(file).ok()
}

/// A part of such a file, as the system makes it now. Opens nothing and takes no memory.
///
/// # Errors
///
/// The system's, or the host has closed the descriptor.
pub(crate) fn system_part_into<'a>(
    file: &Held,
    from: u64,
    into: &'a mut [u8],
) -> io::Result<&'a [u8]> {
    let file = file.get()?;
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], from + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&into[..len])
}

/// Creates a folder and its parents, if they do not exist.
///
/// # Errors
///
/// The system's error.
pub fn make_folder(path: &Path) -> io::Result<()> {
    folder::make(path)
}

/// What is in a folder.
///
/// # Errors
///
/// The system's error.
pub fn entries(path: impl AsRef<Path>) -> io::Result<std::fs::ReadDir> {
    let _low = open::Low::taken();
    std::fs::read_dir(path)
}

#[cfg(all(test, not(loom)))]
mod tests;
