//! What the host does with one of its handles, and what it expects in return.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_longlong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use signal::ffi::*;

use super::{CONFIGS, DELIVERS, REFUSED, Slot, Tape, size, sized};

/// What a callback throws.
struct Thrown;

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl Slot<'_> {
    pub(super) fn create(&self, config: usize) {
        if !self.handle.get().is_null() {
            return;
        }
        let text = CONFIGS.get(config).map(|text| CString::new(*text).unwrap());
        let text = text.as_ref().map_or(null(), |text| text.as_ptr());
        // SAFETY: the text is null or NUL-terminated.
        let handle = unsafe { signal_create(text) };
        assert_eq!(handle.is_null(), !signal_last_error().is_null());
        assert_eq!(handle.is_null(), REFUSED.contains(&config));
        self.handle.set(handle);
        self.delivers.set(DELIVERS.contains(&config));
        for count in [&self.events, &self.nulls, &self.unknown, &self.callbacks] {
            count.set(0);
        }
        self.register(true);
    }

    pub(super) fn register(&self, some: bool) {
        let callback: signal_callback_t = some.then_some(on_signal);
        let user_data = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the handle is null or live, and the slot outlives it.
        unsafe { signal_register_callback(self.handle.get(), callback, user_data) };
    }

    pub(super) fn data(&self, kind: c_int, payload: *const u8) {
        if payload.is_null() {
            bump(&self.nulls);
        } else if size(kind).is_some() {
            bump(&self.events);
        } else {
            bump(&self.unknown);
        }
        let before = self.callbacks.get();
        self.call(|| {
            // SAFETY: the handle is null or live; the payload is null or as long as its type.
            unsafe { signal_on_data(self.handle.get(), kind, payload.cast()) };
        });
        assert!(self.callbacks.get() == before || self.delivers.get());
    }

    /// Makes a call that may make callbacks, which may throw. Returns whether the call returned.
    fn call(&self, call: impl FnOnce()) -> bool {
        let outermost = !self.polling.replace(true);
        let result = catch_unwind(AssertUnwindSafe(call));
        if outermost {
            self.polling.set(false);
            if self.doomed.take() {
                self.dead.set(self.handle.replace(null_mut()));
            }
        }
        match result {
            Ok(()) => true,
            Err(thrown) if thrown.is::<Thrown>() => false,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(super) fn good(&self, what: u8, price: f64) {
        const SYMBOLS: [&[u8]; 4] = [b"btc_usdt", b"BTCUSDT", b"eth_usdt", b""];
        let kind = 101 + c_int::from(what % 4);
        let size = size(kind).unwrap();
        let (symbol, prices): (usize, &[usize]) = match kind {
            101 => (16, &[73, 153]),
            102 => (16, &[73, 89]),
            103 => (32, &[105]),
            _ => (0, &[49]),
        };
        let text = SYMBOLS[usize::from(what / 4) % SYMBOLS.len()];
        let mut payload = vec![0; size];
        payload[symbol..symbol + text.len()].copy_from_slice(text);
        for at in prices {
            payload[*at..at + 8].copy_from_slice(&price.to_le_bytes());
        }
        self.data(kind, payload.as_ptr());
    }

    pub(super) fn poll(&self) {
        let handle = self.handle.get();
        let (nested, doomed) = (self.polling.get(), self.doomed.get());
        let before = self.callbacks.get();
        let mut made = 0;
        let returned = self.call(|| made = signal_poll_callbacks(handle));
        match made {
            _ if !returned => {}
            made if handle.is_null() => assert_eq!(made, SIGNAL_ERROR_NULL),
            made if doomed => assert_eq!(made, SIGNAL_ERROR_HANDLE),
            made if nested => assert_eq!(made, 0),
            made => assert_eq!(made as u64, self.callbacks.get() - before),
        }
    }

    /// Takes some signals without a callback.
    pub(super) fn batch(&self, max: u8) {
        let (handle, max) = (self.handle.get(), c_int::from(max as i8 % 8));
        let mut results = Vec::<signal_result_t>::with_capacity(8);
        // SAFETY: the handle is null or live; there is room for eight results.
        let count = unsafe { signal_poll_batch(handle, results.as_mut_ptr(), max) };
        match count {
            count if handle.is_null() => return assert_eq!(count, SIGNAL_ERROR_NULL),
            count if self.doomed.get() => return assert_eq!(count, SIGNAL_ERROR_HANDLE),
            count if self.polling.get() => return assert_eq!(count, 0),
            count => assert!((0..=max.max(0)).contains(&count)),
        }
        // SAFETY: the call wrote `count` results.
        unsafe { results.set_len(count as usize) };
        for result in &results {
            bump(&self.callbacks);
            // SAFETY: the call wrote this result, and the batch is still out.
            let (symbol, values) = unsafe {
                let values = std::slice::from_raw_parts(result.values, result.count as usize);
                (std::ffi::CStr::from_ptr(result.symbol), values)
            };
            assert!(!symbol.is_empty() && !values.is_empty());
            std::hint::black_box(values.iter().sum::<f64>());
        }
    }

    /// A handle that is destroyed inside a callback is refused, although its poll continues.
    fn is_live(&self) -> bool {
        !self.handle.get().is_null() && !self.doomed.get()
    }

    fn stats(&self) -> signal_stats_t {
        let mut stats = sized();
        // SAFETY: the handle is live, and `size` is right.
        let answer = unsafe { signal_stats(self.handle.get(), &raw mut stats) };
        assert_eq!(answer, 0);
        stats
    }

    /// Waits until every event has ended.
    pub(super) fn settle(&self) {
        let start = Instant::now();
        while self.is_live() && self.stats().in_flight > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "events are stuck"
            );
            std::thread::yield_now();
        }
    }

    /// Makes calls that change nothing.
    pub(super) fn questions(&self, tape: &Tape<'_>) {
        let handle = self.handle.get();
        let (model, index) = (
            c_int::from(tape.byte() as i8),
            c_int::from(tape.byte() as i8),
        );
        let mut hops = Vec::with_capacity(4);
        let mut small = signal_stats_t {
            size: u64::from(tape.byte()),
            ..Default::default()
        };
        // SAFETY: the handle is null or live; there is room for four rows each, and for
        // more bytes than `size` says.
        unsafe {
            signal_stats(handle, &raw mut small);
            signal_models(handle);
            signal_model_name(handle, model);
            signal_value_name(handle, model, index);
            let inside = signal_current_model(handle) != SIGNAL_NO_MODEL;
            assert!(!handle.is_null() || inside);
            assert_eq!(
                signal_current_sequence(handle) > 0,
                self.polling.get() && self.is_live()
            );
            let mut instrument = std::mem::MaybeUninit::<signal_instrument_t>::uninit();
            let told = signal_current_instrument(handle, instrument.as_mut_ptr());
            assert_eq!(told == 0, self.polling.get() && self.is_live());
            if told == 0 {
                let told = instrument.assume_init();
                assert!(!std::ffi::CStr::from_ptr(told.symbol).is_empty());
            }
            signal_batch_instrument(handle, index, instrument.as_mut_ptr());
            let mut lanes = Vec::with_capacity(4);
            let mut rings = Vec::with_capacity(4);
            assert!(signal_lanes(handle, lanes.as_mut_ptr(), c_int::from(tape.byte() % 5)) <= 4);
            assert!(signal_rings(handle, rings.as_mut_ptr(), c_int::from(tape.byte() % 5)) <= 4);
            signal_incident(handle, index);
            if signal_health(handle) > SIGNAL_HEALTH_OK {
                assert!(!signal_last_error().is_null());
            }
            let count = signal_latency(handle, hops.as_mut_ptr(), c_int::from(tape.byte() % 5));
            assert!(count <= 4);
            let egress = signal_egress(handle);
            if !egress.is_null() {
                let (published, taken) = ((*egress).published, (*egress).taken);
                assert!(published.read_volatile() >= taken.read_volatile());
            }
        }
    }

    pub(super) fn destroy(&self) {
        let handle = self.handle.get();
        signal_destroy(handle);
        if handle.is_null() {
            return;
        }
        if self.polling.get() {
            self.doomed.set(true);
        } else {
            self.dead.set(self.handle.replace(null_mut()));
        }
    }

    /// Checks that everything that was given is accounted for, then destroys the handle.
    pub(super) fn close(&self) {
        if !self.is_live() {
            return;
        }
        self.settle();
        // The callback stays registered, but the fuzzer's program has ended.
        self.register(true);
        let start = Instant::now();
        loop {
            let before = self.callbacks.get();
            self.poll();
            // A lane may publish later what waits for room.
            if self.callbacks.get() == before && self.stats().queued == 0 {
                break;
            }
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "signals are stuck: {:?}",
                self.stats()
            );
        }
        let s = self.stats();
        let events = s.events_depth + s.events_ticker + s.events_trade + s.events_index_price;
        assert_eq!(events, self.events.get());
        assert_eq!(s.refused_null_data, self.nulls.get());
        assert_eq!(s.refused_unknown_type, self.unknown.get());
        assert_eq!(s.delivered, self.callbacks.get());
        let refused = s.refused_bad_symbol
            + s.refused_bad_price
            + s.refused_bad_size
            + s.refused_too_many_instruments
            + s.refused_not_an_asset
            + s.refused_failed;
        let dropped = s.dropped_ingest_ring_full + s.dropped_ingest_timeout;
        let ended = refused + dropped + s.updates + s.answered;
        assert_eq!(events, ended, "{s:?}");
        let lost = s.dropped_egress_ring_full + s.dropped_egress_timeout + s.conflated_egress;
        assert_eq!(s.signals, s.delivered + lost, "{s:?}");
        assert_eq!(s.predicted, s.signals, "{s:?}");
        assert!(s.ingest_gap <= dropped, "{s:?}");
        assert!(s.egress_gap <= lost, "{s:?}");
        assert_eq!((s.panics, s.refused_concurrent), (0, 0), "{s:?}");
        self.destroy();
    }
}

unsafe extern "C-unwind" fn on_signal(
    symbol: *const c_char,
    _timestamp: c_longlong,
    values: *const f64,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: `user_data` is what `register` passed; slot and host outlive the handle.
    let (slot, host) = unsafe {
        let slot = &*user_data.cast::<Slot<'_>>();
        (slot, &*slot.host.get())
    };
    assert!(std::thread::current().id() == host.thread && slot.polling.get());
    // SAFETY: both pointers are valid during the call.
    let (symbol, before) = unsafe {
        let values = std::slice::from_raw_parts(values, count as usize);
        (std::ffi::CStr::from_ptr(symbol), values.to_vec())
    };
    assert!(!symbol.is_empty() && count > 0);
    bump(&slot.callbacks);
    let steps = host.tape.below(8);
    if steps == 7 {
        // This unwinds as an exception does, and no panic hook runs.
        resume_unwind(Box::new(Thrown));
    }
    for _ in 0..steps.min(3) {
        host.step();
    }
    // The values stay unchanged, whatever was called meanwhile.
    // SAFETY: as above.
    let after = unsafe { std::slice::from_raw_parts(values, count as usize) };
    assert!(
        before
            .iter()
            .zip(after)
            .all(|(b, a)| b.to_bits() == a.to_bits())
    );
}
