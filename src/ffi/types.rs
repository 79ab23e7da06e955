//! What the functions take and give: the callback, the structs, the codes.

use std::ffi::{c_char, c_int, c_longlong, c_void};

/// Receives one signal on the host's own thread, from inside
/// `signal_poll_callbacks`, or with `deliver` `on_data` from inside
/// `signal_on_data`. `symbol` is UTF-8, at most 32 bytes and a NUL. `symbol` and
/// `values` are valid during the call only. A C++ exception may leave it: it passes through the function that made the call,
/// that signal counts as delivered and the rest waits for the next poll, or with
/// `deliver` `on_data` for the next `signal_on_data`.
#[allow(non_camel_case_types)]
pub type signal_callback_t = Option<
    unsafe extern "C-unwind" fn(
        symbol: *const c_char,
        timestamp: c_longlong,
        values: *const f64,
        count: c_int,
        user_data: *mut c_void,
    ),
>;

/// What tells an inlined poll whether anything is new. Read it through
/// `signal_poll`; never write it.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_egress_t {
    /// Signals published to the host. Another thread writes it.
    pub published: *const u64,
    /// Signals that the host has taken. Its own thread writes it. The word behind it
    /// is that of `next`.
    pub taken: *const u64,
    /// Where the next signal will lie: for a prefetch, not to be read through.
    /// The host's own thread writes it.
    pub next: *const *const c_void,
}

/// Counters of one handle. Set `size` to `sizeof(signal_stats_t)` first: a
/// library that knows more fields leaves the rest out, one that knows fewer
/// fills what it knows and sets `size` to that.
///
/// Every event of a known type ends in exactly one of `refused_bad_*`,
/// `refused_too_many_instruments`, `refused_not_an_asset`, `refused_failed`,
/// `refused_quarantined`, `dropped_ingest_*`, `dropped_stage_stopped`, `updates`
/// and `answered`, or is counted in `in_flight`. Every signal ends in exactly
/// one of `delivered`, `conflated_egress` and `dropped_egress_*`, or is counted
/// in `queued`. A lane counts a signal just after it has published it, so for a
/// moment `delivered` may be ahead of `signals`; with `in_flight` 0 everything
/// is counted and visible.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct signal_stats_t {
    /// Bytes of the struct, set by the caller.
    pub size: u64,
    /// Depth events given.
    pub events_depth: u64,
    /// Ticker events given.
    pub events_ticker: u64,
    /// Trade events given.
    pub events_trade: u64,
    /// Index price events given.
    pub events_index_price: u64,
    /// Calls with a null data pointer.
    pub refused_null_data: u64,
    /// Calls with a message type that the engine does not take.
    pub refused_unknown_type: u64,
    /// Events with an empty symbol, or one that is no UTF-8 or has spaces, control
    /// characters or others that cannot be seen.
    pub refused_bad_symbol: u64,
    /// Events with a price that is not positive or beyond `limits.max_price`.
    pub refused_bad_price: u64,
    /// Events with a size that is negative or beyond `limits.max_size`.
    pub refused_bad_size: u64,
    /// Events of instruments beyond `instruments.max`.
    pub refused_too_many_instruments: u64,
    /// Events that came after a lane had failed.
    pub refused_failed: u64,
    /// Events dropped because the ring to ingest was full.
    pub dropped_ingest_ring_full: u64,
    /// Signals dropped because the ring to the host was full.
    pub dropped_egress_ring_full: u64,
    /// Input sequence numbers that ingest missed.
    pub ingest_gap: u64,
    /// Events that only updated state.
    pub updates: u64,
    /// Factor vectors computed.
    pub triggered: u64,
    /// Predictions made: one a factor vector, or with `"callback": "per-model"`
    /// one for each model.
    pub predicted: u64,
    /// Signals made, dropped and conflated ones too.
    pub signals: u64,
    /// Signals that the host took: by poll, from `signal_on_data` or in batches.
    pub delivered: u64,
    /// Signal numbers that the host missed.
    pub egress_gap: u64,
    /// Times that a ring was full and its sender waited.
    pub ring_waits: u64,
    /// Events that have not ended yet.
    pub in_flight: u64,
    /// Events of symbols that are not among the configured `assets`.
    pub refused_not_an_asset: u64,
    /// Events whose signals have all been made.
    pub answered: u64,
    /// Events that ended in a quarantine: their instrument's, or that of the
    /// only model left.
    pub refused_quarantined: u64,
    /// Events dropped because `overload.ingest` `block` found no room in time.
    pub dropped_ingest_timeout: u64,
    /// Events that ended between lanes because the engine ended or had failed:
    /// their last message was dropped.
    pub dropped_stage_stopped: u64,
    /// Signals dropped because `overload.egress` `block` found no room in time.
    pub dropped_egress_timeout: u64,
    /// Signals dropped because the engine ended or had failed.
    pub dropped_egress_stopped: u64,
    /// Signals replaced by a newer one of their instrument while the ring to
    /// the host was full.
    pub conflated_egress: u64,
    /// Signals that were made and are neither delivered nor lost.
    pub queued: u64,
    /// Panics of factor sets and models; each put something in quarantine.
    pub panics: u64,
    /// Calls refused because another call on the handle was under way: no events.
    pub refused_concurrent: u64,
    /// Factor vectors that a lane with a share of the models was too slow for.
    pub model_vectors_missed: u64,
    /// Events in the capture file.
    pub capture_written: u64,
    /// Events that were overwritten before the capture's writer had read them.
    pub capture_missed: u64,
    /// Events that are not in the capture file because of an error of its disk.
    pub capture_failed: u64,
    /// Events dropped in the ring to ingest because the engine ended or had
    /// failed.
    pub dropped_ingest_stopped: u64,
    /// Messages between lanes, not the last of their event, that were dropped
    /// because the engine ended or had failed.
    pub lost_stage_parts: u64,
    /// 1 once a lane could not go on, else 0: `signal_last_error` says why after a
    /// poll that returned `SIGNAL_ERROR_FAILED` or after `signal_health`.
    pub failed: u64,
    /// Copies of index prices for further shards: an index price goes to every
    /// shard, and one of them stands for the event.
    pub index_copies: u64,
    /// Such copies that have been dealt with; the rest is part of `in_flight`.
    pub index_copies_ended: u64,
    /// Latencies, of all hops, that took `SIGNAL_LATENCY_BOUND_NS` or longer. As of
    /// the last `signal_latency` or the last interval of the latency report.
    pub latency_beyond: u64,
    /// 1 once the latency report could no longer be written and has ended, else 0:
    /// `signal_last_error` says why after `signal_health`.
    pub report_ended: u64,
}

/// One signal of a batch. `symbol` and `values` lie in the library's memory, the
/// values in the very slot of the ring that they came through, and are valid until
/// the batch is freed: see `signal_poll_batch`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_result_t {
    /// The signal's number, as `signal_current_sequence` says it.
    pub sequence: u64,
    /// The instrument's symbol, UTF-8, NUL-terminated.
    pub symbol: *const c_char,
    /// The event's own time, ns since the Unix epoch.
    pub timestamp: c_longlong,
    /// From `signal_on_data` until it was taken by this batch, ns; 0 with timing
    /// off.
    pub age_ns: u64,
    /// The values, aligned to 8 bytes.
    pub values: *const f64,
    /// How many values.
    pub count: c_int,
    /// The place of the model that it is from, `SIGNAL_ALL_MODELS` if the values
    /// are those of several.
    pub model: c_int,
}

/// What an instrument is. The texts are UTF-8, owned by the handle and valid until
/// `signal_destroy`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_instrument_t {
    /// The name that its signals bear: what the callback gets as `symbol`.
    pub name: *const c_char,
    /// Its symbol as the host spells it, `btc_usdt`; of several spellings the first
    /// that came.
    pub symbol: *const c_char,
    /// Its exchange as the host spells it.
    pub exchange: *const c_char,
    /// Its type, one of `SIGNAL_INSTRUMENT_`.
    pub instrument_type: c_int,
}

/// Bytes of a hop's name, its NUL included.
pub const SIGNAL_HOP_NAME_LEN: usize = 24;

/// The bound of latencies, ns: 73 minutes. A percentile or maximum in
/// `signal_hop_t` that is equal to it took as long or longer, by how much nobody
/// knows; `latency_beyond` in `signal_stats_t` says how many did.
pub const SIGNAL_LATENCY_BOUND_NS: u64 = 4_398_046_511_103;

/// One hop's latencies, in ns, since the handle was made. What took longer than
/// `SIGNAL_LATENCY_BOUND_NS` counts as that.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_hop_t {
    /// The hop's name, NUL-terminated.
    pub name: [c_char; SIGNAL_HOP_NAME_LEN],
    /// Messages timed.
    pub count: u64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p999_ns: u64,
    /// Greatest, ns; with `SIGNAL_LATENCY_BOUND_NS` that or more.
    pub max_ns: u64,
}

/// Bytes of a lane's or ring's name, its NUL included.
pub const SIGNAL_NAME_LEN: usize = 64;

/// A lane and how it comes round.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_lane_t {
    /// Its stages, its core and what it does when idle, as in
    /// `ingest..egress@1(spin)`; NUL-terminated.
    pub name: [c_char; SIGNAL_NAME_LEN],
    /// The core that it is pinned to; `SIGNAL_NO_CORE` where lanes cannot be pinned.
    pub core: u64,
    /// The heartbeat's sequence: it grows for as long as the lane comes round.
    pub beats: u64,
    /// The longest duty cycle, ns, without time given away on purpose.
    pub longest_duty_ns: u64,
    /// Duty cycles longer than `health.stall_us`.
    pub stalls: u64,
    /// Time since the last beat, ns.
    pub silence_ns: u64,
}

/// A ring and how full it has been.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_ring_t {
    /// `ingest` and `egress`, as in the configuration; `stage.NAME` for the ring
    /// between lanes that leads to a stage; NUL-terminated.
    pub name: [c_char; SIGNAL_NAME_LEN],
    /// Messages that it can hold.
    pub capacity: u64,
    /// Most messages that have waited in it at once.
    pub high_water: u64,
}

/// `signal_health`: events go in, signals come out.
///
/// The numbers of `SIGNAL_HEALTH_` are names, not an order. From best to worst:
/// `OK`, `DEGRADED`, `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`, `FAILED`.
pub const SIGNAL_HEALTH_OK: c_int = 0;
/// A factor set's instrument or a model has been put in quarantine.
pub const SIGNAL_HEALTH_QUARANTINED: c_int = 1;
/// Events in, nothing out: `health.silent_events` events have come since the
/// last signal that the host took.
pub const SIGNAL_HEALTH_SILENT: c_int = 2;
/// Events or signals were dropped or conflated since the last look, or signals
/// wait for room now.
pub const SIGNAL_HEALTH_OVERLOADED: c_int = 3;
/// A lane has not come round for `health.stall_us`.
pub const SIGNAL_HEALTH_STALLED: c_int = 4;
/// A lane could not go on: events are counted and refused.
pub const SIGNAL_HEALTH_FAILED: c_int = 5;
/// Signals come out, but something beside them is wrong: `health.refused_percent` of
/// the events since the last look were refused (but for `refused_not_an_asset`), the
/// latency report has ended, or events are missing in the capture. Only
/// `SIGNAL_HEALTH_OK` is better.
pub const SIGNAL_HEALTH_DEGRADED: c_int = 6;

/// The handle, or another pointer that is needed, is null.
pub const SIGNAL_ERROR_NULL: c_int = -1;
/// `signal_poll_callbacks`: a lane has failed; see `signal_last_error`.
pub const SIGNAL_ERROR_FAILED: c_int = -2;
/// The handle is none of this library's: foreign, destroyed, or made before
/// `fork`. Counted in `signal_refused_handles`.
pub const SIGNAL_ERROR_HANDLE: c_int = -3;
/// Another call on this handle is under way. Counted in `refused_concurrent`.
pub const SIGNAL_ERROR_BUSY: c_int = -4;

/// `signal_lane_t.core` of a lane that is not pinned.
pub const SIGNAL_NO_CORE: u64 = u64::MAX;

/// `signal_value_name`: the model of values that are those of several models.
pub const SIGNAL_ALL_MODELS: c_int = -10;
/// `signal_current_model`: no callback is running.
pub const SIGNAL_NO_MODEL: c_int = -11;
/// `signal_current_instrument`: no callback is running. `signal_batch_instrument`:
/// the batch has no such signal.
pub const SIGNAL_NO_INSTRUMENT: c_int = -12;
