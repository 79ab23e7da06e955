//! What the machine takes of its cores' time while nothing but a spinning thread runs
//! there: interrupts, other programs, the hypervisor.
//!
//! Under an open load every event that is due in such a gap waits for its end: a core
//! that loses 1 % of its time has a p99 that no library can mend.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::pin;
use crate::series::Stamps;

/// Shorter than this is the loop itself, ns.
pub const GAP_NS: u64 = 1_000;

/// One core's losses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lost {
    /// Part of the time in gaps, 0 to 1.
    pub share: f64,
    /// Gaps longer than [`GAP_NS`].
    pub gaps: u64,
    /// The longest, ns.
    pub longest_ns: f64,
}

impl Lost {
    /// For the result.
    pub fn to_json(self) -> Value {
        json!({ "share": self.share, "gaps": self.gaps, "longest_ns": self.longest_ns })
    }
}

/// Spins for so long on the calling thread's core and on `other` at once.
///
/// # Errors
///
/// A thread cannot be pinned to `other`.
pub fn measure(stamps: &Stamps, other: usize, time: Duration) -> Result<[Lost; 2], String> {
    let ticks = stamps.ticks(time.as_nanos() as u64);
    thread::scope(|scope| {
        let there = scope.spawn(move || -> Result<Lost, String> {
            pin(other)?;
            Ok(spin(stamps, ticks, || stamps.raw()))
        });
        let here = spin(stamps, ticks, || stamps.raw());
        let there = there.join().map_err(|_| "the jitter thread panicked")??;
        Ok::<_, String>([here, there])
    })
}

fn spin(stamps: &Stamps, ticks: u64, mut now: impl FnMut() -> u64) -> Lost {
    let least = stamps.ticks(GAP_NS);
    let start = now();
    let (mut last, mut lost, mut longest, mut gaps) = (start, 0, 0, 0);
    while last - start < ticks {
        let next = now();
        let gap = next.saturating_sub(last);
        if gap > least {
            lost += gap;
            gaps += 1;
            longest = longest.max(gap);
        }
        last = last.max(next);
    }
    Lost {
        share: lost as f64 / (last - start) as f64,
        gaps,
        longest_ns: stamps.ns(longest as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_added_up() {
        let stamps = Stamps::new();
        let us = stamps.ticks(1_000);
        // Half a microsecond a look, but for one of 10 and one of 40.
        let mut looks = 0;
        let mut time = 0;
        let clock = || {
            looks += 1;
            time += match looks {
                50 => 10 * us,
                90 => 40 * us,
                _ => us / 2,
            };
            time
        };
        let lost = spin(&stamps, 100 * us, clock);
        assert_eq!(lost.gaps, 2);
        assert!((lost.share - 0.5).abs() < 0.01, "{lost:?}");
        assert!((lost.longest_ns - 40_000.0).abs() < 100.0, "{lost:?}");
    }
}
