use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

#[test]
fn a_lock_on_stderr_that_is_never_given_back_stops_nobody() {
    let (said, hear) = mpsc::channel();
    let _held = std::io::stderr().lock();
    std::thread::spawn(move || {
        say("written beside a lock on stderr");
        said.send(()).unwrap();
    });
    hear.recv_timeout(Duration::from_secs(20))
        .expect("say() waits for the lock");
}

fn flags(descriptor: RawFd) -> c_int {
    // SAFETY: the call reads flags of a descriptor that the caller has open.
    unsafe { libc::fcntl(descriptor, libc::F_GETFL) }
}

/// A full pipe.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let own = reopen(writer.as_raw_fd()).unwrap();
    for chunk in [4096, 1] {
        let bytes = vec![b'x'; chunk];
        // SAFETY: the bytes are readable for their length.
        while unsafe { libc::write(own.as_raw_fd(), bytes.as_ptr().cast(), chunk) } > 0 {}
    }
    (reader, writer)
}

fn read_some(mut from: impl Read) -> String {
    let mut bytes = [0; 8192];
    let length = from.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn a_line_arrives_whole_and_the_description_stays_as_it_was() {
    let (reader, writer) = pipe().unwrap();
    let before = flags(writer.as_raw_fd());
    assert!(write_line(writer.as_raw_fd(), "hello"));
    assert_eq!(read_some(&reader), "signal: hello\n");
    assert_eq!(flags(writer.as_raw_fd()), before);
    let (left, right) = UnixStream::pair().unwrap();
    assert!(write_line(left.as_raw_fd(), "hello"));
    assert_eq!(read_some(&right), "signal: hello\n");
    assert_eq!(flags(left.as_raw_fd()) & libc::O_NONBLOCK, 0);
}

#[test]
fn a_line_stays_one_whatever_it_quotes() {
    let (read, write) = std::io::pipe().unwrap();
    let line = "model \u{5e01}\nsignal: \u{1b}[31m\r\t\u{9b} \\ end";
    assert!(write_line(write.as_raw_fd(), line));
    drop(write);
    let shown = "signal: model \u{5e01}\\nsignal: \\u{1b}[31m\\r\\t\\u{9b} \\ end\n";
    assert_eq!(read_some(read), shown);
}

#[test]
fn a_line_that_finds_no_room_is_lost_and_counted() {
    let (reader, writer) = full_pipe();
    assert!(!write_line(writer.as_raw_fd(), "lost"));
    assert!(!has_room(writer.as_raw_fd()));
    drop(reader);
    // Without a reader: no signal is raised, or it would have ended this process.
    assert!(!write_line(writer.as_raw_fd(), "lost"));
    let (left, right) = UnixStream::pair().unwrap();
    left.set_nonblocking(true).unwrap();
    while (&left).write(&[0; 4096]).is_ok() {}
    left.set_nonblocking(false).unwrap();
    assert!(!write_line(left.as_raw_fd(), "lost"));
    drop(right);
    assert!(!write_line(left.as_raw_fd(), "lost"));
    assert!(!write_line(-1, "lost"));
}

#[test]
fn a_pipe_that_cannot_be_opened_again_is_asked_first() {
    let (reader, writer) = pipe().unwrap();
    assert!(has_room(writer.as_raw_fd()));
    let line = "y".repeat(2 * WHOLE);
    let parts = [b"signal: ", line.as_bytes(), b"\n"].map(|part: &[u8]| iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    assert_eq!(write(writer.as_raw_fd(), &cut(parts)), Some(WHOLE));
    let read = read_some(&reader);
    assert!(read.starts_with("signal: yy") && read.ends_with("y\n"));
}

#[test]
fn the_master_of_a_terminal_is_not_opened_again() {
    // SAFETY: the call opens a new pseudo-terminal, whose descriptor is ours.
    let master = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY);
        if master < 0 {
            return;
        }
        OwnedFd::from_raw_fd(master)
    };
    assert_eq!(reopen(master.as_raw_fd()).err(), Some(libc::ENOTSUP));
}

#[test]
fn errno_stays_the_callers() {
    // SAFETY: this thread's own `errno`.
    unsafe { *libc::__errno_location() = 4321 };
    keep_errno(|| assert!(!write_line(-1, "lost")));
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, 4321);
}
