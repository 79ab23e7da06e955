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

/// After messages that took longer than the budget, so many events are left to the lane: with a
/// slow model, it is there to keep the host's thread from that.
const LEFT_TO_LANE: u64 = 100;

/// The score at which they are left. A slow message adds 2, another one takes 1 away: a slow one now
/// and then is this thread's own, which was off its core or found everything cold.
const MOST_SLOW: u64 = 8;

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
    /// See [`MOST_SLOW`].
    slow: AtomicU64,
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
            slow: AtomicU64::new(0),
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
        let slow = self.slow.load(Ordering::Relaxed);
        if self.clock.now().wrapping_sub(began) <= self.budget {
            self.slow.store(slow.saturating_sub(1), Ordering::Relaxed);
            return Attempt::Handled;
        }
        if slow + 2 < MOST_SLOW {
            self.slow.store(slow + 2, Ordering::Relaxed);
        } else {
            // The next slow one is enough to leave it more.
            let last = sequence.saturating_add(LEFT_TO_LANE);
            self.left_to_lane.store(last, Ordering::Relaxed);
        }
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

    /// The lane takes so long for each message.
    fn host(took: Duration, handled: usize, budget_us: u64) -> HostStandIn {
        let clock = Clock::new(true);
        HostStandIn::new(
            Arc::new(Lane(took, handled)),
            &clock,
            clock.ticks(budget_us * 1000),
        )
    }

    const SLOW: Duration = Duration::from_millis(2);
    /// An hour.
    const ANY: u64 = 3_600_000_000;

    #[test]
    fn after_slow_messages_events_are_left_to_the_lane() {
        let (control, counters) = (Control::new(1), Counters::new());
        let may = |host: &HostStandIn| [8, 107, 108, 208, 209].map(|sequence| host.may(sequence));
        let host_of = host(SLOW, 1, 1_000);
        let attempt = |sequence| host_of.handle_one(sequence, &control, &counters);
        // A few may be slow for another reason.
        for sequence in 4..7 {
            assert_eq!(attempt(sequence), Attempt::Slow);
            assert_eq!(may(&host_of), [true; 5]);
        }
        assert_eq!(attempt(7), Attempt::Slow);
        assert_eq!(may(&host_of), [false, false, true, true, true]);
        // The next one is as slow.
        assert_eq!(attempt(108), Attempt::Slow);
        assert_eq!(may(&host_of), [false, false, false, false, true]);
        assert_eq!(
            Snapshot::of(std::slice::from_ref(&counters)).get(Counter::StoodIn),
            5
        );

        let fast = host(Duration::ZERO, 1, ANY);
        assert_eq!(fast.handle_one(7, &control, &counters), Attempt::Handled);
        assert_eq!(may(&fast), [true; 5]);
        // That the lane has its work is no reason to leave it alone.
        let none = host(SLOW, 0, 1_000);
        for _ in 0..3 {
            assert_eq!(none.handle_one(7, &control, &counters), Attempt::Nothing);
        }
        assert_eq!(may(&none), [true; 5]);
        assert_eq!(Snapshot::of(&[counters]).get(Counter::StoodIn), 6);
    }

    #[test]
    fn slow_messages_between_fast_ones_are_no_reason_to_leave_events_to_the_lane() {
        let (control, counters) = (Control::new(1), Counters::new());
        let mut host = host(SLOW, 1, 1_000);
        let budget = host.budget;
        let mut sequence = 0;
        let mut next = |is_slow: bool| {
            sequence += 1;
            host.budget = if is_slow { budget } else { u64::MAX };
            host.handle_one(sequence, &control, &counters);
            host.may(sequence + 1)
        };
        for _ in 0..5 {
            assert!([true, false, false].into_iter().all(&mut next));
        }
        // Half of them are too many.
        let half = [true, false].repeat(8);
        assert!(!half.into_iter().all(&mut next));
    }
}
