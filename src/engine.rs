//! The engine: what C hosts (through [`ffi`](crate::ffi)) and Rust hosts use.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::abi::HostEvent;
use crate::config::Config;
use crate::error::Error;
use crate::pipeline::build::{self, RingSizes, Stages};
use crate::pipeline::clock::Clock;
use crate::pipeline::cores::Cores;
use crate::pipeline::counters::{Counter, Counters, Snapshot};
use crate::pipeline::hops::{self, Hop, Recorder};
use crate::pipeline::lane::{self, Control, Lane, Turn};
use crate::pipeline::outlet::Published;
use crate::pipeline::padded::Values;
use crate::pipeline::placement::Plan;
use crate::pipeline::ring::{Receiver, Sender, WORDS_PER_LINE};
use crate::pipeline::wire::{self, Encode, MAX_VALUES, Signals, Wire};
use crate::report::{Exporter, Facts, HopSummary, Latency};
use crate::stages::{Factor, Ingest, ModelStage, Name, Names, Signal};
use crate::{factors, models};

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
    counters: Vec<Arc<Counters>>,
    control: Arc<Control>,
    clock: Clock,
    latency: Arc<Mutex<Latency>>,
    exporter: Option<Exporter>,
    about: String,
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

    /// Starts an engine with factor sets and models of your own.
    ///
    /// # Errors
    ///
    /// [`Error`], and nothing is left behind.
    pub fn start_with(config: &Config, registry: &Registry) -> Result<Self, Error> {
        let names = Arc::new(Names::new(config.instruments.max));
        let stages = stages(config, registry, names.clone())?;
        let (levels, outputs) = (stages.levels, stages.outputs);
        let cores = Cores::detect().map_err(Error::Placement)?;
        let plan = Plan::new(
            &config.placement,
            config.cores.as_deref(),
            config.idle,
            &cores,
        )
        .map_err(Error::Placement)?;
        let clock = Clock::new(config.timing);
        let control = Arc::new(Control::default());
        let sizes = RingSizes {
            ingest: config.rings.ingest,
            stage: config.rings.stage,
            egress: config.rings.egress,
        };
        let mut pipeline = build::build(&plan, stages, sizes, &clock, &control);
        let host_counters = Counters::new();
        let (recorder, feed) = hops::recorder(&[Hop::HostWait, Hop::TickToCallback], &clock);
        pipeline.counters.insert(0, host_counters.clone());
        pipeline.feeds.push(feed);
        let about = format!(
            "factors={} model={} placement={} lanes={plan}",
            config.factors.join("+"),
            config.model,
            config.placement,
        );
        let inline = if plan.is_inline() {
            pipeline.works.pop()
        } else {
            None
        };
        let mut base = Base {
            lanes: Vec::new(),
            plan,
            counters: pipeline.counters,
            control: control.clone(),
            clock: clock.clone(),
            latency: Arc::new(Mutex::new(Latency::new(pipeline.feeds))),
            exporter: None,
            about,
        };
        // From here on, dropping `base` stops and joins what has been started.
        for (index, work) in pipeline.works.into_iter().enumerate() {
            let lane = Lane::start(index, &base.plan.lanes[index], work, control.clone())
                .map_err(Error::Placement)?;
            base.lanes.push(lane);
        }
        if let Some(dir) = &config.latency.dir {
            let facts = Facts::new(config, &base.plan, &cores, &clock);
            let exporter = Exporter::start(
                dir,
                config.latency.interval_ms,
                base.latency.clone(),
                clock.clone(),
                base.counters.clone(),
                facts,
                cores.aside(base.plan.lanes.iter().map(|lane| lane.core)),
            )
            .map_err(Error::Report)?;
            base.exporter = Some(exporter);
        }
        Ok(Self {
            feeder: Feeder {
                sender: pipeline.events,
                levels,
                sequence: 0,
                clock: clock.clone(),
                counters: host_counters.clone(),
                control,
                inline,
            },
            poller: Poller {
                signals: pipeline.signals,
                published: pipeline.published,
                taken: Arc::default(),
                next_sequence: 1,
                names,
                clock,
                recorder: Some(recorder),
                pending: None,
                counters: host_counters,
                values: Values::new(outputs),
            },
            base,
        })
    }

    /// Hands an event in. See [`Feeder::on_event`].
    #[inline]
    pub fn on_event(&mut self, event: HostEvent<'_>) {
        self.feeder.on_event(event);
    }

    /// Takes what is ready. See [`Poller::poll`].
    #[inline]
    pub fn poll(&mut self, on_signal: impl FnMut(&Name, Signal<'_>)) -> usize {
        self.poller.poll(on_signal)
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

    /// One line that says what runs where.
    pub fn about(&self) -> &str {
        self.base.about()
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

fn stages(config: &Config, registry: &Registry, names: Arc<Names>) -> Result<Stages, Error> {
    let mut sets = Vec::new();
    for name in &config.factors {
        let set = registry.factors.get(name).ok_or_else(|| {
            let known: Vec<_> = registry.factors.names().collect();
            Error::Config(format!(
                "factors: there is no factor set {name:?}; expected one of {}",
                known.join(", ")
            ))
        })?;
        sets.push(*set);
    }
    let levels = sets.iter().map(|set| set.levels).max().unwrap_or(1);
    let factor_names: Vec<_> = sets.iter().flat_map(|set| set.factors).copied().collect();
    let prepared: Vec<_> = sets
        .iter()
        .map(|set| set.prepare(&serde_json::Map::new()))
        .collect::<Result<_, _>>()
        .map_err(Error::Config)?;
    let make = registry.models.get(&config.model).ok_or_else(|| {
        let known: Vec<_> = registry.models.names().collect();
        Error::Config(format!(
            "model: there is no model {:?}; expected one of {}",
            config.model,
            known.join(", ")
        ))
    })?;
    let model = make(&factor_names);
    let (inputs, outputs) = (model.inputs(), model.outputs().len());
    if inputs != factor_names.len() {
        return Err(Error::Config(format!(
            "model: {} takes {inputs} factors, but {} gives {}",
            config.model,
            config.factors.join("+"),
            factor_names.len()
        )));
    }
    if outputs > MAX_VALUES || inputs > MAX_VALUES {
        return Err(Error::Config(format!(
            "model: {inputs} factors and {outputs} outputs; expected at most {MAX_VALUES} of each"
        )));
    }
    check_memory(config, &prepared, levels, inputs, outputs)?;
    let banks = prepared
        .into_iter()
        .map(|set| set.bank(config.instruments.max))
        .collect();
    Ok(Stages {
        ingest: Ingest::new(levels, names),
        factor: Factor::new(banks),
        model: ModelStage::new(model),
        levels,
        factors: inputs,
        outputs,
    })
}

/// Most memory that one ring or all factor states may take.
const MAX_BYTES: usize = 1 << 30;

/// Refuses sizes that are fine one by one but whose product is not: a failed
/// allocation would end the host's process.
fn check_memory(
    config: &Config,
    sets: &[factors::Prepared],
    levels: usize,
    inputs: usize,
    outputs: usize,
) -> Result<(), Error> {
    let ring = |key: &str, messages: usize, words: usize| {
        let bytes = messages.saturating_mul(words.next_multiple_of(WORDS_PER_LINE) * 8);
        within(bytes, || {
            format!("{key}: {messages} messages of {words} words")
        })
    };
    let stage = wire::event_values(levels).max(inputs).max(outputs);
    ring("rings.ingest", config.rings.ingest, wire::raw_words(levels))?;
    ring("rings.stage", config.rings.stage, Signals::words(stage))?;
    ring("rings.egress", config.rings.egress, Signals::words(outputs))?;
    let state: usize = sets.iter().map(|set| set.state_bytes).sum();
    within(config.instruments.max.saturating_mul(state), || {
        format!(
            "instruments.max: {} instruments with {state} bytes of factor state each",
            config.instruments.max
        )
    })
}

fn within(bytes: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} take {bytes} bytes; expected at most {MAX_BYTES}",
        what()
    )))
}

/// Where events go in. Belongs to the host's thread.
pub struct Feeder {
    sender: Sender,
    levels: usize,
    sequence: u64,
    clock: Clock,
    counters: Arc<Counters>,
    control: Arc<Control>,
    inline: Option<Box<dyn Turn>>,
}

impl Feeder {
    /// Copies the event into the ring to ingest and returns. Never waits: with
    /// the ring full the event is dropped and counted. With the `inline`
    /// placement all stages run here.
    #[inline]
    pub fn on_event(&mut self, event: HostEvent<'_>) {
        let arrival = self.clock.stamp();
        self.counters.bump(event.kind().into());
        if self.control.has_failed() {
            self.counters.bump(Counter::RefusedFailed);
            return;
        }
        self.sequence += 1;
        let (levels, sequence) = (self.levels, self.sequence);
        let sent = self
            .sender
            .try_send(|words| wire::carry(&event, levels, sequence, arrival, words));
        if sent.is_err() {
            self.counters.bump(Counter::DroppedIngestRingFull);
        }
        if let Some(work) = &mut self.inline {
            lane::turn_inline(work.as_mut(), &self.control);
        }
    }

    /// Counts something that was handed in but is no event.
    pub(crate) fn refuse(&self, reason: Counter) {
        self.counters.bump(reason);
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder")
            .field("sequence", &self.sequence)
            .field("ring", &self.sender)
            .finish_non_exhaustive()
    }
}

/// Where signals come out. Belongs to the host's thread.
pub struct Poller {
    signals: Receiver,
    published: Published,
    taken: Arc<CachePadded<AtomicU64>>,
    next_sequence: u64,
    names: Arc<Names>,
    clock: Clock,
    recorder: Option<Recorder>,
    pending: Option<Taken>,
    counters: Arc<Counters>,
    values: Values,
}

/// The stamps of a signal that was taken and not recorded yet, TSC ticks.
#[derive(Clone, Copy)]
struct Taken {
    arrival: u64,
    published: u64,
    taken: u64,
}

impl Poller {
    /// Hands every signal that is ready now to `on_signal`, oldest first, and
    /// returns how many. With nothing new it is one acquire load and a compare,
    /// inlined into the caller.
    #[inline]
    pub fn poll(&mut self, mut on_signal: impl FnMut(&Name, Signal<'_>)) -> usize {
        let ready = self.ready();
        for _ in 0..ready {
            if !self.take(&mut on_signal) {
                break;
            }
        }
        self.record_last();
        ready
    }

    /// Signals that are ready now.
    #[inline]
    pub fn ready(&self) -> usize {
        let published = self.published.load(Ordering::Acquire);
        published.wrapping_sub(self.taken.load(Ordering::Relaxed)) as usize
    }

    /// Takes the oldest signal out of the ring, then hands it on, so that it is
    /// not taken again should `on_signal` unwind.
    #[inline]
    pub(crate) fn take<R>(&mut self, on_signal: impl FnOnce(&Name, Signal<'_>) -> R) -> bool {
        self.record_last();
        let values = &mut self.values;
        let received = self.signals.try_receive(|words| {
            let (signal, published) = Signals::decode(words);
            let count = signal.values.len().min(values.len());
            values[..count].copy_from_slice(&signal.values[..count]);
            (signal.sequence, signal.meta, count, published)
        });
        let Some((sequence, meta, count, published)) = received else {
            return false;
        };
        let now = self.clock.stamp();
        self.taken.store(
            self.taken.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        self.counters.bump(Counter::Delivered);
        if sequence != self.next_sequence {
            self.counters.add(
                Counter::EgressGap,
                sequence.wrapping_sub(self.next_sequence),
            );
        }
        self.next_sequence = sequence.wrapping_add(1);
        if self.clock.is_on() {
            self.pending = Some(Taken {
                arrival: meta.arrival,
                published,
                taken: now,
            });
        }
        // Ingest named the instrument before it published its first message.
        if let Some(name) = self.names.get(meta.instrument) {
            let values = &self.values[..count];
            on_signal(
                name,
                Signal {
                    sequence,
                    meta,
                    values,
                },
            );
        }
        true
    }

    /// Records the hops of the signal taken last: after its callback, so that
    /// the histograms' cost is not on its way.
    #[inline]
    pub(crate) fn record_last(&mut self) {
        if let (Some(stamps), Some(recorder)) = (self.pending.take(), &mut self.recorder) {
            recorder.record(Hop::HostWait, stamps.published, stamps.taken);
            recorder.record(Hop::TickToCallback, stamps.arrival, stamps.taken);
            recorder.hand_over();
        }
    }

    /// The words that an inlined poll compares: how many signals have been
    /// published, and how many taken.
    pub(crate) fn progress(&self) -> (*const u64, *const u64) {
        (self.published.as_ptr(), self.taken.as_ptr())
    }

    fn finish(&mut self) {
        self.record_last();
        if let Some(recorder) = self.recorder.take() {
            recorder.finish();
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("ready", &self.ready())
            .field("next_sequence", &self.next_sequence)
            .finish_non_exhaustive()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        if let Some(work) = self.inline.take() {
            work.finish();
        }
    }
}

impl Base {
    pub(crate) fn counters(&self) -> Snapshot {
        Snapshot::of(&self.counters)
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.control.failure()
    }

    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    pub(crate) fn stamp_cost_ns(&self) -> f64 {
        self.clock.stamp_cost_ns()
    }

    pub(crate) fn latency(&self, feeder: &mut Feeder, poller: &mut Poller) -> Vec<HopSummary> {
        let mut latency = Latency::lock(&self.latency);
        latency.request();
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
        self.control.stop();
        for lane in self.lanes.drain(..) {
            lane.join();
        }
        // The host's ends have been dropped by now and have sent their last
        // histograms, as the lanes did when they ended.
        if let Some(exporter) = self.exporter.take() {
            exporter.finish();
        }
    }
}
