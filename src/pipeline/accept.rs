//! What accepts messages.

use super::trace::Trace;
use crate::messages::Marker;
use crate::messages::wire::Wire;

/// Accepts messages of one kind: a node or an outlet.
pub(crate) trait Accept<W: Wire> {
    fn accept(&mut self, message: &W::View<'_>, trace: &mut Trace);

    /// Passes a marker on, behind every message that was accepted before it.
    fn on_marker(&mut self, marker: Marker);

    /// Warms what is cold before the first message.
    fn prime(&mut self) {}

    /// Prefetches what the next message touches. Called instead of [`accept`](Self::accept) in a
    /// rehearsal that leaves out what comes before.
    fn prefetch(&mut self, _trace: &Trace) {}

    /// Whether a message could be published at once and nothing waits. A rehearsal needs that:
    /// it must not wait, and must not overtake.
    fn may_rehearse(&self) -> bool {
        true
    }

    /// Publishes what waits, as far as there is room. Returns whether anything still waits.
    fn flush(&mut self, _trace: &mut Trace) -> bool {
        false
    }

    /// Counts what will never be published.
    fn finish(&mut self, _trace: &mut Trace) {}
}
