//! What descriptor 2 was when the library was loaded.
//!
//! A host that closes its stderr gets descriptor 2 for the next file that it opens: a journal, a
//! socket to the exchange. Our lines must never be written there.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use libc::c_int;

use crate::os::files::{About, about, each_number};
use crate::os::this_thread;

/// Higher descriptors are found in the kernel's list alone.
const HIGHEST: RawFd = 255;

/// `kcmp` compares two descriptors by their open file description (`linux/kcmp.h`).
const KCMP_FILE: c_int = 0;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

const UNKNOWN: u8 = 0;
const NONE: u8 = 1;
const SOME: u8 = 2;

// The loader calls it before any code can call the library.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    // SAFETY: the place of this thread's `errno` is valid as long as the thread.
    let errno = unsafe { *libc::__errno_location() };
    note(libc::STDERR_FILENO);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn note(descriptor: RawFd) {
    let state = match about(&descriptor) {
        Ok(about) if may_be_stderr(descriptor, &about) => {
            DEVICE.store(about.identity.device, Ordering::Relaxed);
            INODE.store(about.identity.inode, Ordering::Relaxed);
            SOME
        }
        _ => NONE,
    };
    STATE.store(state, Ordering::Release);
}

/// Whether lines may be written to it: it is what stderr was when the library was loaded, or a
/// `dup2` copy of a descriptor that the host has open elsewhere too. A file that the host has just
/// opened on this number is neither.
pub(super) fn is_stderr(descriptor: RawFd) -> bool {
    let Ok(now) = about(&descriptor) else {
        return false;
    };
    if STATE.load(Ordering::Acquire) == UNKNOWN {
        note(descriptor);
    }
    let at_load = (
        DEVICE.load(Ordering::Relaxed),
        INODE.load(Ordering::Relaxed),
    );
    let is_as_it_was = STATE.load(Ordering::Acquire) == SOME
        && at_load == (now.identity.device, now.identity.inode);
    is_as_it_was || may_be_a_log(descriptor, &now) && is_open_elsewhere(descriptor)
}

/// Whether a process may have been started with it as stderr: it was open across `exec`, and is not
/// a file opened for reading too.
fn may_be_stderr(descriptor: RawFd, about: &About) -> bool {
    // SAFETY: the call asks for flags and changes nothing.
    let access = unsafe { libc::fcntl(descriptor, libc::F_GETFL) } & libc::O_ACCMODE;
    let is_file = about.kind() == libc::S_IFREG;
    may_be_a_log(descriptor, about) && (!is_file || access == libc::O_WRONLY)
}

/// Excludes what only data goes to: a connection to another machine, a block device, an event. A
/// descriptor from `dup2` has no close-on-exec flag.
fn may_be_a_log(descriptor: RawFd, about: &About) -> bool {
    // SAFETY: the calls ask for flags and change nothing.
    let (flags, own) = unsafe {
        (
            libc::fcntl(descriptor, libc::F_GETFL),
            libc::fcntl(descriptor, libc::F_GETFD),
        )
    };
    let is_writable = flags != -1
        && flags & libc::O_PATH == 0
        && flags & libc::O_ACCMODE != libc::O_RDONLY
        && own & libc::FD_CLOEXEC == 0;
    is_writable
        && match about.kind() {
            libc::S_IFREG | libc::S_IFIFO | libc::S_IFCHR => true,
            libc::S_IFSOCK => is_local(descriptor),
            _ => false,
        }
}

fn is_local(socket: RawFd) -> bool {
    let mut domain: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the answer is one number, and there is room for it.
    let asked = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut domain).cast(),
            &mut length,
        )
    };
    asked == 0 && domain == libc::AF_UNIX
}

/// Whether another descriptor of this process has the same open file description. The calling
/// thread is asked about: a first thread that has ended has no descriptors.
fn is_open_elsewhere(descriptor: RawFd) -> bool {
    let thread = this_thread::id();
    let is_same = |other: RawFd| {
        // SAFETY: the call compares two descriptors of this process and changes
        // nothing.
        unsafe {
            libc::syscall(
                libc::SYS_kcmp,
                thread,
                thread,
                KCMP_FILE,
                descriptor as libc::c_ulong,
                other as libc::c_ulong,
            ) == 0
        }
    };
    if (1..=HIGHEST).any(|other| other != descriptor && is_same(other)) {
        return true;
    }
    let mut is_there = false;
    let _ = each_number(c"/proc/thread-self/fd", |other| {
        let other = RawFd::try_from(other).unwrap_or(0);
        is_there = is_there || other > HIGHEST && is_same(other);
    });
    is_there
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_a_process_is_started_with_may_be_stderr_and_its_data_may_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let may = |descriptor: RawFd| may_be_stderr(descriptor, &about(&descriptor).unwrap());
        let inherited = |file: &dyn AsRawFd| {
            // SAFETY: the descriptor is open, and the copy is closed at the end of the process.
            unsafe { libc::dup(file.as_raw_fd()) }
        };
        let written = File::create(&path).unwrap();
        assert!(may(inherited(&written)));
        // It has close-on-exec set, so the process was not started with it.
        assert!(!may(written.as_raw_fd()));
        let both = File::options().read(true).write(true).open(&path).unwrap();
        assert!(!may(inherited(&both)));
        assert!(!may(inherited(&File::open(&path).unwrap())));
        assert!(may(inherited(&UnixStream::pair().unwrap().0)));
        let exchange = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!may(inherited(&exchange)));
        let (_reader, pipe) = std::io::pipe().unwrap();
        assert!(may(inherited(&pipe)));
    }

    #[test]
    fn a_copy_is_told_from_another_file_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let first = File::create(&path).unwrap();
        let other = File::create(&path).unwrap();
        assert!(!is_open_elsewhere(first.as_raw_fd()));
        let copy = first.try_clone().unwrap();
        assert!(is_open_elsewhere(first.as_raw_fd()) && is_open_elsewhere(copy.as_raw_fd()));
        assert!(!is_open_elsewhere(other.as_raw_fd()));
        drop(copy);
        assert!(!is_open_elsewhere(first.as_raw_fd()));
        // SAFETY: the first descriptor is open, and the copy is closed at the end of the process.
        let high = unsafe { libc::fcntl(first.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIGHEST + 100) };
        assert!(high > HIGHEST && is_open_elsewhere(first.as_raw_fd()));
    }
}
