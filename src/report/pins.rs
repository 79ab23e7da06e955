//! Whether lanes are where they were pinned.
//!
//! An operator may let a lane run elsewhere (`taskset`), a control group's cpuset may change, or a
//! core be taken offline. Whoever did it had a reason, so a lane is not pinned again. Its claim
//! follows it, and it is said.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::claims::Watch;
use crate::os::core_set::{CoreSet, SharedCoreSet};
use crate::os::cores::LANE_NAME;
use crate::os::this_thread;
use crate::pipeline::idle::Idle;
use crate::pipeline::plan::LanePlan;

/// Lanes, and the cores that the kernel lets them run on.
pub(crate) struct Pins {
    pins: Vec<Pin>,
    /// Whether a lane was moved, and the claims have not followed.
    claims_lag: AtomicBool,
}

struct Pin {
    /// The kernel's ID of the lane's thread.
    thread: u32,
    /// `None` if it was not pinned.
    core: Option<usize>,
    /// Whether it keeps its core busy, which is what is claimed.
    keeps_busy: bool,
    /// By the last look.
    now: SharedCoreSet,
}

impl Pins {
    /// Of these threads, each with its lane's plan.
    pub(crate) fn of<'a>(lanes: impl Iterator<Item = (u32, &'a LanePlan)>) -> Self {
        let pin = |(thread, plan): (u32, &LanePlan)| Pin {
            thread,
            core: plan.core,
            keeps_busy: plan.idle != Idle::Park,
            now: SharedCoreSet::new(plan.core.map_or(CoreSet::NONE, CoreSet::of)),
        };
        Self {
            pins: lanes.map(pin).collect(),
            claims_lag: AtomicBool::new(false),
        }
    }

    /// Asks the kernel, once a lane, and has the claims follow a lane that was moved. What the kernel
    /// does not say stays as it was. Neither waits for a lock, opens a file nor allocates.
    pub(super) fn look(&self, claims: Option<&Watch>) {
        for pin in self.pins.iter().filter(|pin| pin.core.is_some()) {
            let now = CoreSet::of_thread(pin.thread);
            // A lane that has ended may have left its number to a thread of another process.
            if let Some(now) = now.filter(|now| *now != pin.now.load())
                && this_thread::is_alive(pin.thread)
            {
                pin.now.store(now);
                self.claims_lag.store(true, Ordering::Relaxed);
            }
        }
        if let Some(claims) = claims
            && self.claims_lag.swap(false, Ordering::Relaxed)
        {
            let busy = self.pins.iter().filter(|pin| pin.keeps_busy);
            let busy = busy.filter_map(|pin| pin.core.and_then(|_| pin.now.load().only()));
            if !claims.follow(busy) {
                self.claims_lag.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The core that a lane is pinned to by now; `None` if it may run on several, or was never
    /// pinned.
    pub(super) fn core(&self, lane: usize) -> Option<usize> {
        let pin = self.pins.get(lane)?;
        pin.core.and_then(|_| pin.now.load().only())
    }

    /// The first lane that may run elsewhere.
    pub(super) fn moved(&self) -> Option<Moved> {
        let pins = self.pins.iter().enumerate();
        let mut moved = pins.filter_map(|(lane, pin)| {
            let (core, now) = (pin.core?, pin.now.load());
            (now != CoreSet::of(core)).then_some((lane, core, now))
        });
        let (lane, core, now) = moved.next()?;
        Some(Moved {
            lane,
            core,
            now,
            others: moved.count(),
        })
    }
}

/// A lane that may run elsewhere than where it was pinned. Its `Display` says so, with the cure.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    lane: usize,
    core: usize,
    now: CoreSet,
    others: usize,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lane,
            core,
            now,
            others,
        } = self;
        write!(
            f,
            "{LANE_NAME}{lane} was pinned to core {core} at the start; its affinity is now {now}"
        )?;
        match others {
            0 => {}
            1 => f.write_str(", and one more lane was moved")?,
            more => write!(f, ", and {more} more lanes were moved")?,
        }
        write!(
            f,
            ": someone has changed it (taskset), or the cpuset of its control group, or has taken a core \
             offline; it stays so: pin it to core {core} again (taskset -p), or make the handle anew"
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::cores;
    use crate::stages::Stage;

    fn plan(core: Option<usize>) -> LanePlan {
        LanePlan {
            stages: Stage::Ingest..=Stage::Egress,
            share: None,
            shard: None,
            core,
            idle: Idle::Spin,
        }
    }

    #[test]
    fn a_lane_that_was_moved_is_named_with_both_cores_until_it_is_back() {
        let core = cores::Cores::detect().allowed[0];
        let pinned = std::thread::spawn(move || {
            let me = this_thread::id();
            cores::pin(core).unwrap();
            // One that the kernel says otherwise of, one that is not pinned, one that is gone.
            let plans = [plan(Some(core + 1)), plan(None), plan(Some(core))];
            let threads = [me, me, i32::MAX as u32];
            let pins = Pins::of(threads.into_iter().zip(&plans));
            assert!(pins.moved().is_none());
            assert_eq!(
                [0, 1, 2].map(|lane| pins.core(lane)),
                [Some(core + 1), None, Some(core)]
            );
            pins.look(None);
            assert_eq!(
                [0, 1, 2].map(|lane| pins.core(lane)),
                [Some(core), None, Some(core)]
            );
            let told = pins.moved().unwrap().to_string();
            let begins = format!(
                "signal-lane-0 was pinned to core {} at the start; its affinity is now {core}: ",
                core + 1
            );
            assert!(told.starts_with(&begins), "{told}");
            // As it was at first.
            let plans = [plan(Some(core))];
            let pins = Pins::of([me].into_iter().zip(&plans));
            pins.look(None);
            assert!(pins.moved().is_none());
            pins
        });
        let pins = pinned.join().unwrap();
        pins.look(None);
        assert!(pins.moved().is_none());
    }

    #[test]
    fn several_lanes_are_counted() {
        let me = this_thread::id();
        let plans = [0, 1, 2].map(|_| plan(Some(cores::Cores::detect().allowed[0] + 1)));
        for (lanes, part) in [
            (2, ", and one more lane was moved: "),
            (3, ", and 2 more lanes were moved: "),
        ] {
            let pins = Pins::of(std::iter::repeat(me).zip(&plans[..lanes]));
            pins.look(None);
            let told = pins.moved().unwrap().to_string();
            assert!(told.contains(part), "{told}");
        }
    }
}
