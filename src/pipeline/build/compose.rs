//! A lane's stages, composed into one piece of code: each node's type has the next one
//! in it, so the compiler sees all of a lane at once.

use std::sync::Arc;

use super::wiring::{LaneInlet, Outlet};
use super::{Setting, Stages};
use crate::messages::wire::{Events, FactorVectors, Predictions, RawEvents, Wire};
use crate::os::clock::Clock;
use crate::pipeline::accept::Accept;
use crate::pipeline::control::Control;
use crate::pipeline::idle::Idle;
use crate::pipeline::inlet::{Inlet, Share};
use crate::pipeline::nodes::{EgressNode, FactorNode, IngestNode, ModelNode};
use crate::pipeline::outlet::HostOutlet;
use crate::pipeline::plan::LanePlan;
use crate::pipeline::rehearsal::{POLLS_PER_LOOK, Rehearsing};
use crate::pipeline::stand_in;
use crate::pipeline::trace::Trace;
use crate::pipeline::work::{Turn, Work};
use crate::stages::Stage;
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::{HeartbeatReader, Rehearsed};
use crate::telemetry::hops::{self, Feed, Hop, Recorder};

const TAKEN: &str = "a plan gives each stage to one lane";
const INLETS: &str = "several lanes come before egress alone, a broadcast before models alone";

/// What a lane needs besides its stages and its inlet.
pub(super) struct LaneParts {
    first: Stage,
    last: Stage,
    /// Which of several shards.
    shard: Option<usize>,
    trace: Trace,
    recorder: Recorder,
    pub(super) counters: Arc<Counters>,
    control: Arc<Control>,
    /// How the lane rehearses, and how many empty polls it makes per look at the clock.
    rehearsing: Option<(Rehearsing, u32)>,
    rehearsed: Rehearsed,
    clock: Clock,
    /// Whether the host's thread may do the lane's work, too.
    is_shared: bool,
}

impl LaneParts {
    pub(super) fn new(
        setting: &Setting,
        lane: &LanePlan,
        heartbeat: &HeartbeatReader,
    ) -> (Self, Feed) {
        let (first, last) = (*lane.stages.start(), *lane.stages.end());
        let (recorder, feed) = hops::recorder(&hops_of(first, last), setting.clock);
        let work_every = setting.rings.work_every;
        let parts = Self {
            first,
            last,
            shard: lane.shard,
            trace: Trace::new(setting.clock.clone(), first, last, work_every),
            recorder,
            counters: Counters::new(),
            control: setting.control.clone(),
            rehearsing: rehearsing(setting, lane),
            rehearsed: heartbeat.rehearsed(),
            clock: setting.clock.clone(),
            is_shared: setting.host_stands_in,
        };
        (parts, feed)
    }

    fn work<W: Wire + 'static>(
        self,
        inlet: impl Inlet + 'static,
        head: impl Accept<W> + Send + 'static,
    ) -> Box<dyn Turn> {
        let (trace, recorder) = (self.trace, self.recorder);
        let watch = inlet.spares().map(|spares| spares.watch);
        let work = Work::<W, _, _>::new(inlet, self.first, head, trace, recorder, self.counters);
        // At once: each further move of it would need room on the stack.
        let mut work = Box::new(work);
        if let Some((how, polls)) = &self.rehearsing {
            work.rehearse(how, &self.clock, *polls, self.rehearsed);
        }
        match watch.filter(|_| self.is_shared) {
            Some(watch) => stand_in::shared(work, watch),
            None => work,
        }
    }
}

/// A lane that gives its core away does not rehearse. On the host's thread each poll is worth a
/// look at the clock: the host may poll seldom.
fn rehearsing(setting: &Setting, lane: &LanePlan) -> Option<(Rehearsing, u32)> {
    let polls = match lane.idle {
        _ if setting.plan.is_inline() => 1,
        // Each idle turn of such a lane comes after many polls.
        Idle::Spin if setting.host_stands_in => 1,
        Idle::Spin => POLLS_PER_LOOK,
        _ => return None,
    };
    setting.rehearsing.map(|how| (how, polls))
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

/// The work of a lane that begins with ingest or factor. Code for inlets that a stage
/// never has would keep the compiler from making one piece of the stages.
fn work_from_ring<W: Wire + 'static>(
    parts: LaneParts,
    inlet: LaneInlet,
    head: impl Accept<W> + Send + 'static,
) -> Box<dyn Turn> {
    match inlet {
        LaneInlet::Ring(ring) => parts.work(ring, head),
        LaneInlet::Share(_) | LaneInlet::Merge(_) => unreachable!("{INLETS}"),
    }
}

fn work_of_models(
    parts: LaneParts,
    inlet: LaneInlet,
    head: impl Accept<FactorVectors> + Send + 'static,
) -> Box<dyn Turn> {
    match inlet {
        LaneInlet::Ring(ring) => parts.work(ring, head),
        LaneInlet::Share(consumer) => {
            let counters = parts.counters.clone();
            parts.work(Share::new(consumer, counters), head)
        }
        LaneInlet::Merge(_) => unreachable!("{INLETS}"),
    }
}

fn work_of_egress(
    parts: LaneParts,
    inlet: LaneInlet,
    head: impl Accept<Predictions> + Send + 'static,
) -> Box<dyn Turn> {
    match inlet {
        LaneInlet::Ring(ring) => parts.work(ring, head),
        LaneInlet::Merge(merge) => parts.work(merge, head),
        LaneInlet::Share(_) => unreachable!("{INLETS}"),
    }
}

impl Stages {
    /// The lane's work: its stages from the first to the last, the outlet behind them.
    pub(super) fn compose(
        &mut self,
        parts: LaneParts,
        inlet: LaneInlet,
        outlet: Outlet,
    ) -> Box<dyn Turn> {
        match outlet {
            Outlet::Host(outlet) => {
                let egress = self.egress_node(&parts, outlet);
                if parts.first == Stage::Egress {
                    return work_of_egress(parts, inlet, egress);
                }
                let model = self.model_node(&parts, egress);
                self.compose_up_to_model(parts, inlet, model)
            }
            Outlet::Shards(outlet) => {
                let ingest = self.ingest_node(&parts, outlet);
                work_from_ring::<RawEvents>(parts, inlet, ingest)
            }
            Outlet::Models(outlet) => {
                let factor = self.factor_node(&parts, outlet);
                self.compose_up_to_factor(parts, inlet, factor)
            }
            Outlet::Lane(outlet) => match parts.last {
                Stage::Ingest => {
                    let ingest = self.ingest_node(&parts, outlet);
                    work_from_ring::<RawEvents>(parts, inlet, ingest)
                }
                Stage::Factor => {
                    let factor = self.factor_node(&parts, outlet);
                    self.compose_up_to_factor(parts, inlet, factor)
                }
                Stage::Model | Stage::Egress => {
                    let model = self.model_node(&parts, outlet);
                    self.compose_up_to_model(parts, inlet, model)
                }
            },
        }
    }

    fn compose_up_to_model<N: Accept<Predictions> + Send + 'static>(
        &mut self,
        parts: LaneParts,
        inlet: LaneInlet,
        model: ModelNode<N>,
    ) -> Box<dyn Turn> {
        if parts.first == Stage::Model {
            return work_of_models(parts, inlet, model);
        }
        let factor = self.factor_node(&parts, model);
        self.compose_up_to_factor(parts, inlet, factor)
    }

    fn compose_up_to_factor<N: Accept<FactorVectors> + Send + 'static>(
        &mut self,
        parts: LaneParts,
        inlet: LaneInlet,
        factor: FactorNode<N>,
    ) -> Box<dyn Turn> {
        if parts.first == Stage::Factor {
            return work_from_ring::<Events>(parts, inlet, factor);
        }
        let ingest = self.ingest_node(&parts, factor);
        work_from_ring::<RawEvents>(parts, inlet, ingest)
    }

    fn ingest_node<N>(&mut self, parts: &LaneParts, next: N) -> IngestNode<N> {
        let control = parts.control.clone();
        let stage = self.ingest.take().expect(TAKEN);
        IngestNode {
            stage: stage.telling(Box::new(move |notice| {
                control.note(format_args!("{notice}"))
            })),
            last_sequence: 0,
            capture: self.capture.take(),
            counters: parts.counters.clone(),
            next,
        }
    }

    fn factor_node<N>(&mut self, parts: &LaneParts, next: N) -> FactorNode<N> {
        FactorNode {
            stage: self.factor.pop_front().expect(TAKEN),
            names: self.names.clone(),
            counters: parts.counters.clone(),
            control: parts.control.clone(),
            next,
        }
    }

    fn model_node<N>(&mut self, parts: &LaneParts, next: N) -> ModelNode<N> {
        ModelNode {
            stage: self.models.pop_front().expect(TAKEN),
            names: self.model_names.clone(),
            shard: parts.shard,
            counters: parts.counters.clone(),
            control: parts.control.clone(),
            next,
        }
    }

    fn egress_node(&mut self, parts: &LaneParts, next: HostOutlet) -> EgressNode {
        EgressNode {
            stage: self.egress.take().expect(TAKEN),
            alone: parts.first == Stage::Egress,
            counters: parts.counters.clone(),
            control: parts.control.clone(),
            next,
        }
    }
}
