//! Why an engine could not start, and how people hear of it.

/// What is wrong, in a sentence that names the thing and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong: mend the field that the message names.
    #[error("configuration: {0}")]
    Config(String),
    /// A lane could not be placed or started: choose other cores or placement.
    #[error("placement: {0}")]
    Placement(String),
    /// The process may not have the memory that the engine needs.
    #[error("memory: {0}")]
    Memory(String),
    /// The latency report's folder cannot be written.
    #[error("latency report: {0}")]
    Report(String),
    /// The capture file cannot be written.
    #[error("capture: {0}")]
    Capture(String),
}

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
