//! A handle of the C ABI in this process, fed as a C host feeds it. It covers slots, locks
//! and callbacks, not only the engine behind them.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_void};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use signal::ffi::*;
use signal::{Config, Registry};

use crate::feeds::Feeds;

/// A live handle; destroyed when dropped.
pub struct Handle {
    handle: *mut c_void,
    received: Box<Cell<u64>>,
    in_batches: bool,
}

impl Handle {
    /// Makes a handle from the configuration's own text, with a callback that counts.
    pub fn new(config: &Config, registry: &Registry) -> Self {
        let text = CString::new(serde_json::to_string(config).unwrap()).unwrap();
        // SAFETY: the text is NUL-terminated.
        let handle = unsafe { create_with(text.as_ptr(), registry) };
        assert!(!handle.is_null(), "{}", last_error());
        let received = Box::new(Cell::new(0));
        let user_data = std::ptr::from_ref::<Cell<u64>>(&received).cast_mut();
        // SAFETY: the cell outlives the handle.
        unsafe { signal_register_callback(handle, Some(count), user_data.cast()) };
        Self {
            handle,
            received,
            in_batches: false,
        }
    }

    /// As [`Handle::new`], but signals are taken in batches instead of callbacks.
    pub fn in_batches(config: &Config, registry: &Registry) -> Self {
        let mut new = Self::new(config, registry);
        // SAFETY: a null callback needs no `user_data`.
        unsafe { signal_register_callback(new.handle, None, std::ptr::null_mut()) };
        new.in_batches = true;
        new
    }

    /// Gives one event of each feed.
    pub fn give(&self, feeds: &Feeds) {
        let events: [(c_int, *const c_void); 4] = [
            (101, (&raw const feeds.depth).cast()),
            (103, (&raw const feeds.trade).cast()),
            (102, (&raw const feeds.ticker).cast()),
            (104, (&raw const feeds.index).cast()),
        ];
        for (kind, data) in events {
            // SAFETY: `data` is the struct of that type.
            unsafe { signal_on_data(self.handle, kind, data) };
        }
    }

    /// Polls as the inlined poll of the header does.
    pub fn poll(&self) {
        // SAFETY: the words stay readable for the life of the process.
        let news = unsafe {
            let egress = *signal_egress(self.handle);
            egress.published.read_volatile() != egress.taken.read_volatile()
        };
        if news && self.in_batches {
            while self.take_batch() {}
        } else if news {
            assert!(signal_poll_callbacks(self.handle) >= 0);
        }
    }

    /// Takes a batch; returns whether it held any signals.
    fn take_batch(&self) -> bool {
        const MOST: usize = 64;
        let mut results = [const { MaybeUninit::<signal_result_t>::uninit() }; MOST];
        let to = results.as_mut_ptr().cast();
        // SAFETY: there is room for `MOST` results.
        let count = unsafe { signal_poll_batch(self.handle, to, MOST as c_int) };
        for result in &results[..usize::try_from(count).unwrap()] {
            // SAFETY: the call wrote this result, and the batch is still out.
            let (symbol, value) = unsafe {
                let result = result.assume_init_ref();
                (*result.symbol, *result.values)
            };
            std::hint::black_box((symbol, value));
            self.received.set(self.received.get() + 1);
        }
        count > 0
    }

    /// The handle's counters.
    pub fn stats(&self) -> signal_stats_t {
        let mut stats = signal_stats_t {
            size: size_of::<signal_stats_t>() as u64,
            ..Default::default()
        };
        // SAFETY: `size` is right.
        assert_eq!(unsafe { signal_stats(self.handle, &raw mut stats) }, 0);
        stats
    }

    /// The handle's state, one of `SIGNAL_HEALTH_`.
    pub fn health(&self) -> c_int {
        signal_health(self.handle)
    }

    /// The names of the lanes.
    pub fn lanes(&self) -> String {
        const MOST: usize = 64;
        let mut lanes = [const { MaybeUninit::<signal_lane_t>::uninit() }; MOST];
        // SAFETY: there is room for `MOST` lanes.
        let count = unsafe { signal_lanes(self.handle, lanes.as_mut_ptr().cast(), MOST as c_int) };
        let lanes = &lanes[..usize::try_from(count).unwrap()];
        let name = |lane: &MaybeUninit<signal_lane_t>| {
            // SAFETY: the call wrote this lane, and its name ends with a NUL.
            let name = unsafe { CStr::from_ptr(lane.assume_init_ref().name.as_ptr()) };
            name.to_string_lossy().into_owned()
        };
        lanes.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// The number of signals that the callback has received.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Polls until at most `on_the_way` events are on their way. Waits by spinning.
    pub fn drain(&self, on_the_way: u64) {
        loop {
            // This comes first: the signals of events that have ended by now are published.
            let ended = self.stats().in_flight <= on_the_way;
            self.poll();
            if ended {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Polls until nothing is on its way and no signal waits for room.
    pub fn settle(&self) -> signal_stats_t {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            self.drain(0);
            let stats = self.stats();
            // The inlined poll finds no news and so makes no room; this call does.
            signal_poll_callbacks(self.handle);
            if stats.queued == 0 {
                return stats;
            }
            assert!(Instant::now() < limit, "{stats:?}");
        }
    }

    /// Feeds `rounds` rounds of all feeds, numbered from `first` on, and polls after every
    /// `stride` of them.
    pub fn feed(&self, feeds: &mut Feeds, first: i64, rounds: i64, stride: i64) {
        for time in first..first + rounds {
            feeds.at(time);
            self.give(feeds);
            if time % stride == 0 {
                self.drain(64 * stride as u64);
            }
        }
        self.settle();
    }

    /// Polls until so many more messages have been rehearsed. Waits by spinning.
    pub fn let_rehearse(&self, more: u64) {
        let limit = Instant::now() + Duration::from_secs(60);
        let enough = self.stats().rehearsals + more;
        while self.stats().rehearsals < enough {
            // The inlined poll runs no stages.
            assert!(signal_poll_callbacks(self.handle) >= 0);
            assert!(Instant::now() < limit, "{:?}", self.stats());
            std::hint::spin_loop();
        }
    }

    /// Feeds rounds without a poll, and waits for nothing.
    pub fn pass(&self, feeds: &mut Feeds, first: i64, rounds: i64) {
        for time in first..first + rounds {
            feeds.at(time);
            self.give(feeds);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        signal_destroy(self.handle);
    }
}

/// What `signal_last_error` says on this thread; empty if there is no error.
pub fn last_error() -> String {
    let text = signal_last_error();
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the text is valid until the next call on this thread.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

unsafe extern "C-unwind" fn count(
    symbol: *const c_char,
    _: c_longlong,
    values: *const f64,
    _: c_int,
    received: *mut c_void,
) {
    // SAFETY: `received` is the registered cell; the others are valid during the callback.
    let (received, symbol, value) = unsafe { (&*received.cast::<Cell<u64>>(), *symbol, *values) };
    std::hint::black_box((symbol, value));
    received.set(received.get() + 1);
}
