//! Which paths are one file.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Where a path leads: two paths of one place are one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file that is there, by device and inode.
    There(u64, u64),
    /// A file that is not there yet: the nearest folder that is, by device and inode,
    /// and the rest of its name.
    NotYet(u64, u64, PathBuf),
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
                Err(_) => return Self::in_a_folder(&path),
            }
        }
        None
    }

    /// The place of a file that is not there.
    fn in_a_folder(path: &Path) -> Option<Self> {
        for folder in path.ancestors().skip(1) {
            let (Ok(real), Ok(rest)) = (folder.canonicalize(), path.strip_prefix(folder)) else {
                continue;
            };
            // What is not there has no links, so `..` only goes back.
            let mut folder = real;
            let mut name = PathBuf::new();
            for part in rest.components() {
                match part {
                    Component::ParentDir if !name.pop() => drop(folder.pop()),
                    Component::ParentDir => {}
                    other => name.push(other),
                }
            }
            // Going back may have led to a file that is there.
            let whole = folder.join(&name);
            if let Ok(about) = whole.metadata() {
                return Some(Self::There(about.dev(), about.ino()));
            }
            let mut above = whole.ancestors().skip(1);
            let nearest = above.find(|folder| folder.is_dir())?;
            let rest = whole.strip_prefix(nearest).ok()?.to_owned();
            let about = nearest.metadata().ok()?;
            return Some(Self::NotYet(about.dev(), about.ino(), rest));
        }
        None
    }
}
