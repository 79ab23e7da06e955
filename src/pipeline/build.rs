//! From a plan to rings, chains of stages and lanes.

use std::sync::Arc;

use super::chain::{Accept, EgressNode, FactorNode, IngestNode, ModelNode};
use super::clock::Clock;
use super::counters::Counters;
use super::hops::{self, Feed, Hop};
use super::idle::Idle;
use super::lane::{Control, Turn, Work};
use super::outlet::{HostOutlet, LaneOutlet};
use super::placement::{Plan, Stage};
use super::ring::{Receiver, Sender, ring};
use super::wire::{self, Encode, Events, FactorVectors, Predictions, RawEvents, Signals, Wire};
use super::word::Word;
use crate::stages::{Egress, Factor, Ingest, ModelStage};

/// The stages of one engine, ready to be dealt out to lanes.
pub(crate) struct Stages {
    pub(crate) ingest: Ingest,
    pub(crate) factor: Factor,
    pub(crate) model: ModelStage,
    /// Book levels that events carry.
    pub(crate) levels: usize,
    /// Length of the factor vector.
    pub(crate) factors: usize,
    /// Most values of a signal.
    pub(crate) outputs: usize,
}

/// Ring sizes, in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingSizes {
    pub(crate) ingest: usize,
    pub(crate) stage: usize,
    pub(crate) egress: usize,
}

/// A built pipeline: both of its ends, and the lanes' work in between.
pub(crate) struct Pipeline {
    pub(crate) events: Sender,
    pub(crate) signals: Receiver,
    /// One a lane, in the order of the path; exactly one for `inline`.
    pub(crate) works: Vec<Box<dyn Turn>>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) feeds: Vec<Feed>,
}

/// Builds the pipeline. Nothing runs yet.
pub(crate) fn build(
    plan: &Plan,
    stages: Stages,
    sizes: RingSizes,
    clock: &Clock,
    control: &Arc<Control>,
    published: &Word,
) -> Pipeline {
    let (events, inlet) = ring(sizes.ingest, wire::raw_words(stages.levels));
    let mut inlet = Some(inlet);
    let (to_host, signals) = ring(sizes.egress, Signals::words(stages.outputs));
    let mut to_host = Some(to_host);
    let mut dealer = Dealer {
        ingest: Some(stages.ingest),
        factor: Some(stages.factor),
        model: Some(stages.model),
    };
    let inline = [Stage::Ingest..=Stage::Egress];
    let lanes: Vec<_> = if plan.is_inline() {
        inline
            .iter()
            .map(|stages| (stages.clone(), Idle::Park))
            .collect()
    } else {
        plan.lanes
            .iter()
            .map(|lane| (lane.stages.clone(), lane.idle))
            .collect()
    };
    let mut pipeline = Pipeline {
        events,
        signals,
        works: Vec::new(),
        counters: Vec::new(),
        feeds: Vec::new(),
    };
    for (stages_of_lane, idle) in lanes {
        let (first, last) = (*stages_of_lane.start(), *stages_of_lane.end());
        let counters = Counters::new();
        let (recorder, feed) = hops::recorder(&hops_of(first, last), clock);
        pipeline.counters.push(counters.clone());
        pipeline.feeds.push(feed);
        let lane_inlet = inlet
            .take()
            .expect("every lane but the last makes the next inlet");
        let tail = if last == Stage::Egress {
            Tail::Host(HostOutlet {
                sender: to_host.take().expect("only the last lane has egress"),
                published: published.clone(),
                count: 0,
                counters: counters.clone(),
            })
        } else {
            let words = match last {
                Stage::Ingest => Events::words(wire::event_values(stages.levels)),
                Stage::Factor => FactorVectors::words(stages.factors),
                Stage::Model | Stage::Egress => Predictions::words(stages.outputs),
            };
            let (sender, next) = ring(sizes.stage, words);
            inlet = Some(next);
            Tail::Lane(LaneOutlet {
                sender,
                idle,
                counters: counters.clone(),
                control: control.clone(),
            })
        };
        let frame = Frame {
            inlet: lane_inlet,
            first,
            clock: clock.clone(),
            recorder,
            counters,
        };
        pipeline.works.push(dealer.work(frame, last, tail));
    }
    pipeline
}

/// The hops that a lane with these stages records.
fn hops_of(first: Stage, last: Stage) -> Vec<Hop> {
    let mut hops = vec![Hop::wait(first)];
    for stage in Stage::ALL {
        if (first..=last).contains(&stage) {
            hops.push(Hop::work(stage));
            if stage == Stage::Factor {
                hops.push(Hop::FactorUpdate);
            }
        }
    }
    hops
}

/// Where a lane's last stage sends.
enum Tail {
    Host(HostOutlet),
    Lane(LaneOutlet),
}

/// What a lane needs besides its stages.
struct Frame {
    inlet: Receiver,
    first: Stage,
    clock: Clock,
    recorder: hops::Recorder,
    counters: Arc<Counters>,
}

impl Frame {
    fn work<W: Wire + 'static>(self, head: impl Accept<W> + Send + 'static) -> Box<dyn Turn> {
        Box::new(Work::<W, _>::new(
            self.inlet,
            self.first,
            head,
            self.clock,
            self.recorder,
        ))
    }

    fn egress(&self, next: HostOutlet) -> EgressNode<HostOutlet> {
        EgressNode {
            stage: Egress::default(),
            alone: self.first == Stage::Egress,
            counters: self.counters.clone(),
            next,
        }
    }
}

/// The stages that have not been given to a lane yet.
struct Dealer {
    ingest: Option<Ingest>,
    factor: Option<Factor>,
    model: Option<ModelStage>,
}

const DEALT: &str = "a plan gives each stage to one lane";

impl Dealer {
    fn ingest<N>(&mut self, frame: &Frame, next: N) -> IngestNode<N> {
        IngestNode {
            stage: self.ingest.take().expect(DEALT),
            last_sequence: 0,
            counters: frame.counters.clone(),
            next,
        }
    }

    fn factor<N>(&mut self, frame: &Frame, next: N) -> FactorNode<N> {
        FactorNode {
            stage: self.factor.take().expect(DEALT),
            counters: frame.counters.clone(),
            next,
        }
    }

    fn model<N>(&mut self, frame: &Frame, next: N) -> ModelNode<N> {
        ModelNode {
            stage: self.model.take().expect(DEALT),
            counters: frame.counters.clone(),
            next,
        }
    }

    /// Composes the stages from the lane's first to its last.
    fn work(&mut self, frame: Frame, last: Stage, tail: Tail) -> Box<dyn Turn> {
        match tail {
            Tail::Host(outlet) => {
                let egress = frame.egress(outlet);
                if frame.first == Stage::Egress {
                    return frame.work::<Predictions>(egress);
                }
                let model = self.model(&frame, egress);
                self.prepend_to_model(frame, model)
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
