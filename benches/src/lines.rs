//! What the library says on stderr when a handle is made: the start line of a configuration
//! is passed on once, however many handles of it a bench makes.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What every start line begins with.
const START: &str = "signal: version ";

static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Makes a handle, then passes on what was said meanwhile: start lines that are new, and
/// every other line. Where stderr cannot be set aside the library speaks for itself.
pub fn once<R>(make: impl FnOnce() -> R) -> R {
    let Some(aside) = Aside::begin() else {
        return make();
    };
    let made = make();
    let said = aside.end();
    let mut known = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for line in new_lines(known.get_or_insert_default(), &said) {
        eprintln!("{line}");
    }
    made
}

/// The lines that are worth saying.
fn new_lines<'a>(known: &mut HashSet<String>, said: &'a str) -> Vec<&'a str> {
    let is_new =
        |line: &&str| !line.starts_with(START) || known.insert(configuration(line).to_owned());
    said.lines().filter(is_new).collect()
}

/// What a start line says before its notes. These name other processes, which come and go.
fn configuration(line: &str) -> &str {
    line.split("; ").next().unwrap_or(line)
}

/// Stderr, while a file in memory stands in for it.
struct Aside {
    file: File,
    stderr: OwnedFd,
}

impl Aside {
    fn begin() -> Option<Self> {
        // SAFETY: the name is NUL-terminated; what is returned is new, and nobody else's.
        let file = unsafe {
            match libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC) {
                -1 => return None,
                descriptor => File::from_raw_fd(descriptor),
            }
        };
        // SAFETY: as above.
        let stderr = unsafe {
            match libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3) {
                -1 => return None,
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        put(file.as_raw_fd()).then_some(Self { file, stderr })
    }

    /// What was said.
    fn end(mut self) -> String {
        put(self.stderr.as_raw_fd());
        let mut said = Vec::new();
        if self.file.rewind().is_ok() {
            let _ = self.file.read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Again after `end`, which does no harm: here it is for a panic.
        put(self.stderr.as_raw_fd());
    }
}

/// Makes stderr what this descriptor is.
fn put(descriptor: i32) -> bool {
    // SAFETY: both descriptors are open; the one that is replaced has a copy.
    unsafe { libc::dup2(descriptor, libc::STDERR_FILENO) == libc::STDERR_FILENO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_line_is_new_once_and_every_other_line_always() {
        let mut known = HashSet::new();
        let fused = "signal: version 1, lanes=fused";
        let said = format!("{fused}\nsignal: the disk is full\n");
        assert_eq!(
            new_lines(&mut known, &said),
            [fused, "signal: the disk is full"]
        );
        assert_eq!(new_lines(&mut known, &said), ["signal: the disk is full"]);
        let other = format!("{fused}; core 1 has a lane of process 7 (other)");
        assert!(new_lines(&mut known, &other).is_empty());
        let inline = "signal: version 1, lanes=inline";
        assert_eq!(new_lines(&mut known, inline), [inline]);
        assert!(new_lines(&mut known, "").is_empty());
    }
}
