//! The host's thread: what it gives events to, the callback that it has made, and one
//! measurement of the time between.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_double, c_int, c_longlong, c_void};
use std::hint::black_box;
use std::slice;

use serde_json::Value;
use signal::abi::{Depth, Trade};
use signal_command::host::library::Callback;

use crate::series::{Series, Stamps};
use crate::silence::{LONGEST_WAIT, wait_until};

/// What is given events and polled on the host's thread.
pub trait Host {
    /// Names the callback.
    ///
    /// # Safety
    ///
    /// `user_data` must be what `callback` expects for as long as this is polled.
    unsafe fn register(&mut self, callback: Callback, user_data: *mut c_void);
    fn on_depth(&mut self, depth: &Depth);
    fn on_trade(&mut self, trade: &Trade);
    /// Runs the callback for what is ready, as cheaply as the host can ask.
    fn poll(&mut self);
    /// What it says of itself when no signal comes.
    fn about(&self) -> String {
        String::new()
    }
    /// Its own hops, as `signal_latency` has them.
    fn hops(&mut self) -> Vec<Value> {
        Vec::new()
    }
}

/// The median of one of a host's hops, ns; 0 where it has none of the name.
pub fn hop(hops: &[Value], name: &str) -> f64 {
    let hop = hops.iter().find(|hop| hop["hop"] == name);
    hop.and_then(|hop| hop["p50_ns"].as_f64())
        .unwrap_or_default()
}

/// What a callback is given. Its pointers are those of the call.
#[derive(Clone, Copy)]
pub struct Signal {
    pub timestamp: i64,
    symbol: *const c_char,
    values: *const c_double,
    count: c_int,
}

impl Signal {
    /// The instrument's name and the values.
    fn copied(self) -> (String, Vec<f64>) {
        // SAFETY: only `on_signal` makes one, during the call, for which the host promises a
        // NUL-terminated symbol and `count` values.
        let (symbol, values) = unsafe {
            (
                CStr::from_ptr(self.symbol),
                slice::from_raw_parts(self.values, self.count as usize),
            )
        };
        (symbol.to_string_lossy().into_owned(), values.to_vec())
    }
}

/// What a callback leaves for the sender.
pub trait Probe {
    /// Takes a signal. A stamp that ends a trip is taken first of all.
    fn take(&self, signal: Signal);
    fn calls(&self) -> u64;
}

extern "C-unwind" fn on_signal<P: Probe>(
    symbol: *const c_char,
    timestamp: c_longlong,
    values: *const c_double,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a P that outlives the polling; nobody has it exclusively.
    let probe = unsafe { &*user_data.cast::<P>() };
    probe.take(Signal {
        timestamp,
        symbol,
        values,
        count,
    });
    black_box(values);
}

/// The last signal's stamp, and how many came.
pub struct Last<'a> {
    stamps: &'a Stamps,
    stamp: Cell<u64>,
    calls: Cell<u64>,
}

impl Probe for Last<'_> {
    #[inline(always)]
    fn take(&self, _: Signal) {
        self.stamp.set(self.stamps.raw());
        self.calls.set(self.calls.get() + 1);
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.calls.get()
    }
}

/// Keeps every signal: name, time and values.
#[derive(Default)]
pub struct Kept(pub RefCell<Vec<(String, i64, Vec<f64>)>>);

impl Probe for Kept {
    fn take(&self, signal: Signal) {
        let (symbol, values) = signal.copied();
        self.0.borrow_mut().push((symbol, signal.timestamp, values));
    }

    fn calls(&self) -> u64 {
        self.0.borrow().len() as u64
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Trips {
    pub count: usize,
    pub warm_up: usize,
    /// Pause before each, in clock ticks.
    pub gap: u64,
}

impl Trips {
    /// A tenth as many go before; no pause.
    pub fn new(count: usize) -> Self {
        Self {
            count,
            warm_up: count / 10,
            gap: 0,
        }
    }
}

pub trait Source {
    /// The Depth of this number, from 0, and the trade that goes before it.
    fn event(&mut self, number: usize) -> (&Depth, Option<&Trade>);
}

/// Between a trade and the Depth that follows it: the lane has it behind it by then.
const TRADE_GAP_NS: u64 = 1_000;

pub struct Driver<'a, H: Host, P: Probe = Last<'a>> {
    pub host: H,
    // Boxed: the host keeps a pointer to it.
    pub probe: Box<P>,
    stamps: &'a Stamps,
}

impl<'a, H: Host> Driver<'a, H> {
    /// With a callback that takes a stamp.
    pub fn new(host: H, stamps: &'a Stamps) -> Self {
        let probe = Last {
            stamps,
            stamp: Cell::new(0),
            calls: Cell::new(0),
        };
        Self::with(host, probe, stamps)
    }

    /// One Depth under way at a time: from a stamp just before it is given to the stamp that
    /// its callback takes first of all; with `CALL` to the return of the call, too.
    pub fn trips<const CALL: bool>(
        &mut self,
        trips: Trips,
        source: &mut impl Source,
    ) -> Result<(Series, Series), String> {
        let (mut ticks, mut calls) = (Series::default(), Series::default());
        let before = self.probe.calls();
        let total = trips.warm_up + trips.count;
        for number in 0..total {
            let (depth, trade) = source.event(number);
            let mut gap = trips.gap;
            if let Some(trade) = trade {
                self.host.on_trade(trade);
                gap = gap.max(self.stamps.ticks(TRADE_GAP_NS));
            }
            self.stamps.pause(gap);
            let start = self.stamps.start();
            self.host.on_depth(depth);
            let returned = if CALL { self.stamps.raw() } else { 0 };
            self.wait(before + number as u64 + 1)?;
            if number >= trips.warm_up {
                ticks.record(start, self.probe.stamp.get());
                if CALL {
                    calls.record(start, returned);
                }
            }
        }
        match self.probe.calls() - before {
            came if came == total as u64 => Ok((ticks, calls)),
            came => Err(format!("{total} Depths were sent, {came} signals came")),
        }
    }

    /// So many Depths at once, with a poll and this much work of the host's before each;
    /// from the first to the last one's callback. `trips.gap` goes before each burst.
    pub fn bursts(
        &mut self,
        size: usize,
        trips: Trips,
        work: u64,
        source: &mut impl Source,
    ) -> Result<Series, String> {
        let mut series = Series::default();
        let before = self.probe.calls();
        for burst in 0..trips.warm_up + trips.count {
            self.stamps.pause(trips.gap);
            let start = self.stamps.start();
            for number in burst * size..(burst + 1) * size {
                self.host.poll();
                self.stamps.pause(work);
                self.host.on_depth(source.event(number).0);
            }
            self.wait(before + ((burst + 1) * size) as u64)?;
            if burst >= trips.warm_up {
                series.record(start, self.probe.stamp.get());
            }
        }
        Ok(series)
    }
}

impl<'a, H: Host, P: Probe> Driver<'a, H, P> {
    pub fn with(mut host: H, probe: P, stamps: &'a Stamps) -> Self {
        let probe = Box::new(probe);
        let user_data = std::ptr::from_ref(&*probe).cast_mut().cast();
        // SAFETY: the callback takes a shared reference to a P; the probe is boxed, nobody has
        // it exclusively, and the host goes before it does.
        unsafe { host.register(on_signal::<P>, user_data) };
        Self {
            host,
            probe,
            stamps,
        }
    }

    /// Polls until so many callbacks have been made in all.
    #[inline(always)]
    pub fn wait(&mut self, calls: u64) -> Result<(), String> {
        let came = wait_until(|| {
            let all = self.probe.calls() >= calls;
            if !all {
                self.host.poll();
            }
            all
        });
        came.map_err(|silence| {
            let made = self.probe.calls();
            format!(
                "no signal came within {LONGEST_WAIT:?}: {calls} were expected, {made} came\n  {}\n  {silence}",
                self.host.about()
            )
        })
    }
}
