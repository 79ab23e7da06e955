//! What the machine takes of its cores' time while nothing but a spinning thread runs
//! there: interrupts, other programs, the hypervisor.
//!
//! Under an open load every event that is due in such a gap waits for its end: a core
//! that loses 1 % of its time has a p99 that no library can mend.

use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::bench::Bench;
use crate::machine::pin;
use crate::series::Stamps;

/// Shorter than this is the loop itself, ns.
const GAP_NS: u64 = 1_000;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lost {
    /// Part of the time in gaps, 0 to 1.
    pub share: f64,
    /// Gaps longer than 1 us.
    pub gaps: u64,
    pub longest_ns: f64,
}

/// Spins for so long on the host's core and the lane's at once.
pub fn measure(bench: &Bench, time: Duration) -> Result<[Lost; 2], String> {
    let (stamps, lane) = (&bench.stamps, bench.lane());
    let ticks = stamps.ticks(time.as_nanos() as u64);
    thread::scope(|scope| {
        let there = scope.spawn(move || -> Result<Lost, String> {
            pin(lane)?;
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
        let stamps = Stamps::default();
        let us = stamps.ticks(1_000);
        // Half a microsecond a look, but for one of 10 and one of 40.
        let (mut looks, mut time) = (0, 0);
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
