//! From a plan to rings, chains of stages and lanes, each lane's stages composed
//! into one piece of code.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::accept::Accept;
use super::control::Control;
use super::idle::Idle;
use super::inlet::{Inlet, Merge, Share};
use super::lane::{Turn, Work};
use super::nodes::{EgressNode, FactorNode, IngestNode, ModelNode};
use super::outlet::{HostOutlet, LaneOutlet, ModelsOutlet};
use super::overload::{EgressOverload, Overload};
use super::plan::{LanePlan, Plan};
use super::shard_outlet::ShardsOutlet;
use super::trace::Trace;
use crate::capture::Tap;
use crate::messages::Names;
use crate::messages::wire::{
    self, Encode, Events, FactorVectors, Predictions, RawEvents, Signals, Wire,
};
use crate::os::clock::Clock;
use crate::stages::{Egress, Factor, Ingest, ModelStage, Stage};
use crate::sync::broadcast::{Consumer, Start, broadcast};
use crate::sync::ring::cursors::Words;
use crate::sync::ring::{Gauge, Receiver, Sender, ring, ring_at};
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::Vitals;
use crate::telemetry::hops::{self, Feed, Hop};

/// The stages of one engine, ready to be dealt out to lanes.
pub(crate) struct Stages {
    pub(crate) ingest: Ingest,
    /// Records what ingest takes, if anything does.
    pub(crate) tap: Option<Tap>,
    /// One a shard.
    pub(crate) factor: Vec<Factor>,
    /// One a lane that has models.
    pub(crate) models: Vec<ModelStage>,
    pub(crate) egress: Egress,
    /// Most pairs of exchange and symbol.
    pub(crate) pairs: usize,
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
    /// Lanes of several stages time each in one message of so many.
    pub(crate) work_every: u32,
}

/// A built pipeline: both of its ends, and the lanes' work in between.
pub(crate) struct Pipeline {
    pub(crate) events: Sender,
    pub(crate) signals: Receiver,
    /// One a lane, in the order of the path; exactly one for `inline`.
    pub(crate) works: Vec<Box<dyn Turn>>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) feeds: Vec<Feed>,
    /// One a ring, with its name, in the order of the path.
    pub(crate) gauges: Vec<(String, Gauge)>,
}

/// Builds the pipeline. Nothing runs yet. There is one of `vitals` for each lane,
/// and for `inline` one.
pub(crate) fn build(
    plan: &Plan,
    stages: Stages,
    rings: RingPlan,
    clock: &Clock,
    control: &Arc<Control>,
    to_host: Words,
    vitals: &[Vitals],
) -> Pipeline {
    let (events, inlet) = ring(rings.ingest, wire::raw_words(stages.levels));
    let mut gauges = vec![(Stage::Ingest.name().to_owned(), events.gauge())];
    // Of the lanes to come.
    let mut inlets = VecDeque::from([LaneInlet::Ring(inlet)]);
    let mut merged = Vec::new();
    let (to_host, signals) = ring_at(to_host, rings.egress, Signals::words(stages.outputs));
    let to_host_gauge = to_host.gauge();
    let mut to_host = Some(to_host);
    // Lanes with models, be they shares of the models or shards.
    let model_lanes = stages.models.len();
    let (levels, factors, outputs) = (stages.levels, stages.factors, stages.outputs);
    let pairs = stages.pairs;
    let mut dealer = Dealer::new(stages);
    let block = match rings.overload.egress {
        EgressOverload::Block => Some(Duration::from_millis(rings.overload.block_ms)),
        EgressOverload::Conflate | EgressOverload::DropNewest => None,
    };
    // Inline the host's thread runs all stages, as one lane would.
    let inline = [LanePlan {
        stages: Stage::Ingest..=Stage::Egress,
        share: None,
        shard: None,
        core: None,
        idle: Idle::Park,
    }];
    let lanes = if plan.is_inline() {
        &inline[..]
    } else {
        &plan.lanes
    };
    let mut pipeline = Pipeline {
        events,
        signals,
        works: Vec::new(),
        counters: Vec::new(),
        feeds: Vec::new(),
        gauges: Vec::new(),
    };
    for (lane, vitals) in lanes.iter().zip(vitals) {
        let (first, last) = (*lane.stages.start(), *lane.stages.end());
        let counters = Counters::new();
        let (recorder, feed) = hops::recorder(&hops_of(first, last), clock);
        pipeline.counters.push(counters.clone());
        pipeline.feeds.push(feed);
        let inlet = inlets
            .pop_front()
            .expect("the lanes before have made this lane's inlet");
        let tail = if last == Stage::Egress {
            Tail::Host(HostOutlet {
                sender: to_host.take().expect("only the last lane has egress"),
                block,
                idle: lane.idle,
                patience: vitals.patience(),
                counters: counters.clone(),
                control: control.clone(),
            })
        } else if last == Stage::Ingest && plan.shards > 1 {
            let mut outlets = Vec::new();
            for shard in 0..plan.shards {
                let (sender, next) = ring(rings.stage, Events::words(wire::event_values(levels)));
                gauges.push((format!("stage.factor#{shard}"), sender.gauge()));
                inlets.push_back(LaneInlet::Ring(next));
                outlets.push(LaneOutlet {
                    sender,
                    idle: lane.idle,
                    patience: vitals.patience(),
                    counters: counters.clone(),
                    control: control.clone(),
                });
            }
            Tail::Shards(ShardsOutlet::new(outlets, pairs, counters.clone()))
        } else if last == Stage::Factor && plan.shards == 1 && model_lanes > 1 {
            let (producer, consumers) = broadcast(rings.stage, FactorVectors::words(factors));
            for share in 0..model_lanes {
                let consumer = consumers.register(&format!("model#{share}"), Start::Next);
                inlets.push_back(LaneInlet::Share(consumer));
            }
            Tail::Models(ModelsOutlet {
                producer,
                lanes: model_lanes as u64,
                counters: counters.clone(),
            })
        } else {
            let (words, to) = match last {
                Stage::Ingest => (Events::words(wire::event_values(levels)), Stage::Factor),
                Stage::Factor => (FactorVectors::words(factors), Stage::Model),
                Stage::Model | Stage::Egress => (Predictions::words(outputs), Stage::Egress),
            };
            let (sender, next) = ring(rings.stage, words);
            let mut name = format!("stage.{}", to.name());
            if let Some(number) = lane.number() {
                name += &format!("#{number}");
            }
            if to == Stage::Egress && model_lanes > 1 {
                merged.push(next);
                if merged.len() == model_lanes {
                    let all = Merge::new(std::mem::take(&mut merged));
                    inlets.push_back(LaneInlet::Merge(all));
                }
            } else {
                inlets.push_back(LaneInlet::Ring(next));
            }
            gauges.push((name, sender.gauge()));
            Tail::Lane(LaneOutlet {
                sender,
                idle: lane.idle,
                patience: vitals.patience(),
                counters: counters.clone(),
                control: control.clone(),
            })
        };
        let rest = Rest {
            first,
            trace: Trace::new(clock.clone(), first, last, rings.work_every),
            shard: lane.shard,
            recorder,
            counters,
            control: control.clone(),
        };
        let frame = Frame { inlet, rest };
        pipeline.works.push(dealer.work(frame, last, tail));
    }
    gauges.push((Stage::Egress.name().to_owned(), to_host_gauge));
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
    Shards(ShardsOutlet),
    Models(ModelsOutlet),
}

/// Where a lane's messages come from.
enum LaneInlet {
    Ring(Receiver),
    Share(Consumer),
    Merge(Merge),
}

/// What a lane needs besides its stages.
struct Frame {
    inlet: LaneInlet,
    rest: Rest,
}

/// All of it but the inlet.
struct Rest {
    first: Stage,
    trace: Trace,
    /// Which of several shards.
    shard: Option<usize>,
    recorder: hops::Recorder,
    counters: Arc<Counters>,
    control: Arc<Control>,
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
struct Dealer {
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
    fn new(stages: Stages) -> Self {
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
        let control = frame.rest.control.clone();
        let stage = self.ingest.take().expect(DEALT);
        IngestNode {
            stage: stage.telling(Box::new(move |notice| {
                control.note(format_args!("{notice}"))
            })),
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
    fn work(&mut self, frame: Frame, last: Stage, tail: Tail) -> Box<dyn Turn> {
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
