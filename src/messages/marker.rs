//! A place in the sequence of events.

/// A place in the sequence of events, numbered from 1. A marker travels through the rings like
/// an event: behind all events that were passed in before it, and before all that follow.
/// Every stage finds it at the same place, whatever the lanes. It is not counted as an event,
/// and makes no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker(pub(crate) u64);

impl Marker {
    /// The number of this marker among those of its engine, from 1.
    pub fn number(self) -> u64 {
        self.0
    }
}
