//! Heartbeats: whether a lane makes progress, how long its longest duty cycle took, and
//! how often it stalled. One writer, the lane; any thread reads.

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
}

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

/// The reading side of one [`Heartbeat`].
#[derive(Clone, Debug)]
pub struct HeartbeatReader {
    cells: Arc<CachePadded<Cells>>,
    clock: Clock,
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
        began: now,
        beats: 0,
        longest: 0,
        waited: 0,
    };
    let reader = HeartbeatReader {
        cells,
        clock: clock.clone(),
    };
    (heartbeat, reader)
}

impl Heartbeat {
    /// Ends a duty cycle and begins the next.
    #[inline]
    pub fn beat(&mut self) {
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
    }

    /// Begins a duty cycle after time that was given away on purpose.
    #[inline]
    pub fn resume(&mut self) {
        self.began = self.clock.now();
        self.cells.last_beat.store(self.began, Ordering::Relaxed);
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

    /// Time since the last beat, ns.
    pub fn silence_ns(&self) -> u64 {
        let last = self.cells.last_beat.load(Ordering::Relaxed);
        self.clock.nanos(last, self.clock.now())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
