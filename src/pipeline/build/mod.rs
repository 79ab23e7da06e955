//! From a plan to rings, chains of stages and lanes.
//!
//! | file | what |
//! |---|---|
//! | `wiring` | the rings between lanes: where each lane receives and sends |
//! | `compose` | a lane's stages, composed into one piece of code |

use std::collections::VecDeque;
use std::sync::Arc;

use self::compose::LaneParts;
use self::wiring::Wiring;
use super::control::Control;
use super::idle::Idle;
use super::overload::Overload;
use super::plan::{LanePlan, Plan};
use super::rehearsal::Rehearsing;
use super::stand_in::StandIn;
use super::work::Turn;
use crate::capture::Capture;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::stages::{Egress, Factor, Ingest, ModelStage, Stage};
use crate::sync::ring::cursors::Cursors;
use crate::sync::ring::{Gauge, Receiver, Sender};
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::HeartbeatReader;
use crate::telemetry::hops::Feed;

mod compose;
mod wiring;

/// The stages of one engine. Each lane takes its own out of here.
pub(crate) struct Stages {
    pub(crate) ingest: Option<Ingest>,
    /// Records what ingest takes, if anything does.
    pub(crate) capture: Option<Capture>,
    /// One per shard, in their order.
    pub(crate) factor: VecDeque<Factor>,
    /// One per lane that has models, in their order.
    pub(crate) models: VecDeque<ModelStage>,
    pub(crate) egress: Option<Egress>,
    /// Of the instruments and of the models, for messages.
    pub(crate) names: Arc<Names>,
    pub(crate) model_names: Vec<String>,
    pub(crate) widths: Widths,
}

/// How wide messages are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    /// Most pairs of exchange and symbol.
    pub(crate) pairs: usize,
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
    /// Lanes of several stages time each of them in one message of so many.
    pub(crate) work_every: u32,
}

/// What all lanes of a pipeline have in common.
pub(crate) struct Setting<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) rings: RingPlan,
    pub(crate) clock: &'a Clock,
    pub(crate) control: &'a Arc<Control>,
    /// One per lane; for `inline` one.
    pub(crate) heartbeats: &'a [HeartbeatReader],
    pub(crate) rehearsing: Option<Rehearsing>,
    /// Whether the host's thread does the lane's work while that is away.
    pub(crate) host_stands_in: bool,
}

/// A built pipeline: both of its ends, and the lanes' work in between. Nothing runs yet.
pub(crate) struct Pipeline {
    pub(crate) events: Sender,
    pub(crate) signals: Receiver,
    /// One per lane, in the order of the path; exactly one for `inline`.
    pub(crate) works: Vec<Box<dyn Turn>>,
    /// The same work for the host's thread, if it may do that.
    pub(crate) stand_in: Option<Arc<dyn StandIn>>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) feeds: Vec<Feed>,
    /// One per ring, with its name, in the order of the path.
    pub(crate) gauges: Vec<(String, Gauge)>,
    /// On how many ways a message that goes to every lane arrives at egress.
    pub(crate) ways: u64,
}

impl Pipeline {
    /// Makes the rings, and composes each lane's stages. `egress` is where the ring to
    /// the host keeps its words.
    pub(crate) fn build(setting: &Setting, stages: &mut Stages, egress: Cursors) -> Self {
        let ways = stages.models.len() as u64;
        let (mut wiring, events, signals) = Wiring::new(setting, stages, egress);
        let (mut works, mut counters, mut feeds) = (Vec::new(), Vec::new(), Vec::new());
        for (lane, heartbeat) in lanes(setting.plan).iter().zip(setting.heartbeats) {
            let (parts, feed) = LaneParts::new(setting, lane, heartbeat);
            counters.push(parts.counters.clone());
            feeds.push(feed);
            let inlet = wiring.inlet();
            let outlet = wiring.outlet(setting, lane, heartbeat, &parts.counters);
            works.push(stages.compose(parts, inlet, outlet));
        }
        Self {
            events,
            signals,
            stand_in: works.iter().find_map(|work| work.stand_in()),
            works,
            counters,
            feeds,
            gauges: wiring.gauges(),
            ways,
        }
    }
}

/// The lanes of the plan. Inline the host's thread runs all stages, as one lane would.
fn lanes(plan: &Plan) -> Vec<LanePlan> {
    if !plan.is_inline() {
        return plan.lanes.clone();
    }
    vec![LanePlan {
        stages: Stage::Ingest..=Stage::Egress,
        share: None,
        shard: None,
        core: None,
        idle: Idle::Park,
    }]
}
