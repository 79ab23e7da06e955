//! A folder for the files of one run. `tempfile` would have Cargo build the library a
//! second time: it asks its own packages for features that the library does not need.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

/// A folder among the temporary files, gone when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one for this process; `whose` is in its name.
    pub fn new(whose: &str) -> io::Result<Self> {
        let name = format!("signal-{whose}-{}", process::id());
        let path = env::temp_dir().join(name);
        // Fails if it is there: this process' files shall be the only ones.
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies among other temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
