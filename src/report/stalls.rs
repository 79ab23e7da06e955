//! Which lane stands still, and not only stood still with the whole process.
//!
//! A process may be stopped (SIGSTOP, a freezer, a debugger, a paused machine), and its host may ask
//! before its lanes have run again. A look cannot wait for them. But nobody looks while the process
//! is stopped. So the longest time without a look does not count in a lane's silence: a lane that
//! has not had a core since is not blamed, and one that stands still is named by a later look.

use crate::pipeline::plan::LanePlan;
use crate::telemetry::heartbeat::HeartbeatReader;

/// A lane since its last beat. All in ticks.
#[derive(Clone, Debug, Default)]
struct Silence {
    beat: u64,
    /// The longest time without a look.
    unwatched: u64,
}

#[derive(Debug)]
pub(super) struct Stalls {
    lanes: Vec<Silence>,
    looked: u64,
}

/// A lane without progress, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) lane: usize,
    pub(super) us: u64,
}

impl Stalls {
    /// Takes all the memory that it needs.
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            lanes: vec![Silence::default(); lanes],
            looked: 0,
        }
    }

    /// The last lane that has made no progress for so long: those before it may only be waiting for
    /// it.
    pub(super) fn look(
        &mut self,
        lanes: &[(LanePlan, HeartbeatReader)],
        stall_us: u64,
    ) -> Option<Stall> {
        let clock = lanes.first()?.1.clock();
        let beats = lanes.iter().map(|(_, heartbeat)| heartbeat.last_beat());
        let now = clock.now();
        let stall = clock.ticks(stall_us.saturating_mul(1000));
        let (lane, silence) = self.look_at(now, stall, beats)?;
        let us = clock.nanos(0, silence) / 1000;
        Some(Stall { lane, us })
    }

    /// The lane, and its whole silence.
    fn look_at(
        &mut self,
        now: u64,
        stall: u64,
        beats: impl Iterator<Item = u64>,
    ) -> Option<(usize, u64)> {
        let since_look = now.saturating_sub(self.looked);
        self.looked = now;
        let mut found = None;
        for (lane, (known, beat)) in self.lanes.iter_mut().zip(beats).enumerate() {
            if known.beat != beat {
                *known = Silence { beat, unwatched: 0 };
            }
            let silence = now.saturating_sub(beat);
            known.unwatched = known.unwatched.max(since_look.min(silence));
            // The clocks of two cores may differ, so that this look is before the last one.
            if silence.saturating_sub(known.unwatched) > stall {
                found = Some((lane, silence));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: u64 = 10;

    fn look(stalls: &mut Stalls, now: u64, beats: &[u64]) -> Option<(usize, u64)> {
        stalls.look_at(now, STALL, beats.iter().copied())
    }

    #[test]
    fn a_look_that_is_before_the_last_one_blames_nobody() {
        let mut stalls = Stalls::new(1);
        assert_eq!(look(&mut stalls, 1_000, &[500]), None);
        assert_eq!(look(&mut stalls, 990, &[500]), None);
    }

    #[test]
    fn a_lane_that_had_no_time_to_run_since_the_process_was_stopped_is_not_blamed() {
        let mut stalls = Stalls::new(1);
        assert_eq!(look(&mut stalls, 1_000, &[998]), None);
        // Stopped from 1,005 on, for 500.
        assert_eq!(look(&mut stalls, 1_505, &[1_004]), None);
        // Asked at once again, it has had no core yet.
        assert_eq!(look(&mut stalls, 1_506, &[1_004]), None);
        assert_eq!(look(&mut stalls, 1_600, &[1_599]), None);
        // It may also have been stopped before anyone looked.
        assert_eq!(look(&mut Stalls::new(1), 900, &[3]), None);
    }

    #[test]
    fn a_lane_that_stands_still_is_named_however_often_someone_looks() {
        for (apart, at) in [(1_000, 3_000), (100, 1_200), (1, 1_011)] {
            let mut stalls = Stalls::new(1);
            look(&mut stalls, 989, &[988]);
            let looks = (0..).map(|number| 1_000 + number * apart);
            let found = looks.take(50).find_map(|now| {
                let found = look(&mut stalls, now, &[990])?;
                Some((now, found))
            });
            let (now, (lane, silence)) = found.unwrap();
            assert_eq!((lane, silence), (0, now - 990));
            assert_eq!(now, at, "{apart}");
        }
    }

    #[test]
    fn the_last_of_several_lanes_is_named_and_none_that_makes_progress() {
        let mut stalls = Stalls::new(4);
        let beats = |now| [500, now - 1, 502, now - 2];
        for now in [500, 504] {
            assert_eq!(look(&mut stalls, now, &beats(now)), None);
        }
        assert_eq!(look(&mut stalls, 600, &beats(600)), None);
        assert_eq!(look(&mut stalls, 620, &beats(620)), Some((2, 118)));
        assert_eq!(look(&mut stalls, 630, &[630; 4]), None);
        assert_eq!(look(&mut stalls, 640, &[630; 4]), None);
    }
}
