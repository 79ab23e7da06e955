//! Counters by reason. Each writer has its own set on its own cache lines. Readers add up the
//! sets, from any thread, while the engine runs.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::abi::EventKind;
use crate::stages::Refusal;
use crate::sync::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is counted. Every event of a known type (null data and unknown types are no
        /// events) ends in exactly one of `refused_*`, `dropped_ingest_*`,
        /// `dropped_stage_stopped`, `updates` and `answered`. Every signal ends in exactly
        /// one of `delivered`, `conflated_egress` and `dropped_egress_*`, or is queued: in
        /// the ring (`published` minus `delivered` and `dropped_egress_too_old`) or `held`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// All counters, in the order of their numbers.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// The counter's name in reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$variant => $name,)*
                }
            }

            /// The counter with the given name in reports.
            ///
            /// # Panics
            ///
            /// If there is none. When evaluated at compile time, this fails the build.
            pub(crate) const fn of_name(name: &str) -> Counter {
                $(
                    if is_same($name, name) {
                        return Counter::$variant;
                    }
                )*
                panic!("no counter has that name")
            }
        }
    };
}

impl Counter {
    /// Whether it counts events or signals that did not come out, or not each one: refused, dropped,
    /// replaced by newer ones, missed. What the configuration leaves out is not lost.
    pub const fn is_loss(self) -> bool {
        use Counter::*;
        matches!(
            self,
            RefusedNullData
                | RefusedUnknownType
                | RefusedBadSymbol
                | RefusedBadPrice
                | RefusedBadSize
                | RefusedTooManyInstruments
                | RefusedFailed
                | RefusedQuarantined
                | DroppedIngestRingFull
                | DroppedIngestTimeout
                | DroppedIngestStopped
                | DroppedStageStopped
                | LostStageParts
                | IngestGap
                | ModelVectorsMissed
                | DroppedEgressRingFull
                | DroppedEgressTimeout
                | DroppedEgressStopped
                | DroppedEgressTooOld
                | ConflatedEgress
                | EgressGap
                | CaptureMissed
        )
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut place = 0;
    while place < a.len() && place < b.len() && a[place] == b[place] {
        place += 1;
    }
    place == a.len() && place == b.len()
}

counters! {
    /// Depth events from the host.
    EventsDepth = "events_depth",
    /// Ticker events from the host.
    EventsTicker = "events_ticker",
    /// Trade events from the host.
    EventsTrade = "events_trade",
    /// Index price events from the host.
    EventsIndexPrice = "events_index_price",
    /// Copies of index prices for further shards. An index price goes to every shard; one of
    /// them counts as the event, the others as copies. Read after every counter that an event
    /// can end in: a reader that sees the event ended also sees its copies.
    Copies = "index_copies",
    /// Calls with a null data pointer.
    RefusedNullData = "refused_null_data",
    /// Calls with a message type that the engine does not accept.
    RefusedUnknownType = "refused_unknown_type",
    /// Events with a symbol that is empty, is not UTF-8, or contains spaces, control
    /// characters or other invisible characters.
    RefusedBadSymbol = "refused_bad_symbol",
    /// Events with a price that is not positive or is above `limits.max_price`.
    RefusedBadPrice = "refused_bad_price",
    /// Events with a size that is negative or above `limits.max_size`.
    RefusedBadSize = "refused_bad_size",
    /// Events of instruments beyond `instruments.max`.
    RefusedTooManyInstruments = "refused_too_many_instruments",
    /// Events of symbols that are not among the configured `assets`.
    RefusedNotAnAsset = "refused_not_an_asset",
    /// Events that arrived after a lane had failed.
    RefusedFailed = "refused_failed",
    /// Events that ended in a quarantine: that of their instrument, or that of the only model
    /// left. Signals that such an event made earlier may still be on their way.
    RefusedQuarantined = "refused_quarantined",
    /// Events dropped because the ring to ingest was full.
    DroppedIngestRingFull = "dropped_ingest_ring_full",
    /// Events dropped because `overload.ingest` is `block` and there was no room in time.
    DroppedIngestTimeout = "dropped_ingest_timeout",
    /// Events dropped in the ring to ingest because the engine ended or had failed.
    DroppedIngestStopped = "dropped_ingest_stopped",
    /// Events that ended between lanes because the engine ended or had failed:
    /// their last message was dropped.
    DroppedStageStopped = "dropped_stage_stopped",
    /// Messages between lanes, not the last of their event, that were dropped
    /// because the engine ended or had failed.
    LostStageParts = "lost_stage_parts",
    /// Input sequence numbers that ingest missed.
    IngestGap = "ingest_gap",
    /// Events that only updated state.
    Updates = "updates",
    /// Factor vectors computed.
    Triggered = "triggered",
    /// Factor vectors sent to the lanes that share out the models, counted once for each
    /// lane.
    ModelVectorsSent = "model_vectors_sent",
    /// Predictions made: one per factor vector, or with `"callback": "per-model"` one per
    /// model.
    Predicted = "predicted",
    /// Factor vectors on which a lane with a share of the models has run them.
    ModelVectorsTaken = "model_vectors_taken",
    /// Factor vectors that such a lane missed because it was too slow.
    ModelVectorsMissed = "model_vectors_missed",
    /// Signals made, including those that are dropped or conflated.
    Signals = "signals",
    /// Signals written to the ring to the host.
    Published = "published",
    /// Signals that wait now for room in the ring to the host. Read before `published`, which
    /// grows before this falls.
    Held = "held",
    /// Events whose signals have all been made. Read before `published` and `held`: once all
    /// events have ended, these include all signals.
    Answered = "answered",
    /// Copies of index prices that have been applied and whose signals have all been made.
    /// Read before everything they led to, and before `index_copies`.
    CopiesEnded = "index_copies_ended",
    /// Signals dropped because the ring to the host was full.
    DroppedEgressRingFull = "dropped_egress_ring_full",
    /// Signals dropped because `overload.egress` is `block` and there was no room in time.
    DroppedEgressTimeout = "dropped_egress_timeout",
    /// Signals dropped because the engine ended or had failed.
    DroppedEgressStopped = "dropped_egress_stopped",
    /// Signals replaced by a newer one of their instrument while the ring to the host was
    /// full.
    ConflatedEgress = "conflated_egress",
    /// Signals that the host's thread took.
    Delivered = "delivered",
    /// Signals that the host's thread took and dropped, because they were older than `max_age_us`.
    DroppedEgressTooOld = "dropped_egress_too_old",
    /// Signal numbers missing among those that the host's thread took.
    EgressGap = "egress_gap",
    /// How often a ring was full and its sender waited.
    RingWaits = "ring_waits",
    /// Panics of factor sets and models. Each put something in quarantine.
    Panics = "panics",
    /// Events in the capture file.
    CaptureWritten = "capture_written",
    /// Events that were overwritten before the capture's writer had read them.
    CaptureMissed = "capture_missed",
    /// Events that are not in the capture file because its disk reported an error.
    CaptureFailed = "capture_failed",
    /// Latencies, of all hops, at the upper bound of the histograms: 73 minutes or longer.
    /// Updated at each interval of the latency report and each time the hops are read.
    LatencyBeyond = "latency_beyond",
    /// 1 once the latency report has ended because it could no longer be written, else 0.
    ReportEnded = "report_ended",
    /// Events whose signals had not all come when the host's thread stopped waiting for them in
    /// `on_data`.
    DeliverLate = "deliver_late",
    /// Those of them at whose end the lane had its work, so that the host's thread could not do
    /// it.
    DeliverLateBegun = "deliver_late_begun",
    /// Messages that lanes without work ran through their stages once more, to keep them warm.
    Rehearsals = "rehearsals",
    /// Messages that the host's thread handled in `on_data` because their lane had not begun
    /// them in time.
    StoodIn = "stood_in",
}

const COUNT: usize = Counter::ALL.len();

impl From<EventKind> for Counter {
    #[inline]
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Depth => Counter::EventsDepth,
            EventKind::Ticker => Counter::EventsTicker,
            EventKind::Trade => Counter::EventsTrade,
            EventKind::IndexPrice => Counter::EventsIndexPrice,
        }
    }
}

impl From<Refusal> for Counter {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadSymbol => Counter::RefusedBadSymbol,
            Refusal::BadPrice => Counter::RefusedBadPrice,
            Refusal::BadSize => Counter::RefusedBadSize,
            Refusal::TooManyInstruments => Counter::RefusedTooManyInstruments,
            Refusal::NotAnAsset => Counter::RefusedNotAnAsset,
        }
    }
}

/// One writer's counters.
#[derive(Debug)]
pub struct Counters(CachePadded<[AtomicU64; COUNT]>);

impl Counters {
    /// All zero.
    pub fn new() -> Arc<Self> {
        let zeros = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self(CachePadded::new(zeros)))
    }

    /// Adds to a counter. Only its one writer may call this: it is a load and a store, not a
    /// locked instruction. The store is a release, so a reader that sees a message counted
    /// also sees it published.
    #[inline]
    pub fn add(&self, counter: Counter, count: u64) {
        let cell = &self.0[counter as usize];
        cell.store(
            cell.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Release,
        );
    }

    /// Sets a counter that is a level, not a count. Only its one writer may call this.
    #[inline]
    pub fn set(&self, counter: Counter, value: u64) {
        self.0[counter as usize].store(value, Ordering::Release);
    }

    /// Adds one.
    #[inline]
    pub fn bump(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// One counter as it is now, of which nothing else follows. Takes a single cache line from its
    /// writer.
    pub(crate) fn peek(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
    }
}

/// The counters of all writers at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot([u64; COUNT]);

impl Snapshot {
    /// Adds up the counters of several writers.
    ///
    /// Counters from the path's end are read first, so that what is still under way is never
    /// counted as ended before it has begun.
    #[doc(hidden)]
    pub fn of(writers: &[Arc<Counters>]) -> Self {
        let mut totals = [0u64; COUNT];
        for (index, total) in totals.iter_mut().enumerate().rev() {
            *total = writers
                .iter()
                .map(|writer| writer.0[index].load(Ordering::Acquire))
                .fold(0, u64::wrapping_add);
        }
        Self(totals)
    }

    /// One counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Sets one that its writer could not count.
    pub(crate) fn set(&mut self, counter: Counter, value: u64) {
        self.0[counter as usize] = value;
    }

    /// All counters with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Counter::ALL
            .iter()
            .map(|&counter| (counter.name(), self.get(counter)))
    }

    /// Events of a known type that the host gave.
    pub fn events(&self) -> u64 {
        EventKind::ALL
            .iter()
            .map(|&kind| self.get(kind.into()))
            .sum()
    }

    /// Events that have not ended yet: not refused, not dropped, not applied, and not all of
    /// their signals made. Where lanes share out the models, an event ends when its factor
    /// vectors have been sent to them; vectors that they have not run on yet and predictions
    /// on their way are added. Copies of index prices that further shards have not processed
    /// are added too.
    ///
    /// If nothing is in flight, everything is counted: a counter is read before those that
    /// were written before it.
    pub fn in_flight(&self) -> u64 {
        let ended: u64 = [
            Counter::RefusedBadSymbol,
            Counter::RefusedBadPrice,
            Counter::RefusedBadSize,
            Counter::RefusedTooManyInstruments,
            Counter::RefusedNotAnAsset,
            Counter::RefusedFailed,
            Counter::RefusedQuarantined,
            Counter::DroppedIngestRingFull,
            Counter::DroppedIngestTimeout,
            Counter::DroppedIngestStopped,
            Counter::DroppedStageStopped,
            Counter::Updates,
            Counter::Answered,
        ]
        .iter()
        .map(|&counter| self.get(counter))
        .sum();
        let at_models = self
            .get(Counter::ModelVectorsSent)
            .saturating_sub(self.get(Counter::ModelVectorsTaken))
            .saturating_sub(self.get(Counter::ModelVectorsMissed));
        let predicted = self
            .get(Counter::Predicted)
            .saturating_sub(self.get(Counter::Signals));
        let behind_the_end = match self.get(Counter::ModelVectorsSent) {
            0 => 0,
            _ => at_models + predicted,
        };
        let copies = self
            .get(Counter::Copies)
            .saturating_sub(self.get(Counter::CopiesEnded));
        self.events().saturating_sub(ended) + behind_the_end + copies
    }

    /// Signals that were made and are neither delivered nor dropped nor conflated.
    pub fn queued(&self) -> u64 {
        let in_ring = self
            .get(Counter::Published)
            .saturating_sub(self.get(Counter::Delivered))
            .saturating_sub(self.get(Counter::DroppedEgressTooOld));
        in_ring + self.get(Counter::Held)
    }

    /// Events and signals that were dropped or conflated.
    pub fn lost(&self) -> u64 {
        [
            Counter::DroppedIngestRingFull,
            Counter::DroppedIngestTimeout,
            Counter::DroppedIngestStopped,
            Counter::DroppedStageStopped,
            Counter::LostStageParts,
            Counter::ModelVectorsMissed,
            Counter::DroppedEgressRingFull,
            Counter::DroppedEgressTimeout,
            Counter::DroppedEgressStopped,
            Counter::DroppedEgressTooOld,
            Counter::ConflatedEgress,
        ]
        .iter()
        .map(|&counter| self.get(counter))
        .sum()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
