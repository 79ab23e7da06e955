//! A lane: one pinned thread that polls its inlet, runs its stages to completion and
//! publishes to its outlet.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::control::{Control, LONGEST_FAREWELL};
use super::idle::{Idle, Waiter};
use super::plan::LanePlan;
use super::work::{BATCH, Turn};
use crate::os::float;
use crate::os::limit::Limit;
use crate::os::panic::{discard, told};
use crate::os::stderr::say_parts;
use crate::os::threads::{self, Scheduling, Thread, Wanted};
use crate::os::time;
use crate::telemetry::heartbeat::Heartbeat;

/// Empty turns of a spinning lane per beat. A beat takes a stamp, which costs as much as a
/// poll of the inlet.
const TURNS_PER_BEAT: u32 = 16;

/// Longest time for the first run of a lane's models.
pub(crate) const PRIMING: Duration = Duration::from_secs(30);

/// Between two checks whether that time is over.
const STEP: Duration = Duration::from_micros(50);

/// A lane's thread, on its core but without work. This or another copy of the library sees
/// the thread there when it next chooses cores.
#[derive(Debug)]
pub(crate) struct Standing {
    index: usize,
    thread: Option<Thread<()>>,
    work: Option<mpsc::Sender<Job>>,
    ready: mpsc::Receiver<Result<(), String>>,
}

struct Job {
    work: Box<dyn Turn>,
    heartbeat: Heartbeat,
    control: Arc<Control>,
}

impl Standing {
    /// Starts a lane's thread and waits until it is pinned and scheduled as it should be.
    ///
    /// # Errors
    ///
    /// A sentence with the lane or its core and what failed.
    pub(crate) fn new(
        index: usize,
        plan: &LanePlan,
        scheduling: Scheduling,
    ) -> Result<Self, String> {
        let (say, ready) = mpsc::channel();
        let (work, job) = mpsc::channel::<Job>();
        let plan = plan.clone();
        let wanted = Wanted::lane(index, plan.core, scheduling);
        let thread = threads::spawn(wanted, move || {
            if let Ok(job) = job.recv() {
                begin(index, &plan, job, &say);
            }
        })?;
        Ok(Self {
            index,
            thread: Some(thread),
            work: Some(work),
            ready,
        })
    }

    /// The kernel's ID of the thread.
    pub(crate) fn thread_id(&self) -> u32 {
        self.thread.as_ref().map_or(0, |thread| thread.life().id())
    }

    /// Gives the thread its work and waits up to `patience` until that is primed. Returns the
    /// lane, which must be joined in any case, and a sentence on what failed.
    #[inline(never)]
    pub(crate) fn begin(
        mut self,
        work: Box<dyn Turn>,
        heartbeat: Heartbeat,
        control: Arc<Control>,
        patience: Duration,
    ) -> (Option<Lane>, Result<(), String>) {
        let job = Job {
            work,
            heartbeat,
            control,
        };
        if let Some(to_lane) = self.work.take() {
            let _ = to_lane.send(job);
        }
        let primed = self.wait_until_primed(patience);
        (self.thread.take().map(|thread| Lane { thread }), primed)
    }
}

impl Standing {
    fn wait_until_primed(&self, patience: Duration) -> Result<(), String> {
        let mut limit = Limit::of(patience);
        loop {
            let is_over = limit.is_over();
            match self.ready.try_recv() {
                Ok(primed) => return primed,
                Err(TryRecvError::Disconnected) => {
                    return Err(format!("lane {} ended before it was ready", self.index));
                }
                Err(TryRecvError::Empty) if is_over => {
                    return Err(format!(
                        "lane {}: a model has not returned from its first run for {} s",
                        self.index,
                        patience.as_secs()
                    ));
                }
                Err(TryRecvError::Empty) => time::sleep(STEP),
            }
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            // Without work the thread ends at once.
            let joined = thread.join_within(&mut Limit::of(LONGEST_FAREWELL));
            forget(joined.unwrap_or(Ok(())));
        }
    }
}

fn begin(index: usize, plan: &LanePlan, job: Job, ready: &mpsc::Sender<Result<(), String>>) {
    touch_stack();
    let Job {
        mut work,
        heartbeat,
        control,
    } = job;
    let primed = catch_unwind(AssertUnwindSafe(|| work.prime())).map_err(|panic| {
        format!(
            "lane {index} panicked before the first event: {}",
            told(panic)
        )
    });
    let is_primed = primed.is_ok();
    let _ = ready.send(primed);
    if is_primed {
        run(index, plan, work, heartbeat, &control);
    }
}

/// A running lane.
#[derive(Debug)]
pub(crate) struct Lane {
    thread: Thread<()>,
}

impl Lane {
    /// Waits for a lane that was told to stop. Returns whether it ended: a factor set or
    /// model that never returns must not keep the host from ending, so its lane is left
    /// behind with everything it uses.
    pub(crate) fn join(self, limit: &mut Limit) -> bool {
        match self.thread.join_within(limit) {
            // A panic was caught and reported on the lane.
            Ok(result) => {
                forget(result);
                true
            }
            Err(thread) => {
                say_parts(format_args!(
                    "{} has not returned from a factor set or model for {} s and is left behind",
                    thread.name(),
                    LONGEST_FAREWELL.as_secs()
                ));
                false
            }
        }
    }
}

/// Makes the stack's pages present before the first event needs them.
#[inline(never)]
fn touch_stack() {
    const BYTES: usize = 128 << 10;
    std::hint::black_box(&mut [0u8; BYTES]);
}

/// Runs a turn of at most `most` messages on the host's own thread, with the floating-point
/// control that lanes have. A panic makes the engine fail, as on a lane; what waits for room
/// is then still published. Returns the number of messages handled, `None` after a panic.
#[inline]
pub(crate) fn turn_inline(work: &mut dyn Turn, most: usize, control: &Control) -> Option<usize> {
    if float::is_default() {
        turn_as_lane(work, most, control)
    } else {
        turn_under_default(work, most, control)
    }
}

#[cold]
#[inline(never)]
fn turn_under_default(work: &mut dyn Turn, most: usize, control: &Control) -> Option<usize> {
    let _hosts = float::set_default();
    turn_as_lane(work, most, control)
}

#[inline(always)]
fn turn_as_lane(work: &mut dyn Turn, most: usize, control: &Control) -> Option<usize> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        if control.has_failed() {
            work.flush();
            return 0;
        }
        let handled = work.turn(most);
        work.hand_over();
        handled
    }));
    match result {
        Ok(handled) => Some(handled),
        Err(panic) => {
            control.fail(format!("on the host's thread: {}", told(panic)));
            forget(catch_unwind(AssertUnwindSafe(|| work.discard())));
            None
        }
    }
}

/// Ignores the result of a last attempt: there is no one to report its panic to.
fn forget<T>(result: std::thread::Result<T>) {
    if let Err(panic) = result {
        discard(panic);
    }
}

/// Takes what still arrives once the engine has failed: until the lanes before this one have
/// ended, the inlet is empty and nothing waits for room.
fn empty(
    index: usize,
    work: &mut dyn Turn,
    take: fn(&mut dyn Turn) -> usize,
    heartbeat: &mut Heartbeat,
    idle: Idle,
    control: &Control,
) {
    let mut waiter = Waiter::new(idle);
    while !control.must_give_up() {
        let is_last = control.have_ended_before(index);
        if take(work) == 0 {
            if is_last && !work.flush() {
                break;
            }
            waiter.wait();
        }
        heartbeat.beat();
    }
}

fn run(
    index: usize,
    plan: &LanePlan,
    mut work: Box<dyn Turn>,
    mut heartbeat: Heartbeat,
    control: &Control,
) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut waiter = Waiter::new(plan.idle);
        let mut empty_turns = 0u32;
        heartbeat.resume();
        while !control.must_stop() {
            if work.turn(BATCH) > 0 {
                heartbeat.beat();
                waiter.reset();
            } else if waiter.gives_core_away() {
                heartbeat.beat();
                waiter.wait();
                heartbeat.resume();
            } else {
                empty_turns = empty_turns.wrapping_add(1);
                if empty_turns.is_multiple_of(TURNS_PER_BEAT) {
                    heartbeat.beat_idle();
                }
                waiter.wait();
            }
            work.hand_over();
        }
        // Another lane has failed; what it had sent is still delivered.
        empty(
            index,
            &mut *work,
            |work| work.turn(BATCH),
            &mut heartbeat,
            plan.idle,
            control,
        );
    }));
    if let Err(panic) = result {
        control.fail(format!("lane {index}: {}", told(panic)));
        // What still arrives from the lanes before must be counted, and what waits for
        // room is still delivered.
        forget(catch_unwind(AssertUnwindSafe(|| {
            empty(
                index,
                &mut *work,
                |work| work.discard(),
                &mut heartbeat,
                plan.idle,
                control,
            );
        })));
    }
    forget(catch_unwind(AssertUnwindSafe(|| work.finish())));
    control.lane_has_ended(index);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::clock::Clock;
    use crate::stages::Stage;
    use crate::telemetry::heartbeat::heartbeat;

    /// Returns from its first run on a message, or when the sender is dropped.
    struct Slow(mpsc::Receiver<()>);

    impl Turn for Slow {
        fn prime(&mut self) {
            let _ = self.0.recv();
        }
        fn turn(&mut self, _: usize) -> usize {
            0
        }
        fn flush(&mut self) -> bool {
            false
        }
        fn discard(&mut self) -> usize {
            0
        }
        fn hand_over(&mut self) {}
        fn finish(self: Box<Self>) {}
    }

    #[test]
    fn a_first_run_that_does_not_come_back_is_waited_for_within_a_limit() {
        let plan = LanePlan {
            stages: Stage::Ingest..=Stage::Egress,
            share: None,
            shard: None,
            core: None,
            idle: Idle::Park,
        };
        let control = Arc::new(Control::new(1));
        let (go, slow) = mpsc::channel();
        let (heartbeat, _reader) = heartbeat(&Clock::new(false), 10_000);
        let standing = Standing::new(0, &plan, Scheduling::default()).unwrap();
        let patience = Duration::from_millis(20);
        let (lane, primed) =
            standing.begin(Box::new(Slow(slow)), heartbeat, control.clone(), patience);
        let why = primed.unwrap_err();
        assert!(why.starts_with("lane 0: a model has not returned"), "{why}");
        control.stop();
        drop(go);
        let mut limit = Limit::of(Duration::from_secs(60));
        assert!(lane.unwrap().join(&mut limit));
    }
}
