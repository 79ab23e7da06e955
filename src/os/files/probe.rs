//! What is in the way of a file that is to be written, found without making, emptying or keeping
//! anything.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::about::{About, about, about_link, about_path, is_folder};
use super::lease;
use super::open::{may_make_in, open};
use super::output::{TAKEN, is_taken, never_waits, not_opened, refused, wrong};
use super::place::whole;

/// The maximum number of links that the kernel follows.
const MOST_LINKS: usize = 40;

/// Whether a file could be opened for writing, in folders that could be made.
///
/// # Errors
///
/// The file, and what is in its way.
pub fn check_output(path: &Path) -> Result<(), String> {
    let whole = whole(path).map_err(|error| wrong(path, &error))?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    could_make_folder(folder).map_err(|error| wrong(path, &error))?;
    check_file(path, never_waits)
}

/// What is in the way of files in a folder. Its `Display` says what was expected.
#[derive(Debug)]
pub(crate) enum InTheWay {
    /// Of the folder itself.
    Folder(io::Error),
    /// Of a file in it, with its path.
    File(String),
}

impl From<io::Error> for InTheWay {
    fn from(error: io::Error) -> Self {
        Self::Folder(error)
    }
}

impl From<String> for InTheWay {
    fn from(what: String) -> Self {
        Self::File(what)
    }
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(what) => f.write_str(what),
            // Our own words say it themselves.
            Self::Folder(error) if error.raw_os_error().is_none() => error.fmt(f),
            Self::Folder(error) => match super::cure(error) {
                Some(cure) => write!(f, "{error}: {cure}"),
                None => write!(
                    f,
                    "{error}; expected a folder that this process may write in"
                ),
            },
        }
    }
}

/// Whether a folder, and files of these names in it, could be made or written.
pub(crate) fn check_files_in<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), InTheWay> {
    let whole = whole(folder)?;
    could_make_folder(&whole)?;
    if is_folder(&whole) {
        may_make_in(&whole)?;
        for name in names {
            check_file(&whole.join(name), |_| false)?;
        }
    }
    Ok(())
}

/// Whether a file could be opened for writing; devices for which `may` holds could.
fn check_file(path: &Path, may: impl Fn(&About) -> bool) -> Result<(), String> {
    // Opening a device may have an effect, so its kind is checked first.
    let there = open(path, libc::O_PATH, 0).and_then(|file| about(&file));
    let could = match there {
        Ok(about) => match about.other_kind() {
            Some(_) if may(&about) => return Ok(()),
            Some(kind) => return Err(refused(path, kind)),
            None => lease::wait(|| open(path, libc::O_WRONLY | libc::O_NONBLOCK, 0)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // The folder of a bare name is the working directory.
            let could = whole(path).and_then(could_make);
            return could.map_err(|error| wrong(path, &error));
        }
        Err(error) => Err(error),
    };
    let file = could.map_err(|error| not_opened(path, &error))?;
    match is_taken(&file) {
        true => Err(format!("cannot write {}: {TAKEN}", path.display())),
        false => Ok(()),
    }
}

/// Whether a file that does not exist could be made, through links that lead nowhere yet.
fn could_make(mut path: PathBuf) -> io::Result<()> {
    for _ in 0..MOST_LINKS {
        check_name(&path)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        match path.read_link() {
            Ok(to) => path = folder.join(to),
            Err(_) if is_folder(&folder) => return may_make_in(&folder),
            Err(_) => return could_make_folder(&folder),
        }
        // Folders on the way are made for the path that is given, but not for a link's.
        path.parent()
            .map_or(Ok(()), |to| about_path(to).map(drop))?;
    }
    system(libc::ELOOP)
}

/// Whether a file system takes the path's last name; one whose folder is not there yet was not
/// asked.
fn check_name(path: &Path) -> io::Result<()> {
    const LONGEST: usize = libc::NAME_MAX as usize;
    match path.file_name().is_some_and(|name| name.len() > LONGEST) {
        true => system(libc::ENAMETOOLONG),
        false => Ok(()),
    }
}

fn system(error: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(error))
}

/// Whether a folder is there and takes new files, or could be made, with its parents.
fn could_make_folder(path: &Path) -> io::Result<()> {
    for (number, folder) in path.ancestors().enumerate() {
        match about_path(folder) {
            // As `mkdir` says it of the folder itself, and of one above it.
            Ok(about) if !about.is_folder() && number == 0 => return system(libc::EEXIST),
            Ok(about) if !about.is_folder() => return system(libc::ENOTDIR),
            // Whether the folder itself takes new files depends on whether there is to be one.
            Ok(_) if number == 0 => return Ok(()),
            Ok(_) => return may_make_in(folder),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if about_link(folder).is_ok() {
                    return system(libc::EEXIST);
                }
                check_name(folder)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
