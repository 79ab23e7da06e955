//! Hops: one histogram each, recorded by a single writer and handed over whole.
//!
//! A recorder owns a set of histograms. A reader sends it an empty set through a ring. At its
//! next look the recorder swaps the two and sends the filled one back. For this the recorder
//! never waits, allocates or shares a cache line.

use hdrhistogram::Histogram;
use rtrb::{Consumer, Producer, RingBuffer};

use super::slowest::{SlowSignal, Slowest};
use crate::os::clock::Clock;
use crate::stages::Stage;

/// A timed part of a message's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Hop {
    /// From arrival in `on_data` until a lane picks the event up.
    IngestWait,
    /// Decode, validate, intern.
    IngestWork,
    /// In the ring before factor.
    FactorWait,
    /// State update and computation of an event that triggers.
    FactorWork,
    /// State update of an event that does not trigger.
    FactorUpdate,
    /// In the ring before model.
    ModelWait,
    /// The model's run.
    ModelWork,
    /// In the ring before egress.
    EgressWait,
    /// Egress, if it has a lane of its own.
    EgressWork,
    /// From publication to the host until poll finds the signal, before its payload is read.
    /// A stamp is not a barrier.
    HostWait,
    /// End to end: from arrival in `on_data` until poll finds the signal. That is before its
    /// payload is read, and so some nanoseconds before the callback. A stamp is not a
    /// barrier.
    TickToCallback,
}

impl Hop {
    /// All hops, in the order of the path.
    pub const ALL: [Hop; 11] = [
        Hop::IngestWait,
        Hop::IngestWork,
        Hop::FactorWait,
        Hop::FactorWork,
        Hop::FactorUpdate,
        Hop::ModelWait,
        Hop::ModelWork,
        Hop::EgressWait,
        Hop::EgressWork,
        Hop::HostWait,
        Hop::TickToCallback,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Hop::IngestWait => "ingest.wait",
            Hop::IngestWork => "ingest.work",
            Hop::FactorWait => "factor.wait",
            Hop::FactorWork => "factor.work",
            Hop::FactorUpdate => "factor.update",
            Hop::ModelWait => "model.wait",
            Hop::ModelWork => "model.work",
            Hop::EgressWait => "egress.wait",
            Hop::EgressWork => "egress.work",
            Hop::HostWait => "host.wait",
            Hop::TickToCallback => "tick_to_callback",
        }
    }

    /// The wait in the ring before a stage.
    pub const fn wait(stage: Stage) -> Self {
        match stage {
            Stage::Ingest => Hop::IngestWait,
            Stage::Factor => Hop::FactorWait,
            Stage::Model => Hop::ModelWait,
            Stage::Egress => Hop::EgressWait,
        }
    }

    /// The work in a stage.
    pub const fn work(stage: Stage) -> Self {
        match stage {
            Stage::Ingest => Hop::IngestWork,
            Stage::Factor => Hop::FactorWork,
            Stage::Model => Hop::ModelWork,
            Stage::Egress => Hop::EgressWork,
        }
    }
}

/// The upper bound of the histograms, ns: 73 minutes, where the counts of a power of two end.
/// Latencies this long or longer count as this one; [`beyond`] says how many there are.
pub const MAX_NS: u64 = (1 << 42) - 1;
/// Significant decimal digits of a recorded latency. Two keep a hop's counts
/// small enough to stay in the first-level cache; the error is below 1 %.
pub const DIGITS: u8 = 2;

/// A histogram of latencies in ns, of fixed size.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, DIGITS).expect("the bounds are valid constants")
}

/// Latencies at the bound: they took [`MAX_NS`], to the precision of the histogram, or
/// longer; how much longer is not known. Recording clamps to the bound, so the histogram's
/// last place counts them. They stay counted when histograms are added up or written to a
/// log.
pub fn beyond(histogram: &Histogram<u64>) -> u64 {
    histogram.count_at(MAX_NS)
}

/// Histograms of one recorder over one interval.
#[derive(Debug)]
pub struct HopSet {
    hops: Vec<(Hop, Histogram<u64>)>,
    slots: [u8; Hop::ALL.len()],
    /// The slowest signals, if the recorder is where they are taken.
    pub slowest: Slowest,
    /// When the interval began, TSC ticks.
    pub started: u64,
    /// When it ended, TSC ticks.
    pub ended: u64,
}

const NO_SLOT: u8 = u8::MAX;

impl HopSet {
    fn new(hops: &[Hop], started: u64) -> Box<Self> {
        let mut slots = [NO_SLOT; Hop::ALL.len()];
        for (slot, &hop) in hops.iter().enumerate() {
            slots[hop as usize] = slot as u8;
        }
        Box::new(Self {
            hops: hops.iter().map(|&hop| (hop, histogram())).collect(),
            slots,
            slowest: Slowest::default(),
            started,
            ended: started,
        })
    }

    #[inline]
    fn record(&mut self, hop: Hop, nanos: u64) {
        if let Some((_, histogram)) = self.hops.get_mut(usize::from(self.slots[hop as usize])) {
            histogram.saturating_record(nanos);
        }
    }

    /// The histograms, in ns.
    pub fn iter(&self) -> impl Iterator<Item = (Hop, &Histogram<u64>)> {
        self.hops.iter().map(|(hop, histogram)| (*hop, histogram))
    }

    fn clear(&mut self) {
        for (_, histogram) in &mut self.hops {
            histogram.reset();
        }
        self.slowest.clear();
    }
}

/// The writing side, for one thread.
#[derive(Debug)]
pub struct Recorder {
    clock: Clock,
    active: Box<HopSet>,
    empty: Consumer<Box<HopSet>>,
    filled: Producer<Box<HopSet>>,
}

/// The reading side of one [`Recorder`].
#[derive(Debug)]
pub struct Feed {
    empty: Producer<Box<HopSet>>,
    filled: Consumer<Box<HopSet>>,
    spare: Option<Box<HopSet>>,
}

/// Makes a recorder for `hops` and its reading side.
///
/// ```
/// use signal::os::clock::Clock;
/// use signal::telemetry::hops::{Hop, recorder};
///
/// let clock = Clock::new(true);
/// let (mut recorder, mut feed) = recorder(&[Hop::ModelWork], &clock);
/// recorder.record(Hop::ModelWork, 0, 1_000);
/// feed.request();
/// recorder.hand_over();
/// let count = feed.take(|set| set.iter().map(|(_, h)| h.len()).sum::<u64>());
/// assert_eq!(count, Some(1));
/// ```
pub fn recorder(hops: &[Hop], clock: &Clock) -> (Recorder, Feed) {
    let now = clock.now();
    // One place for the requested set, one for the last set of a lane that ends.
    let (empty_in, empty_out) = RingBuffer::new(1);
    let (filled_in, filled_out) = RingBuffer::new(2);
    let recorder = Recorder {
        clock: clock.clone(),
        active: HopSet::new(hops, now),
        empty: empty_out,
        filled: filled_in,
    };
    let feed = Feed {
        empty: empty_in,
        filled: filled_out,
        spare: Some(HopSet::new(hops, now)),
    };
    (recorder, feed)
}

impl Recorder {
    /// Records the time between two stamps. Ignores a hop that the recorder was not made for.
    #[inline]
    pub fn record(&mut self, hop: Hop, start: u64, end: u64) {
        self.active.record(hop, self.clock.nanos(start, end));
    }

    /// Keeps a signal if it is among the slowest of the interval.
    #[inline]
    pub fn offer(&mut self, signal: &SlowSignal) {
        self.active.slowest.offer(signal);
    }

    /// Swaps the histograms if the reader has requested it. Costs one load if it has not.
    #[inline]
    pub fn hand_over(&mut self) {
        if let Ok(empty) = self.empty.pop() {
            self.swap(empty);
        }
    }

    #[cold]
    fn swap(&mut self, mut next: Box<HopSet>) {
        let now = self.clock.now();
        next.started = now;
        self.active.ended = now;
        let full = std::mem::replace(&mut self.active, next);
        // There is room: a feed requests at most one set at a time.
        let _ = self.filled.push(full);
    }

    /// Sends the last histograms when the recorder's thread ends.
    pub fn finish(mut self) {
        self.hand_over();
        self.active.ended = self.clock.now();
        let _ = self.filled.push(self.active);
    }
}

impl Feed {
    /// Requests the current histograms. Does nothing while a request is open.
    pub fn request(&mut self) {
        if let Some(spare) = self.spare.take() {
            // There is room: the only empty set was here.
            let _ = self.empty.push(spare);
        }
    }

    /// Whether a request is open.
    pub fn is_open(&self) -> bool {
        self.spare.is_none()
    }

    /// Reads the histograms that arrived, if any.
    pub fn take<R>(&mut self, read: impl FnOnce(&HopSet) -> R) -> Option<R> {
        let mut set = self.filled.pop().ok()?;
        let result = read(&set);
        set.clear();
        self.spare = Some(set);
        Some(result)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
