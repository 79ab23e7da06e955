//! Files that people bring (configurations, models, check files), and which paths are
//! one file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
///
/// What is wrong with it, without its name.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read it: {error}");
    // Opening a FIFO would wait for a writer, and the host with it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err("cannot read it: it is not a regular file".into());
    }
    let too_big = || format!("it has more than {limit} bytes");
    if about.len() > limit {
        return Err(too_big());
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    // It may grow while it is read.
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(too_big());
    }
    Ok(bytes)
}

/// Where a path leads: two paths of one place are one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file that is there, by device and inode.
    There(u64, u64),
    /// A file that is not there yet, by its name in the nearest folder that is.
    NotYet(PathBuf),
}

impl Place {
    /// Where `path` leads, through links, also those to nowhere. `None` for a
    /// folder and for a character device such as `/dev/null`, which no output
    /// overwrites, and where nobody can say.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        // As many links as the kernel follows.
        const MOST_LINKS: usize = 40;
        let mut path = std::path::absolute(path).ok()?;
        for _ in 0..MOST_LINKS {
            match path.metadata() {
                Ok(about) if about.is_dir() || about.file_type().is_char_device() => return None,
                Ok(about) => return Some(Self::There(about.dev(), about.ino())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => return None,
            }
            match path.read_link() {
                Ok(to) => path = path.parent()?.join(to),
                Err(_) => return Some(Self::NotYet(in_a_real_folder(&path))),
            }
        }
        None
    }
}

/// The path of a file that is not there with the links of its folders resolved.
fn in_a_real_folder(path: &Path) -> PathBuf {
    for folder in path.ancestors().skip(1) {
        if let (Ok(real), Ok(rest)) = (folder.canonicalize(), path.strip_prefix(folder)) {
            // What is not there has no links, so `..` only goes back.
            let mut whole = real;
            for part in rest.components() {
                match part {
                    Component::ParentDir => drop(whole.pop()),
                    other => whole.push(other),
                }
            }
            return whole;
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert!(read(&file, 4).unwrap_err().contains("more than 4 bytes"));
        let fifo = dir.path().join("fifo");
        let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: the name is a NUL-terminated string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        for path in [fifo.as_path(), dir.path()] {
            assert!(read(path, 5).unwrap_err().contains("not a regular file"));
        }
        assert!(
            read(&dir.path().join("none"), 5)
                .unwrap_err()
                .contains("cannot read it")
        );
    }
    #[test]
    fn a_place_is_the_same_through_every_path_and_link() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "1").unwrap();
        std::fs::write(at("other"), "1").unwrap();
        std::fs::hard_link(at("file"), at("hard")).unwrap();
        std::os::unix::fs::symlink("file", at("soft")).unwrap();
        std::os::unix::fs::symlink(".", at("here")).unwrap();
        for same in ["hard", "soft", "folder/../file", "here/here/soft", "./file"] {
            assert_eq!(Place::of(&at(same)), Place::of(&at("file")), "{same}");
        }
        assert_ne!(Place::of(&at("other")), Place::of(&at("file")));

        std::os::unix::fs::symlink("here/new", at("to_new")).unwrap();
        assert!(matches!(Place::of(&at("new")), Some(Place::NotYet(_))));
        for same in ["to_new", "here/new", "gone/../new", "here/to_new"] {
            assert_eq!(Place::of(&at(same)), Place::of(&at("new")), "{same}");
        }
        assert_ne!(Place::of(&at("new2")), Place::of(&at("new")));
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        for none in [at("folder"), at("loop"), "/dev/null".into()] {
            assert_eq!(Place::of(&none), None);
        }
    }
}
