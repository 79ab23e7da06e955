//! Heartbeats: whether a lane makes progress, how long its longest duty cycle took, and
//! how often it stalled, and how often it was away from its core. One writer, the lane; any
//! thread reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::os::clock::Clock;
use crate::os::limit;

#[derive(Debug, Default)]
struct Cells {
    beats: AtomicU64,
    last_beat: AtomicU64,
    longest: AtomicU64,
    stalls: AtomicU64,
    waited: AtomicU64,
    times_away: AtomicU64,
    /// Ticks.
    away: AtomicU64,
    /// When it was first away; 0 if never.
    first_away: AtomicU64,
    /// The last absences, each by its number: when they began and ended.
    absences: [[AtomicU64; 2]; ABSENCES],
    /// Ticks that went into keeping the lane warm.
    rehearsed: AtomicU64,
}

/// How many absences are kept, for whoever asks why a signal was slow.
const ABSENCES: usize = 32;

/// An idle lane that shows no sign of itself for this long was away from its core. Its own work
/// takes less: a rehearsal of a cold pipeline took 15 us, and an interrupt takes less still. What
/// takes a core at the scheduler's choice has it for much longer.
const AWAY_NS: u64 = 50_000;

/// The writing side, for the lane.
///
/// A duty cycle is the time between two beats, minus the time that the lane gave away on
/// purpose. A lane beats after every turn with work, and after every few empty turns, because
/// a stamp costs as much as a poll of the inlet.
#[derive(Debug)]
pub struct Heartbeat {
    cells: Arc<CachePadded<Cells>>,
    clock: Clock,
    stall: u64,
    away: u64,
    began: u64,
    beats: u64,
    longest: u64,
    waited: u64,
}

/// Tells a lane's heartbeat how long the lane waited for room. That time is no part of a duty
/// cycle, and no stall. For the lane as well.
#[derive(Debug)]
pub struct Patience {
    cells: Arc<CachePadded<Cells>>,
    clock: Clock,
    since: u64,
    /// Ticks since the wait began, without those during which the process was stopped.
    total: u64,
    /// The most ticks that count between two looks.
    slice: u64,
}

impl Patience {
    /// Begins to wait.
    pub fn begin(&mut self) {
        self.since = self.clock.now();
        self.total = 0;
    }

    /// The wait continues.
    pub fn wait(&mut self) {
        let now = self.clock.now();
        let waited = self.cells.waited.load(Ordering::Relaxed);
        let more = now.saturating_sub(self.since);
        self.cells.waited.store(waited + more, Ordering::Relaxed);
        self.cells.last_beat.store(now, Ordering::Relaxed);
        self.since = now;
        self.total += more.min(self.slice);
    }

    /// Time since the wait began.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.clock.nanos(0, self.total))
    }
}

/// Tells a lane's heartbeat how long the lane kept itself warm. For whoever has the lane's work.
#[derive(Debug)]
pub(crate) struct Rehearsed(Arc<CachePadded<Cells>>);

impl Rehearsed {
    /// So many ticks more.
    pub(crate) fn add(&self, ticks: u64) {
        let before = self.0.rehearsed.load(Ordering::Relaxed);
        self.0.rehearsed.store(before + ticks, Ordering::Relaxed);
    }
}

/// The reading side of one [`Heartbeat`].
#[derive(Clone, Debug)]
pub struct HeartbeatReader {
    cells: Arc<CachePadded<Cells>>,
    clock: Clock,
    made: u64,
}

/// How long a lane was away from its core: something else ran there, or nothing of this machine
/// did, because the hypervisor had taken the core or the process was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Away {
    /// How often.
    pub times: u64,
    /// How long in all, ns.
    pub ns: u64,
    /// When first, ns after the heartbeat was made; 0 if never.
    pub first_ns: u64,
}

impl Away {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        let first = [self.first_ns, other.first_ns];
        Self {
            times: self.times + other.times,
            ns: self.ns + other.ns,
            first_ns: first.into_iter().filter(|&ns| ns > 0).min().unwrap_or(0),
        }
    }
}

/// Makes a heartbeat and its reading side. A duty cycle longer than `stall_us` is a
/// stall.
///
/// ```
/// use signal::os::clock::Clock;
/// use signal::telemetry::heartbeat::heartbeat;
///
/// let (mut heartbeat, reader) = heartbeat(&Clock::new(false), 1_000);
/// heartbeat.resume();
/// std::thread::sleep(std::time::Duration::from_millis(2));
/// heartbeat.beat();
/// assert_eq!((reader.beats(), reader.stalls()), (1, 1));
/// assert!(reader.longest_ns() >= 2_000_000);
/// ```
pub fn heartbeat(clock: &Clock, stall_us: u64) -> (Heartbeat, HeartbeatReader) {
    let cells = Arc::<CachePadded<Cells>>::default();
    let now = clock.now();
    cells.last_beat.store(now, Ordering::Relaxed);
    let heartbeat = Heartbeat {
        cells: cells.clone(),
        clock: clock.clone(),
        stall: clock.ticks(stall_us.saturating_mul(1000)),
        away: clock.ticks(AWAY_NS),
        began: now,
        beats: 0,
        longest: 0,
        waited: 0,
    };
    let reader = HeartbeatReader {
        cells,
        clock: clock.clone(),
        made: now,
    };
    (heartbeat, reader)
}

impl Heartbeat {
    /// Ends a duty cycle and begins the next.
    #[inline]
    pub fn beat(&mut self) {
        self.end_cycle();
    }

    /// As [`beat`](Self::beat), where the lane had nothing to do and did not give its core away:
    /// if the cycle was long, something has taken the core from it.
    #[inline]
    pub fn beat_idle(&mut self) {
        let took = self.end_cycle();
        if took > self.away {
            self.was_away(took);
        }
    }

    /// Returns the ticks that the cycle took.
    #[inline]
    fn end_cycle(&mut self) -> u64 {
        let now = self.clock.now();
        // Stamps of two cores may differ by a few ticks, and a thread can move between them.
        let waited = self.cells.waited.load(Ordering::Relaxed);
        let took = now
            .saturating_sub(self.began)
            .saturating_sub(waited - self.waited);
        self.waited = waited;
        self.began = now;
        self.beats += 1;
        self.cells.beats.store(self.beats, Ordering::Relaxed);
        self.cells.last_beat.store(now, Ordering::Relaxed);
        if took > self.longest {
            self.longest = took;
            self.cells.longest.store(took, Ordering::Relaxed);
        }
        if took > self.stall {
            self.stalled();
        }
        took
    }

    /// Begins a duty cycle after time that was given away on purpose.
    #[inline]
    pub fn resume(&mut self) {
        self.began = self.clock.now();
        self.cells.last_beat.store(self.began, Ordering::Relaxed);
    }

    #[cold]
    fn was_away(&self, took: u64) {
        let cells = &self.cells;
        if cells.first_away.load(Ordering::Relaxed) == 0 {
            let gone = self.began.saturating_sub(took).max(1);
            cells.first_away.store(gone, Ordering::Relaxed);
        }
        let away = cells.away.load(Ordering::Relaxed);
        cells.away.store(away + took, Ordering::Relaxed);
        let times = cells.times_away.load(Ordering::Relaxed);
        let [began, ended] = &cells.absences[times as usize % ABSENCES];
        began.store(self.began.saturating_sub(took), Ordering::Relaxed);
        ended.store(self.began, Ordering::Relaxed);
        cells.times_away.store(times + 1, Ordering::Relaxed);
    }

    #[cold]
    fn stalled(&mut self) {
        let stalls = self.cells.stalls.load(Ordering::Relaxed);
        self.cells.stalls.store(stalls + 1, Ordering::Relaxed);
    }
}

impl HeartbeatReader {
    /// The heartbeat's sequence: it grows as long as the lane makes progress.
    pub fn beats(&self) -> u64 {
        self.cells.beats.load(Ordering::Relaxed)
    }

    /// The longest duty cycle, ns.
    pub fn longest_ns(&self) -> u64 {
        self.clock
            .nanos(0, self.cells.longest.load(Ordering::Relaxed))
    }

    /// Duty cycles longer than the threshold.
    pub fn stalls(&self) -> u64 {
        self.cells.stalls.load(Ordering::Relaxed)
    }

    /// How long the lane was away from its core while it had nothing to do, so far. Of a lane that
    /// gives its core away: nothing.
    pub fn away(&self) -> Away {
        let first = self.cells.first_away.load(Ordering::Relaxed);
        Away {
            times: self.cells.times_away.load(Ordering::Relaxed),
            ns: self.clock.nanos(0, self.cells.away.load(Ordering::Relaxed)),
            first_ns: match first {
                0 => 0,
                first => self.clock.nanos(self.made.min(first), first),
            },
        }
    }

    /// For how long the lane was away from its core between two stamps, ticks, by its last absences
    /// while it had nothing to do. One that ends while this looks may be missed, or counted by half.
    pub(crate) fn away_between(&self, from: u64, to: u64) -> u64 {
        let each = self.cells.absences.iter().map(|absence| {
            let [began, ended] = absence.each_ref().map(|at| at.load(Ordering::Relaxed));
            ended.min(to).saturating_sub(began.max(from))
        });
        each.sum()
    }

    /// Time since the heartbeat was made, ns.
    pub fn age_ns(&self) -> u64 {
        self.clock.nanos(self.made, self.clock.now().max(self.made))
    }

    /// Total time that the lane has waited for room, ns.
    pub fn waited_ns(&self) -> u64 {
        self.clock
            .nanos(0, self.cells.waited.load(Ordering::Relaxed))
    }

    /// What tells the heartbeat of time spent waiting. There may be any number of them, all
    /// used on the lane's thread.
    pub fn patience(&self) -> Patience {
        Patience {
            cells: self.cells.clone(),
            clock: self.clock.clone(),
            since: 0,
            total: 0,
            slice: self.clock.ticks(limit::SLICE.as_nanos() as u64),
        }
    }

    /// What tells the heartbeat how long the lane kept itself warm.
    pub(crate) fn rehearsed(&self) -> Rehearsed {
        Rehearsed(self.cells.clone())
    }

    /// How long the lane has kept itself warm, ns.
    pub fn rehearsed_ns(&self) -> u64 {
        self.clock
            .nanos(0, self.cells.rehearsed.load(Ordering::Relaxed))
    }

    /// When the last beat was, in ticks of [`clock`](Self::clock).
    pub(crate) fn last_beat(&self) -> u64 {
        self.cells.last_beat.load(Ordering::Relaxed)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Time since the last beat, ns.
    pub fn silence_ns(&self) -> u64 {
        self.clock.nanos(self.last_beat(), self.clock.now())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
