//! Whether lanes have had their cores: a lane that spins should have one to itself.
//!
//! A lane notices by its own stamps that it was away. So this also shows on a virtual machine whose
//! hypervisor took the core, of which the kernel need not know, and where the whole process was
//! stopped. Which of these it was, a lane cannot know. The kernel counts how long a thread waited
//! because others ran there. Only the report's thread asks for that count: it is in a file, and a
//! sandbox may end a thread that opens one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::machine::WaitForCore;
use crate::pipeline::plan::LanePlan;
use crate::telemetry::heartbeat::{Away, HeartbeatReader};

/// From this part of the time on, in percent, a core counts as shared.
const SHARED: u64 = 1;

/// Shortest time that is judged: in a shorter one, a single interrupt would be a share.
const SHORTEST_NS: u64 = 1_000_000_000;

/// The lane that was away for longest over some time, if that was a notable part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedCore {
    lane: usize,
    /// How many other lanes were away for a notable part.
    others: usize,
    times: u64,
    away_ns: u64,
    over_ns: u64,
    /// Time from the first time that it was away until now.
    first_ago_ns: u64,
}

impl SharedCore {
    /// Of the lanes, each with what came before that time and since.
    fn find(age_ns: u64, over_ns: u64, lanes: impl Iterator<Item = (Away, Away)>) -> Option<Self> {
        let mut found = None::<Self>;
        for (lane, (before, now)) in lanes.enumerate() {
            let away_ns = (now.ns - before.ns).min(over_ns);
            if u128::from(away_ns) * 100 < u128::from(over_ns) * u128::from(SHARED) || away_ns == 0
            {
                continue;
            }
            let others = found.map_or(0, |found| found.others + 1);
            if let Some(longer) = found.as_mut().filter(|found| found.away_ns >= away_ns) {
                longer.others = others;
                continue;
            }
            found = Some(Self {
                lane,
                others,
                times: now.times - before.times,
                away_ns,
                over_ns,
                first_ago_ns: age_ns.saturating_sub(now.first_ns),
            });
        }
        found
    }

    fn percent(&self) -> u128 {
        u128::from(self.away_ns) * 100 / u128::from(self.over_ns.max(1))
    }
}

/// What the lanes were away for, in one window of time after another.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Empty until the first look.
    lanes: Vec<Away>,
    ended_ns: u64,
    found: Option<SharedCore>,
}

impl Windows {
    /// Takes all the memory that it needs.
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            lanes: vec![Away::default(); lanes],
            ..Self::default()
        }
    }

    /// What holds of the last whole window; a window ends with the first look after its shortest
    /// length.
    pub(super) fn look(&mut self, lanes: &[(LanePlan, HeartbeatReader)]) -> Option<SharedCore> {
        self.renew(lanes);
        self.found
    }

    /// What holds of a window that ends with this look, if one does.
    pub(super) fn look_once(
        &mut self,
        lanes: &[(LanePlan, HeartbeatReader)],
    ) -> Option<SharedCore> {
        self.renew(lanes).then_some(self.found).flatten()
    }

    fn renew(&mut self, lanes: &[(LanePlan, HeartbeatReader)]) -> bool {
        let Some((_, first)) = lanes.first() else {
            return false;
        };
        let away = lanes.iter().map(|(_, heartbeat)| heartbeat.away());
        self.renew_at(first.age_ns(), away)
    }

    /// Returns whether a window has ended.
    fn renew_at(&mut self, age_ns: u64, lanes: impl Iterator<Item = Away> + Clone) -> bool {
        let over_ns = age_ns.saturating_sub(self.ended_ns);
        if over_ns < SHORTEST_NS {
            return false;
        }
        let before = self.lanes.iter().copied();
        self.found = SharedCore::find(age_ns, over_ns, before.zip(lanes.clone()));
        self.ended_ns = age_ns;
        for (before, now) in self.lanes.iter_mut().zip(lanes) {
            *before = now;
        }
        true
    }
}

/// What holds of all the time so far; nothing if that is short.
pub(super) fn so_far(lanes: &[(LanePlan, HeartbeatReader)]) -> Option<SharedCore> {
    let age_ns = lanes.first()?.1.age_ns();
    let away = lanes.iter().map(|(_, heartbeat)| heartbeat.away());
    (age_ns >= SHORTEST_NS)
        .then(|| SharedCore::find(age_ns, age_ns, away.map(|now| (Away::default(), now))))
        .flatten()
}

/// [`SharedCore`] in words, with the cure.
pub(super) struct Told<'a> {
    pub(super) shared: SharedCore,
    pub(super) lanes: &'a [(LanePlan, HeartbeatReader)],
    /// How long the lane waited for its core in all that time because others ran there, if the
    /// kernel was asked.
    pub(super) waited_ns: Option<u64>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.shared;
        let Some((plan, _)) = self.lanes.get(shared.lane) else {
            return Ok(());
        };
        let seconds = |ns: u64| ns as f64 / 1e9;
        write!(
            f,
            "core shared: lane {plan} was away from its core for {} % of {:.1} s ({} times, first {:.1} s ago)",
            shared.percent(),
            seconds(shared.over_ns),
            shared.times,
            seconds(shared.first_ago_ns),
        )?;
        match shared.others {
            0 => {}
            1 => f.write_str(", and so was one more lane")?,
            more => write!(f, ", and so were {more} more lanes")?,
        }
        match self.waited_ns {
            None => f.write_str(
                ": something else runs there, the hypervisor of a virtual machine takes it, or the process \
                 was stopped",
            )?,
            Some(waited) if waited >= shared.away_ns / 2 => write!(
                f,
                ": by the kernel's count other threads ran there for {:.1} s",
                seconds(waited)
            )?,
            Some(waited) => write!(
                f,
                ": by the kernel's count other threads ran there for only {:.1} s, so most of it was the \
                 hypervisor's, interrupts, or a stopped process",
                seconds(waited)
            )?,
        }
        f.write_str(
            "; expected a core that nothing else uses: isolate it (isolcpus, tuning/run-isolated), or name \
             another one in `cores`",
        )
    }
}

/// The kernel's counts of the lanes' waits, as they were when they were last asked for.
#[derive(Debug, Default)]
pub(crate) struct Waits(Vec<(WaitForCore, AtomicU64)>);

/// Of a lane that the kernel has said nothing of.
const UNKNOWN: u64 = u64::MAX;

impl Waits {
    /// Of these threads, one a lane.
    pub(crate) fn of(threads: impl Iterator<Item = u32>) -> Self {
        let wait = |thread| (WaitForCore::of(thread), AtomicU64::new(UNKNOWN));
        Self(threads.map(wait).collect())
    }

    /// Asks the kernel. What it does not say stays as it was. Takes no memory.
    pub(super) fn ask(&self) {
        for (wait, last) in &self.0 {
            if let Some(waited) = wait.so_far() {
                let waited = u64::try_from(waited.as_nanos()).unwrap_or(UNKNOWN);
                last.store(waited, Ordering::Relaxed);
            }
        }
    }

    /// How long a lane waited, ns.
    pub(super) fn last(&self, lane: usize) -> Option<u64> {
        let (_, last) = self.0.get(lane)?;
        Some(last.load(Ordering::Relaxed)).filter(|&last| last != UNKNOWN)
    }
}

impl SharedCore {
    pub(super) fn lane(&self) -> usize {
        self.lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock::Clock;
    use crate::pipeline::idle::Idle;
    use crate::stages::Stage;
    use crate::telemetry::heartbeat::heartbeat;

    const S: u64 = 1_000_000_000;

    fn away(times: u64, ns: u64, first_ns: u64) -> Away {
        Away {
            times,
            ns,
            first_ns,
        }
    }

    fn found(windows: &mut Windows, age_ns: u64, lanes: &[Away]) -> Option<(usize, u128, u64)> {
        windows.renew_at(age_ns, lanes.iter().copied());
        let found = windows.found?;
        Some((found.lane, found.percent(), found.times))
    }

    #[test]
    fn a_window_is_judged_when_it_is_long_enough_and_its_verdict_stands_until_the_next() {
        let mut windows = Windows::new(1);
        let early = away(1, S / 4, S / 2);
        assert_eq!(found(&mut windows, S - 1, &[early]), None);
        assert_eq!(found(&mut windows, 2 * S, &[early]), Some((0, 12, 1)));
        // Nothing since, but the window is short.
        assert_eq!(found(&mut windows, 2 * S + 1, &[early]), Some((0, 12, 1)));
        assert_eq!(found(&mut windows, 3 * S, &[early]), None);
        // Only what came since: 1 % is a share, less is not.
        let later = away(4, S / 4 + S / 100, S / 2);
        assert_eq!(found(&mut windows, 4 * S, &[later]), Some((0, 1, 3)));
        let last = away(5, later.ns + S / 101, S / 2);
        assert_eq!(found(&mut windows, 5 * S, &[last]), None);
    }

    #[test]
    fn the_lane_that_was_away_for_longest_is_named_and_the_others_counted() {
        for order in [[S / 2, S / 4, 0, S / 8], [S / 8, S / 2, S / 4, 0]] {
            let lanes = order.map(|ns| away(1, ns, 1));
            let mut windows = Windows::new(4);
            assert!(!windows.renew_at(S - 1, lanes.iter().copied()));
            assert!(windows.renew_at(2 * S, lanes.iter().copied()));
            let found = windows.found.unwrap();
            let longest = order.iter().position(|&ns| ns == S / 2).unwrap();
            assert_eq!(
                (found.lane, found.others, found.percent()),
                (longest, 2, 25)
            );
        }
    }

    #[test]
    fn a_gap_longer_than_the_window_is_all_of_it() {
        // It began before.
        let mut windows = Windows::new(1);
        assert_eq!(found(&mut windows, S, &[Away::default()]), None);
        let back = away(1, 60 * S, S / 2);
        assert_eq!(found(&mut windows, 3 * S, &[back]), Some((0, 100, 1)));
    }

    #[test]
    fn it_is_told_with_lane_share_time_and_cure() {
        let plan = LanePlan {
            stages: Stage::Ingest..=Stage::Egress,
            share: None,
            shard: None,
            core: Some(3),
            idle: Idle::Spin,
        };
        let (_heartbeat, reader) = heartbeat(&Clock::new(false), 1);
        let lanes = [(plan, reader)];
        let shared = SharedCore {
            lane: 0,
            others: 0,
            times: 36,
            away_ns: S,
            over_ns: 8 * S,
            first_ago_ns: 40 * S,
        };
        let told = |waited_ns, others| {
            let shared = SharedCore { others, ..shared };
            let lanes = &lanes;
            let told = Told {
                shared,
                lanes,
                waited_ns,
            };
            told.to_string()
        };
        let text = told(None, 0);
        assert!(
            text.starts_with(
                "core shared: lane ingest..egress@3(spin) was away from its core for 12 % of 8.0 s \
                 (36 times, first 40.0 s ago): something else runs there, the hypervisor of a virtual \
                 machine takes it, or the process was stopped; expected"
            ),
            "{text}"
        );
        assert!(
            text.contains("isolate it") && text.contains("`cores`"),
            "{text}"
        );
        let threads = told(Some(S / 2), 1);
        assert!(
            threads.contains("and so was one more lane: by the kernel's count other threads ran"),
            "{threads}"
        );
        let hypervisor = told(Some(S / 2 - 1), 2);
        assert!(
            hypervisor.contains("2 more lanes: by")
                && hypervisor.contains("for only 0.5 s, so most"),
            "{hypervisor}"
        );
    }

    #[test]
    fn what_the_kernel_says_of_a_thread_is_kept_when_the_thread_is_gone() {
        let (say, id) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            say.send(crate::os::this_thread::id()).unwrap();
            let _ = ended.recv();
        });
        let waits = Waits::of([id.recv().unwrap()].into_iter());
        assert_eq!(waits.last(0), None);
        waits.ask();
        let said = waits.last(0);
        if said.is_none() {
            println!("SKIP: this kernel does not count how long a thread waits for a core");
        }
        drop(end);
        thread.join().unwrap();
        waits.ask();
        assert!(waits.last(0) >= said && waits.last(1).is_none());
    }
}
