//! What is driven, on the host's thread.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_double, c_int, c_longlong, c_void};
use std::hint::black_box;
use std::time::{Duration, Instant};

use latency_bench::library::Handle;
use latency_bench::series::Stamps;
use signal::Engine;
use signal::abi::{Depth, HostEvent, Trade};

/// A signal that takes longer will not come.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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

    /// Polls until so many callbacks have been made in all; the last one's stamp.
    #[inline(always)]
    fn wait(&mut self, calls: u64) -> Result<u64, String> {
        for _ in 0..1u32 << 20 {
            let (made, stamp) = self.seen();
            if made >= calls {
                return Ok(stamp);
            }
            self.poll();
        }
        let start = Instant::now();
        while self.seen().0 < calls {
            if start.elapsed() > LONGEST_WAIT {
                let made = self.seen().0;
                return Err(format!("{calls} signals were expected, {made} came"));
            }
            self.poll();
        }
        Ok(self.seen().1)
    }
}

struct Probe<'a> {
    stamps: &'a Stamps,
    calls: Cell<u64>,
    last: Cell<u64>,
}

impl Probe<'_> {
    #[inline(always)]
    fn note(&self) {
        self.last.set(self.stamps.raw());
        self.calls.set(self.calls.get() + 1);
    }
}

extern "C-unwind" fn on_signal(
    _symbol: *const c_char,
    _timestamp: c_longlong,
    values: *const c_double,
    _count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a Probe that lives as long as the handle is polled.
    let probe = unsafe { &*user_data.cast::<Probe>() };
    probe.note();
    black_box(values);
}

/// The library through its C ABI.
pub struct InLibrary<'a> {
    handle: Handle,
    // Boxed: the library keeps a pointer to it.
    probe: Box<Probe<'a>>,
}

impl<'a> InLibrary<'a> {
    pub fn new(handle: Handle, stamps: &'a Stamps) -> Self {
        let probe = Box::new(Probe {
            stamps,
            calls: Cell::new(0),
            last: Cell::new(0),
        });
        let user_data = std::ptr::from_ref(&*probe).cast_mut().cast();
        // SAFETY: the probe is boxed and polled through this struct alone; the callback
        // only takes a shared reference to it.
        unsafe { handle.register(on_signal, user_data) };
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
        (self.probe.calls.get(), self.probe.last.get())
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
    probe: Probe<'a>,
}

impl<'a> InProcess<'a> {
    pub fn new(engine: Engine, stamps: &'a Stamps) -> Self {
        let probe = Probe {
            stamps,
            calls: Cell::new(0),
            last: Cell::new(0),
        };
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
            probe.note();
            black_box(signal.values);
        });
    }

    #[inline(always)]
    fn seen(&self) -> (u64, u64) {
        (self.probe.calls.get(), self.probe.last.get())
    }

    fn hops(&mut self) -> Hops {
        let hops = self.engine.latency();
        let named = hops
            .iter()
            .map(|hop| (hop.hop.name().to_owned(), hop.p50_ns as f64));
        named.collect()
    }
}
