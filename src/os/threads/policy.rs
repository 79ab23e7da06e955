//! How the kernel schedules a thread of ours, independent of the thread that created it.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use super::slice;
use super::throttle::Throttle;
use crate::os::resources;
use crate::os::stderr::say;
use crate::sync::slack;

/// How the kernel schedules a lane, whatever the policy of the thread that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scheduler {
    /// `SCHED_OTHER`, with the configured nice value.
    #[default]
    Other,
    /// `SCHED_FIFO` with this priority: before all ordinary threads of its core. A lane that spins
    /// lets no thread of a lower priority run there. Needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`,
    /// and no `RLIMIT_RTTIME`.
    Fifo(u8),
    /// `SCHED_RR` with this priority: as `SCHED_FIFO`, but takes turns with threads of the same
    /// priority.
    Rr(u8),
    /// The policy of the thread that makes the handle.
    Inherit,
}

/// What a lane asks of the kernel's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scheduling {
    /// The policy.
    pub scheduler: Scheduler,
    /// The nice value, with [`Scheduler::Other`]; 0, or the closest that this process may have.
    pub nice: i8,
    /// The slice, us, with [`Scheduler::Other`]; `None` for what the kernel gives. It has one to give
    /// from Linux 6.12 on.
    pub slice_us: Option<u32>,
}

/// The nice value with the lowest priority.
const LOWEST: libc::c_int = 19;
/// The calling thread, where the kernel takes the ID of one.
const THIS: u32 = 0;

impl Scheduler {
    /// Priorities of real-time policies.
    pub const PRIORITIES: std::ops::RangeInclusive<u8> = 1..=99;

    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Fifo(_) => "fifo",
            Self::Rr(_) => "rr",
            Self::Inherit => "inherit",
        }
    }

    fn class_and_priority(self) -> (libc::c_int, libc::c_int) {
        match self {
            Self::Other => (libc::SCHED_OTHER, 0),
            Self::Fifo(priority) => (libc::SCHED_FIFO, priority.into()),
            Self::Rr(priority) => (libc::SCHED_RR, priority.into()),
            Self::Inherit => of_this_thread(),
        }
    }

    /// Whether lanes get a real-time policy, if the calling thread makes them.
    fn is_real_time(self) -> bool {
        [libc::SCHED_FIFO, libc::SCHED_RR].contains(&self.class_and_priority().0)
    }
}

impl Scheduling {
    /// For the line at the engine's start; empty for what is usual.
    #[doc(hidden)]
    pub fn about(self) -> String {
        let mut about = match (self.scheduler, self.nice) {
            (Scheduler::Other, 0) => String::new(),
            (Scheduler::Other, nice) => format!(" nice={nice}"),
            (Scheduler::Fifo(priority) | Scheduler::Rr(priority), _) => {
                format!(" scheduler={}({priority})", self.scheduler.name())
            }
            (Scheduler::Inherit, _) => " scheduler=inherit".to_owned(),
        };
        if let Some(us) = self.slice_us {
            about += &format!(" slice={us}us");
        }
        about
    }

    /// What a person should know of lanes that are scheduled so and never sleep, if the calling
    /// thread makes them.
    ///
    /// # Errors
    ///
    /// A sentence that says why such lanes would do harm, and what to do about it.
    #[doc(hidden)]
    pub fn check_sleepless(self) -> Result<Option<String>, String> {
        if !self.scheduler.is_real_time() {
            return Ok(None);
        }
        check_limit(self.scheduler)?;
        Throttle::of_this_machine().judge(self.scheduler.name())
    }
}

/// Sets the scheduling of the calling thread, one of this library's own.
///
/// # Errors
///
/// A sentence that says what was refused and what it requires.
pub(super) fn adopt(wanted: Scheduling) -> Result<(), String> {
    adopt_policy(wanted)?;
    wanted.slice_us.map_or(Ok(()), slice::set)
}

/// The policy, its priority and the nice value.
fn adopt_policy(wanted: Scheduling) -> Result<(), String> {
    let scheduler = wanted.scheduler;
    if scheduler == Scheduler::Inherit {
        return check_limit(scheduler);
    }
    let (class, priority) = scheduler.class_and_priority();
    let refusal = schedule(class, priority);
    slack::set_usual();
    let nice = set_nice(THIS, wanted.nice.into());
    let has = of_this_thread();
    if class == libc::SCHED_OTHER {
        if has.0 == libc::SCHED_IDLE {
            return check_idle(wanted.nice.into());
        }
        check_nice(wanted.nice.into(), nice)?;
    }
    let Err(error) = refusal else {
        return check_limit(scheduler);
    };
    // A thread that already has this policy may be in a sandbox that forbids setting it.
    if has == (class, priority) {
        return check_limit(scheduler);
    }
    let name = scheduler.name();
    Err(match scheduler {
        Scheduler::Fifo(priority) | Scheduler::Rr(priority) => format!(
            "scheduler: {name} with priority {priority} was refused: {error}; expected CAP_SYS_NICE or \
             RLIMIT_RTPRIO of {priority} or more (ulimit -r), or scheduler other"
        ),
        _ => format!("scheduler: the kernel refused to make a lane an ordinary thread: {error}"),
    })
}

/// The idle policy of its maker, which a lane may not leave, takes the place of a nice value: a
/// configured one is refused. Without one, a lane does with it.
fn check_idle(wanted: libc::c_int) -> Result<(), String> {
    if wanted == 0 {
        static SAID: AtomicBool = AtomicBool::new(false);
        let how = "with the idle policy (SCHED_IDLE) of the thread that made them, and wait for every other \
                   thread of their core";
        say_once_how_lanes_run(&SAID, how, "with an ordinary policy");
        return Ok(());
    }
    Err(format!(
        "nice: {wanted} has no effect, since a lane would have the idle policy (SCHED_IDLE) of the thread \
         that made it, and may not leave it; expected signal_create on a thread with an ordinary policy, \
         CAP_SYS_NICE or RLIMIT_NICE of 20 or more (ulimit -e), or no nice value"
    ))
}

/// A configured nice value is had or refused. Without one, a lane does with what it may have.
fn check_nice(wanted: libc::c_int, has: Option<libc::c_int>) -> Result<(), String> {
    let has = match has {
        Some(has) if has == wanted => return Ok(()),
        None if wanted == 0 => return Ok(()),
        None => {
            return Err(format!(
                "nice: {wanted} was refused, and the kernel does not say what a lane has instead; expected a \
                 sandbox that allows setpriority and getpriority, or no nice value"
            ));
        }
        Some(has) => has,
    };
    if wanted == 0 {
        static SAID: AtomicBool = AtomicBool::new(false);
        say_once_how_lanes_run(&SAID, &format!("at nice {has}"), "of nice 0");
        return Ok(());
    }
    Err(format!(
        "nice: {wanted} was refused, and a lane would run at {has}; expected CAP_SYS_NICE or RLIMIT_NICE of \
         {} or more (ulimit -e), or a nice value of {has} or more",
        20 - wanted
    ))
}

/// Refuses a real-time lane where the kernel ends the process once such a thread has run for some
/// time without sleeping: a lane may never sleep.
fn check_limit(scheduler: Scheduler) -> Result<(), String> {
    if !scheduler.is_real_time() {
        return Ok(());
    }
    resources::limit(libc::RLIMIT_RTTIME).map_or(Ok(()), |us| {
        Err(format!(
            "scheduler: the kernel ends this process when a real-time thread has run for {us} us \
             without sleeping (RLIMIT_RTTIME), as lanes do; expected that limit to be unlimited, \
             or scheduler other"
        ))
    })
}

/// Makes the calling thread, one of this library's own, an ordinary one, with the nice value of its
/// maker. A refusal by the kernel is ignored: the thread also works without.
pub(super) fn become_ordinary() {
    let _ = schedule(libc::SCHED_OTHER, 0);
    slack::set_usual();
}

/// Makes another thread of this library's own give way to all others. A refusal is ignored here, too.
pub(super) fn lower(id: u32) {
    set_nice(id, LOWEST);
}

/// The class and the priority of the calling thread.
fn of_this_thread() -> (libc::c_int, libc::c_int) {
    // SAFETY: the struct is plain data, for which all zeros is valid; the calls read the calling
    // thread's settings, and the second writes into the struct alone.
    let (class, of_class) = unsafe {
        let mut of_class: libc::sched_param = MaybeUninit::zeroed().assume_init();
        let class = libc::sched_getscheduler(0);
        libc::sched_getparam(0, &mut of_class);
        (class, of_class)
    };
    (class & !libc::SCHED_RESET_ON_FORK, of_class.sched_priority)
}

fn schedule(class: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: the struct is plain data, for which all zeros is valid; the call reads it and changes
    // only the calling thread.
    let done = unsafe {
        let mut of_class: libc::sched_param = MaybeUninit::zeroed().assume_init();
        of_class.sched_priority = priority;
        libc::sched_setscheduler(0, class, &of_class) == 0
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// Gives another thread of this library's own the calling thread's nice value, if that is lower: it
/// is now waited for. A refusal by the kernel is ignored.
pub(super) fn raise_to_this_thread(id: u32) {
    let (Some(own), Some(has)) = (nice_of(THIS), nice_of(id)) else {
        return;
    };
    if own < has {
        set_nice(id, own);
    }
}

/// Sets the nice value of a thread of ours, or the nearest that it may have; returns the value that it
/// then has, `None` where the kernel does not say.
fn set_nice(id: u32, nice: libc::c_int) -> Option<libc::c_int> {
    // SAFETY: the call changes only that thread's priority.
    let set = |nice| unsafe { libc::setpriority(libc::PRIO_PROCESS, id, nice) } == 0;
    if set(nice) {
        return nice_of(id).or(Some(nice));
    }
    let has = nice_of(id)?;
    match nearest(nice, resources::limit(libc::RLIMIT_NICE)) {
        near if near < has && set(near) => nice_of(id),
        _ => Some(has),
    }
}

/// The nice value nearest to `wanted` that this limit allows: its numbers are 20 less the nice value.
fn nearest(wanted: libc::c_int, limit: Option<u64>) -> libc::c_int {
    let limit = limit.and_then(|limit| libc::c_int::try_from(limit).ok());
    limit.map_or(wanted, |limit| wanted.max(20_i32.saturating_sub(limit)))
}

/// The nice value of the thread with this ID; `None` where the kernel does not say.
pub(crate) fn nice_of(id: u32) -> Option<libc::c_int> {
    // The kernel's own answer is never negative: 20 less the nice value.
    // SAFETY: the call reads only that thread's priority.
    let answer = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, id) };
    let answer = libc::c_int::try_from(answer).ok();
    answer
        .filter(|&answer| answer > 0)
        .map(|answer| 20 - answer)
}

/// Says that lanes run otherwise than they should, unless that was `said`. A thread that is `usual`
/// would make usual lanes.
fn say_once_how_lanes_run(said: &AtomicBool, how: &str, usual: &str) {
    if !said.swap(true, Ordering::Relaxed) {
        say(&format!(
            "lanes run {how}: this process may not change that; expected signal_create on a thread \
             {usual}, CAP_SYS_NICE or RLIMIT_NICE of 20 or more"
        ));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_nice_value_is_had_or_refused_with_what_it_takes() {
        assert_eq!(check_nice(-5, Some(-5)), Ok(()));
        assert_eq!(check_nice(0, Some(7)), Ok(()));
        let why = check_nice(-5, Some(0)).unwrap_err();
        assert!(why.contains("nice: -5 was refused"), "{why}");
        assert!(why.contains("RLIMIT_NICE of 25 or more"), "{why}");
        let why = check_nice(3, Some(10)).unwrap_err();
        assert!(
            why.contains("run at 10") && why.contains("of 17 or more"),
            "{why}"
        );
    }

    #[test]
    fn the_limit_says_how_far_a_nice_value_may_go_down() {
        assert_eq!(nearest(0, Some(0)), 20);
        assert_eq!(nearest(0, Some(15)), 5);
        assert_eq!(nearest(0, Some(30)), 0);
        assert_eq!(nearest(-5, Some(22)), -2);
        assert_eq!(nearest(-5, None), -5);
        assert_eq!(nearest(-5, Some(u64::MAX)), -5);
    }

    #[test]
    fn a_nice_value_that_is_not_known_is_only_told_if_one_is_configured() {
        assert_eq!(check_nice(0, None), Ok(()));
        let why = check_nice(-5, None).unwrap_err();
        assert!(why.contains("the kernel does not say"), "{why}");
    }

    #[test]
    fn a_lane_that_stays_idle_does_without_a_nice_value() {
        assert_eq!(check_idle(0), Ok(()));
        let why = check_idle(3).unwrap_err();
        assert!(why.contains("nice: 3 has no effect"), "{why}");
        assert!(why.contains("RLIMIT_NICE of 20 or more"), "{why}");
    }

    #[test]
    fn the_line_at_start_tells_what_is_not_usual() {
        let with_slice = |scheduler, nice, slice_us| {
            let scheduling = Scheduling {
                scheduler,
                nice,
                slice_us,
            };
            scheduling.about()
        };
        let about = |scheduler, nice| with_slice(scheduler, nice, None);
        assert_eq!(with_slice(Scheduler::Other, 0, Some(100)), " slice=100us");
        let both = with_slice(Scheduler::Other, 3, Some(3000));
        assert_eq!(both, " nice=3 slice=3000us");
        assert_eq!(about(Scheduler::Other, 0), "");
        assert_eq!(about(Scheduler::Other, -5), " nice=-5");
        assert_eq!(about(Scheduler::Fifo(10), 0), " scheduler=fifo(10)");
        assert_eq!(about(Scheduler::Rr(1), 0), " scheduler=rr(1)");
        assert_eq!(about(Scheduler::Inherit, 0), " scheduler=inherit");
    }

    #[test]
    fn ordinary_lanes_may_go_without_sleep() {
        let usual = Scheduling::default();
        assert_eq!(usual.check_sleepless(), Ok(None));
    }
}
