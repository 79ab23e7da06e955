//! From a blueprint to a running engine.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Engine;
use super::blueprint::Blueprint;
use super::delivery::Delivery;
use super::feeder::{Feeder, Markers};
use super::outputs::Outputs;
use super::places::Places;
use super::poller::Poller;
use super::runtime::{Running, Runtime};
use crate::config::{Config, Deliver};
use crate::error::Error;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::os::memory;
use crate::pipeline::build::{Pipeline, RingPlan, Setting};
use crate::pipeline::control::Control;
use crate::pipeline::lane::PRIMING;
use crate::pipeline::plan::Plan;
use crate::pipeline::work::Turn;
use crate::report::{Latency, Monitor};
use crate::sync::padded::Values;
use crate::sync::ring::cursors::HostCursors;
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::heartbeat;
use crate::telemetry::hops::{self, Hop};

/// Memory that an engine takes for what it makes of its configuration (copies, tables of
/// names, the report's facts), as a multiple of the size of its JSON.
const OF_CONFIG: usize = 40;

/// Makes a large value in a call of its own: the host's thread may have a stack of only
/// 32 KiB. For the same reason, parts of a create are not inlined into each other.
#[inline(never)]
fn shared<T>(make: impl FnOnce() -> T) -> Arc<T> {
    Arc::new(make())
}

/// As [`shared`].
#[inline(never)]
pub(super) fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::new(make())
}

impl Blueprint {
    /// Checks what a start would check beyond this blueprint: the memory that it takes, and the
    /// files that it writes. Makes, empties and keeps nothing.
    ///
    /// # Errors
    ///
    /// As a start.
    #[doc(hidden)]
    pub fn check_start(&self, plan: &Plan) -> Result<(), Error> {
        let config = self.config();
        config.check_paths(self.besides())?;
        let bytes = self.bytes().saturating_add(of_config(config));
        Places::check(bytes, plan.lanes.len() + Outputs::threads(config))?;
        Outputs::check(config)
    }
}

/// Memory that an engine takes for what it makes of its configuration.
fn of_config(config: &Config) -> usize {
    config.bytes().saturating_mul(OF_CONFIG)
}

impl Engine {
    pub(super) fn build(
        blueprint: Box<Blueprint>,
        cursors: HostCursors,
    ) -> Result<Box<Self>, Error> {
        let of_config = of_config(blueprint.config());
        memory::check("an engine", of_config)?;
        let config = &*boxed(|| blueprint.config().clone());
        config.check_paths(blueprint.besides())?;
        let besides = blueprint.besides().to_vec();
        let Places {
            cores,
            plan,
            claims,
            lanes,
            for_others: mut room,
        } = *Places::take(
            config,
            blueprint.bytes().saturating_add(of_config),
            Outputs::threads(config),
        )?;

        let names = Arc::new(Names::new(config.instruments.max));
        let (levels, outputs) = (blueprint.levels(), blueprint.widest_signal());
        let (what, models) = (blueprint.to_string(), blueprint.models().to_vec());
        let callbacks = blueprint.callbacks();
        let rules = config.rules()?;
        let mut stages = blueprint.stages(names.clone(), rules.clone(), plan.shards)?;
        let (files, capture) = Outputs::open(config, levels)?;
        stages.capture = capture;
        // Once more with all files present: two paths of the same file now have the same
        // inode.
        config.check_paths(&besides)?;

        let clock = Clock::new(config.timing);
        let control = shared(|| Control::new(plan.lanes.len()));
        let (heartbeats, readers): (Vec<_>, Vec<_>) = (0..plan.lanes.len().max(1))
            .map(|_| heartbeat(&clock, config.health.stall_us))
            .unzip();
        let setting = Setting {
            plan: &plan,
            rings: ring_plan(config),
            clock: &clock,
            control: &control,
            heartbeats: &readers,
        };
        let mut pipeline = Pipeline::build(&setting, &mut stages, cursors.ring());
        drop(stages);
        let inline = inline(&plan, &mut pipeline);

        let host_counters = Counters::new();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        pipeline.counters.insert(0, host_counters.clone());
        pipeline.feeds.push(feed);
        let report_counters = Counters::new();
        let aside = files.counters().into_iter();
        let aside: Vec<_> = aside.chain([report_counters.clone()]).collect();
        let monitor = shared(|| {
            Monitor::new(
                config.health,
                pipeline.counters,
                aside,
                control.clone(),
                plan.lanes.iter().cloned().zip(readers).collect(),
                pipeline.gauges,
                rules,
            )
        });
        let delivery = Delivery::new(
            config,
            &plan,
            cores.allowed.len(),
            callbacks,
            &clock,
            monitor.clone(),
        );
        let about = about(&what, config, &plan, &delivery);
        let runtime = boxed(|| Runtime {
            running: Mutex::new(Running {
                lanes: Vec::new(),
                claims,
                exporter: None,
                capture: None,
            }),
            about,
            plan,
            control: control.clone(),
            clock: clock.clone(),
            latency: Arc::new(Mutex::new(Latency::new(pipeline.feeds, report_counters))),
            models,
            monitor,
            delivery,
        });

        // From here on, dropping `runtime` stops and joins everything that was started.
        for ((lane, work), heartbeat) in lanes.into_iter().zip(pipeline.works).zip(heartbeats) {
            let (lane, primed) = lane.begin(work, heartbeat, control.clone(), PRIMING);
            runtime.running().lanes.extend(lane);
            primed.map_err(Error::Placement)?;
        }
        files.start(config, &runtime, &cores, &mut room)?;
        runtime.begin_files()?;

        let next = pipeline.signals.address(0).addr() as u64;
        cursors.next.store(next, Ordering::Relaxed);
        Ok(boxed(|| Self {
            feeder: Feeder {
                sender: pipeline.events,
                levels,
                sequence: 0,
                clock: clock.clone(),
                counters: host_counters.clone(),
                control,
                overload: config.overload,
                unread_counted: false,
                markers: Markers::new(pipeline.ways),
                inline,
            },
            poller: Poller {
                signals: pipeline.signals,
                at_host: cursors,
                next_sequence: 1,
                names,
                clock,
                recorder: Some(recorder),
                pending: None,
                counters: host_counters,
                values: Values::new(outputs),
                lent: Default::default(),
            },
            runtime: *runtime,
        }))
    }
}

fn ring_plan(config: &Config) -> RingPlan {
    RingPlan {
        ingest: config.rings.ingest,
        stage: config.rings.stage,
        egress: config.rings.egress,
        overload: config.overload,
        work_every: config.latency.work_every,
    }
}

/// The stages' work, primed, if the host's thread runs it.
fn inline(plan: &Plan, pipeline: &mut Pipeline) -> Option<Box<dyn Turn>> {
    if !plan.is_inline() {
        return None;
    }
    let mut work = pipeline.works.pop()?;
    work.prime();
    Some(work)
}

/// A one-line description of the engine: what runs, where, and how.
#[inline(never)]
fn about(what: &str, config: &Config, plan: &Plan, delivery: &Delivery) -> String {
    let placement = plan.about(&config.placement, config.shards);
    let mut about = format!("{what} placement={placement} lanes={plan}");
    if config.deliver == Deliver::OnData {
        about += &format!(" deliver={}", delivery.about());
    }
    for note in plan.notes.iter().chain(&config.notes()) {
        about += &format!("; {note}");
    }
    about
}
