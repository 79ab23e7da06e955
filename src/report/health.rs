//! The engine's state as one word.

use std::fmt;

/// The engine's state as one word, from best to worst. If several apply, it is the one
/// further down the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// Events go in, signals come out.
    Ok,
    /// Signals come out, but something else is wrong: `health.refused_percent` of the events
    /// since the last check were refused, many were delivered late or handled by the host's
    /// thread, the latency report has ended, events are missing in the capture, someone has
    /// deleted or cut one of these files while it was written, a thread that writes either was
    /// ended from outside, a claim on a core is lost, a lane may run on other cores than the one
    /// that it was pinned to, or a CPU quota of a control group has stopped the process.
    Degraded,
    /// An instrument (by a panic of a factor set) or a model was put in quarantine. This state
    /// never ends.
    Quarantined,
    /// Events in, nothing out: `health.silent_events` events have arrived since the last check
    /// that saw a new delivery.
    Silent,
    /// Since the last check, events, messages between lanes or signals were dropped or
    /// conflated, lanes that share the models skipped factor vectors, or lanes waited for room.
    /// Or signals wait for room now.
    Overloaded,
    /// A lane has made no progress for `health.stall_us`. The longest time without a check is no
    /// part of that: the whole process may have been stopped meanwhile.
    Stalled,
    /// A lane could not continue: events are counted and refused.
    Failed,
}

impl HealthState {
    /// The state with this number, from `as u8`.
    pub(super) fn of(number: u8) -> Self {
        let all = [
            Self::Ok,
            Self::Degraded,
            Self::Quarantined,
            Self::Silent,
            Self::Overloaded,
            Self::Stalled,
            Self::Failed,
        ];
        all.get(usize::from(number)).copied().unwrap_or(Self::Ok)
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            HealthState::Ok => "ok",
            HealthState::Degraded => "degraded",
            HealthState::Quarantined => "quarantined",
            HealthState::Silent => "silent",
            HealthState::Overloaded => "overloaded",
            HealthState::Stalled => "stalled",
            HealthState::Failed => "failed",
        }
    }
}

/// What a look at the engine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// The reason for the state, none for [`HealthState::Ok`]. After it comes what a person
    /// should know in any state: instruments that share a name, assets that have not
    /// occurred.
    pub why: String,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}
