//! Lines on stderr.

/// Writes one line to stderr, and past the standard library's lock: in the child
/// of a fork a thread that is not there may hold it for ever. What cannot be
/// written (a full disk, a closed pipe) is lost: that must not cost the host
/// anything.
pub(crate) fn say(line: &str) {
    let line = format!("signal: {line}\n");
    // SAFETY: the text is readable for its length.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_lock_on_stderr_that_is_never_given_back_stops_nobody() {
        let (said, hear) = mpsc::channel();
        let _held = std::io::stderr().lock();
        std::thread::spawn(move || {
            super::say("written beside a lock on stderr");
            said.send(()).unwrap();
        });
        hear.recv_timeout(Duration::from_secs(20))
            .expect("say() waits for the lock");
    }
}
