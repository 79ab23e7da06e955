//! Stages on one lane: each calls the next, and nothing is queued between them.
//!
//! A node adds to a stage what the stage must not know: counters, and the stamp that ends its
//! work. Nodes and outlets compose by type, so a lane's whole path is one piece of compiled
//! code.

use std::sync::Arc;

use super::accept::Accept;
use super::control::Control;
use super::outlet::HostOutlet;
use super::trace::Trace;
use crate::capture::Capture;
use crate::messages::wire::{Events, FactorVectors, Predictions, RawEvents};
use crate::messages::{
    Ends, Event, FactorVector, InstrumentId, Marker, Names, Prediction, RawEvent,
};
use crate::os::panic::told;
use crate::stages::{
    Applied, Egress, Factor, FactorPanic, Ingest, ModelPanic, ModelStage, PanicPlace, Sent, Stage,
};
use crate::telemetry::counters::{Counter, Counters};

pub(crate) struct IngestNode<N> {
    pub(crate) stage: Ingest,
    pub(crate) last_sequence: u64,
    pub(crate) capture: Option<Capture>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) next: N,
}

impl<N: Accept<Events>> Accept<RawEvents> for IngestNode<N> {
    #[inline(always)]
    fn accept(&mut self, raw: &RawEvent<'_>, trace: &mut Trace) {
        let sequence = raw.head.sequence;
        let missed = sequence.wrapping_sub(self.last_sequence).wrapping_sub(1);
        if missed != 0 {
            self.counters
                .add(Counter::IngestGap, missed.wrapping_mul(trace.weight()));
        }
        // Numbers grow, except in a rehearsal, which has an old one.
        self.last_sequence = self.last_sequence.max(sequence);
        let (next, capture) = (&mut self.next, &mut self.capture);
        let result = self.stage.on(raw, |mut event| {
            trace.mark(Stage::Ingest);
            if trace.is_rehearsal() {
                trace.rehearsed = event.meta.rehearse();
            }
            let capture = capture.as_mut().filter(|_| !trace.is_rehearsal());
            let _recording = capture.map(|capture| capture.recording(raw));
            next.accept(&event, trace);
        });
        if let Err(refusal) = result {
            trace.mark(Stage::Ingest);
            trace.refused = true;
            self.counters.add(refusal.into(), trace.weight());
        }
    }

    fn on_marker(&mut self, marker: Marker) {
        self.next.on_marker(marker);
    }

    fn prime(&mut self) {
        self.next.prime();
    }

    fn may_rehearse(&self) -> bool {
        self.next.may_rehearse()
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
        if trace.is_rehearsal() {
            self.stage.prefetch(trace.rehearsed, |panic| {
                quarantined_instrument(&self.names, panic, &self.counters, &self.control);
            });
            if trace.breaks_off(Stage::Factor) {
                return self.next.prefetch(trace);
            }
        }
        let (next, counters) = (&mut self.next, &self.counters);
        let applied = self.stage.on(
            event,
            |vector| {
                trace.mark(Stage::Factor);
                // Before the vector is sent on: once the event has been answered, it counts
                // as triggered too.
                counters.add(Counter::Triggered, trace.weight());
                next.accept(&vector, trace);
            },
            |panic| quarantined_instrument(&self.names, panic, counters, &self.control),
        );
        if applied == Applied::HandedOn {
            return;
        }
        trace.mark(Stage::Factor);
        trace.updated_only = true;
        let ended = match applied {
            _ if event.ends == Ends::Copy => Counter::CopiesEnded,
            Applied::Updated => Counter::Updates,
            _ => Counter::RefusedQuarantined,
        };
        counters.add(ended, trace.weight());
    }

    fn on_marker(&mut self, marker: Marker) {
        self.next.on_marker(marker);
    }

    fn prime(&mut self) {
        self.next.prime();
    }

    fn may_rehearse(&self) -> bool {
        self.next.may_rehearse()
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
    if panic.instrument == InstrumentId::SHADOW {
        return control.note(format_args!(
            "factor set {} panicked while it was kept warm (key warm), which harms no event; it is not kept \
             warm any more: {}",
            panic.set,
            told(panic.payload)
        ));
    }
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
    /// Names of the models, in their order.
    pub(crate) names: Vec<String>,
    /// Number of this shard, if there are several.
    pub(crate) shard: Option<usize>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
    pub(crate) next: N,
}

impl<N: Accept<Predictions>> Accept<FactorVectors> for ModelNode<N> {
    #[inline(always)]
    fn accept(&mut self, vector: &FactorVector<'_>, trace: &mut Trace) {
        if trace.is_rehearsal() && trace.breaks_off(Stage::Model) {
            return self.prefetch(trace);
        }
        let (next, counters) = (&mut self.next, &self.counters);
        let answered = self.stage.on(
            vector,
            |prediction| {
                trace.mark(Stage::Model);
                counters.add(Counter::Predicted, trace.weight());
                next.accept(&prediction, trace);
            },
            |panic| quarantined_model(&self.names, self.shard, panic, counters, &self.control),
        );
        if !answered && !trace.is_rehearsal() {
            match vector.ends {
                Ends::Nothing => {}
                Ends::Event => counters.bump(Counter::RefusedQuarantined),
                Ends::Copy => counters.bump(Counter::CopiesEnded),
            }
        }
    }

    fn on_marker(&mut self, marker: Marker) {
        self.next.on_marker(marker);
    }

    fn prime(&mut self) {
        self.stage.prime();
        self.next.prime();
    }

    #[cold]
    #[inline(never)]
    fn prefetch(&mut self, trace: &Trace) {
        let (counters, control) = (&self.counters, &self.control);
        self.stage.prefetch(
            || trace.sees_message(),
            |panic| quarantined_model(&self.names, self.shard, panic, counters, control),
        );
    }

    fn may_rehearse(&self) -> bool {
        self.next.may_rehearse()
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
    let name = names.get(panic.model.index()).map_or("?", String::as_str);
    let of = shard.map_or(String::new(), |shard| format!(" of shard {shard}"));
    let how = match panic.place {
        PanicPlace::Rehearsal => {
            return control.note(format_args!(
                "model {name}{of} panicked while it was kept warm (key warm), which harms no event; it is not \
                 kept warm any more: {}",
                told(panic.payload)
            ));
        }
        PanicPlace::Vector => "it panicked",
        PanicPlace::Reset => "it panicked while it was kept warm, and again in its reset",
    };
    counters.bump(Counter::Panics);
    control.report(format!(
        "model {name}{of} is in quarantine: {how}: {}",
        told(panic.payload)
    ));
}

pub(crate) struct EgressNode {
    pub(crate) stage: Egress,
    /// Whether egress is timed by itself. On a lane with other stages, the publication
    /// carries the stamp that ended the previous stage.
    pub(crate) alone: bool,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
    pub(crate) next: HostOutlet,
}

impl Accept<Predictions> for EgressNode {
    #[inline(always)]
    fn accept(&mut self, prediction: &Prediction<'_>, trace: &mut Trace) {
        if self.alone {
            trace.mark(Stage::Egress);
        }
        let held = self.stage.held();
        let (next, stamp, weight) = (&mut self.next, trace.last(), trace.weight());
        let mut reason = Counter::DroppedEgressRingFull;
        let sent = self.stage.on(prediction, |signal| {
            let sent = next.send(signal, stamp, weight);
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
        self.counters.add(Counter::Signals, weight);
        match prediction.ends {
            Ends::Nothing => {}
            Ends::Event => self.counters.add(Counter::Answered, weight),
            Ends::Copy => self.counters.add(Counter::CopiesEnded, weight),
        }
        if trace.is_rehearsal() {
            self.stage.take_back();
        }
    }

    fn may_rehearse(&self) -> bool {
        self.stage.held() == 0 && self.next.has_room()
    }

    fn on_marker(&mut self, _: Marker) {
        self.control.marker_arrived();
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
            .publish_held(|signal| next.send(signal, stamp, 1).is_ok());
        self.note_held();
    }

    #[cold]
    fn note_held(&self) {
        self.counters.set(Counter::Held, self.stage.held() as u64);
    }
}
