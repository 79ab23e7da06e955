//! Events whose signals missed their own `signal_on_data`.

use std::fmt;

use crate::telemetry::counters::{Counter, Snapshot};

/// From so many on, a person is told of them. A few that find everything cold at the start are fewer.
const WORTH_TELLING: u64 = 5;

/// How many there were, in words and with what helps.
pub(super) struct Late {
    pub(super) late: u64,
    pub(super) answered: u64,
    /// Those whose lane was in the middle of its work.
    pub(super) begun: u64,
}

impl Late {
    /// Of all the time so far, if there are any.
    pub(super) fn so_far(counters: &Snapshot) -> Option<Self> {
        let late = counters.get(Counter::DeliverLate);
        (late > 0).then(|| Self {
            late,
            answered: counters.get(Counter::Answered),
            begun: counters.get(Counter::DeliverLateBegun),
        })
    }

    /// Whether so many are worth telling where nobody has asked for them.
    pub(super) fn are_worth_telling(late: u64) -> bool {
        late >= WORTH_TELLING
    }

    /// Of all the time so far, if they are worth telling.
    pub(super) fn worth_telling(counters: &Snapshot) -> Option<Self> {
        Self::so_far(counters).filter(|late| Self::are_worth_telling(late.late))
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            late,
            answered,
            begun,
        } = self;
        write!(
            f,
            "signals of {late} events (of {answered} that were answered) missed their own signal_on_data and came \
             with a later call"
        )?;
        if *begun > 0 {
            write!(
                f,
                " (in {begun} of them the lane was in the middle of its work)"
            )?;
        }
        f.write_str(
            ": deliver_budget_us is too short for the model, or something else runs on the lane's core; \
             expected a longer budget than the model takes, placement inline, or a core that nothing else uses",
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::monitor_of;
    use super::*;
    use crate::telemetry::counters::Counters;

    #[test]
    fn a_few_late_events_are_a_note_and_many_are_a_state() {
        let counters = Counters::new();
        let monitor = monitor_of(counters.clone());
        let health = |events, late| {
            counters.add(Counter::Answered, events);
            counters.add(Counter::Delivered, events);
            counters.add(Counter::DeliverLate, late);
            monitor.health().to_string()
        };
        assert_eq!(health(100, 4), "ok");
        // One in a hundred.
        let few = health(400, 1);
        let note =
            "ok: so far the signals of 5 events (of 500 that were answered) missed their own";
        assert!(few.starts_with(note), "{few}");
        assert!(few.contains("expected a longer budget"), "{few}");
        // The state has words of its own for them.
        let many = health(100, 10);
        let since = "degraded: since the last check the signals of 10 events (of 100 that were";
        assert!(many.starts_with(since), "{many}");
        assert!(!many.contains("so far"), "{many}");
        let after = health(100, 0);
        let note =
            "ok: so far the signals of 15 events (of 700 that were answered) missed their own";
        assert!(after.starts_with(note), "{after}");
        let mut notes = Vec::new();
        monitor.each_note_and_loss(&mut |note| notes.push(note.to_string()));
        let [note] = &notes[..] else {
            panic!("{notes:?}");
        };
        assert!(
            note.starts_with("the signals of 15 events (of 700"),
            "{note}"
        );
    }

    #[test]
    fn what_happened_stands_before_the_cure() {
        let told = |begun| {
            let late = Late {
                late: 30,
                answered: 400,
                begun,
            };
            late.to_string()
        };
        let begins = "signals of 30 events (of 400 that were answered) missed their own signal_on_data and came with a \
                      later call";
        let cure = ": deliver_budget_us is too short";
        let none = told(0);
        assert!(none.starts_with(&format!("{begins}{cure}")), "{none}");
        let some = told(20);
        let middle = " (in 20 of them the lane was in the middle of its work)";
        assert!(
            some.starts_with(&format!("{begins}{middle}{cure}")),
            "{some}"
        );
        assert!(some.ends_with("that nothing else uses"), "{some}");
    }
}
