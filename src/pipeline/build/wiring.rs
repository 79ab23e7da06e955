//! The rings between lanes: where each lane receives and sends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Setting, Stages, Widths};
use crate::messages::wire::{self, Encode, Events, FactorVectors, Predictions, Signals};
use crate::pipeline::inlet::Merge;
use crate::pipeline::outlet::{HostOutlet, LaneOutlet, ModelsOutlet};
use crate::pipeline::overload::EgressOverload;
use crate::pipeline::plan::LanePlan;
use crate::pipeline::shard_outlet::ShardsOutlet;
use crate::stages::Stage;
use crate::sync::broadcast::{Consumer, Start, broadcast};
use crate::sync::ring::cursors::Cursors;
use crate::sync::ring::{Gauge, Receiver, Sender, ring, ring_at};
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::HeartbeatReader;

/// Where a lane's messages come from.
pub(super) enum LaneInlet {
    Ring(Receiver),
    Share(Consumer),
    Merge(Merge),
}

/// Where a lane's last stage sends.
pub(super) enum Outlet {
    Host(HostOutlet),
    Lane(LaneOutlet),
    Shards(ShardsOutlet),
    Models(ModelsOutlet),
}

/// The rings made so far. Lanes are wired in the order of the path: each finds the inlet
/// that the lanes before it have made.
pub(super) struct Wiring {
    /// Of the lanes to come.
    inlets: VecDeque<LaneInlet>,
    /// From lanes with models, until all of those are there: egress merges them.
    to_merge: Vec<Receiver>,
    to_host: Option<Sender>,
    gauges: Vec<(String, Gauge)>,
    to_host_gauge: Gauge,
    widths: Widths,
    /// Lanes with models: they share out the models, or are shards.
    model_lanes: usize,
}

impl Wiring {
    /// Makes the rings from and to the host; also returns the host's ends.
    pub(super) fn new(
        setting: &Setting,
        stages: &Stages,
        egress: Cursors,
    ) -> (Self, Sender, Receiver) {
        let (widths, rings) = (stages.widths, &setting.rings);
        let (events, inlet) = ring(rings.ingest, wire::raw_words(widths.levels));
        let signal = Signals::words(widths.outputs);
        let (to_host, signals) = ring_at(egress, rings.egress, signal);
        let wiring = Self {
            inlets: VecDeque::from([LaneInlet::Ring(inlet)]),
            to_merge: Vec::new(),
            to_host_gauge: to_host.gauge(),
            to_host: Some(to_host),
            gauges: vec![(Stage::Ingest.name().to_owned(), events.gauge())],
            widths,
            model_lanes: stages.models.len(),
        };
        (wiring, events, signals)
    }

    /// Each ring's name and gauge, in the order of the path.
    pub(super) fn gauges(mut self) -> Vec<(String, Gauge)> {
        let name = Stage::Egress.name().to_owned();
        self.gauges.push((name, self.to_host_gauge));
        self.gauges
    }

    /// The next lane's inlet.
    pub(super) fn inlet(&mut self) -> LaneInlet {
        let next = self.inlets.pop_front();
        next.expect("the lanes before have made this lane's inlet")
    }

    /// This lane's outlet. Makes the inlets of the lanes that it sends to.
    pub(super) fn outlet(
        &mut self,
        setting: &Setting,
        lane: &LanePlan,
        heartbeat: &HeartbeatReader,
        counters: &Arc<Counters>,
    ) -> Outlet {
        let shards = setting.plan.shards;
        let to_lane = |sender| LaneOutlet {
            sender,
            idle: lane.idle,
            patience: heartbeat.patience(),
            counters: counters.clone(),
            control: setting.control.clone(),
        };
        match *lane.stages.end() {
            Stage::Egress => Outlet::Host(HostOutlet {
                sender: self.to_host.take().expect("only the last lane has egress"),
                block: block(setting),
                idle: lane.idle,
                patience: heartbeat.patience(),
                counters: counters.clone(),
                control: setting.control.clone(),
            }),
            Stage::Ingest if shards > 1 => {
                let senders = self.connect_shards(setting.rings.stage, shards);
                let outlets = senders.into_iter().map(to_lane).collect();
                let (pairs, counters) = (self.widths.pairs, counters.clone());
                Outlet::Shards(ShardsOutlet::new(outlets, pairs, counters))
            }
            Stage::Factor if shards == 1 && self.model_lanes > 1 => {
                Outlet::Models(self.connect_model_lanes(setting.rings.stage, counters))
            }
            last => Outlet::Lane(to_lane(self.connect_next(setting.rings.stage, lane, last))),
        }
    }

    fn connect_shards(&mut self, size: usize, shards: usize) -> Vec<Sender> {
        let words = Events::words(wire::event_values(self.widths.levels));
        let senders = (0..shards).map(|shard| {
            let (sender, next) = ring(size, words);
            self.gauges
                .push((format!("stage.factor#{shard}"), sender.gauge()));
            self.inlets.push_back(LaneInlet::Ring(next));
            sender
        });
        senders.collect()
    }

    /// To the lanes that share out the models.
    fn connect_model_lanes(&mut self, size: usize, counters: &Arc<Counters>) -> ModelsOutlet {
        let words = FactorVectors::words(self.widths.factors);
        let (producer, consumers) = broadcast(size, words);
        for share in 0..self.model_lanes {
            let consumer = consumers.register(&format!("model#{share}"), Start::Next);
            self.inlets.push_back(LaneInlet::Share(consumer));
        }
        ModelsOutlet {
            producer,
            lanes: self.model_lanes as u64,
            last_marker: 0,
            counters: counters.clone(),
        }
    }

    fn connect_next(&mut self, size: usize, lane: &LanePlan, last: Stage) -> Sender {
        let widths = self.widths;
        let (words, to) = match last {
            Stage::Ingest => {
                let values = wire::event_values(widths.levels);
                (Events::words(values), Stage::Factor)
            }
            Stage::Factor => (FactorVectors::words(widths.factors), Stage::Model),
            Stage::Model | Stage::Egress => (Predictions::words(widths.outputs), Stage::Egress),
        };
        let (sender, next) = ring(size, words);
        let mut name = format!("stage.{}", to.name());
        if let Some(number) = lane.number() {
            name += &format!("#{number}");
        }
        self.gauges.push((name, sender.gauge()));
        if to == Stage::Egress && self.model_lanes > 1 {
            self.to_merge.push(next);
            if self.to_merge.len() == self.model_lanes {
                let all = Merge::new(std::mem::take(&mut self.to_merge));
                self.inlets.push_back(LaneInlet::Merge(all));
            }
        } else {
            self.inlets.push_back(LaneInlet::Ring(next));
        }
        sender
    }
}

/// How long egress waits for room; `None` gives up at once.
fn block(setting: &Setting) -> Option<Duration> {
    let overload = setting.rings.overload;
    match overload.egress {
        EgressOverload::Block => Some(Duration::from_millis(overload.block_ms)),
        EgressOverload::Conflate | EgressOverload::DropNewest => None,
    }
}
