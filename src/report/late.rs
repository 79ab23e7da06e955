//! Events whose signals missed their own `signal_on_data`.

use std::fmt;

use crate::telemetry::counters::{Counter, Snapshot};

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
    use super::*;

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
