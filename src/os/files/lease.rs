//! Files that another program has a lease on (`F_SETLEASE`), as file servers do for their clients.
//! Opening such a file asks for the lease, and fails until it is given back, or until the kernel
//! takes it away: after 45 s, as `/proc/sys/fs/lease-break-time` says on most machines.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::os::limit::Limit;
use crate::os::time;

/// Longest wait for the other program.
const PATIENCE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(10);

/// What is wrong with a file that did not become free.
pub(super) const KEPT: &str = "another program has a lease on it, as file servers have, and has not given it back within 2 s; \
     expected a file that no other program uses (/proc/locks names the process)";

/// Opens a file, with `O_NONBLOCK`, and waits for those who have a lease on it.
pub(super) fn wait(open: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let mut limit = Limit::of(PATIENCE);
    loop {
        let is_over = limit.is_over();
        match open() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !is_over => {
                time::sleep(STEP);
            }
            done => return done,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::path::Path;

    use super::super::{Output, Recorded, Stop, check_output, read, with_cause};

    /// Of the kernel's fcntl.h.
    const F_SETSIG: libc::c_int = 10;

    fn lease(file: &File, command: libc::c_int, value: libc::c_int) -> libc::c_int {
        // SAFETY: the calls ask or change who is told of the file's use, and no memory.
        unsafe { libc::fcntl(file.as_raw_fd(), command, value) }
    }

    type Open = fn(&Path) -> Result<(), String>;

    /// Calls `each` with ways to open a file, and the lease that is in their way: side by side,
    /// since each may wait.
    fn each_way(each: impl Fn(Open, &Path, &File, libc::c_int) + Sync) {
        let written: Open = |path| Output::open(path).map(drop);
        let readable: Open = |path| read(path, 10).map(drop);
        let recorded: Open = |path| {
            let opened = Recorded::open(path, Stop::default()).map(drop);
            opened.map_err(|error| with_cause(path, &error))
        };
        let ways = [
            (written, libc::F_RDLCK),
            (written, libc::F_WRLCK),
            (check_output as Open, libc::F_RDLCK),
            (readable, libc::F_WRLCK),
            (recorded, libc::F_WRLCK),
        ];
        let one = |(open, kind): (Open, libc::c_int)| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, "text").unwrap();
            let holder = File::open(&path).unwrap();
            // Instead of SIGIO, which ends a process that does not expect it.
            lease(&holder, F_SETSIG, libc::SIGURG);
            if lease(&holder, libc::F_SETLEASE, kind) != 0 {
                eprintln!("skipped: no leases here");
                return;
            }
            each(open, &path, &holder, kind);
        };
        std::thread::scope(|scope| {
            for way in ways {
                let one = &one;
                scope.spawn(move || one(way));
            }
        });
    }

    #[test]
    fn a_file_with_a_lease_is_opened_when_the_lease_is_given_back() {
        each_way(|open, path, holder, kind| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Until someone wants to open it.
                    while lease(holder, libc::F_GETLEASE, 0) == kind {
                        std::thread::yield_now();
                    }
                    lease(holder, libc::F_SETLEASE, libc::F_UNLCK);
                });
                open(path).unwrap();
            });
        });
    }

    #[test]
    fn a_lease_that_is_kept_is_named() {
        each_way(|open, path, _, _| {
            let why = open(path).unwrap_err();
            assert!(why.contains("another program has a lease on it"), "{why}");
        });
    }
}
