//! The wait for a signal, and what can be found out when none comes.

use std::fmt;
use std::time::{Duration, Instant};

use crate::threads::{self, Thread};

/// A signal that takes longer will not come, if the lanes had their cores meanwhile.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Nothing is waited for longer, even if a lane has not had its core.
const LONGEST_STARVED: Duration = Duration::from_secs(60);
/// A lane that ran for so long could have answered: thousands of times what an event takes.
const ENOUGH: Duration = Duration::from_millis(50);
/// Between two looks at the threads, once a signal is overdue.
const BETWEEN: Duration = Duration::from_millis(500);
/// Longer between two looks: this thread was away, and the whole machine may have been.
/// What is above it is no time in which a lane could have answered.
const LONGEST_STEP: Duration = Duration::from_millis(100);
/// Looks before the time is looked at: some milliseconds.
const LOOKS: u32 = 1 << 20;

/// No signal came; what the machine did meanwhile.
#[derive(Debug)]
pub struct Silence {
    waited: Duration,
    /// Of each thread, since the wait began.
    threads: Vec<Thread>,
}

/// Runs `look`, which polls, until it says that all is there.
///
/// # Errors
///
/// It did not for [`LONGEST_WAIT`], in which every lane had its core for long enough to
/// answer, or for a minute.
#[inline(always)]
pub fn wait_until(mut look: impl FnMut() -> bool) -> Result<(), Box<Silence>> {
    for _ in 0..LOOKS {
        if look() {
            return Ok(());
        }
    }
    wait_long(look, LONGEST_WAIT, LONGEST_STARVED)
}

/// The lane has been away for a while: goes on, and gives up in the end.
#[cold]
fn wait_long(
    mut look: impl FnMut() -> bool,
    longest: Duration,
    starved: Duration,
) -> Result<(), Box<Silence>> {
    let before = threads::all();
    let (mut last, mut waited) = (Instant::now(), Duration::ZERO);
    let mut next_look = longest;
    loop {
        if look() {
            return Ok(());
        }
        let now = Instant::now();
        waited += (now - last).min(LONGEST_STEP);
        last = now;
        if waited < next_look {
            continue;
        }
        next_look = waited + BETWEEN;
        let since = |now: Thread| {
            before
                .iter()
                .find_map(|before| now.since(before))
                .unwrap_or(now)
        };
        let threads: Vec<Thread> = threads::all().into_iter().map(since).collect();
        // Once more: it may have come since the last check.
        if look() {
            return Ok(());
        }
        if waited >= starved || all_had_cores(&threads, threads::own()) {
            return Err(Box::new(Silence { waited, threads }));
        }
    }
}

/// Whether every pinned thread but this one, the lanes, ran for long enough to answer.
/// One that sleeps is not waiting for a core.
fn all_had_cores(threads: &[Thread], own: u32) -> bool {
    let enough = ENOUGH.as_nanos() as u64;
    let is_lane = |thread: &&Thread| thread.id != own && thread.core.is_some();
    let mut lanes = threads.iter().filter(is_lane);
    lanes.all(|lane| lane.ran_ns >= enough || lane.state == "S")
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited.as_secs_f64();
        write!(f, "waited {waited:.1} s; threads meanwhile:")?;
        let own = threads::own();
        for thread in &self.threads {
            let me = if thread.id == own { ", this one" } else { "" };
            let core = thread.core.map(|core| core.to_string());
            write!(
                f,
                "\n    {} ({}{me}), core {}, state {}: ran {:.1} ms, waited for its core {:.1} ms, \
                 preempted {} times",
                thread.name,
                thread.id,
                core.as_deref().unwrap_or("any"),
                thread.state,
                thread.ran_ns as f64 / 1e6,
                thread.waited_ns as f64 / 1e6,
                thread.preempted
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread;

    use super::*;

    #[test]
    fn it_waits_for_as_long_as_it_takes_and_no_longer() {
        let looks = Cell::new(0);
        for count in [1, LOOKS + 10] {
            looks.set(0);
            let came = wait_until(|| looks.replace(looks.get() + 1) + 1 == count);
            assert!(came.is_ok() && looks.get() == count);
        }
        let short = Duration::from_millis(1);
        let silence = wait_long(|| false, short, short).unwrap_err();
        assert!(silence.to_string().contains("this one"), "{silence}");
    }

    /// The machine stands still, as when a virtual machine is stopped: what came
    /// meanwhile is there at the next look, and nobody had time to answer.
    #[test]
    fn a_clock_that_jumps_is_no_reason_to_give_up() {
        let looks = Cell::new(0);
        let look = || {
            if looks.replace(looks.get() + 1) == 0 {
                thread::sleep(5 * LONGEST_STEP);
            }
            looks.get() == 3
        };
        let came = wait_long(look, 2 * LONGEST_STEP, 2 * LONGEST_STEP);
        assert!(came.is_ok(), "{}", came.unwrap_err());
    }

    #[test]
    fn a_lane_that_had_no_core_is_waited_for() {
        let thread = |id, ran_ns, state: &str| Thread {
            id,
            core: Some(1),
            ran_ns,
            state: state.to_owned(),
            ..Thread::default()
        };
        let had = |ran_ns, state| all_had_cores(&[thread(1, 0, "R"), thread(2, ran_ns, state)], 1);
        let enough = ENOUGH.as_nanos() as u64;
        assert!(had(enough, "R") && !had(enough - 1, "R") && had(0, "S"));
        // Nobody but the host.
        assert!(all_had_cores(&[thread(1, 0, "R")], 1));
    }
}
