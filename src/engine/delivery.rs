//! Delivery from `on_data`: how long the host's thread waits for the signals of
//! the event that it has just given, and when there is no use in waiting.
//!
//! It waits for events of a kind that triggers, and only if the event went on its
//! way. It ends with the event's last signal, when the counters say that nothing
//! is on its way any more, or when the budget is spent, whichever comes first.

use std::sync::Arc;

use super::Poller;
use crate::abi::EventKind;
use crate::config::Config;
use crate::os::clock::Clock;
use crate::pipeline::idle::Idle;
use crate::pipeline::plan::Plan;
use crate::report::Monitor;

/// First look at the counters, ns for each lane after the event was given; the next
/// ones come after twice the time each. A look takes from each lane the cache lines
/// of its counters, which it then waits for with the event in hand, and the look
/// itself takes as long: so an event that is answered as fast as usual should need
/// none, and an event usually takes the longer the more lanes it passes.
const FIRST_LOOK_NS: u64 = 500;
/// Looks at the ring between two at the clock, which costs as much as several.
const TURNS_PER_STAMP: u32 = 8;
/// More signals than any event makes: how many this one makes is not known.
const UNKNOWN: u64 = u64::MAX;

/// When and how long an engine's host waits in `on_data`.
pub(crate) struct Delivery {
    clock: Clock,
    monitor: Arc<Monitor>,
    is_inline: bool,
    budget_us: u64,
    /// Ticks that the host's thread waits at most.
    budget: u64,
    first_look: u64,
    /// Signals that an event of each kind makes; 0 where nobody waits.
    signals: [u64; EventKind::ALL.len()],
}

impl Delivery {
    /// `per_vector` is how many signals one factor vector makes.
    pub(super) fn new(
        config: &Config,
        plan: &Plan,
        cores: usize,
        per_vector: usize,
        clock: &Clock,
        monitor: Arc<Monitor>,
    ) -> Self {
        let mut signals = [0; EventKind::ALL.len()];
        // Inline the signals are there already. A lane that sleeps answers later
        // than any budget, and one on the host's own core cannot run meanwhile.
        let spins = plan.lanes.iter().all(|lane| lane.idle == Idle::Spin);
        if !plan.is_inline() && spins && cores > 1 {
            for &kind in &config.trigger {
                signals[kind as usize] = match kind {
                    // One vector for each instrument of its pair.
                    EventKind::IndexPrice => UNKNOWN,
                    _ => per_vector as u64,
                };
            }
        }
        Self {
            clock: clock.clone(),
            monitor,
            is_inline: plan.is_inline(),
            budget_us: config.deliver_budget_us,
            budget: clock.ticks(config.deliver_budget_us * 1000),
            first_look: clock.ticks(FIRST_LOOK_NS * plan.lanes.len().max(1) as u64),
            signals,
        }
    }

    /// What is said of it when the engine starts.
    pub(super) fn about(&self) -> String {
        if self.is_inline {
            "on_data".to_owned()
        } else if self.signals.iter().any(|&signals| signals > 0) {
            format!("on_data(waits up to {} us)", self.budget_us)
        } else {
            "on_data(never waits for a lane without a core of its own)".to_owned()
        }
    }

    /// Begins to wait for the signals of the event that was given as the
    /// `sequence`th, if one was taken.
    #[inline]
    pub(crate) fn wait(&self, taken: Option<EventKind>, sequence: u64) -> Wait<'_> {
        let missing = taken.map_or(0, |kind| self.signals[kind as usize]);
        let started = if missing > 0 { self.clock.now() } else { 0 };
        Wait {
            delivery: self,
            sequence,
            missing,
            started,
            look: self.first_look,
        }
    }
}

/// Waiting for one event's signals.
pub(crate) struct Wait<'a> {
    delivery: &'a Delivery,
    sequence: u64,
    /// The event's signals that have not been taken; 0 when there is nothing to
    /// wait for any more.
    missing: u64,
    started: u64,
    /// When to look at the counters next, ticks from `started`.
    look: u64,
}

impl Wait<'_> {
    /// Signals that are ready, as soon as there are any; 0 if none has come in
    /// time, or there is nothing to wait for.
    #[inline]
    pub(crate) fn ready(&mut self, poller: &mut Poller) -> usize {
        let mut turns = 0u32;
        loop {
            let ready = poller.begin();
            if ready > 0 || self.missing == 0 {
                return ready;
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS_PER_STAMP) {
                self.look_at_clock();
            }
        }
    }

    /// Ends the wait once the budget is spent. Looks at the counters where it is
    /// time to.
    #[inline]
    fn look_at_clock(&mut self) {
        let delivery = self.delivery;
        // A clock that has stepped back ends the wait: it says no time at all.
        let waited = delivery.clock.now().wrapping_sub(self.started);
        if waited > delivery.budget {
            // One more look at the ring: what came during the last one, or while
            // this thread was away, would else wait for the next event.
            self.missing = 0;
        } else if waited > self.look {
            self.look_at_counters(waited);
        }
    }

    /// Refused, dropped or conflated events and those of quarantines never make
    /// their signals.
    #[cold]
    fn look_at_counters(&mut self, waited: u64) {
        self.look = waited.saturating_mul(2);
        let monitor = &self.delivery.monitor;
        let counters = monitor.counters_on_the_way();
        let nothing_comes = counters.in_flight() == 0 && counters.queued() == 0;
        if nothing_comes || monitor.has_failed() {
            // What was published before has become visible: one more look.
            self.missing = 0;
        }
    }

    /// A signal of the event that was given as the `input`th has been taken.
    #[inline]
    pub(crate) fn taken(&mut self, input: u64) {
        if input == self.sequence {
            self.missing = self.missing.saturating_sub(1);
        } else if input > self.sequence {
            // A callback has given events: ours has been passed, or is lost.
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
