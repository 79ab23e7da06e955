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
        write!(
            f,
            "signals of {} events (of {} that were answered) missed their own signal_on_data and came with a later \
             call: deliver_budget_us is too short for the model, or something else runs on the \
             lane's core; expected a longer budget than the model takes, placement inline, or a core \
             that nothing else uses",
            self.late, self.answered
        )?;
        match self.begun {
            0 => Ok(()),
            begun => write!(
                f,
                "; in {begun} of them the lane was in the middle of its work"
            ),
        }
    }
}
