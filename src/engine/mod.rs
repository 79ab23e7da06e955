//! The engine: what C hosts (through `ffi`) and Rust hosts use.
//!
//! | file | what |
//! |---|---|
//! | `blueprint` | what a configuration asks for, checked, before anything runs |
//! | `start` | from a blueprint to a running engine |
//! | `places` | cores, chosen and taken |
//! | `outputs` | the files that it writes: latency report and capture |
//! | `runtime` | lanes, counters and reports, while it runs |
//! | `feeder` | where the host's events go in |
//! | `poller` | where signals come out |
//! | `instruments` | what instruments are |
//! | `batch` | signals that the host reads in place |
//! | `budget` | the limit of these waits |
//! | `delivery` | how long the host waits for signals in `on_data` |
//! | `stand_in` | the host's thread as it does the work of a lane that is away |

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::HostEvent;
use crate::config::Config;
use crate::error::Error;
use crate::messages::{Name, Signal};
use crate::os::machine;
use crate::os::panic::{quietly, told};
use crate::report::{Health, HopSummary, LaneReport, RingReport};
use crate::sync::ring::cursors::HostCursors;
use crate::telemetry::counters::Snapshot;
use crate::{factors, models};

mod batch;
mod blueprint;
mod budget;
mod delivery;
mod feeder;
mod instruments;
mod outputs;
mod places;
mod poller;
mod runtime;
mod stand_in;
mod start;

pub(crate) use delivery::Wait;
pub(crate) use runtime::Runtime;

pub use batch::Batch;
pub use blueprint::{Blueprint, ModelInfo};
pub use feeder::Feeder;
pub use instruments::Instruments;
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
/// Both of its ends are for one thread, the host's: events go into the [`Feeder`], signals
/// come out of the [`Poller`].
pub struct Engine {
    feeder: Feeder,
    poller: Poller,
    runtime: Runtime,
}

impl Engine {
    /// Starts an engine with this crate's factor sets and models.
    ///
    /// Takes up to 200 ms the first time in a process, while the clock is
    /// calibrated. When it returns, all lanes are pinned and polling.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is left behind then.
    pub fn start(config: &Config) -> Result<Self, Error> {
        Self::start_with(config, &Registry::default())
    }

    /// As [`Engine::start_with`], with cursors for an inlined poll that the caller supplies.
    pub(crate) fn start_at(
        config: &Config,
        registry: &Registry,
        cursors: HostCursors,
    ) -> Result<Box<Self>, Error> {
        Self::start_blueprint_at(Blueprint::boxed(config, registry)?, cursors)
    }

    /// Starts an engine with factor sets and models of your own.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is left behind then.
    pub fn start_with(config: &Config, registry: &Registry) -> Result<Self, Error> {
        let _groups = machine::groups_stay_known();
        Self::start_blueprint(Blueprint::new(config, registry)?)
    }

    /// Starts the engine of a blueprint.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is left behind then.
    pub fn start_blueprint(blueprint: Blueprint) -> Result<Self, Error> {
        Self::start_blueprint_at(Box::new(blueprint), HostCursors::default()).map(|engine| *engine)
    }

    fn start_blueprint_at(
        mut blueprint: Box<Blueprint>,
        cursors: HostCursors,
    ) -> Result<Box<Self>, Error> {
        let _groups = machine::groups_stay_known();
        // This runs factor sets and models for the first time.
        let build = || quietly(|| Self::build(&mut blueprint, cursors));
        catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| {
            Err(Error::Config(format!(
                "a factor set or model panicked before the first event: {}",
                told(panic)
            )))
        })
    }

    /// Passes an event in. See [`Feeder::on_event`].
    #[inline]
    pub fn on_event(&mut self, event: HostEvent<'_>) -> bool {
        self.feeder.on_event(event)
    }

    /// Passes an event in, then takes what is ready. If the event triggers, it first spins
    /// until its signals arrive, for at most `deliver_budget_us`. It does not spin if a lane
    /// sleeps when idle, or on a single core. Returns how many signals `on_signal` got.
    /// `signal_on_data` does this if `deliver` is `on_data`; this method does it whatever
    /// `deliver` is.
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
        let mut wait = self.runtime.delivery.wait(taken, self.feeder.sequence());
        let mut delivered = 0;
        loop {
            let ready = wait.ready(&mut self.poller);
            for _ in 0..ready {
                let taken = self.poller.take(|name, signal| {
                    wait.taken(signal.meta.input_sequence);
                    on_signal(name, signal);
                });
                delivered += usize::from(taken);
            }
            if ready == 0 || wait.is_over() {
                break;
            }
        }
        if delivered > 0 {
            self.poller.record_last();
            self.feeder.publish_held();
        } else {
            self.feeder.idle();
        }
        delivered
    }

    /// Takes what is ready. See [`Poller::poll`]. With placement `inline` it also publishes what
    /// waits for room, and now and then keeps the stages warm.
    #[inline]
    pub fn poll(&mut self, on_signal: impl FnMut(&Name, Signal<'_>)) -> usize {
        let delivered = self.poller.poll(on_signal);
        self.feeder.publish_held();
        delivered
    }

    /// Takes at most `max` of what is ready, in place. See [`Poller::poll_batch`].
    #[inline]
    pub fn poll_batch(&mut self, max: usize) -> Batch<'_> {
        // The previous batch made room when it was dropped.
        self.feeder.publish_held();
        self.poller.poll_batch(max)
    }

    /// Both ends, to use one from within the other's callback.
    pub fn ends(&mut self) -> (&mut Feeder, &mut Poller) {
        (&mut self.feeder, &mut self.poller)
    }

    /// All counters at this moment.
    pub fn counters(&self) -> Snapshot {
        self.runtime.monitor.counters()
    }

    /// Why the engine has failed, if it has. Events are then counted and refused, and what
    /// was queued can still be polled.
    pub fn failure(&self) -> Option<&str> {
        self.runtime.control.failure()
    }

    /// What was put in quarantine and why, one line each, oldest first; at most the first 64.
    /// The counter `panics` counts all.
    pub fn incidents(&self) -> impl Iterator<Item = String> + '_ {
        self.runtime.monitor.incidents().map(Cow::into_owned)
    }

    /// The engine's state as one word, and why. See [`Health`].
    pub fn health(&self) -> Health {
        self.runtime.monitor.health()
    }

    /// The lanes and whether they make progress, in the order of the path.
    pub fn lanes(&self) -> Vec<LaneReport> {
        self.runtime.monitor.lanes()
    }

    /// The rings and how full they have been, in the order of the path.
    pub fn rings(&self) -> Vec<RingReport> {
        self.runtime.monitor.rings()
    }

    /// One line that says what runs where.
    pub fn about(&self) -> &str {
        &self.runtime.about
    }

    /// The models, in their order: a [`ModelId`](crate::ModelId) is an index into it. A
    /// signal without a model has the values of all of them, one after the other.
    pub fn models(&self) -> &[ModelInfo] {
        &self.runtime.models
    }

    /// What instruments are, by the numbers in their signals ([`Meta::instrument`](crate::Meta)).
    /// It is not part of the engine, so a callback can ask it.
    ///
    /// ```
    /// use signal::abi::{Depth, HostEvent};
    /// use signal::{Config, Engine};
    ///
    /// let mut engine = Engine::start(&Config::from_json(r#"{"placement": "inline"}"#)?)?;
    /// let mut depth: Depth = bytemuck::Zeroable::zeroed();
    /// depth.symbol[..8].copy_from_slice(b"btc_usdt");
    /// depth.exchange_id[..7].copy_from_slice(b"binance");
    /// depth.instrument_type = 7;
    /// depth.bid_price[0] = 100.0.into();
    /// depth.ask_price[0] = 101.0.into();
    /// engine.on_event(HostEvent::Depth(&depth));
    /// let instruments = engine.instruments();
    /// engine.poll(|_, signal| {
    ///     let instrument = instruments.get(signal.meta.instrument).unwrap();
    ///     assert_eq!(instrument.to_string(), "btc_usdt of binance (swap)");
    /// });
    /// # Ok::<(), signal::Error>(())
    /// ```
    pub fn instruments(&self) -> Instruments {
        self.poller.instruments()
    }

    /// Cost of one stamp, ns, measured now.
    pub fn stamp_cost_ns(&self) -> f64 {
        self.runtime.clock.stamp_cost_ns()
    }

    /// The hops timed so far. Not for the hot path: it waits up to 100 ms for the lanes to
    /// hand over their histograms.
    pub fn latency(&mut self) -> Vec<HopSummary> {
        let latency = self.runtime.latency(&mut self.feeder, &mut self.poller);
        latency.summaries().collect()
    }

    pub(crate) fn into_parts(self) -> (Feeder, Poller, Runtime) {
        // `Engine` has no drop of its own, so its parts can be moved out.
        (self.feeder, self.poller, self.runtime)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("about", &self.runtime.about)
            .finish_non_exhaustive()
    }
}
