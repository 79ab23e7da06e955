//! The host's thread as it does the work of a lane that is away: while it waits for signals in
//! `on_data`, and while the ring to the lane is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::{Config, Deliver, Scheduler};
use crate::os::clock::Clock;
use crate::pipeline::control::Control;
use crate::pipeline::idle::Idle;
use crate::pipeline::overload::EgressOverload;
use crate::pipeline::plan::Plan;
use crate::pipeline::stand_in::StandIn;
use crate::telemetry::counters::{Counter, Counters};

/// After a message that took longer than the budget, so many events are left to the lane: with a
/// slow model, it is there to keep the host's thread from that.
const LEFT_TO_LANE: u64 = 100;

/// Whether the host's thread does the work of a lane that is away. `cores` is how many this
/// process may use.
///
/// Only one lane with all stages: between lanes an event's order would be lost. A lane that waits
/// for room in the ring to the host cannot be stood in for by the thread that makes that room. A
/// lane of a higher priority than this thread could wait for ever for what this thread has.
pub(super) fn host_stands_in(config: &Config, plan: &Plan, cores: usize) -> bool {
    config.deliver == Deliver::OnData
        && (1..config.deliver_budget_us.most_us()).contains(&config.stand_in_us)
        && config.overload.egress != EgressOverload::Block
        && config.scheduler == Scheduler::Other
        && cores > 1
        && matches!(&plan.lanes[..], [lane] if lane.idle == Idle::Spin)
}

/// For the host's thread only.
pub(crate) struct HostStandIn {
    lane: Arc<dyn StandIn>,
    clock: Clock,
    /// Longest time that one message should take, ticks.
    budget: u64,
    /// Number of the last event that is left to the lane whatever happens.
    left_to_lane: AtomicU64,
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The lane has its work, or there is no message.
    Nothing,
    /// A message was handled.
    Handled,
    /// A message was handled, and took longer than the budget.
    Slow,
}

impl HostStandIn {
    /// `budget` in ticks.
    pub(super) fn new(lane: Arc<dyn StandIn>, clock: &Clock, budget: u64) -> Self {
        Self {
            lane,
            clock: clock.clone(),
            budget,
            left_to_lane: AtomicU64::new(0),
        }
    }

    /// Whether event number `sequence` is one that this thread may work for.
    #[inline]
    pub(super) fn may(&self, sequence: u64) -> bool {
        sequence > self.left_to_lane.load(Ordering::Relaxed)
    }

    /// Whether the lane is in the middle of its work, so that this thread cannot do it.
    pub(super) fn lane_has_begun(&self) -> bool {
        self.lane.is_held()
    }

    /// Handles at most one message. `sequence` is the last event's number.
    #[cold]
    pub(super) fn handle_one(
        &self,
        sequence: u64,
        control: &Control,
        counters: &Counters,
    ) -> Attempt {
        let began = self.clock.now();
        if self.lane.stand_in(control) == 0 {
            return Attempt::Nothing;
        }
        counters.bump(Counter::StoodIn);
        if self.clock.now().wrapping_sub(began) <= self.budget {
            return Attempt::Handled;
        }
        let last = sequence.saturating_add(LEFT_TO_LANE);
        self.left_to_lane.store(last, Ordering::Relaxed);
        Attempt::Slow
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::counters::Snapshot;

    /// A lane whose messages take so long.
    struct Lane(Duration, usize);

    impl StandIn for Lane {
        fn stand_in(&self, _: &Control) -> usize {
            std::thread::sleep(self.0);
            self.1
        }
        fn is_held(&self) -> bool {
            false
        }
    }

    #[test]
    fn after_a_slow_message_events_are_left_to_the_lane() {
        let clock = Clock::new(true);
        let (control, counters) = (Control::new(1), Counters::new());
        let attempt = |lane: Lane, budget_us: u64| {
            let host = HostStandIn::new(Arc::new(lane), &clock, clock.ticks(budget_us * 1000));
            let attempt = host.handle_one(7, &control, &counters);
            (attempt, [8, 107, 108].map(|sequence| host.may(sequence)))
        };
        let slow = Duration::from_millis(2);
        assert_eq!(
            attempt(Lane(slow, 1), 1_000),
            (Attempt::Slow, [false, false, true])
        );
        // An hour.
        let fast = attempt(Lane(Duration::ZERO, 1), 3_600_000_000);
        assert_eq!(fast, (Attempt::Handled, [true; 3]));
        // That the lane has its work is no reason to leave it alone.
        let nothing = attempt(Lane(slow, 0), 1_000);
        assert_eq!(nothing, (Attempt::Nothing, [true; 3]));
        assert_eq!(Snapshot::of(&[counters]).get(Counter::StoodIn), 2);
    }
}
