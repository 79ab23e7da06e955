//! Delivery from `on_data`: how long the host's thread waits for the signals of the event
//! that it has just passed in, and when waiting is useless.
//!
//! It waits for events of a kind that triggers, and only if the event was accepted. The wait
//! ends with the event's last signal, when the counters say that nothing is in flight any
//! more, or when the budget is spent, whichever comes first. If the lane does not begin the
//! event in time, this thread does the lane's work.

use std::sync::Arc;

use super::Poller;
use super::budget::Budget;
use super::stand_in::{Attempt, HostStandIn};
use crate::abi::EventKind;
use crate::config::{Config, DeliverBudget};
use crate::os::clock::Clock;
use crate::pipeline::idle::Idle;
use crate::pipeline::plan::Plan;
use crate::pipeline::stand_in::StandIn;
use crate::report::Monitor;
use crate::telemetry::counters::Counter;

/// Time of the first look at the counters, ns after the event, for each lane. Each further
/// look comes after twice the time. A look takes the cache lines of its counters from each
/// lane, and the lane then waits for them while it processes the event. The look itself takes
/// as long. So an event that is answered as fast as usual should need none, and the more
/// lanes an event passes, the longer it usually takes.
const FIRST_LOOK_NS: u64 = 500;
/// Polls of the ring per look at the clock, which costs as much as several polls.
const TURNS_PER_STAMP: u32 = 8;
/// The longest wait where waiting has been useless, and where nobody stands in.
const SHORT_WAIT_NS: u64 = 5_000;
/// More signals than any event leads to: their number is not known.
const UNKNOWN: u64 = u64::MAX;

/// When and how long an engine's host waits in `on_data`.
pub(crate) struct Delivery {
    clock: Clock,
    monitor: Arc<Monitor>,
    is_inline: bool,
    configured: DeliverBudget,
    /// Longest wait of the host's thread.
    budget: Budget,
    first_look: u64,
    /// If this thread may do the lane's work.
    pub(super) stand_in: Option<Arc<HostStandIn>>,
    /// How long a lane may take to begin an event, ticks.
    stand_in_after: u64,
    stand_in_us: u64,
    /// Signals that an event of each kind leads to; 0 if there is no wait.
    signals: [u64; EventKind::ALL.len()],
}

impl Delivery {
    /// `per_vector` is the number of signals per factor vector.
    pub(super) fn new(
        config: &Config,
        plan: &Plan,
        cores: usize,
        per_vector: usize,
        clock: &Clock,
        monitor: Arc<Monitor>,
        lane: Option<Arc<dyn StandIn>>,
    ) -> Self {
        let mut signals = [0; EventKind::ALL.len()];
        // With `inline`, the signals are there already. A lane that sleeps answers later than
        // any budget, and one on the host's own core cannot run meanwhile.
        let spins = plan.lanes.iter().all(|lane| lane.idle == Idle::Spin);
        if !plan.is_inline() && spins && cores > 1 {
            for &kind in &config.trigger {
                signals[kind as usize] = match kind {
                    // One vector for each instrument of the pair.
                    EventKind::IndexPrice => UNKNOWN,
                    _ => per_vector as u64,
                };
            }
        }
        let stand_in_after = clock.ticks(config.stand_in_us * 1000);
        let full = clock.ticks(config.deliver_budget_us.most_us() * 1000);
        let budget = match config.deliver_budget_us {
            DeliverBudget::Micros(_) => Budget::fixed(full),
            DeliverBudget::Auto => {
                let short = clock.ticks(SHORT_WAIT_NS);
                // So that a lane that is away is stood in for.
                let stand_in = lane.as_ref().map_or(0, |_| stand_in_after * 2);
                Budget::between(short.max(stand_in), full)
            }
        };
        Self {
            clock: clock.clone(),
            monitor,
            is_inline: plan.is_inline(),
            configured: config.deliver_budget_us,
            budget,
            first_look: clock.ticks(FIRST_LOOK_NS * plan.lanes.len().max(1) as u64),
            stand_in_after,
            stand_in_us: config.stand_in_us,
            stand_in: lane.map(|lane| Arc::new(HostStandIn::new(lane, clock, full))),
            signals,
        }
    }

    /// A description for the line at the engine's start.
    pub(super) fn about(&self) -> String {
        if self.is_inline {
            "on_data".to_owned()
        } else if self.signals.iter().any(|&signals| signals > 0) {
            let stands_in = match &self.stand_in {
                Some(_) => format!(", stands in after {} us", self.stand_in_us),
                None => String::new(),
            };
            let budget_us = self.configured.most_us();
            format!("on_data(waits up to {budget_us} us{stands_in})")
        } else {
            "on_data(never waits for a lane without a core of its own)".to_owned()
        }
    }

    /// When this thread does the lane's work first, ticks after the event.
    #[inline]
    fn stands_in_after(&self, sequence: u64) -> u64 {
        match &self.stand_in {
            Some(host) if host.may(sequence) => self.stand_in_after,
            _ => u64::MAX,
        }
    }

    /// Begins to wait for the signals of event number `sequence`, if it was accepted: `taken`
    /// is then its kind.
    #[inline]
    pub(crate) fn wait(&self, taken: Option<EventKind>, sequence: u64) -> Wait<'_> {
        let missing = taken.map_or(0, |kind| self.signals[kind as usize]);
        let started = if missing > 0 { self.clock.now() } else { 0 };
        Wait {
            delivery: self,
            sequence,
            missing,
            started,
            budget: self.budget.limit(),
            look: self.first_look,
            stand_in: self.stands_in_after(sequence),
            is_late: false,
        }
    }
}

/// A wait for one event's signals.
pub(crate) struct Wait<'a> {
    delivery: &'a Delivery,
    sequence: u64,
    /// The event's signals that have not been taken; 0 once there is nothing to wait for.
    missing: u64,
    started: u64,
    /// The longest wait, ticks.
    budget: u64,
    /// When to look at the counters next, ticks from `started`.
    look: u64,
    /// When to do the lane's work next, ticks from `started`.
    stand_in: u64,
    /// Whether the budget was spent before the event's last signal came.
    is_late: bool,
}

impl Wait<'_> {
    /// Returns the number of ready signals as soon as there are any. Returns 0 if none
    /// arrives in time, or if there is nothing to wait for.
    #[inline]
    pub(crate) fn ready(&mut self, poller: &mut Poller) -> usize {
        let mut turns = 0u32;
        loop {
            let ready = poller.begin();
            if ready > 0 {
                return ready;
            }
            if self.missing == 0 {
                if self.is_late {
                    self.count_late(poller);
                }
                return 0;
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS_PER_STAMP) {
                self.look_at_clock(poller);
            }
        }
    }

    /// Ends the wait once the budget is spent. Looks at the counters when that is due.
    #[inline]
    fn look_at_clock(&mut self, poller: &Poller) {
        let delivery = self.delivery;
        // If the clock has stepped back, the wait ends: the difference is then a huge number.
        let waited = delivery.clock.now().wrapping_sub(self.started);
        if waited > self.budget {
            // Poll the ring once more: otherwise signals that arrived during the last look,
            // or while this thread was off the core, would wait for the next event.
            self.missing = 0;
            self.is_late = true;
        } else if waited > self.stand_in {
            self.stand_in(poller);
        } else if waited > self.look {
            self.look_at_counters(waited);
        }
    }

    /// Does the lane's work, unless the lane has it.
    #[cold]
    fn stand_in(&mut self, poller: &Poller) {
        let delivery = self.delivery;
        let Some(host) = &delivery.stand_in else {
            return;
        };
        let control = &delivery.monitor.control;
        let attempt = host.handle_one(self.sequence, control, &poller.counters);
        let waited = delivery.clock.now().wrapping_sub(self.started);
        match attempt {
            Attempt::Nothing => self.stand_in = waited.saturating_add(delivery.stand_in_after),
            // There may be more messages before this event's, and it may lead to no signal.
            Attempt::Handled => (self.stand_in, self.look) = (waited, waited),
            Attempt::Slow => self.stand_in = u64::MAX,
        }
    }

    #[cold]
    fn count_late(&mut self, poller: &Poller) {
        self.is_late = false;
        self.delivery.budget.was_in_vain();
        poller.counters.bump(Counter::DeliverLate);
        let stand_in = self.delivery.stand_in.as_ref();
        if stand_in.is_some_and(|host| host.lane_has_begun()) {
            poller.counters.bump(Counter::DeliverLateBegun);
        }
    }

    /// Ends the wait if nothing is in flight: refused, dropped or conflated events and those
    /// in quarantine never lead to signals.
    #[cold]
    fn look_at_counters(&mut self, waited: u64) {
        self.look = waited.saturating_mul(2);
        let monitor = &self.delivery.monitor;
        let counters = monitor.counters_on_the_way();
        let nothing_comes = counters.in_flight() == 0 && counters.queued() == 0;
        if nothing_comes || monitor.has_failed() {
            // What was published before is now visible: poll once more.
            self.missing = 0;
        }
    }

    /// Notes that a signal of event number `input` has been taken.
    #[inline]
    pub(crate) fn taken(&mut self, input: u64) {
        if input == self.sequence {
            self.missing = self.missing.saturating_sub(1);
            if self.missing == 0 {
                self.delivery.budget.has_paid();
            }
        } else if input > self.sequence {
            // A callback has passed in further events: the waited-for one is over, or lost.
            self.missing = 0;
        }
    }

    /// Whether there is nothing to wait for any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::Engine;
    use crate::pipeline::control::Control;

    #[test]
    fn a_clock_that_steps_back_ends_the_wait() {
        let config = Config::from_json(r#"{"placement": "fused", "model": "none"}"#).unwrap();
        let mut engine = Engine::start(&config).unwrap();
        let delivery = &mut engine.runtime.delivery;
        delivery.signals = [1; EventKind::ALL.len()];
        let ahead = delivery.clock.ticks(20_000_000_000);
        let mut wait = delivery.wait(Some(EventKind::Depth), 1);
        wait.started += ahead;
        let start = Instant::now();
        assert_eq!(wait.ready(&mut engine.poller), 0);
        assert!(wait.is_over());
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn waits_that_are_always_in_vain_become_short_until_one_pays() {
        let config = Config::from_json(r#"{"placement": "inline", "model": "none"}"#).unwrap();
        let mut engine = Engine::start(&config).unwrap();
        let delivery = &mut engine.runtime.delivery;
        assert_eq!(delivery.configured, DeliverBudget::Auto);
        delivery.signals = [1; EventKind::ALL.len()];
        let wait = |delivery: &Delivery| delivery.wait(Some(EventKind::Depth), 7).budget;
        let full = wait(delivery);
        assert_eq!(full, delivery.clock.ticks(50_000));
        for _ in 0..101 {
            let mut late = delivery.wait(Some(EventKind::Depth), 7);
            late.is_late = true;
            late.missing = 0;
            assert_eq!(late.ready(&mut engine.poller), 0);
        }
        assert!(wait(delivery) < full);
        delivery.wait(Some(EventKind::Depth), 7).taken(7);
        assert_eq!(wait(delivery), full);
        assert_eq!(engine.counters().get(Counter::DeliverLate), 101);
    }

    /// A lane that has its work, or that is away without it.
    struct Lane(bool);

    impl StandIn for Lane {
        fn stand_in(&self, _: &Control) -> usize {
            0
        }
        fn is_held(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn a_wait_for_a_lane_that_has_begun_is_counted_apart() {
        let config = Config::from_json(r#"{"placement": "inline", "model": "none"}"#).unwrap();
        let mut engine = Engine::start(&config).unwrap();
        for (lane, begun) in [(None, 0), (Some(false), 0), (Some(true), 1)] {
            let delivery = &mut engine.runtime.delivery;
            let host = |has_begun| HostStandIn::new(Arc::new(Lane(has_begun)), &delivery.clock, 1);
            delivery.stand_in = lane.map(|has_begun| Arc::new(host(has_begun)));
            let mut late = delivery.wait(Some(EventKind::Depth), 7);
            (late.is_late, late.missing) = (true, 0);
            assert_eq!(late.ready(&mut engine.poller), 0);
            let counters = engine.counters();
            assert_eq!(counters.get(Counter::DeliverLateBegun), begun, "{lane:?}");
        }
        assert_eq!(engine.counters().get(Counter::DeliverLate), 3);
    }

    #[test]
    fn the_wait_ends_with_the_last_signal_of_its_event_or_one_behind_it() {
        let config = Config::from_json(r#"{"placement": "inline", "model": "none"}"#).unwrap();
        let mut engine = Engine::start(&config).unwrap();
        let delivery = &mut engine.runtime.delivery;
        delivery.signals = [2; EventKind::ALL.len()];
        let mut wait = delivery.wait(Some(EventKind::Depth), 7);
        wait.taken(6);
        wait.taken(7);
        assert!(!wait.is_over());
        wait.taken(7);
        assert!(wait.is_over());
        wait.taken(7);
        assert!(wait.is_over());
        let mut passed = delivery.wait(Some(EventKind::Depth), 7);
        assert!(!passed.is_over());
        passed.taken(8);
        assert!(passed.is_over());
        assert!(delivery.wait(None, 7).is_over());
    }
}
