//! Lines on stderr, for a host whose descriptor 2 may be anything.
//!
//! A line never blocks and never raises a signal in the host. A line that cannot be written at once
//! is lost and counted: a full pipe, a stopped terminal, a reader that is gone, a full disk. The
//! host's open file description is left as it is: other processes share it, and `O_NONBLOCK` on it
//! would make *their* writes fail. Descriptor 2 is written to only while it is stderr (`origin`).

use std::ffi::CStr;
use std::fmt;
use std::io::{Cursor, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, iovec};

use super::cancellation::Disabled;
use super::files;
use super::fixed_text::FixedText;
use super::this_thread::keep_errno;

mod origin;

/// Number of lines that could not be written completely.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Signals that a write raises in the writing thread: no reader, a file at the process' size limit,
/// a terminal that stops background processes that write.
const RAISED_BY_WRITING: [c_int; 3] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU];

/// Bytes that a pipe accepts as a whole or not at all.
const WHOLE: usize = libc::PIPE_BUF;

/// Writes one line to stderr, without the standard library's lock: in the child of a fork, a thread
/// that does not exist there may hold it for ever. Allocates nothing and leaves `errno` alone, so
/// that a refused call may use it.
pub(crate) fn say(line: &str) {
    keep_errno(|| {
        if !origin::is_stderr(libc::STDERR_FILENO) || !write_line(libc::STDERR_FILENO, line) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// [`say`], with format arguments: for use after create, when the host may have used up its memory.
pub(crate) fn say_parts(line: fmt::Arguments<'_>) {
    say(FixedText::new(line).as_str());
}

/// Lines that this copy of the library has lost since it was loaded.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// A text with control characters escaped. Names, paths and panics' messages may have line ends and
/// a terminal's commands in them.
struct Visible<'a>(&'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|letter| match letter.is_control() {
                true => fmt::Display::fmt(&letter.escape_default(), f),
                false => fmt::Write::write_char(f, letter),
            })
    }
}

/// Whether the whole line was written.
fn write_line(descriptor: RawFd, line: &str) -> bool {
    let visible;
    let line = match line.contains(char::is_control) {
        true => {
            visible = FixedText::new(format_args!("{}", Visible(line)));
            visible.as_str()
        }
        false => line,
    };
    let mut parts = [b"signal: ", line.as_bytes(), b"\n"].map(|part: &[u8]| iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    let length: usize = parts.iter().map(|part| part.iov_len).sum();
    // Writing and opening are cancellation points.
    let _cancellation = Disabled::new();
    let _quiet = Quiet::new();
    let written = match Kind::of(descriptor) {
        Some(Kind::Direct) => write(descriptor, &parts),
        Some(Kind::Socket) => send(descriptor, &mut parts),
        Some(Kind::MayWait) => match reopen(descriptor) {
            Ok(own) => write(own.as_raw_fd(), &parts),
            // A pipe without a reader, or a terminal that is gone.
            Err(libc::ENXIO | libc::EIO) => None,
            // No /proc, no permission to open it, or no descriptor left.
            Err(_) if has_room(descriptor) => write(descriptor, &cut(parts)),
            Err(_) => None,
        },
        None => None,
    };
    written == Some(length)
}

/// How a descriptor is written without blocking.
enum Kind {
    /// Directly: regular files, and block devices.
    Direct,
    Socket,
    MayWait,
}

impl Kind {
    /// `None` if there is nothing to write to.
    fn of(descriptor: RawFd) -> Option<Self> {
        let about = files::about(&descriptor).ok()?;
        Some(match about.kind() {
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFREG | libc::S_IFBLK => Self::Direct,
            _ => Self::MayWait,
        })
    }
}

/// Opens the same pipe or terminal again, with a description of our own that never blocks.
///
/// # Errors
///
/// The error's number.
fn reopen(descriptor: RawFd) -> Result<OwnedFd, c_int> {
    let mut path = [0u8; 32];
    // The last byte stays the NUL.
    let mut text = Cursor::new(&mut path[..31]);
    if is_multiplexer(descriptor) || write!(text, "/proc/thread-self/fd/{descriptor}").is_err() {
        return Err(libc::ENOTSUP);
    }
    let flags = libc::O_WRONLY | libc::O_NONBLOCK;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| libc::ENOTSUP)?;
    let own = files::open_c(path, flags);
    own.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Whether this is the master of a pseudo-terminal: opening it by name would give a different one.
fn is_multiplexer(descriptor: RawFd) -> bool {
    let mut number: libc::c_uint = 0;
    // SAFETY: the request writes one number to the place that it is given.
    unsafe { libc::ioctl(descriptor, libc::TIOCGPTN, &raw mut number) == 0 }
}

/// Whether a write of at most [`WHOLE`] bytes will not block, as far as `poll` can tell: another
/// process may fill a pipe in between.
fn has_room(descriptor: RawFd) -> bool {
    let mut asked = libc::pollfd {
        fd: descriptor,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid entry, and a timeout of 0.
    let answers = unsafe { libc::poll(&mut asked, 1, 0) };
    answers == 1 && asked.revents & libc::POLLOUT != 0
}

/// The line, cut at its end if it is longer than [`WHOLE`].
fn cut([before, mut line, after]: [iovec; 3]) -> [iovec; 3] {
    let room = WHOLE - before.iov_len - after.iov_len;
    line.iov_len = line.iov_len.min(room);
    [before, line, after]
}

fn write(descriptor: RawFd, parts: &[iovec; 3]) -> Option<usize> {
    // SAFETY: each part is readable for its length: they are the borrowed pieces
    // of the line that `write_line` holds.
    let written = unsafe { libc::writev(descriptor, parts.as_ptr(), parts.len() as c_int) };
    usize::try_from(written).ok()
}

fn send(descriptor: RawFd, parts: &mut [iovec; 3]) -> Option<usize> {
    // SAFETY: all zeros is a valid message without address and control data.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as in `write`; the message outlives the call.
    usize::try_from(unsafe { libc::sendmsg(descriptor, &message, flags) }).ok()
}

/// Blocks signals that a write raises on this thread until it is dropped, and consumes those that
/// were raised.
struct Quiet {
    before: libc::sigset_t,
    /// Signals that were pending before; they are left for their receiver.
    pending: libc::sigset_t,
}

impl Quiet {
    fn new() -> Self {
        let mut before = empty_set();
        let mut pending = empty_set();
        let mut blocked = empty_set();
        // SAFETY: all sets are initialised and valid for writing, the signals are Linux' own, and
        // the calls change only this thread's mask.
        unsafe {
            libc::sigpending(&mut pending);
            for signal in RAISED_BY_WRITING {
                libc::sigaddset(&mut blocked, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, &mut before);
        }
        Self { before, pending }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut ours = empty_set();
        let mut raised = empty_set();
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the sets are initialised; `before` was filled in by `new` on this same thread,
        // which the value never leaves. The signals in `ours` are blocked here, so consuming them
        // does not race with a handler on this thread.
        unsafe {
            libc::sigpending(&mut raised);
            let mut any = false;
            for signal in RAISED_BY_WRITING {
                let is_new = libc::sigismember(&raised, signal) == 1
                    && libc::sigismember(&self.pending, signal) == 0;
                if is_new {
                    libc::sigaddset(&mut ours, signal);
                    any = true;
                }
            }
            // Each is pending at most once on this thread. A signal that interrupts the call is not
            // one of these, so the call is repeated.
            while any
                && (libc::sigtimedwait(&ours, std::ptr::null_mut(), &now) > 0
                    || *libc::__errno_location() == libc::EINTR)
            {}
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
