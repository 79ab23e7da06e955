//! A latency-tuned `libsignal.so` for the Godzilla trading host.
//!
//! ```text
//!  host's thread            lane(s): pinned threads that busy-poll             host's thread
//!  signal_on_data ──ring──▶ ingest ─▶ factor ─▶ model ─▶ egress ──ring──▶ signal_poll_callbacks
//!    copy + stamp           check,    state     run the  number,            hand each signal
//!    + publish              find the  per       model    stamp,             to the callback,
//!                           number    instrument         publish            time the last hop
//! ```
//!
//! The host's thread and the lanes share data through rings only. No other thread ever runs host
//! code: signals wait in the ring to the host until the host's own thread polls.
//!
//! A C or C++ host loads the shared library and uses what `include/signal.h` declares; a Rust host
//! uses [`Engine`]. [Factor sets](factors) and [models] do the computing.
//!
//! This page shows the Rust API that other crates may build on, and `ffi::create_with` for
//! libraries with factor sets and models of their own. Everything else in the crate is for its own
//! tests, benches and command, and may change at any time.
//!
//! ```
//! use signal::abi::{Depth, HostEvent};
//! use signal::{Config, Engine};
//!
//! let config = Config::from_json(r#"{"placement": "inline"}"#)?;
//! let mut engine = Engine::start(&config)?;
//! let mut depth: Depth = bytemuck::Zeroable::zeroed();
//! depth.symbol[..8].copy_from_slice(b"btc_usdt");
//! depth.bid_price[0] = 100.0.into();
//! depth.ask_price[0] = 101.0.into();
//! engine.on_event(HostEvent::Depth(&depth));
//! let mut symbols = Vec::new();
//! engine.poll(|name, signal| symbols.push((name.as_str().to_owned(), signal.values.to_vec())));
//! assert_eq!(symbols, [("BTCUSDT".to_owned(), vec![1.0, 0.800000011920929])]);
//! # Ok::<(), signal::Error>(())
//! ```
//!
//! # Caveats
//!
//! - Linux on x86-64 only, because that is what the host runs on.
//! - Stamps are TSC ticks. On a machine without an invariant TSC, and on a thread that may not read
//!   the TSC (`PR_SET_TSC`) and creates an engine, they come from the system clock, which costs
//!   more. A thread that uses an engine created elsewhere must be allowed to read the TSC.
//! - `quanta` calibrates once per process, for up to 200 ms, in the first [`Engine::start`].

// `.ci/sanitize realtime`: what the host's thread and the lanes run must not allocate, lock or make
// system calls.
#![cfg_attr(realtime_sanitizer, feature(sanitize))]

pub mod abi;
mod capture;
pub mod config;
#[doc(hidden)]
pub mod engine;
mod error;
pub mod factors;
// Its handle table is static, and loom's atomics cannot be.
#[cfg(not(loom))]
#[doc(hidden)]
pub mod ffi;
#[cfg(feature = "replay")]
#[doc(hidden)]
pub mod formats;
#[doc(hidden)]
pub mod messages;
pub mod models;
#[doc(hidden)]
pub mod os;
#[doc(hidden)]
pub mod pipeline;
mod report;
#[doc(hidden)]
pub mod stages;
pub mod state;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod telemetry;
pub mod testing;

pub use config::Config;
pub use engine::{Batch, Blueprint, Engine, Feeder, Instruments, ModelInfo, Poller, Registry};
pub use error::Error;
#[cfg(feature = "replay")]
#[doc(inline)]
pub use formats as replay;
pub use messages::{Instrument, InstrumentId, Meta, ModelId, Name, Signal};
pub use report::{Health, HealthState, HopSummary, LaneReport, RingReport, VERSION};
pub use telemetry::counters::{Counter, Snapshot};
pub use telemetry::hops::Hop;
