//! What takes messages.

use super::trace::Trace;
use crate::messages::wire::Wire;

/// Something that takes messages of a kind: a node or an outlet.
pub(crate) trait Accept<W: Wire> {
    fn accept(&mut self, message: &W::View<'_>, trace: &mut Trace);

    /// Warms what is cold before the first message.
    fn prime(&mut self) {}

    /// Publishes what waits for room, as far as there is any. Whether some still
    /// waits.
    fn flush(&mut self, _trace: &mut Trace) -> bool {
        false
    }

    /// Counts what will never be published.
    fn finish(&mut self, _trace: &mut Trace) {}
}
