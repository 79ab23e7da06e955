//! Deals the stages out to lanes, each lane's stages composed into one piece of
//! code.

use std::collections::VecDeque;
use std::sync::Arc;

use super::broadcast::Consumer;
use super::build::Stages;
use super::chain::{Accept, EgressNode, FactorNode, IngestNode, ModelNode, Trace};
use super::control::Control;
use super::counters::Counters;
use super::hops;
use super::inlet::{Inlet, Merge, Share};
use super::lane::{Turn, Work};
use super::outlet::{HostOutlet, LaneOutlet, ModelsOutlet};
use super::placement::Stage;
use super::ring::Receiver;
use super::shards::ShardsOutlet;
use super::wire::{Events, FactorVectors, Predictions, RawEvents, Wire};
use crate::stages::{Egress, Factor, Ingest, ModelStage, Names};
use crate::tap::Tap;

/// Where a lane's last stage sends.
pub(super) enum Tail {
    Host(HostOutlet),
    Lane(LaneOutlet),
    Shards(ShardsOutlet),
    Models(ModelsOutlet),
}

/// Where a lane's messages come from.
pub(super) enum LaneInlet {
    Ring(Receiver),
    Share(Consumer),
    Merge(Merge),
}

/// What a lane needs besides its stages.
pub(super) struct Frame {
    pub(super) inlet: LaneInlet,
    pub(super) first: Stage,
    pub(super) trace: Trace,
    /// Which of several shards.
    pub(super) shard: Option<usize>,
    pub(super) recorder: hops::Recorder,
    pub(super) counters: Arc<Counters>,
    pub(super) control: Arc<Control>,
}

impl Frame {
    /// The lane's work. Each kind of inlet has code of its own.
    fn work<W: Wire + 'static>(self, head: impl Accept<W> + Send + 'static) -> Box<dyn Turn> {
        fn boxed<W: Wire + 'static>(
            inlet: impl Inlet + 'static,
            first: Stage,
            head: impl Accept<W> + Send + 'static,
            (trace, recorder, counters): (Trace, hops::Recorder, Arc<Counters>),
        ) -> Box<dyn Turn> {
            let work = Work::<W, _, _>::new(inlet, first, head, trace, recorder, counters);
            Box::new(work)
        }
        let counters = self.counters.clone();
        let rest = (self.trace, self.recorder, self.counters);
        match self.inlet {
            LaneInlet::Ring(ring) => boxed(ring, self.first, head, rest),
            LaneInlet::Merge(merge) => boxed(merge, self.first, head, rest),
            LaneInlet::Share(consumer) => {
                boxed(Share { consumer, counters }, self.first, head, rest)
            }
        }
    }
}

/// The stages that have not been given to a lane yet.
pub(super) struct Dealer {
    ingest: Option<Ingest>,
    tap: Option<Tap>,
    /// In their order, as the models; a lane takes the first.
    factor: VecDeque<Factor>,
    models: VecDeque<ModelStage>,
    egress: Option<Egress>,
    names: Arc<Names>,
    model_names: Vec<String>,
}

const DEALT: &str = "a plan gives each stage to one lane";

impl Dealer {
    pub(super) fn new(stages: Stages) -> Self {
        Self {
            ingest: Some(stages.ingest),
            tap: stages.tap,
            factor: stages.factor.into(),
            models: stages.models.into(),
            egress: Some(stages.egress),
            names: stages.names,
            model_names: stages.model_names,
        }
    }

    fn ingest<N>(&mut self, frame: &Frame, next: N) -> IngestNode<N> {
        IngestNode {
            stage: self.ingest.take().expect(DEALT),
            last_sequence: 0,
            tap: self.tap.take(),
            counters: frame.counters.clone(),
            next,
        }
    }

    fn factor<N>(&mut self, frame: &Frame, next: N) -> FactorNode<N> {
        FactorNode {
            stage: self.factor.pop_front().expect(DEALT),
            names: self.names.clone(),
            counters: frame.counters.clone(),
            control: frame.control.clone(),
            next,
        }
    }

    fn model<N>(&mut self, frame: &Frame, next: N) -> ModelNode<N> {
        ModelNode {
            stage: self.models.pop_front().expect(DEALT),
            names: self.model_names.clone(),
            shard: frame.shard,
            counters: frame.counters.clone(),
            control: frame.control.clone(),
            next,
        }
    }

    fn egress(&mut self, frame: &Frame, next: HostOutlet) -> EgressNode {
        EgressNode {
            stage: self.egress.take().expect(DEALT),
            alone: frame.first == Stage::Egress,
            counters: frame.counters.clone(),
            next,
        }
    }

    /// Composes the stages from the lane's first to its last.
    pub(super) fn work(&mut self, frame: Frame, last: Stage, tail: Tail) -> Box<dyn Turn> {
        match tail {
            Tail::Host(outlet) => {
                let egress = self.egress(&frame, outlet);
                if frame.first == Stage::Egress {
                    return frame.work::<Predictions>(egress);
                }
                let model = self.model(&frame, egress);
                self.prepend_to_model(frame, model)
            }
            Tail::Shards(outlet) => {
                let ingest = self.ingest(&frame, outlet);
                frame.work::<RawEvents>(ingest)
            }
            Tail::Models(outlet) => {
                let factor = self.factor(&frame, outlet);
                self.prepend_to_factor(frame, factor)
            }
            Tail::Lane(outlet) => match last {
                Stage::Ingest => {
                    let ingest = self.ingest(&frame, outlet);
                    frame.work::<RawEvents>(ingest)
                }
                Stage::Factor => {
                    let factor = self.factor(&frame, outlet);
                    self.prepend_to_factor(frame, factor)
                }
                Stage::Model | Stage::Egress => {
                    let model = self.model(&frame, outlet);
                    self.prepend_to_model(frame, model)
                }
            },
        }
    }

    fn prepend_to_model<N: Accept<Predictions> + Send + 'static>(
        &mut self,
        frame: Frame,
        model: ModelNode<N>,
    ) -> Box<dyn Turn> {
        if frame.first == Stage::Model {
            return frame.work::<FactorVectors>(model);
        }
        let factor = self.factor(&frame, model);
        self.prepend_to_factor(frame, factor)
    }

    fn prepend_to_factor<N: Accept<FactorVectors> + Send + 'static>(
        &mut self,
        frame: Frame,
        factor: FactorNode<N>,
    ) -> Box<dyn Turn> {
        if frame.first == Stage::Factor {
            return frame.work::<Events>(factor);
        }
        let ingest = self.ingest(&frame, factor);
        frame.work::<RawEvents>(ingest)
    }
}
