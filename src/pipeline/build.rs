//! From a plan to rings, chains of stages and lanes.

use std::sync::Arc;
use std::time::Duration;

use super::chain::{Accept, EgressNode, FactorNode, IngestNode, ModelNode};
use super::clock::Clock;
use super::control::Control;
use super::counters::Counters;
use super::hops::{self, Feed, Hop};
use super::idle::Idle;
use super::lane::{Turn, Work};
use super::outlet::{HostOutlet, LaneOutlet};
use super::overload::{EgressOverload, Overload};
use super::placement::{Plan, Stage};
use super::published::Published;
use super::ring::{Gauge, Receiver, Sender, ring};
use super::wire::{self, Encode, Events, FactorVectors, Predictions, RawEvents, Signals, Wire};
use crate::stages::{Egress, Factor, Ingest, ModelStage, Names};
use crate::tap::Tap;

/// The stages of one engine, ready to be dealt out to lanes.
pub(crate) struct Stages {
    pub(crate) ingest: Ingest,
    /// Records what ingest takes, if anything does.
    pub(crate) tap: Option<Tap>,
    pub(crate) factor: Factor,
    pub(crate) model: ModelStage,
    pub(crate) egress: Egress,
    /// Of the instruments and of the models, for what is said of them.
    pub(crate) names: Arc<Names>,
    pub(crate) model_names: Vec<String>,
    /// Book levels that events carry.
    pub(crate) levels: usize,
    /// Length of the factor vector.
    pub(crate) factors: usize,
    /// Most values of a signal.
    pub(crate) outputs: usize,
}

/// Ring sizes, in messages, and what happens when they are full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingPlan {
    pub(crate) ingest: usize,
    pub(crate) stage: usize,
    pub(crate) egress: usize,
    pub(crate) overload: Overload,
}

/// A built pipeline: both of its ends, and the lanes' work in between.
pub(crate) struct Pipeline {
    pub(crate) events: Sender,
    pub(crate) signals: Receiver,
    pub(crate) published: Arc<Published>,
    /// One a lane, in the order of the path; exactly one for `inline`.
    pub(crate) works: Vec<Box<dyn Turn>>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) feeds: Vec<Feed>,
    /// One a ring, in the order of the path: the stage that it leads to, `None`
    /// for the host.
    pub(crate) gauges: Vec<(Option<Stage>, Gauge)>,
}

/// Builds the pipeline. Nothing runs yet.
pub(crate) fn build(
    plan: &Plan,
    stages: Stages,
    rings: RingPlan,
    clock: &Clock,
    control: &Arc<Control>,
) -> Pipeline {
    let (events, inlet) = ring(rings.ingest, wire::raw_words(stages.levels));
    let mut gauges = vec![(Some(Stage::Ingest), events.gauge())];
    let mut inlet = Some(inlet);
    let (to_host, signals) = ring(rings.egress, Signals::words(stages.outputs));
    let published = Arc::new(Published::default());
    let to_host_gauge = to_host.gauge();
    let mut to_host = Some(to_host);
    let mut dealer = Dealer {
        ingest: Some(stages.ingest),
        tap: stages.tap,
        factor: Some(stages.factor),
        model: Some(stages.model),
        egress: Some(stages.egress),
        names: stages.names,
        model_names: stages.model_names,
    };
    let block = match rings.overload.egress {
        EgressOverload::Block => Some(Duration::from_millis(rings.overload.block_ms)),
        EgressOverload::Conflate | EgressOverload::DropNewest => None,
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
        published: published.clone(),
        works: Vec::new(),
        counters: Vec::new(),
        feeds: Vec::new(),
        gauges: Vec::new(),
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
                block,
                idle,
                counters: counters.clone(),
                control: control.clone(),
            })
        } else {
            let words = match last {
                Stage::Ingest => Events::words(wire::event_values(stages.levels)),
                Stage::Factor => FactorVectors::words(stages.factors),
                Stage::Model | Stage::Egress => Predictions::words(stages.outputs),
            };
            let (sender, next) = ring(rings.stage, words);
            inlet = Some(next);
            let to = Stage::ALL.into_iter().find(|&stage| stage > last);
            gauges.push((to, sender.gauge()));
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
            control: control.clone(),
        };
        pipeline.works.push(dealer.work(frame, last, tail));
    }
    gauges.push((None, to_host_gauge));
    pipeline.gauges = gauges;
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
    control: Arc<Control>,
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
}

/// The stages that have not been given to a lane yet.
struct Dealer {
    ingest: Option<Ingest>,
    tap: Option<Tap>,
    factor: Option<Factor>,
    model: Option<ModelStage>,
    egress: Option<Egress>,
    names: Arc<Names>,
    model_names: Vec<String>,
}

const DEALT: &str = "a plan gives each stage to one lane";

impl Dealer {
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
            stage: self.factor.take().expect(DEALT),
            names: self.names.clone(),
            counters: frame.counters.clone(),
            control: frame.control.clone(),
            next,
        }
    }

    fn model<N>(&mut self, frame: &Frame, next: N) -> ModelNode<N> {
        ModelNode {
            stage: self.model.take().expect(DEALT),
            names: std::mem::take(&mut self.model_names),
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
    fn work(&mut self, frame: Frame, last: Stage, tail: Tail) -> Box<dyn Turn> {
        match tail {
            Tail::Host(outlet) => {
                let egress = self.egress(&frame, outlet);
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
