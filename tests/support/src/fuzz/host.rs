//! A host whose behaviour comes from a fuzzer's bytes: any calls of the C API, in any
//! order, also from inside a callback.
//!
//! Every byte string is a program. Each instruction is a byte, followed by the bytes that
//! it reads. A callback runs the next few instructions.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::thread::ThreadId;

use signal::ffi::*;

mod slot;

const SLOTS: usize = 3;
/// Most of them have no lanes, because lanes take time to start.
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
/// The configurations that are refused. An empty text counts as an empty object.
const REFUSED: std::ops::Range<usize> = 13..16;
/// The configurations under which `on_data` makes callbacks too.
const DELIVERS: std::ops::Range<usize> = 10..13;

/// Bytes that are read once, by the host and its callbacks in turn.
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

/// A handle and what the host knows about it.
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

/// Runs the program and checks what the library told the host.
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
    /// Runs one instruction; returns false at the end of the program.
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

    /// Gives an event of any type and payload.
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
        // The box has exactly this size, so that a sanitizer sees reads beyond it.
        let mut payload = vec![0; size].into_boxed_slice();
        self.tape.fill(&mut payload);
        slot.data(kind, payload.as_ptr());
    }

    /// Gives an event that is usually accepted.
    fn good(&self, slot: &Slot<'_>) {
        const PRICES: [f64; 8] = [1.0, 0.1, 65_000.5, 1e-8, 0.0, -1.0, f64::NAN, 1e12];
        let (what, price) = (self.tape.byte(), self.tape.below(PRICES.len()));
        slot.good(what, PRICES[price]);
    }

    /// Makes calls with an invalid handle.
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
        let mut instrument = std::mem::MaybeUninit::uninit();
        let before = signal_refused_handles();
        // SAFETY: null is allowed, and anything that is not a live handle is refused.
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
            assert!(signal_current_instrument(handle, instrument.as_mut_ptr()) < 0);
            assert!(signal_batch_instrument(handle, 0, instrument.as_mut_ptr()) < 0);
            assert!(signal_egress(handle).is_null());
            assert!(signal_latency(handle, hops.as_mut_ptr(), 1) < 0);
            assert!(signal_health(handle) < 0);
            assert!(signal_incident(handle, 0).is_null());
            assert!(signal_lanes(handle, lanes.as_mut_ptr(), 1) < 0);
            assert!(signal_rings(handle, rings.as_mut_ptr(), 1) < 0);
            assert!(signal_stamp_ns(handle) < 0.0);
            signal_destroy(handle);
        }
        // Null is not counted as a mistake. Other hosts in the process add to the count.
        let calls = if handle.is_null() { 0 } else { 20 };
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
