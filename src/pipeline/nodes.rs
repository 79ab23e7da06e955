//! Stages on one lane: each calls the next, nothing is queued between them.
//!
//! A node wraps a stage with what the stage must not know: counters and the
//! stamp that ends its work. Nodes and outlets compose by type, so a lane's
//! whole path is one piece of compiled code.

use std::sync::Arc;

use super::control::Control;
use super::outlet::HostOutlet;
use crate::capture::Tap;
use crate::messages::wire::{Events, FactorVectors, Predictions, RawEvents, Wire};
use crate::messages::{Ends, Event, FactorVector, Names, Prediction, RawEvent};
use crate::os::clock::Clock;
use crate::os::panic::told;
use crate::stages::{
    Applied, Egress, Factor, FactorPanic, Ingest, ModelPanic, ModelStage, Sent, Stage,
};
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{Hop, Recorder};

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

/// The times of one message on its way through a lane, TSC ticks.
///
/// They are kept here and recorded after the lane has published, so that the
/// histograms' cost is not on the message's way. A stamp is: of three in a row,
/// each costs what a stage like `test0000` does. So every message is stamped when
/// it is picked up and when its work ends, and the ends of the stages in between
/// in a sample.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Clock,
    /// The stage whose end is always stamped: what the lane publishes bears it.
    ends: Stage,
    sample: Sample,
    sampled: bool,
    picked: u64,
    /// A message may make several of the next stage's: work adds up.
    work: [u64; Stage::ALL.len()],
    /// A bit for each stage that has worked.
    worked: u8,
    updated_only: bool,
    last: u64,
}

impl Trace {
    /// For a lane with these stages that stamps the ends of all in one message
    /// of `every`.
    pub(crate) fn new(clock: Clock, first: Stage, last: Stage, every: u32) -> Self {
        // Egress is timed where it has a lane of its own: elsewhere it is the
        // publication itself.
        let ends = if last == Stage::Egress && first != last {
            Stage::Model
        } else {
            last
        };
        Self {
            sample: Sample::new(if first == ends { 1 } else { every }),
            clock,
            ends,
            sampled: false,
            picked: 0,
            work: [0; Stage::ALL.len()],
            worked: 0,
            updated_only: false,
            last: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.picked = self.clock.stamp();
        self.last = self.picked;
        self.worked = 0;
        self.updated_only = false;
        self.sampled = self.clock.is_on() && self.sample.takes();
    }

    /// Ends a stage's work. Where a stage emits several messages, handing on
    /// the one before counts to the one after it.
    #[inline(always)]
    fn mark(&mut self, stage: Stage) {
        if !self.sampled && stage != self.ends {
            return;
        }
        let now = self.clock.stamp();
        let bit = 1 << stage as u8;
        let before = if self.worked & bit == 0 {
            0
        } else {
            self.work[stage as usize]
        };
        self.work[stage as usize] = before + now.wrapping_sub(self.last);
        self.worked |= bit;
        self.last = now;
    }

    /// A new stamp, for what is published after its own work.
    #[cold]
    fn restamp(&mut self) {
        self.last = self.clock.stamp();
    }

    /// The latest stamp, which a publication carries.
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Records the wait before the lane's first stage, and each stage's work if
    /// the message is in the sample.
    #[inline(always)]
    pub(crate) fn record(&self, first: Stage, published: u64, recorder: &mut Recorder) {
        if !self.clock.is_on() {
            return;
        }
        recorder.record(Hop::wait(first), published, self.picked);
        if self.sampled {
            self.record_work(recorder);
        }
    }

    fn record_work(&self, recorder: &mut Recorder) {
        for stage in Stage::ALL {
            if self.worked & 1 << stage as u8 == 0 {
                continue;
            }
            let hop = if stage == Stage::Factor && self.updated_only {
                Hop::FactorUpdate
            } else {
                Hop::work(stage)
            };
            recorder.record(hop, 0, self.work[stage as usize]);
        }
    }
}

/// Takes one message of so many on average, at random: feeds come in patterns,
/// such as a trade before each Depth, of which a fixed step would see one part.
#[derive(Debug)]
struct Sample {
    every: u32,
    /// Messages until the next that is taken.
    left: u32,
    random: u64,
}

impl Sample {
    /// The first message is taken.
    fn new(every: u32) -> Self {
        Self {
            every,
            left: 1,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    #[inline(always)]
    fn takes(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        self.draw();
        true
    }

    /// Evenly from 1 to twice `every` less 1. Marsaglia, "Xorshift RNGs" (2003).
    fn draw(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let span = 2 * u64::from(self.every) - 1;
        self.left = 1 + (self.random % span) as u32;
    }
}

pub(crate) struct IngestNode<N> {
    pub(crate) stage: Ingest,
    pub(crate) last_sequence: u64,
    pub(crate) tap: Option<Tap>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) next: N,
}

impl<N: Accept<Events>> Accept<RawEvents> for IngestNode<N> {
    #[inline(always)]
    fn accept(&mut self, raw: &RawEvent<'_>, trace: &mut Trace) {
        let sequence = raw.head.sequence;
        let missed = sequence.wrapping_sub(self.last_sequence).wrapping_sub(1);
        if missed != 0 {
            self.counters.add(Counter::IngestGap, missed);
        }
        self.last_sequence = sequence;
        let (next, tap) = (&mut self.next, &mut self.tap);
        let result = self.stage.on(raw, |event| {
            trace.mark(Stage::Ingest);
            let _recording = tap.as_mut().map(|tap| tap.recording(raw));
            next.accept(&event, trace);
        });
        if let Err(refusal) = result {
            trace.mark(Stage::Ingest);
            self.counters.bump(refusal.into());
        }
    }

    fn prime(&mut self) {
        self.next.prime();
    }

    #[inline]
    fn flush(&mut self, trace: &mut Trace) -> bool {
        self.next.flush(trace)
    }

    fn finish(&mut self, trace: &mut Trace) {
        self.next.finish(trace);
    }
}

pub(crate) struct FactorNode<N> {
    pub(crate) stage: Factor,
    pub(crate) names: Arc<Names>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
    pub(crate) next: N,
}

impl<N: Accept<FactorVectors>> Accept<Events> for FactorNode<N> {
    #[inline(always)]
    fn accept(&mut self, event: &Event<'_>, trace: &mut Trace) {
        let (next, counters) = (&mut self.next, &self.counters);
        let applied = self.stage.on(
            event,
            |vector| {
                trace.mark(Stage::Factor);
                // Before it is handed on: once the event has been answered, it
                // counts everywhere on its way.
                counters.bump(Counter::Triggered);
                next.accept(&vector, trace);
            },
            |panic| quarantined_instrument(&self.names, panic, counters, &self.control),
        );
        if applied == Applied::HandedOn {
            return;
        }
        trace.mark(Stage::Factor);
        trace.updated_only = true;
        counters.bump(match applied {
            _ if event.ends == Ends::Copy => Counter::CopiesEnded,
            Applied::Updated => Counter::Updates,
            _ => Counter::RefusedQuarantined,
        });
    }

    fn prime(&mut self) {
        self.next.prime();
    }

    #[inline]
    fn flush(&mut self, trace: &mut Trace) -> bool {
        self.next.flush(trace)
    }

    fn finish(&mut self, trace: &mut Trace) {
        self.next.finish(trace);
    }
}

#[cold]
fn quarantined_instrument(
    names: &Names,
    panic: FactorPanic,
    counters: &Counters,
    control: &Control,
) {
    counters.bump(Counter::Panics);
    let name = names
        .get(panic.instrument)
        .map_or("?", |name| name.as_str());
    control.report(format!(
        "instrument {name} is in quarantine: factor set {} panicked: {}",
        panic.set,
        told(panic.payload)
    ));
}

pub(crate) struct ModelNode<N> {
    pub(crate) stage: ModelStage,
    /// Of the models, in their order.
    pub(crate) names: Vec<String>,
    /// Which of several shards this is.
    pub(crate) shard: Option<usize>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
    pub(crate) next: N,
}

impl<N: Accept<Predictions>> Accept<FactorVectors> for ModelNode<N> {
    #[inline(always)]
    fn accept(&mut self, vector: &FactorVector<'_>, trace: &mut Trace) {
        let (next, counters) = (&mut self.next, &self.counters);
        let answered = self.stage.on(
            vector,
            |prediction| {
                trace.mark(Stage::Model);
                counters.bump(Counter::Predicted);
                next.accept(&prediction, trace);
            },
            |panic| quarantined_model(&self.names, self.shard, panic, counters, &self.control),
        );
        if !answered {
            match vector.ends {
                Ends::Nothing => {}
                Ends::Event => counters.bump(Counter::RefusedQuarantined),
                Ends::Copy => counters.bump(Counter::CopiesEnded),
            }
        }
    }

    fn prime(&mut self) {
        self.stage.prime();
        self.next.prime();
    }

    #[inline]
    fn flush(&mut self, trace: &mut Trace) -> bool {
        self.next.flush(trace)
    }

    fn finish(&mut self, trace: &mut Trace) {
        self.next.finish(trace);
    }
}

#[cold]
fn quarantined_model(
    names: &[String],
    shard: Option<usize>,
    panic: ModelPanic,
    counters: &Counters,
    control: &Control,
) {
    counters.bump(Counter::Panics);
    let name = names.get(panic.model.index()).map_or("?", String::as_str);
    let of = shard.map_or(String::new(), |shard| format!(" of shard {shard}"));
    control.report(format!(
        "model {name}{of} is in quarantine: it panicked: {}",
        told(panic.payload)
    ));
}

pub(crate) struct EgressNode {
    pub(crate) stage: Egress,
    /// Whether egress is timed on its own: on a lane that has other stages the
    /// publication bears the stamp that ended the stage before.
    pub(crate) alone: bool,
    pub(crate) counters: Arc<Counters>,
    pub(crate) next: HostOutlet,
}

impl Accept<Predictions> for EgressNode {
    #[inline(always)]
    fn accept(&mut self, prediction: &Prediction<'_>, trace: &mut Trace) {
        if self.alone {
            trace.mark(Stage::Egress);
        }
        let held = self.stage.held();
        let (next, stamp) = (&mut self.next, trace.last());
        let mut reason = Counter::DroppedEgressRingFull;
        let sent = self.stage.on(prediction, |signal| {
            let sent = next.send(signal, stamp);
            if let Err(lost) = sent {
                reason = lost;
            }
            sent.is_ok()
        });
        match sent {
            Sent::Published | Sent::Held => {}
            Sent::Conflated => self.counters.bump(Counter::ConflatedEgress),
            Sent::Dropped => self.counters.bump(reason),
        }
        if self.stage.held() != held {
            self.note_held();
        }
        self.counters.bump(Counter::Signals);
        match prediction.ends {
            Ends::Nothing => {}
            Ends::Event => self.counters.bump(Counter::Answered),
            Ends::Copy => self.counters.bump(Counter::CopiesEnded),
        }
    }

    #[inline]
    fn flush(&mut self, trace: &mut Trace) -> bool {
        if self.stage.held() > 0 {
            self.publish_held(trace);
        }
        self.stage.held() > 0
    }

    fn finish(&mut self, trace: &mut Trace) {
        self.flush(trace);
        let lost = self.stage.held() as u64;
        self.counters.add(Counter::DroppedEgressStopped, lost);
        self.counters.set(Counter::Held, 0);
    }
}

impl EgressNode {
    #[cold]
    fn publish_held(&mut self, trace: &mut Trace) {
        trace.restamp();
        let (next, stamp) = (&mut self.next, trace.last());
        self.stage
            .publish_held(|signal| next.send(signal, stamp).is_ok());
        self.note_held();
    }

    #[cold]
    fn note_held(&self) {
        self.counters.set(Counter::Held, self.stage.held() as u64);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Sample;

    #[test]
    fn a_sample_takes_its_share_of_any_pattern() {
        for every in [1u32, 2, 16, 1_000] {
            let mut sample = Sample::new(every);
            let mut taken = [0u32; 2];
            let messages = 20_000 * every;
            for message in 0..messages as usize {
                taken[message % 2] += u32::from(sample.takes());
            }
            // Of 20,000 expected the standard deviation is below 100.
            let all = taken[0] + taken[1];
            assert!(all.abs_diff(20_000) < 1_000, "{every}: {all}");
            assert!(taken[0].abs_diff(all / 2) < 1_000, "{every}: {taken:?}");
        }
    }
}
