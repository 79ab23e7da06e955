//! Deals the stages out to lanes, each lane's stages composed into one piece of
//! code.

use std::collections::VecDeque;
use std::sync::Arc;

use super::build::Stages;
use super::control::Control;
use super::inlet::{Inlet, Merge, Share};
use super::lane::{Turn, Work};
use super::nodes::{Accept, EgressNode, FactorNode, IngestNode, ModelNode, Trace};
use super::outlet::{HostOutlet, LaneOutlet, ModelsOutlet};
use super::shard_outlet::ShardsOutlet;
use crate::capture::Tap;
use crate::messages::Names;
use crate::messages::wire::{Events, FactorVectors, Predictions, RawEvents, Wire};
use crate::stages::Stage;
use crate::stages::{Egress, Factor, Ingest, ModelStage};
use crate::sync::broadcast::Consumer;
use crate::sync::ring::Receiver;
use crate::telemetry::counters::Counters;
use crate::telemetry::hops;

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
    pub(super) rest: Rest,
}

/// All of it but the inlet.
pub(super) struct Rest {
    pub(super) first: Stage,
    pub(super) trace: Trace,
    /// Which of several shards.
    pub(super) shard: Option<usize>,
    pub(super) recorder: hops::Recorder,
    pub(super) counters: Arc<Counters>,
    pub(super) control: Arc<Control>,
}

const INLETS: &str = "several lanes come before egress alone, a broadcast before models alone";

impl Frame {
    /// The work of a lane behind a ring. Code for inlets that a stage never has
    /// would keep the compiler from making one piece of the stages.
    fn work<W: Wire + 'static>(self, head: impl Accept<W> + Send + 'static) -> Box<dyn Turn> {
        match self.inlet {
            LaneInlet::Ring(ring) => self.rest.boxed(ring, head),
            LaneInlet::Share(_) | LaneInlet::Merge(_) => unreachable!("{INLETS}"),
        }
    }

    fn work_of_models(self, head: impl Accept<FactorVectors> + Send + 'static) -> Box<dyn Turn> {
        match self.inlet {
            LaneInlet::Ring(ring) => self.rest.boxed(ring, head),
            LaneInlet::Share(consumer) => {
                let counters = self.rest.counters.clone();
                self.rest.boxed(Share { consumer, counters }, head)
            }
            LaneInlet::Merge(_) => unreachable!("{INLETS}"),
        }
    }

    fn work_of_egress(self, head: impl Accept<Predictions> + Send + 'static) -> Box<dyn Turn> {
        match self.inlet {
            LaneInlet::Ring(ring) => self.rest.boxed(ring, head),
            LaneInlet::Merge(merge) => self.rest.boxed(merge, head),
            LaneInlet::Share(_) => unreachable!("{INLETS}"),
        }
    }
}

impl Rest {
    fn boxed<W: Wire + 'static>(
        self,
        inlet: impl Inlet + 'static,
        head: impl Accept<W> + Send + 'static,
    ) -> Box<dyn Turn> {
        let Self {
            first,
            trace,
            recorder,
            counters,
            ..
        } = self;
        let work = Work::<W, _, _>::new(inlet, first, head, trace, recorder, counters);
        Box::new(work)
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
            counters: frame.rest.counters.clone(),
            next,
        }
    }

    fn factor<N>(&mut self, frame: &Frame, next: N) -> FactorNode<N> {
        FactorNode {
            stage: self.factor.pop_front().expect(DEALT),
            names: self.names.clone(),
            counters: frame.rest.counters.clone(),
            control: frame.rest.control.clone(),
            next,
        }
    }

    fn model<N>(&mut self, frame: &Frame, next: N) -> ModelNode<N> {
        ModelNode {
            stage: self.models.pop_front().expect(DEALT),
            names: self.model_names.clone(),
            shard: frame.rest.shard,
            counters: frame.rest.counters.clone(),
            control: frame.rest.control.clone(),
            next,
        }
    }

    fn egress(&mut self, frame: &Frame, next: HostOutlet) -> EgressNode {
        EgressNode {
            stage: self.egress.take().expect(DEALT),
            alone: frame.rest.first == Stage::Egress,
            counters: frame.rest.counters.clone(),
            next,
        }
    }

    /// Composes the stages from the lane's first to its last.
    pub(super) fn work(&mut self, frame: Frame, last: Stage, tail: Tail) -> Box<dyn Turn> {
        match tail {
            Tail::Host(outlet) => {
                let egress = self.egress(&frame, outlet);
                if frame.rest.first == Stage::Egress {
                    return frame.work_of_egress(egress);
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
        if frame.rest.first == Stage::Model {
            return frame.work_of_models(model);
        }
        let factor = self.factor(&frame, model);
        self.prepend_to_factor(frame, factor)
    }

    fn prepend_to_factor<N: Accept<FactorVectors> + Send + 'static>(
        &mut self,
        frame: Frame,
        factor: FactorNode<N>,
    ) -> Box<dyn Turn> {
        if frame.rest.first == Stage::Factor {
            return frame.work::<Events>(factor);
        }
        let ingest = self.ingest(&frame, factor);
        frame.work::<RawEvents>(ingest)
    }
}
