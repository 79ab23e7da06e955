//! What the library costs, through the C ABI, on the host's thread.

use std::ffi::c_void;
use std::hint::black_box;

use signal::abi::{Depth, Trade};
use signal_command::host::library::{Callback, Handle};

use crate::echo::Trips;
use crate::probe::{self, Last};
use crate::series::{Figures, Series, Stamps, batched};
use crate::silence::{LONGEST_WAIT, Silence, wait_until};
use crate::workload;

/// What is given events and polled on the host's thread.
pub trait Host {
    /// Names the callback.
    ///
    /// # Safety
    ///
    /// `user_data` must be what `callback` expects for as long as this is polled.
    unsafe fn register(&self, callback: Callback, user_data: *mut c_void);
    /// Hands a Depth in.
    fn on_depth(&self, depth: &Depth);
    /// Hands a trade in.
    fn on_trade(&self, trade: &Trade);
    /// Runs the callback for what is ready, as cheaply as the host can ask.
    fn poll(&self);
    /// Why nothing came, with what it says of itself.
    fn tell(&self, silence: &Silence, what: &str) -> String {
        format!("{what}\n  {silence}")
    }
}

impl Host for Handle {
    unsafe fn register(&self, callback: Callback, user_data: *mut c_void) {
        // SAFETY: the caller vouches for it.
        unsafe { Handle::register(self, callback, user_data) }
    }

    #[inline(always)]
    fn on_depth(&self, depth: &Depth) {
        Handle::on_depth(self, depth);
    }

    #[inline(always)]
    fn on_trade(&self, trade: &Trade) {
        Handle::on_trade(self, trade);
    }

    #[inline(always)]
    fn poll(&self) {
        self.poll_inlined();
    }

    fn tell(&self, silence: &Silence, what: &str) -> String {
        silence.tell(self, what)
    }
}

/// Between a trade and the Depth that follows it, ns.
const TRADE_GAP_NS: u64 = 1_000;

/// One Depth under way at a time, the host spinning on the inlined poll.
pub struct Ticks<'a, H = Handle> {
    handle: &'a H,
    // Boxed: the library keeps a pointer to it.
    probe: Box<Last<'a>>,
    depth: Depth,
    /// Handed in, unmeasured, before each trip.
    trade: Option<Trade>,
}

impl<'a, H: Host> Ticks<'a, H> {
    /// Registers the callback.
    pub fn new(handle: &'a H, stamps: &'a Stamps) -> Self {
        let probe = Box::new(Last::new(stamps));
        // SAFETY: the probe is boxed, and the handle polled through this struct alone.
        unsafe { probe::register(handle, &*probe) };
        Self {
            handle,
            probe,
            depth: workload::depth(),
            trade: None,
        }
    }

    /// A trade goes before each Depth, so that what a factor set computes from
    /// trades is never up to date already.
    pub fn with_trades(mut self) -> Self {
        self.trade = Some(workload::trade(&self.depth));
        self
    }

    /// From a stamp taken just before `signal_on_data` to the stamp that the
    /// callback takes first of all.
    pub fn tick_to_callback(&mut self, trips: Trips) -> Result<Series, String> {
        self.measure(trips, |ticks| {
            let start = ticks.probe.stamps.start();
            ticks.handle.on_depth(&ticks.depth);
            ticks.wait()?;
            Ok((start, ticks.probe.received()))
        })
    }

    /// The call of `signal_on_data` alone. Its signal is awaited, unmeasured,
    /// before the next: the ring never fills.
    pub fn on_data(&mut self, trips: Trips) -> Result<Series, String> {
        self.measure(trips, |ticks| {
            let start = ticks.probe.stamps.start();
            ticks.handle.on_depth(&ticks.depth);
            let end = ticks.probe.stamps.raw();
            ticks.wait()?;
            Ok((start, end))
        })
    }

    /// Signals that came.
    pub fn received(&self) -> u64 {
        self.probe.calls()
    }

    fn measure(
        &mut self,
        trips: Trips,
        trip: impl Fn(&Self) -> Result<(u64, u64), String>,
    ) -> Result<Series, String> {
        let mut series = Series::new();
        let total = trips.warm_up() + trips.count;
        for number in 0..total {
            let next = number as i64 + 1;
            self.depth.data_time = next.into();
            // The book moves, so that no trip repeats the one before.
            self.depth.bid_price[0] = (100.0 + (number % 16) as f64 / 16.0).into();
            let mut gap = trips.gap;
            if let Some(trade) = &mut self.trade {
                trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
                trade.trade_time = (next * 1_000_000).into();
                self.handle.on_trade(trade);
                // The lane has it behind it when the Depth comes.
                gap = gap.max(self.probe.stamps.ticks(TRADE_GAP_NS));
            }
            self.probe.stamps.pause(gap);
            let (start, end) = trip(self)?;
            if number >= trips.warm_up() {
                series.record(start, end);
            }
        }
        Ok(series)
    }

    /// Spins on the inlined poll until the next callback.
    #[inline(always)]
    fn wait(&self) -> Result<(), String> {
        let before = self.probe.calls();
        let came = wait_until(|| {
            self.handle.poll();
            self.probe.calls() != before
        });
        came.map_err(|silence| {
            let what = format!(
                "no signal came within {LONGEST_WAIT:?} of a Depth (after {before} that did)"
            );
            self.handle.tell(&silence, &what)
        })
    }
}

/// `signal_poll_callbacks` with nothing to take.
pub fn empty_poll_call(stamps: &Stamps, handle: &Handle, calls: usize) -> Figures {
    batched(stamps, calls, || {
        black_box(handle.poll_call());
    })
}

/// The header's inlined poll with nothing to take.
pub fn empty_poll_inlined(stamps: &Stamps, handle: &Handle, calls: usize) -> Figures {
    batched(stamps, calls, || {
        black_box(handle.poll_inlined());
    })
}
