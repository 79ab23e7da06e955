//! A host that is as odd as a fuzzer's bytes make it: any calls of the C API, in
//! any order, also from inside a callback.
//!
//! Every byte string is a program. Each instruction is a byte and what it reads
//! behind it; a callback runs the next few instructions.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_longlong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null, null_mut};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use signal::ffi::*;

const SLOTS: usize = 3;
/// Mostly without lanes: those take their time to start.
const CONFIGS: [&str; 18] = [
    r#"{"placement": "inline", "timing": false, "instruments": {"max": 2}}"#,
    r#"{"placement": "inline", "timing": false, "rings": {"egress": 2}}"#,
    r#"{"placement": "inline", "factors": "market", "model": "none", "timing": false}"#,
    r#"{"placement": "inline", "factors": ["market", "test0000"], "models": ["none", "test0000"],
        "callback": "per-model", "trigger": ["depth", "ticker", "trade", "index_price"]}"#,
    r#"{"placement": "inline", "assets": ["btc_usdt"], "timing": false, "rings": {"egress": 2}}"#,
    r#"{"placement": "fused", "idle": "park", "timing": false, "rings": {"ingest": 2, "egress": 2}}"#,
    r#"{"placement": "split", "idle": "yield", "rings": {"ingest": 4, "stage": 2, "egress": 4}}"#,
    r#"{"placement": [["ingest"], ["factor", "model"]], "idle": "park", "timing": false}"#,
    r#"{"placement": "fused", "idle": "park", "timing": false, "rings": {"ingest": 2, "egress": 2},
        "overload": {"ingest": "block", "egress": "block", "block_ms": 1}}"#,
    r#"{"placement": "inline", "timing": false, "rings": {"egress": 2}, "overload": {"egress": "drop-newest"}}"#,
    r#"{"placement": "inline", "deliver": "on_data", "timing": false, "rings": {"egress": 2}}"#,
    r#"{"placement": "inline", "deliver": "on_data", "models": ["none", "test0000"], "callback": "per-model",
        "trigger": ["depth", "index_price"]}"#,
    r#"{"placement": "fused", "deliver": "on_data", "deliver_budget_us": 20, "rings": {"ingest": 2, "egress": 2}}"#,
    r#"{"placement": "nowhere"}"#,
    r#"{"rings": {"egress": 0}}"#,
    "{",
    "",
    r#"{"placement": "fused", "shards": 2, "idle": "park", "trigger": ["depth", "index_price"],
        "rings": {"ingest": 8, "stage": 2, "egress": 4}}"#,
];
/// Those that are refused. An empty text is an empty object.
const REFUSED: std::ops::Range<usize> = 13..16;
/// Those of which `on_data` makes callbacks, too.
const DELIVERS: std::ops::Range<usize> = 10..13;

/// Bytes that are read once, by the host and by its callbacks in turn.
struct Tape<'a> {
    bytes: &'a [u8],
    at: Cell<usize>,
}

impl Tape<'_> {
    fn next(&self) -> Option<u8> {
        let byte = *self.bytes.get(self.at.get())?;
        self.at.set(self.at.get() + 1);
        Some(byte)
    }

    fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn below(&self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.byte());
    }
}

/// A handle and what the host knows of it.
struct Slot<'a> {
    host: Cell<*const Host<'a>>,
    handle: Cell<*mut c_void>,
    dead: Cell<*mut c_void>,
    polling: Cell<bool>,
    delivers: Cell<bool>,
    doomed: Cell<bool>,
    events: Cell<u64>,
    nulls: Cell<u64>,
    unknown: Cell<u64>,
    callbacks: Cell<u64>,
}

struct Host<'a> {
    tape: Tape<'a>,
    slots: [Slot<'a>; SLOTS],
    thread: ThreadId,
}

/// What a callback throws.
struct Thrown;

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// Runs the program and checks what the host was told.
pub fn calls(bytes: &[u8]) {
    let slot = || Slot {
        host: Cell::new(null()),
        handle: Cell::new(null_mut()),
        dead: Cell::new(null_mut()),
        polling: Cell::new(false),
        delivers: Cell::new(false),
        doomed: Cell::new(false),
        events: Cell::default(),
        nulls: Cell::default(),
        unknown: Cell::default(),
        callbacks: Cell::default(),
    };
    let host = Host {
        tape: Tape {
            bytes,
            at: Cell::new(0),
        },
        slots: std::array::from_fn(|_| slot()),
        thread: std::thread::current().id(),
    };
    for slot in &host.slots {
        slot.host.set(&raw const host);
    }
    while host.step() {}
    for slot in &host.slots {
        slot.close();
    }
}

impl Host<'_> {
    /// Runs one instruction; false at the end of the program.
    fn step(&self) -> bool {
        let Some(instruction) = self.tape.next() else {
            return false;
        };
        let slot = &self.slots[usize::from(instruction >> 4) % SLOTS];
        match instruction & 15 {
            0 | 1 => slot.create(self.tape.below(CONFIGS.len() + 1)),
            2 => slot.register(true),
            3 => slot.register(false),
            4 => self.raw(slot),
            5..=8 => self.good(slot),
            9 => slot.poll(),
            10 => slot.batch(self.tape.byte()),
            11 if self.tape.below(4) == 0 => slot.destroy(),
            11 => slot.settle(),
            12 => slot.questions(&self.tape),
            13 => self.elsewhere(),
            _ => (0..=self.tape.below(32)).for_each(|_| slot.good(0, 1.0)),
        }
        true
    }

    /// Any type and payload.
    fn raw(&self, slot: &Slot<'_>) {
        let chosen = self.tape.byte();
        let kind = match chosen {
            0..=3 => i32::from_le_bytes(std::array::from_fn(|_| self.tape.byte())),
            _ => 100 + c_int::from(chosen % 11),
        };
        let size = size(kind).unwrap_or(0);
        if chosen >= 250 {
            return slot.data(kind, null());
        }
        // A box of just this size: reading on is an error that a sanitizer sees.
        let mut payload = vec![0; size].into_boxed_slice();
        self.tape.fill(&mut payload);
        slot.data(kind, payload.as_ptr());
    }

    /// An event that is mostly taken.
    fn good(&self, slot: &Slot<'_>) {
        const PRICES: [f64; 8] = [1.0, 0.1, 65_000.5, 1e-8, 0.0, -1.0, f64::NAN, 1e12];
        let (what, price) = (self.tape.byte(), self.tape.below(PRICES.len()));
        slot.good(what, PRICES[price]);
    }

    /// Calls with what is no handle.
    fn elsewhere(&self) {
        let mut local = [0u64; 64];
        let handle = match self.tape.byte() {
            0..=99 => self.slots[self.tape.below(SLOTS)].dead.get(),
            100..=149 => local.as_mut_ptr().cast(),
            150..=199 => local.as_mut_ptr().wrapping_byte_add(3).cast(),
            200 => null_mut(),
            other => std::ptr::without_provenance_mut(usize::from(other - 200)),
        };
        if self.slots.iter().any(|slot| slot.handle.get() == handle) {
            return;
        }
        let mut stats = sized();
        let (mut hops, mut lanes, mut rings, mut results) = (
            Vec::with_capacity(1),
            Vec::with_capacity(1),
            Vec::with_capacity(1),
            Vec::with_capacity(1),
        );
        let before = signal_refused_handles();
        // SAFETY: null is allowed; what is no live handle is refused.
        unsafe {
            signal_on_data(handle, 101, [0u8; 393].as_ptr().cast());
            signal_register_callback(handle, None, null_mut());
            assert!(signal_poll_callbacks(handle) < 0);
            assert!(signal_poll_batch(handle, results.as_mut_ptr(), 1) < 0);
            assert!(signal_stats(handle, &raw mut stats) < 0);
            assert!(signal_models(handle) < 0);
            assert!(signal_model_name(handle, 0).is_null());
            assert!(signal_value_name(handle, 0, 0).is_null());
            assert!(signal_current_model(handle) != SIGNAL_NO_MODEL);
            assert_eq!(signal_current_sequence(handle), 0);
            assert!(signal_egress(handle).is_null());
            assert!(signal_latency(handle, hops.as_mut_ptr(), 1) < 0);
            assert!(signal_health(handle) < 0);
            assert!(signal_incident(handle, 0).is_null());
            assert!(signal_lanes(handle, lanes.as_mut_ptr(), 1) < 0);
            assert!(signal_rings(handle, rings.as_mut_ptr(), 1) < 0);
            assert!(signal_stamp_ns(handle) < 0.0);
            signal_destroy(handle);
        }
        // Null is no mistake worth counting. Other hosts of the process count too.
        let calls = if handle.is_null() { 0 } else { 18 };
        assert!(signal_refused_handles() - before >= calls);
    }
}

fn size(kind: c_int) -> Option<usize> {
    match kind {
        101 => Some(393),
        102 => Some(105),
        103 => Some(131),
        104 => Some(57),
        _ => None,
    }
}

fn sized() -> signal_stats_t {
    signal_stats_t {
        size: size_of::<signal_stats_t>() as u64,
        ..Default::default()
    }
}

impl Slot<'_> {
    fn create(&self, config: usize) {
        if !self.handle.get().is_null() {
            return;
        }
        let text = CONFIGS.get(config).map(|text| CString::new(*text).unwrap());
        let text = text.as_ref().map_or(null(), |text| text.as_ptr());
        // SAFETY: null or NUL-terminated.
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

    fn register(&self, some: bool) {
        let callback: signal_callback_t = some.then_some(on_signal);
        let user_data = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: null or live; the slot outlives the handle.
        unsafe { signal_register_callback(self.handle.get(), callback, user_data) };
    }

    fn data(&self, kind: c_int, payload: *const u8) {
        if payload.is_null() {
            bump(&self.nulls);
        } else if size(kind).is_some() {
            bump(&self.events);
        } else {
            bump(&self.unknown);
        }
        let before = self.callbacks.get();
        self.call(|| {
            // SAFETY: null or live; the payload is null or as long as its type.
            unsafe { signal_on_data(self.handle.get(), kind, payload.cast()) };
        });
        assert!(self.callbacks.get() == before || self.delivers.get());
    }

    /// A call that may make callbacks, which may throw; whether it returned.
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

    fn good(&self, what: u8, price: f64) {
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

    fn poll(&self) {
        let handle = self.handle.get();
        let (nested, doomed) = (self.polling.get(), self.doomed.get());
        let before = self.callbacks.get();
        let mut made = 0;
        // SAFETY: null or live.
        let returned = self.call(|| made = unsafe { signal_poll_callbacks(handle) });
        match made {
            _ if !returned => {}
            made if handle.is_null() => assert_eq!(made, SIGNAL_ERROR_NULL),
            made if doomed => assert_eq!(made, SIGNAL_ERROR_HANDLE),
            made if nested => assert_eq!(made, 0),
            made => assert_eq!(made as u64, self.callbacks.get() - before),
        }
    }

    /// Takes some signals without a callback.
    fn batch(&self, max: u8) {
        let (handle, max) = (self.handle.get(), c_int::from(max as i8 % 8));
        let mut results = Vec::<signal_result_t>::with_capacity(8);
        // SAFETY: null or live; there is room for eight.
        let count = unsafe { signal_poll_batch(handle, results.as_mut_ptr(), max) };
        match count {
            count if handle.is_null() => return assert_eq!(count, SIGNAL_ERROR_NULL),
            count if self.doomed.get() => return assert_eq!(count, SIGNAL_ERROR_HANDLE),
            count if self.polling.get() => return assert_eq!(count, 0),
            count => assert!((0..=max.max(0)).contains(&count)),
        }
        // SAFETY: so many were written.
        unsafe { results.set_len(count as usize) };
        for result in &results {
            bump(&self.callbacks);
            // SAFETY: the batch is out.
            let (symbol, values) = unsafe {
                let values = std::slice::from_raw_parts(result.values, result.count as usize);
                (std::ffi::CStr::from_ptr(result.symbol), values)
            };
            assert!(!symbol.is_empty() && !values.is_empty());
            std::hint::black_box(values.iter().sum::<f64>());
        }
    }

    /// Destroyed inside a callback, a handle is refused though its poll goes on.
    fn is_live(&self) -> bool {
        !self.handle.get().is_null() && !self.doomed.get()
    }

    fn stats(&self) -> signal_stats_t {
        let mut stats = sized();
        // SAFETY: live, and the size is right.
        let answer = unsafe { signal_stats(self.handle.get(), &raw mut stats) };
        assert_eq!(answer, 0);
        stats
    }

    /// Waits until every event has ended.
    fn settle(&self) {
        let start = Instant::now();
        while self.is_live() && self.stats().in_flight > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "events are stuck"
            );
            std::thread::yield_now();
        }
    }

    /// What changes nothing.
    fn questions(&self, tape: &Tape<'_>) {
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
        // SAFETY: null or live; there is room for four rows each, and for more bytes
        // than `size` says.
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

    fn destroy(&self) {
        let handle = self.handle.get();
        // SAFETY: null or live.
        unsafe { signal_destroy(handle) };
        if handle.is_null() {
            return;
        }
        if self.polling.get() {
            self.doomed.set(true);
        } else {
            self.dead.set(self.handle.replace(null_mut()));
        }
    }

    /// Everything that was given must be somewhere; then the handle goes.
    fn close(&self) {
        if !self.is_live() {
            return;
        }
        self.settle();
        // The callback stays the host's, but its program has ended.
        self.register(true);
        let start = Instant::now();
        loop {
            let before = self.callbacks.get();
            self.poll();
            // A lane publishes what waited for room in its own time.
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
    // SAFETY: what `register` gave; slot and host outlive the handle.
    let (slot, host) = unsafe {
        let slot = &*user_data.cast::<Slot<'_>>();
        (slot, &*slot.host.get())
    };
    assert!(std::thread::current().id() == host.thread && slot.polling.get());
    // SAFETY: both are valid during the call.
    let (symbol, before) = unsafe {
        let values = std::slice::from_raw_parts(values, count as usize);
        (std::ffi::CStr::from_ptr(symbol), values.to_vec())
    };
    assert!(!symbol.is_empty() && count > 0);
    bump(&slot.callbacks);
    let steps = host.tape.below(8);
    if steps == 7 {
        // As an exception does, and no panic hook sees it.
        resume_unwind(Box::new(Thrown));
    }
    for _ in 0..steps.min(3) {
        host.step();
    }
    // Whatever was called meanwhile, the values stay.
    // SAFETY: as above.
    let after = unsafe { std::slice::from_raw_parts(values, count as usize) };
    assert!(
        before
            .iter()
            .zip(after)
            .all(|(b, a)| b.to_bits() == a.to_bits())
    );
}
