//! From a blueprint to a running engine.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Engine;
use super::blueprint::Blueprint;
use super::delivery::Delivery;
use super::feeder::{Feeder, Markers};
use super::outputs::Outputs;
use super::places::Places;
use super::poller::{NO_MAX_AGE, Poller};
use super::runtime::{Running, Runtime};
use super::stand_in;
use crate::config::{Config, Deliver};
use crate::error::Error;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::os::machine::group_memory_unknown;
use crate::os::memory;
use crate::pipeline::build::{Pipeline, RingPlan, Setting, Stages};
use crate::pipeline::control::Control;
use crate::pipeline::lane::{PRIMING, Standing};
use crate::pipeline::plan::Plan;
use crate::pipeline::rehearsal::{Looks, Rehearsing};
use crate::pipeline::work::Turn;
use crate::report::{HeldUp, Latency, Monitor, Pins, Waits};
use crate::stages::{Rules, Triggers};
use crate::sync::padded::Values;
use crate::sync::ring::cursors::HostCursors;
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::{Heartbeat, HeartbeatReader, heartbeat};
use crate::telemetry::hops::{self, Hop, Recorder};
use crate::telemetry::slowest::SlowSignal;

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
    /// Checks what a start would check beyond this blueprint: memory, the lanes' threads, and the
    /// files that are written. Makes, empties and keeps nothing.
    ///
    /// # Errors
    ///
    /// As a start.
    #[doc(hidden)]
    pub fn check_start(&self, plan: &Plan) -> Result<(), Error> {
        let config = self.config();
        config.check_paths(self.besides())?;
        let bytes = self.bytes().saturating_add(of_config(config));
        Places::check(plan, config, bytes)?;
        Outputs::check(config)
    }
}

/// Memory that an engine takes for what it makes of its configuration.
fn of_config(config: &Config) -> usize {
    config.bytes().saturating_mul(OF_CONFIG)
}

impl Engine {
    pub(super) fn build(
        blueprint: &mut Blueprint,
        cursors: HostCursors,
    ) -> Result<Box<Self>, Error> {
        let mut places = take_places(blueprint)?;
        let names = Arc::new(Names::new(blueprint.config().instruments.max));
        let rules = blueprint.config().rules()?;
        let shards = places.plan.shards;
        let mut stages = blueprint.stages(names.clone(), rules.clone(), shards)?;
        let files = open_files(blueprint, &mut stages)?;
        let supervision = Supervision::new(blueprint.config(), &places.plan);
        let cores = places.cores.allowed.len();
        let setting = supervision.setting(blueprint.config(), &places.plan, cores);
        let mut pipeline = Pipeline::build(&setting, &mut stages, cursors.ring());
        drop(stages);
        let inline = inline(&places.plan, &mut pipeline);
        let looks = setting.rehearsing.filter(|_| inline.is_some());
        let looks = looks.and_then(|how| Looks::new(how.interval, &supervision.clock));
        let host = HostTelemetry::new(&supervision.clock, &mut pipeline);

        let lanes = std::mem::take(&mut places.lanes);
        let works = std::mem::take(&mut pipeline.works);
        let runtime = runtime(
            blueprint,
            &mut places,
            &supervision,
            &mut pipeline,
            &files,
            (rules, names.clone()),
        );
        let waits = Waits::of(lanes.iter().map(Standing::thread_id));
        let threads = lanes.iter().map(Standing::thread_id);
        let pins = Pins::of(threads.zip(&runtime.plan.lanes));
        runtime.monitor.watched.lanes(waits, pins);
        // From here on, dropping `runtime` stops and joins everything that was started.
        for ((lane, work), heartbeat) in lanes.into_iter().zip(works).zip(supervision.heartbeats) {
            let control = supervision.control.clone();
            let (lane, primed) = lane.begin(work, heartbeat, control, PRIMING);
            runtime.running().lanes.extend(lane);
            primed.map_err(Error::Placement)?;
        }
        let (cores, room) = (&places.cores, &mut places.for_others);
        files.start(blueprint.config(), &runtime, cores, room)?;
        runtime.begin_files()?;

        let max_age = blueprint.config().max_age_us;
        let ticks = |us: u64| supervision.clock.ticks(us * 1000);
        let max_age = max_age.map_or(NO_MAX_AGE, ticks);
        let next = pipeline.signals.address(0).addr() as u64;
        cursors.next.store(next, Ordering::Relaxed);
        Ok(boxed(|| Self {
            feeder: Feeder {
                sender: pipeline.events,
                levels: blueprint.levels(),
                sequence: 0,
                clock: supervision.clock.clone(),
                counters: host.counters.clone(),
                control: supervision.control,
                overload: blueprint.config().overload,
                unread_counted: false,
                markers: Markers::new(pipeline.ways),
                inline,
                stand_in: runtime.delivery.stand_in.clone(),
                looks,
            },
            poller: Poller {
                signals: pipeline.signals,
                at_host: cursors,
                next_sequence: 1,
                max_age,
                names,
                clock: supervision.clock,
                recorder: Some(host.recorder),
                last: SlowSignal::NONE,
                is_pending: false,
                counters: host.counters,
                values: Values::new(blueprint.widest_signal()),
                lent: Default::default(),
            },
            runtime: *runtime,
        }))
    }
}

/// Takes cores and memory, once everything that can be refused without them has been checked.
#[inline(never)]
fn take_places(blueprint: &Blueprint) -> Result<Box<Places>, Error> {
    let config = blueprint.config();
    let of_config = of_config(config);
    memory::check("an engine", of_config)?;
    config.check_paths(blueprint.besides())?;
    let bytes = blueprint.bytes().saturating_add(of_config);
    Places::take(config, bytes)
}

/// Opens the files that the engine writes. Gives ingest its end of the capture.
#[inline(never)]
fn open_files(blueprint: &Blueprint, stages: &mut Stages) -> Result<Outputs, Error> {
    let config = blueprint.config();
    let (files, capture) = Outputs::open(config, blueprint.levels())?;
    stages.capture = capture;
    // Once more with all files present: two paths of the same file now have the same inode.
    config.check_paths(blueprint.besides())?;
    Ok(files)
}

/// How the lanes are timed, stopped and watched.
struct Supervision {
    clock: Clock,
    control: Arc<Control>,
    /// One per lane; for `inline` one.
    heartbeats: Vec<Heartbeat>,
    readers: Vec<HeartbeatReader>,
}

impl Supervision {
    #[inline(never)]
    fn new(config: &Config, plan: &Plan) -> Self {
        let clock = Clock::new(config.timing);
        let lanes = plan.lanes.len();
        let (heartbeats, readers) = (0..lanes.max(1))
            .map(|_| heartbeat(&clock, config.health.stall_us))
            .unzip();
        Self {
            clock,
            control: shared(|| Control::new(lanes)),
            heartbeats,
            readers,
        }
    }

    fn setting<'a>(&'a self, config: &Config, plan: &'a Plan, cores: usize) -> Setting<'a> {
        let host_stands_in = stand_in::host_stands_in(config, plan, cores);
        Setting {
            plan,
            host_stands_in,
            rings: ring_plan(config),
            clock: &self.clock,
            control: &self.control,
            heartbeats: &self.readers,
            rehearsing: config.warm.interval().map(|interval| Rehearsing {
                interval,
                triggers: Triggers::new(&config.trigger),
                is_shared: host_stands_in,
            }),
        }
    }
}

/// What the host's thread counts and times.
struct HostTelemetry {
    counters: Arc<Counters>,
    recorder: Recorder,
}

impl HostTelemetry {
    /// Adds them to the pipeline's, the counters before those of the lanes.
    fn new(clock: &Clock, pipeline: &mut Pipeline) -> Self {
        let counters = Counters::new();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], clock);
        pipeline.counters.insert(0, counters.clone());
        pipeline.feeds.push(feed);
        Self { counters, recorder }
    }
}

/// The engine without its two ends. Nothing runs yet.
#[inline(never)]
fn runtime(
    blueprint: &Blueprint,
    places: &mut Places,
    supervision: &Supervision,
    pipeline: &mut Pipeline,
    files: &Outputs,
    (rules, names): (Rules, Arc<Names>),
) -> Box<Runtime> {
    let (config, plan) = (blueprint.config(), places.plan.clone());
    let (clock, control) = (&supervision.clock, &supervision.control);
    let report_counters = Counters::new();
    let of_files = files.counters().into_iter();
    let aside: Vec<_> = of_files.chain([report_counters.clone()]).collect();
    let readers = supervision.readers.iter().cloned();
    let monitor = shared(|| {
        Monitor::new(
            config.health,
            std::mem::take(&mut pipeline.counters),
            aside,
            control.clone(),
            plan.lanes.iter().cloned().zip(readers).collect(),
            std::mem::take(&mut pipeline.gauges),
            rules,
        )
    });
    let watch = places.claims.watch();
    monitor.watched.claims(watch, clock.clone());
    let has_report = config.latency.dir.is_some();
    let held_up = HeldUp::new(has_report, !plan.sleeps());
    monitor.watched.quota(held_up);
    let delivery = Delivery::new(
        config,
        &plan,
        places.cores.allowed.len(),
        blueprint.callbacks(),
        clock,
        monitor.clone(),
        pipeline.stand_in.take(),
    );
    let mut about = about(blueprint, &plan, &delivery, clock);
    for made in files.made() {
        about += &format!("; {made}");
    }
    let lanes = plan.lanes.iter().filter_map(|lane| lane.core);
    let cores_aside = places.cores.aside(lanes);
    let feeds = std::mem::take(&mut pipeline.feeds);
    boxed(|| Runtime {
        running: Mutex::new(Running {
            lanes: Vec::new(),
            claims: std::mem::take(&mut places.claims),
            exporter: None,
            capture: None,
        }),
        about,
        plan,
        control: control.clone(),
        clock: clock.clone(),
        latency: Arc::new(Mutex::new(Latency::new(feeds, report_counters, names))),
        models: blueprint.models().to_vec(),
        monitor,
        delivery,
        aside: cores_aside,
    })
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
fn about(blueprint: &Blueprint, plan: &Plan, delivery: &Delivery, clock: &Clock) -> String {
    let config = blueprint.config();
    let placement = plan.about(&config.placement, config.shards);
    let mut about = format!("{blueprint} placement={placement} lanes={plan}");
    let warm = plan.rehearses(config.warm).filter(|_| clock.reads_tsc());
    if let Some(interval) = warm {
        about += &format!(" warm={}us", interval.as_micros());
    }
    if !plan.is_inline() {
        about += &config.scheduling().about();
    }
    if config.deliver == Deliver::OnData {
        about += &format!(" deliver={}", delivery.about());
    }
    let notes = plan.notes.iter().cloned().chain(group_memory_unknown());
    for note in notes.chain(config.notes(plan)) {
        about += &format!("; {note}");
    }
    about
}
