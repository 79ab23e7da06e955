//! What is driven, on the host's thread.

use std::collections::BTreeMap;
use std::hint::black_box;

use signal::Engine;
use signal::abi::{Depth, HostEvent, Trade};
use signal_bench::live::Live;
use signal_bench::probe::{self, Last, Probe as _};
use signal_bench::series::Stamps;
use signal_bench::silence::{Silence, wait_until};

/// Medians of the library's own hops, ns.
pub type Hops = BTreeMap<String, f64>;

/// Takes events, makes callbacks.
pub trait Subject {
    fn on_depth(&mut self, depth: &Depth);
    fn on_trade(&mut self, trade: &Trade);
    fn poll(&mut self);
    /// Callbacks so far, and the stamp that the last one took first of all.
    fn seen(&self) -> (u64, u64);
    /// So far.
    fn hops(&mut self) -> Hops;
    /// Why nothing came.
    fn tell(&self, silence: &Silence, what: &str) -> String;

    /// Polls until so many callbacks have been made in all; the last one's stamp.
    #[inline(always)]
    fn wait(&mut self, calls: u64) -> Result<u64, String> {
        let came = wait_until(|| {
            let all = self.seen().0 >= calls;
            if !all {
                self.poll();
            }
            all
        });
        let (made, stamp) = self.seen();
        came.map(|()| stamp).map_err(|silence| {
            self.tell(
                &silence,
                &format!("{calls} signals were expected, {made} came"),
            )
        })
    }
}

/// The library through its C ABI.
pub struct InLibrary<'a> {
    handle: Live,
    // Boxed: the library keeps a pointer to it.
    probe: Box<Last<'a>>,
}

impl<'a> InLibrary<'a> {
    pub fn new(handle: Live, stamps: &'a Stamps) -> Self {
        let probe = Box::new(Last::new(stamps));
        // SAFETY: the probe is boxed, and the handle polled through this struct alone.
        unsafe { probe::register(&*handle, &*probe) };
        Self { handle, probe }
    }
}

impl Subject for InLibrary<'_> {
    #[inline(always)]
    fn on_depth(&mut self, depth: &Depth) {
        self.handle.on_depth(depth);
    }

    #[inline(always)]
    fn on_trade(&mut self, trade: &Trade) {
        self.handle.on_trade(trade);
    }

    #[inline(always)]
    fn poll(&mut self) {
        self.handle.poll_inlined();
    }

    #[inline(always)]
    fn seen(&self) -> (u64, u64) {
        (self.probe.calls(), self.probe.received())
    }

    fn tell(&self, silence: &Silence, what: &str) -> String {
        silence.tell(&self.handle, what)
    }

    fn hops(&mut self) -> Hops {
        let hops = self.handle.hops();
        let named = hops.iter().map(|hop| {
            let name = hop["hop"].as_str().unwrap_or_default().to_owned();
            (name, hop["p50_ns"].as_f64().unwrap_or_default())
        });
        named.collect()
    }
}

/// The engine in this process: what needs a factor set that the library does not have.
pub struct InProcess<'a> {
    engine: Engine,
    probe: Last<'a>,
}

impl<'a> InProcess<'a> {
    pub fn new(engine: Engine, stamps: &'a Stamps) -> Self {
        let probe = Last::new(stamps);
        Self { engine, probe }
    }
}

impl Subject for InProcess<'_> {
    #[inline(always)]
    fn on_depth(&mut self, depth: &Depth) {
        self.engine.on_event(HostEvent::Depth(depth));
    }

    #[inline(always)]
    fn on_trade(&mut self, trade: &Trade) {
        self.engine.on_event(HostEvent::Trade(trade));
    }

    #[inline(always)]
    fn poll(&mut self) {
        let probe = &self.probe;
        self.engine.poll(|_, signal| {
            probe.take(signal.meta.timestamp);
            black_box(signal.values);
        });
    }

    #[inline(always)]
    fn seen(&self) -> (u64, u64) {
        (self.probe.calls(), self.probe.received())
    }

    fn tell(&self, silence: &Silence, what: &str) -> String {
        let (health, lanes) = (self.engine.health(), self.engine.lanes());
        format!("{what}\n  health: {health}\n  lanes: {lanes:?}\n  {silence}")
    }

    fn hops(&mut self) -> Hops {
        let hops = self.engine.latency();
        let named = hops
            .iter()
            .map(|hop| (hop.hop.name().to_owned(), hop.p50_ns as f64));
        named.collect()
    }
}
