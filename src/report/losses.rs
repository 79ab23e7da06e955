//! What the interval log says of losses: when they were, which counters at the end do not tell.

use std::io;

use crate::os::fixed_text::FixedText;
use crate::telemetry::counters::{Counter, Snapshot};

/// The losses that the log has.
pub(super) struct Losses(Snapshot);

impl Losses {
    /// None of a new engine's.
    pub(super) fn none() -> Self {
        Self(Snapshot::of(&[]))
    }

    /// Writes a line for each counter of losses that has changed since the last call. `seconds` is
    /// the log's own time.
    pub(super) fn tell(
        &mut self,
        now: Snapshot,
        seconds: f64,
        mut write: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let losses = Counter::ALL.iter().filter(|counter| counter.is_loss());
        for &counter in losses {
            let total = now.get(counter);
            if total != self.0.get(counter) {
                let name = counter.name();
                let text = format_args!("[Lost: {name} {total} by {seconds:.3} s]");
                write(FixedText::new(text).as_str())?;
            }
        }
        self.0 = now;
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_losses_that_are_new_are_told() {
        let mut losses = Losses::none();
        let mut told = |counts: &[(Counter, u64)], seconds| {
            let mut now = Snapshot::of(&[]);
            counts
                .iter()
                .for_each(|&(counter, count)| now.set(counter, count));
            let mut lines = Vec::new();
            let write = |line: &str| {
                lines.push(line.to_owned());
                Ok(())
            };
            losses.tell(now, seconds, write).unwrap();
            lines
        };
        let (price, full) = (Counter::RefusedBadPrice, Counter::DroppedEgressRingFull);
        assert!(told(&[(Counter::Delivered, 9)], 0.5).is_empty());
        assert_eq!(
            told(&[(price, 2)], 1.0),
            ["[Lost: refused_bad_price 2 by 1.000 s]"]
        );
        assert!(told(&[(price, 2), (Counter::RefusedNotAnAsset, 5)], 2.0).is_empty());
        assert_eq!(
            told(&[(price, 3), (full, 1)], 3.25),
            [
                "[Lost: refused_bad_price 3 by 3.250 s]",
                "[Lost: dropped_egress_ring_full 1 by 3.250 s]"
            ]
        );
    }

    #[test]
    fn counters_that_are_named_as_losses_are_losses() {
        for counter in Counter::ALL {
            let name = counter.name();
            let named = ["refused_", "dropped_", "conflated_", "lost_"]
                .iter()
                .any(|start| name.starts_with(start));
            if named && *counter != Counter::RefusedNotAnAsset {
                assert!(counter.is_loss(), "{name}");
            }
        }
    }
}
