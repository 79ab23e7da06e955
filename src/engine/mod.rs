//! The engine: what C hosts (through [`ffi`](crate::ffi)) and Rust hosts use.
//!
//! | file | what |
//! |---|---|
//! | `blueprint` | what a configuration asks for, checked, before anything runs |
//! | `feeder` | where the host's events go in |
//! | `poller` | where signals come out |
//! | `batch` | signals handed out in place |
//! | `delivery` | how long the host waits for signals in `on_data` |

use std::ffi::CStr;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::abi::HostEvent;
use crate::capture::{Tap, Writer};
use crate::config::{Config, Deliver};
use crate::error::Error;
use crate::messages::{Name, Names, Signal};
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::os::memory;
use crate::os::panic::{quietly, told};
use crate::pipeline::build::{self, RingPlan};
use crate::pipeline::control::{Control, LONGEST_FAREWELL};
use crate::pipeline::lane::Lane;
use crate::pipeline::plan::Plan;
use crate::report::{Exporter, Facts, HopSummary, Latency, Monitor};
pub use crate::report::{Health, HealthState, LaneReport, RingReport};
use crate::sync::padded::Values;
use crate::sync::ring::cursors::AtHost;
use crate::telemetry::counters::{Counters, Snapshot};
use crate::telemetry::heartbeat::pulse;
use crate::telemetry::hops::{self, Hop};
use crate::{factors, models};

mod batch;
mod blueprint;
mod delivery;
mod feeder;
mod poller;

pub(crate) use delivery::{Delivery, Wait};

pub use batch::Batch;
pub use blueprint::{Blueprint, ModelInfo};
pub use feeder::Feeder;
pub use poller::Poller;

/// The factor sets and models that a configuration can name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Factor sets.
    pub factors: factors::Registry,
    /// Models.
    pub models: models::Registry,
}

/// A running engine. Dropping it stops and joins its lanes and writes the
/// latency report, if one is configured.
///
/// Both of its ends belong to one thread, the host's: the [`Feeder`] takes
/// events, the [`Poller`] hands out signals.
pub struct Engine {
    feeder: Feeder,
    poller: Poller,
    base: Base,
}

/// The rest of an engine: lanes, counters and reports.
pub(crate) struct Base {
    lanes: Vec<Lane>,
    plan: Plan,
    control: Arc<Control>,
    clock: Clock,
    latency: Arc<Mutex<Latency>>,
    exporter: Option<Exporter>,
    capture: Option<Writer>,
    about: String,
    models: Vec<ModelInfo>,
    monitor: Arc<Monitor>,
    delivery: Delivery,
}

impl Engine {
    /// Starts an engine with this crate's factor sets and models.
    ///
    /// Takes up to 200 ms the first time in a process, while the clock is
    /// calibrated. When it returns, all lanes are pinned and polling.
    ///
    /// # Errors
    ///
    /// [`Error`], and nothing is left behind.
    pub fn start(config: &Config) -> Result<Self, Error> {
        Self::start_with(config, &Registry::default())
    }

    /// As [`Engine::start_with`], with the words of an inlined poll at a place of the
    /// caller's.
    pub(crate) fn start_at(
        config: &Config,
        registry: &Registry,
        words: AtHost,
    ) -> Result<Self, Error> {
        Self::start_blueprint_at(Blueprint::new(config, registry)?, words)
    }

    /// Starts an engine with factor sets and models of your own.
    ///
    /// # Errors
    ///
    /// [`Error`], and nothing is left behind.
    pub fn start_with(config: &Config, registry: &Registry) -> Result<Self, Error> {
        Self::start_blueprint(Blueprint::new(config, registry)?)
    }

    /// Starts the engine of a blueprint.
    ///
    /// # Errors
    ///
    /// [`Error`], and nothing is left behind.
    pub fn start_blueprint(blueprint: Blueprint) -> Result<Self, Error> {
        Self::start_blueprint_at(blueprint, AtHost::default())
    }

    fn start_blueprint_at(blueprint: Blueprint, words: AtHost) -> Result<Self, Error> {
        // Factor sets and models run here for the first time.
        let build = || quietly(|| Self::build(blueprint, words));
        catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| {
            Err(Error::Config(format!(
                "a factor set or model panicked before the first event: {}",
                told(panic)
            )))
        })
    }

    fn build(blueprint: Blueprint, words: AtHost) -> Result<Self, Error> {
        memory::check("an engine", 0, 1)?;
        let cores = Cores::detect().map_err(Error::Placement)?;
        let config = &blueprint.config().clone();
        let plan = Plan::new(
            &config.placement,
            config.shards,
            config.cores.as_deref(),
            config.idle,
            &cores,
        )
        .map_err(Error::Placement)?;
        let threads = plan.lanes.len()
            + usize::from(config.latency.dir.is_some())
            + usize::from(config.capture.file.is_some());
        memory::check(
            "an engine of this configuration",
            blueprint.bytes(),
            threads,
        )?;
        let names = Arc::new(Names::new(blueprint.config().instruments.max));
        let levels = blueprint.levels();
        let outputs = blueprint.widest_signal();
        let what = blueprint.to_string();
        let models = blueprint.models().to_vec();
        let callbacks = blueprint.callbacks();
        let mut stages = blueprint.stages(names.clone(), plan.shards)?;
        let mut captured = None;
        if let Some(file) = &config.capture.file {
            let (tap, events) = Tap::new(config.capture.buffer, levels);
            stages.tap = Some(tap);
            captured = Some((file, events, Counters::new()));
        }
        let clock = Clock::new(config.timing);
        let control = Arc::new(Control::new(plan.lanes.len()));
        let (pulses, vitals): (Vec<_>, Vec<_>) = (0..plan.lanes.len().max(1))
            .map(|_| pulse(&clock, config.health.stall_us))
            .unzip();
        let rings = RingPlan {
            ingest: config.rings.ingest,
            stage: config.rings.stage,
            egress: config.rings.egress,
            overload: config.overload,
            work_every: config.latency.work_every,
        };
        let mut pipeline = build::build(
            &plan,
            stages,
            rings,
            &clock,
            &control,
            words.ring(),
            &vitals,
        );
        let host_counters = Counters::new();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        pipeline.counters.insert(0, host_counters.clone());
        if let Some((_, _, counters)) = &captured {
            pipeline.counters.push(counters.clone());
        }
        pipeline.feeds.push(feed);
        let mut inline = if plan.is_inline() {
            pipeline.works.pop()
        } else {
            None
        };
        if let Some(work) = &mut inline {
            work.prime();
        }
        let monitor = Monitor::new(
            config.health,
            pipeline.counters,
            control.clone(),
            plan.lanes.iter().cloned().zip(vitals).collect(),
            pipeline.gauges,
        );
        let monitor = Arc::new(monitor);
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
        let mut base = Base {
            lanes: Vec::new(),
            plan,
            control: control.clone(),
            clock: clock.clone(),
            latency: Arc::new(Mutex::new(Latency::new(pipeline.feeds))),
            exporter: None,
            capture: None,
            about,
            models,
            monitor,
            delivery,
        };
        // From here on, dropping `base` stops and joins what has been started.
        for (index, (work, pulse)) in pipeline.works.into_iter().zip(pulses).enumerate() {
            let plan = &base.plan.lanes[index];
            let lane =
                Lane::start(index, plan, work, pulse, control.clone()).map_err(Error::Placement)?;
            base.lanes.push(lane);
        }
        if let Some((file, events, counters)) = captured {
            let aside = cores.aside(base.plan.lanes.iter().map(|lane| lane.core));
            let writer = Writer::start(file, events, levels, clock.clone(), counters, aside);
            base.capture = Some(writer.map_err(Error::Capture)?);
        }
        if let Some(dir) = &config.latency.dir {
            let facts = Facts::new(config, &base.plan, &cores, &clock);
            let exporter = Exporter::start(
                dir,
                config.latency.interval_ms,
                base.latency.clone(),
                clock.clone(),
                base.monitor.clone(),
                facts,
                cores.aside(base.plan.lanes.iter().map(|lane| lane.core)),
            )
            .map_err(Error::Report)?;
            base.exporter = Some(exporter);
        }
        let next = pipeline.signals.address(0).addr() as u64;
        words.next.store(next, Ordering::Relaxed);
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
                at_host: words,
                next_sequence: 1,
                names,
                clock,
                recorder: Some(recorder),
                pending: None,
                counters: host_counters,
                values: Values::new(outputs),
                lent: Default::default(),
            },
            base,
        })
    }

    /// Hands an event in. See [`Feeder::on_event`].
    #[inline]
    pub fn on_event(&mut self, event: HostEvent<'_>) -> bool {
        self.feeder.on_event(event)
    }

    /// Hands an event in, then takes what is ready. If the event triggers, it
    /// first waits for its signals, spinning, for `deliver_budget_us` at most; not
    /// where a lane sleeps when idle, nor on a single core. Returns how many
    /// signals `on_signal` got. This is what `signal_on_data` does with `deliver`
    /// `on_data`; the method does it whatever `deliver` says.
    ///
    /// ```
    /// use signal::abi::{Depth, HostEvent};
    /// use signal::{Config, Engine};
    ///
    /// let config = Config::from_json(r#"{"placement": "inline"}"#)?;
    /// let mut engine = Engine::start(&config)?;
    /// let mut depth: Depth = bytemuck::Zeroable::zeroed();
    /// depth.symbol[..8].copy_from_slice(b"btc_usdt");
    /// depth.bid_price[0] = 100.0.into();
    /// depth.ask_price[0] = 101.0.into();
    /// let mut seen = Vec::new();
    /// let event = HostEvent::Depth(&depth);
    /// let taken = engine.on_event_and_deliver(event, |name, _| seen.push(name.as_str().to_owned()));
    /// assert_eq!((taken, seen), (1, vec!["BTCUSDT".to_owned()]));
    /// # Ok::<(), signal::Error>(())
    /// ```
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on_event_and_deliver(
        &mut self,
        event: HostEvent<'_>,
        mut on_signal: impl FnMut(&Name, Signal<'_>),
    ) -> usize {
        let kind = event.kind();
        let taken = self.feeder.on_event(event).then_some(kind);
        let mut wait = self.base.delivery.wait(taken, self.feeder.sequence());
        let mut delivered = 0;
        loop {
            let ready = wait.ready(&mut self.poller);
            for _ in 0..ready {
                self.poller.take(|name, signal| {
                    wait.taken(signal.meta.input_sequence);
                    on_signal(name, signal);
                });
            }
            delivered += ready;
            if ready == 0 || wait.is_over() {
                break;
            }
        }
        if delivered > 0 {
            self.poller.record_last();
            self.feeder.publish_held();
        }
        delivered
    }

    /// Takes what is ready. See [`Poller::poll`].
    #[inline]
    pub fn poll(&mut self, on_signal: impl FnMut(&Name, Signal<'_>)) -> usize {
        let delivered = self.poller.poll(on_signal);
        self.feeder.publish_held();
        delivered
    }

    /// Takes at most `max` of what is ready, in place. See [`Poller::poll_batch`].
    #[inline]
    pub fn poll_batch(&mut self, max: usize) -> Batch<'_> {
        // The batch before has made room when it was dropped.
        self.feeder.publish_held();
        self.poller.poll_batch(max)
    }

    /// Both ends, to use one from within the other's callback.
    pub fn ends(&mut self) -> (&mut Feeder, &mut Poller) {
        (&mut self.feeder, &mut self.poller)
    }

    /// All counters at this moment.
    pub fn counters(&self) -> Snapshot {
        self.base.counters()
    }

    /// Why the engine has failed, if it has: events are then counted and
    /// refused, and what was queued can still be polled.
    pub fn failure(&self) -> Option<&str> {
        self.base.failure()
    }

    /// What has been put in quarantine and why, a line each, oldest first; at
    /// most the first 64. The counter `panics` counts all.
    pub fn incidents(&self) -> impl Iterator<Item = String> + '_ {
        self.base.monitor.incidents()
    }

    /// The engine's state in a word, and why. See [`Health`].
    pub fn health(&self) -> Health {
        self.base.health()
    }

    /// The lanes and how they come round, in the order of the path.
    pub fn lanes(&self) -> Vec<LaneReport> {
        self.base.monitor.lanes()
    }

    /// The rings and how full they have been, in the order of the path.
    pub fn rings(&self) -> Vec<RingReport> {
        self.base.monitor.rings()
    }

    /// One line that says what runs where.
    pub fn about(&self) -> &str {
        self.base.about()
    }

    /// The models, in their order: a [`ModelId`](crate::messages::ModelId) is a
    /// place in it. A signal without a model has the values of all of them, one
    /// after the other.
    pub fn models(&self) -> &[ModelInfo] {
        self.base.models()
    }

    /// What one stamp costs, ns, measured now.
    pub fn stamp_cost_ns(&self) -> f64 {
        self.base.stamp_cost_ns()
    }

    /// The hops that have been timed so far. Not for the hot path: it waits up
    /// to 100 ms for the lanes to hand their histograms over.
    pub fn latency(&mut self) -> Vec<HopSummary> {
        self.base.latency(&mut self.feeder, &mut self.poller)
    }

    pub(crate) fn into_parts(self) -> (Feeder, Poller, Base) {
        // `Engine` has no drop of its own, so its parts can be moved out.
        (self.feeder, self.poller, self.base)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("about", &self.base.about)
            .finish_non_exhaustive()
    }
}

impl Base {
    pub(crate) fn counters(&self) -> Snapshot {
        self.monitor.counters()
    }

    /// Ends the lanes. Whether all came back; one that did not still uses what it
    /// was given.
    pub(crate) fn end_lanes(&mut self) -> bool {
        self.control.stop();
        let deadline = Instant::now() + LONGEST_FAREWELL;
        let mut all = true;
        for lane in self.lanes.drain(..) {
            all &= lane.join(deadline);
        }
        all
    }

    /// Whether the engine has failed and nothing more will be published.
    pub(crate) fn has_failed_for_good(&self) -> bool {
        self.control.has_failed_for_good()
    }

    /// Tells the lanes to end; dropping joins them.
    pub(crate) fn stop(&self) {
        self.control.stop();
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.control.failure()
    }

    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    pub(crate) fn incident(&self, place: usize) -> Option<&CStr> {
        self.control.incident(place)
    }

    pub(crate) fn health(&self) -> Health {
        self.monitor.health()
    }

    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    pub(crate) fn models(&self) -> &[ModelInfo] {
        &self.models
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub(crate) fn stamp_cost_ns(&self) -> f64 {
        self.clock.stamp_cost_ns()
    }

    pub(crate) fn latency(&self, feeder: &mut Feeder, poller: &mut Poller) -> Vec<HopSummary> {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
        poller.record_batch();
        if let Some(recorder) = &mut poller.recorder {
            recorder.hand_over();
        }
        if let Some(work) = &mut feeder.inline {
            work.hand_over();
        }
        latency.wait_for_lanes();
        latency.summaries()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.end_lanes();
        if let Some(capture) = self.capture.take() {
            capture.finish();
        }
        // The host's ends have been dropped by now and have sent their last
        // histograms, as the lanes did when they ended.
        if let Some(exporter) = self.exporter.take() {
            exporter.finish();
        }
    }
}
