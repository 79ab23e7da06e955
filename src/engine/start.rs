//! From a blueprint to a running engine.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Engine;
use super::blueprint::Blueprint;
use super::delivery::Delivery;
use super::feeder::Feeder;
use super::places::Places;
use super::poller::Poller;
use super::runtime::{Running, Runtime};
use crate::capture::{Capture, Writer};
use crate::config::Deliver;
use crate::error::Error;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::os::files::Output;
use crate::os::memory;
use crate::pipeline::build::{Pipeline, RingPlan, Setting};
use crate::pipeline::control::Control;
use crate::pipeline::lane::PRIMING;
use crate::report::{Exporter, Facts, Latency, Monitor, ReportFiles};
use crate::sync::padded::Values;
use crate::sync::ring::cursors::HostCursors;
use crate::telemetry::counters::Counters;
use crate::telemetry::heartbeat::heartbeat;
use crate::telemetry::hops::{self, Hop};

/// What an engine makes of its configuration takes, in the size of its JSON: copies,
/// tables of names, what the report says of it.
const OF_CONFIG: usize = 40;

/// What is large is made in a call of its own: the host's thread may have a stack of
/// 32 KiB.
#[inline(never)]
fn shared<T>(make: impl FnOnce() -> T) -> Arc<T> {
    Arc::new(make())
}

#[inline(never)]
fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::new(make())
}

impl Engine {
    pub(super) fn build(blueprint: Blueprint, cursors: HostCursors) -> Result<Self, Error> {
        let of_config = blueprint.config().bytes().saturating_mul(OF_CONFIG);
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
        } = Places::take(
            config,
            blueprint.bytes().saturating_add(of_config),
            usize::from(config.latency.dir.is_some()) + usize::from(config.capture.file.is_some()),
        )?;
        let names = Arc::new(Names::new(blueprint.config().instruments.max));
        let levels = blueprint.levels();
        let outputs = blueprint.widest_signal();
        let what = blueprint.to_string();
        let models = blueprint.models().to_vec();
        let callbacks = blueprint.callbacks();
        let rules = config.rules()?;
        let mut stages = blueprint.stages(names.clone(), rules.clone(), plan.shards)?;
        // Opened here, and emptied when all else has succeeded: what is refused destroys
        // nothing.
        let report = config.latency.dir.as_deref().map(ReportFiles::open);
        let report = report.transpose().map_err(Error::Report)?;
        let mut captured = None;
        if let Some(file) = &config.capture.file {
            let (producer, events) = Capture::new(config.capture.buffer, levels);
            stages.capture = Some(producer);
            let opened = Output::open(file).map_err(Error::Capture)?;
            captured = Some((opened, events, Counters::new()));
        }
        // Once more, with all of them there: what is one file has one inode now.
        config.check_paths(&besides)?;
        let clock = Clock::new(config.timing);
        let control = shared(|| Control::new(plan.lanes.len()));
        let (heartbeats, readers): (Vec<_>, Vec<_>) = (0..plan.lanes.len().max(1))
            .map(|_| heartbeat(&clock, config.health.stall_us))
            .unzip();
        let rings = RingPlan {
            ingest: config.rings.ingest,
            stage: config.rings.stage,
            egress: config.rings.egress,
            overload: config.overload,
            work_every: config.latency.work_every,
        };
        let setting = Setting {
            plan: &plan,
            rings,
            clock: &clock,
            control: &control,
            heartbeats: &readers,
        };
        let mut pipeline = Pipeline::build(&setting, stages, cursors.ring());
        let host_counters = Counters::new();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        pipeline.counters.insert(0, host_counters.clone());
        let report_counters = Counters::new();
        let aside = captured.iter().map(|(_, _, counters)| counters.clone());
        let aside: Vec<_> = aside.chain([report_counters.clone()]).collect();
        pipeline.feeds.push(feed);
        let mut inline = if plan.is_inline() {
            pipeline.works.pop()
        } else {
            None
        };
        if let Some(work) = &mut inline {
            work.prime();
        }
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
        let placement = plan.about(&config.placement, config.shards);
        let mut about = format!("{what} placement={placement} lanes={plan}");
        if config.deliver == Deliver::OnData {
            about += &format!(" deliver={}", delivery.about());
        }
        for note in &plan.notes {
            about += &format!("; {note}");
        }
        let runtime = Runtime {
            running: Mutex::new(Running {
                lanes: Vec::new(),
                claims,
                exporter: None,
                capture: None,
            }),
            plan,
            control: control.clone(),
            clock: clock.clone(),
            latency: Arc::new(Mutex::new(Latency::new(pipeline.feeds, report_counters))),
            about,
            models,
            monitor,
            delivery,
        };
        // From here on, dropping `runtime` stops and joins what has been started.
        for ((lane, work), heartbeat) in lanes.into_iter().zip(pipeline.works).zip(heartbeats) {
            let (lane, primed) = lane.begin(work, heartbeat, control.clone(), PRIMING);
            runtime.running().lanes.extend(lane);
            primed.map_err(Error::Placement)?;
        }
        if let Some(files) = report {
            room.give_back(memory::of_a_thread());
            let facts = Facts::new(config, &runtime.plan, &cores, &clock);
            let exporter = Exporter::start(
                files,
                config.latency.interval_ms,
                runtime.latency.clone(),
                clock.clone(),
                runtime.monitor.clone(),
                facts,
                cores.aside(runtime.plan.lanes.iter().filter_map(|lane| lane.core)),
            )
            .map_err(Error::Report)?;
            runtime.running().exporter = Some(exporter);
        }
        if let Some((opened, events, counters)) = captured {
            room.give_back(memory::of_a_thread());
            let aside = cores.aside(runtime.plan.lanes.iter().filter_map(|lane| lane.core));
            let writer = Writer::start(opened, events, levels, clock.clone(), counters, aside);
            runtime.running().capture = Some(writer.map_err(Error::Capture)?);
        }
        runtime.begin_files()?;
        let next = pipeline.signals.address(0).addr() as u64;
        cursors.next.store(next, Ordering::Relaxed);
        Ok(Self {
            feeder: Feeder {
                sender: pipeline.events,
                levels,
                sequence: 0,
                clock: clock.clone(),
                counters: host_counters.clone(),
                control,
                overload: config.overload,
                unread_counted: false,
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
            runtime,
        })
    }
}
