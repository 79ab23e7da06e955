//! Waiting for a thread of ours, and no longer than a host can bear.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether the thread has ended.
const STEP: Duration = Duration::from_micros(50);

/// Whether a thread that was told to end has done so by then.
pub(crate) fn ends_by<T>(thread: &JoinHandle<T>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(STEP);
    }
    true
}

/// Joins a thread that was told to end. `None` if it has not by then: it is left
/// behind with all that it owns.
pub(crate) fn join_until<T>(
    thread: JoinHandle<T>,
    deadline: Instant,
) -> Option<std::thread::Result<T>> {
    ends_by(&thread, deadline).then(|| thread.join())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_does_not_end_is_left_behind() {
        let (end, wait) = mpsc::channel::<()>();
        let stuck = std::thread::spawn(move || {
            let _ = wait.recv();
        });
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(join_until(stuck, deadline).is_none());
        assert!(Instant::now() >= deadline);
        drop(end);
        let ended = std::thread::spawn(|| 7);
        let far = Instant::now() + Duration::from_secs(60);
        assert_eq!(join_until(ended, far).unwrap().unwrap(), 7);
    }
}
