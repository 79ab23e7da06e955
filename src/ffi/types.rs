//! The types of the functions' arguments: the callback, the structs, the codes.

use std::ffi::{c_char, c_int, c_longlong, c_void};

/// Receives one signal. It runs on the host's own thread, inside
/// `signal_poll_callbacks`, or inside `signal_on_data` where `deliver` is `on_data`.
///
/// `symbol` is the instrument's name (`name` in `signal_instrument_t`): UTF-8, at most 32
/// bytes and a NUL. `timestamp` is the event's own time, ns since the Unix epoch:
/// `data_time` or `trade_time`; for an index price, which has no time, the time of the
/// instrument's previous event. `values` has `count` values; `signal_value_name` names
/// them. `symbol` and `values` are valid during the call only. `user_data` is what
/// `signal_register_callback` was given.
///
/// The callback may throw a C++ exception, which passes through the function that made the
/// call. The signal then counts as delivered. The rest wait for the next poll, or for the
/// next `signal_on_data` where `deliver` is `on_data`.
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

/// Tells an inlined poll whether there are new signals. Read it through `signal_poll`;
/// never write it.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_egress_t {
    /// Points to the number of signals published to the host. Another thread writes that
    /// number.
    pub published: *const u64,
    /// Points to the number of signals that the host has taken. The host's own thread
    /// writes it. The 8 bytes behind that number are what `next` points to; `signal_poll`
    /// relies on that.
    pub taken: *const u64,
    /// Points to the address of the next signal's slot. The host's own thread writes that
    /// address. Prefetch it; never read through it.
    pub next: *const *const c_void,
}

/// Counters of one handle. Set `size` to `sizeof(signal_stats_t)` before the call. If the
/// library has more fields than fit into `size`, it writes only those that fit whole. If it has
/// fewer, it writes those and sets `size` to their length.
///
/// Each event of a known type ends in exactly one of `refused_bad_*`,
/// `refused_too_many_instruments`, `refused_not_an_asset`, `refused_failed`,
/// `refused_quarantined`, `dropped_ingest_*`, `dropped_stage_stopped`, `updates` and
/// `answered`; until then `in_flight` counts it. An event may become several messages between
/// lanes; one of them, the last, ends the event and decides where it is counted. Each signal
/// is counted in exactly one of `delivered`, `conflated_egress`, `dropped_egress_*` and
/// `queued`. A lane counts a signal just after it publishes it, so `delivered` can be ahead
/// of `signals` for a moment. Once `in_flight` is 0, everything is counted and visible.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct signal_stats_t {
    /// Bytes of the struct, set by the caller.
    pub size: u64,
    /// Depth events received.
    pub events_depth: u64,
    /// Ticker events received.
    pub events_ticker: u64,
    /// Trade events received.
    pub events_trade: u64,
    /// Index price events received.
    pub events_index_price: u64,
    /// Calls with a null data pointer.
    pub refused_null_data: u64,
    /// Calls with a message type that the library does not use.
    pub refused_unknown_type: u64,
    /// Events whose symbol is empty, is not UTF-8, or contains spaces, control
    /// characters or other invisible characters.
    pub refused_bad_symbol: u64,
    /// Events with a price that is not positive, or above `limits.max_price`.
    pub refused_bad_price: u64,
    /// Events with a size that is negative, or above `limits.max_size`.
    pub refused_bad_size: u64,
    /// Events of instruments beyond `instruments.max`.
    pub refused_too_many_instruments: u64,
    /// Events received after the engine failed.
    pub refused_failed: u64,
    /// Events dropped because the ring to ingest was full.
    pub dropped_ingest_ring_full: u64,
    /// Signals dropped because the ring to the host was full.
    pub dropped_egress_ring_full: u64,
    /// How many events' numbers ingest has not seen, such as those of events dropped at a full
    /// ring.
    pub ingest_gap: u64,
    /// Events that changed state and called for no signal.
    pub updates: u64,
    /// Factor vectors computed.
    pub triggered: u64,
    /// Predictions made: one per factor vector, or one per factor vector and model where
    /// `callback` is `per-model`.
    pub predicted: u64,
    /// Signals made, including those dropped or conflated later.
    pub signals: u64,
    /// Signals that the host received, from a poll, `signal_on_data` or a batch.
    pub delivered: u64,
    /// How many signals' numbers have not reached the host, such as those of signals dropped or
    /// conflated at a full ring.
    pub egress_gap: u64,
    /// Times a sender had to wait because its ring was full.
    pub ring_waits: u64,
    /// Events that have not ended, plus copies of index prices that other shards still
    /// process, plus factor vectors and predictions on their way through lanes that share
    /// the models. So, where lanes share the models, it may count an event after `answered`
    /// has counted it.
    pub in_flight: u64,
    /// Events of symbols that are not in the configured `assets`.
    pub refused_not_an_asset: u64,
    /// Events whose signals have all been made. Where several lanes share the models: events
    /// whose factor vectors have all been sent to those lanes.
    pub answered: u64,
    /// Events of an instrument in quarantine, and events whose last signal is missing because
    /// the models that would have made it are in quarantine.
    pub refused_quarantined: u64,
    /// Where `overload.ingest` is `block`: events dropped after `overload.block_ms` without
    /// room.
    pub dropped_ingest_timeout: u64,
    /// Events whose last message, the one that ends them, was dropped between lanes because
    /// the engine stopped or had failed.
    pub dropped_stage_stopped: u64,
    /// Where `overload.egress` is `block`: signals dropped after `overload.block_ms` without
    /// room.
    pub dropped_egress_timeout: u64,
    /// Signals dropped because the engine stopped or had failed.
    pub dropped_egress_stopped: u64,
    /// Signals replaced by a newer one of the same instrument while the ring to the host
    /// was full.
    pub conflated_egress: u64,
    /// Signals made and neither delivered nor lost yet.
    pub queued: u64,
    /// Panics of factor sets and models. Each put something in quarantine.
    pub panics: u64,
    /// Calls refused because another call on the handle was in progress. An event that such a call
    /// passed is in no other counter.
    pub refused_concurrent: u64,
    /// Factor vectors skipped by a lane that runs some of the models and fell behind.
    pub model_vectors_missed: u64,
    /// Events written to the capture file.
    pub capture_written: u64,
    /// Events overwritten before the capture writer had read them.
    pub capture_missed: u64,
    /// Events missing from the capture file because of a disk error.
    pub capture_failed: u64,
    /// Events dropped in the ring to ingest because the engine stopped or had failed.
    pub dropped_ingest_stopped: u64,
    /// Messages dropped between lanes because the engine stopped or had failed, other than
    /// the last ones of their events, which are counted in `dropped_stage_stopped`.
    pub lost_stage_parts: u64,
    /// 1 once the engine has failed, else 0. `signal_last_error` gives the reason after a
    /// poll that returned `SIGNAL_ERROR_FAILED`, or after `signal_health`.
    pub failed: u64,
    /// Copies of index prices made for the second and later shards. An index price goes to
    /// every shard; one of them stands for the event.
    pub index_copies: u64,
    /// Copies of index prices that have been processed. The others are in `in_flight`.
    pub index_copies_ended: u64,
    /// Number of latencies, over all hops, of at least `SIGNAL_LATENCY_BOUND_NS`, as of the
    /// last `signal_latency` or the last interval of the latency report.
    pub latency_beyond: u64,
    /// 1 once the latency report could not be written and has ended, else 0.
    /// `signal_last_error` gives the reason after `signal_health`.
    pub report_ended: u64,
    /// Events whose signals had not all come when `signal_on_data` stopped waiting for them,
    /// with `deliver: on_data`. Those signals come with the next poll or `signal_on_data`.
    pub deliver_late: u64,
    /// Past messages that lanes without work, or polls where stages run inline, ran through
    /// the stages once more, without effect, to keep them warm.
    pub rehearsals: u64,
    /// Messages that `signal_on_data` handled on its own thread, with `deliver: on_data`: the
    /// lane had not begun them within `stand_in_us`, or the ring to it was full. Mostly
    /// something else ran on the lane's core.
    pub stood_in: u64,
    /// How often lanes that spin were away from their cores for 50 us or longer while they
    /// had nothing to do: something else ran there, the hypervisor of a virtual machine took
    /// the core, or the process was stopped.
    pub lane_away: u64,
    /// How long they were away in all, ns.
    pub lane_away_ns: u64,
    /// Those of `deliver_late` whose lane was in the middle of its work when the wait ended,
    /// so that `signal_on_data` could not do it: something else took the lane's core, or the
    /// event takes longer than `deliver_budget_us`. 0 where nobody stands in for a lane.
    pub deliver_late_begun: u64,
    /// Signals dropped because they were older than `max_age_us` when they would have been
    /// delivered. Their numbers are not in `egress_gap`.
    pub dropped_egress_too_old: u64,
}

/// One signal of a batch. `symbol` and `values` point into the library's memory: the
/// values are in the ring slot that carried them. Both are valid until the batch is
/// freed; see `signal_poll_batch`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_result_t {
    /// The signal's sequence number, as `signal_current_sequence` returns it.
    pub sequence: u64,
    /// The instrument's name, as the callback gets it. UTF-8, NUL-terminated.
    pub symbol: *const c_char,
    /// The event's own time, ns since the Unix epoch, as the callback gets it.
    pub timestamp: c_longlong,
    /// Time from `signal_on_data` until this batch took the signal, ns; 0 where timing is
    /// off.
    pub age_ns: u64,
    /// The values, aligned to 8 bytes.
    pub values: *const f64,
    /// Number of values.
    pub count: c_int,
    /// Index of the model that made the values; `SIGNAL_ALL_MODELS` if they are those of
    /// all models.
    pub model: c_int,
}

/// Describes an instrument. The texts are UTF-8, belong to the handle and are valid
/// until `signal_destroy`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_instrument_t {
    /// The name in its signals: what the callback gets as `symbol`.
    pub name: *const c_char,
    /// Its symbol as the host spells it, such as `btc_usdt`; the first spelling received
    /// if there are several.
    pub symbol: *const c_char,
    /// Its exchange as the host spells it.
    pub exchange: *const c_char,
    /// Its type, one of `SIGNAL_INSTRUMENT_*` or the host's other number.
    pub instrument_type: c_int,
}

/// Size of a hop's name in bytes, including its NUL.
pub const SIGNAL_HOP_NAME_LEN: usize = 24;

/// The upper limit of recorded latencies, ns: 73 minutes. A percentile or maximum in
/// `signal_hop_t` that equals it means this long or longer. `latency_beyond` in
/// `signal_stats_t` is the number of such latencies.
pub const SIGNAL_LATENCY_BOUND_NS: u64 = 4_398_046_511_103;

/// Latencies of one hop since the handle was made, in ns. A latency above
/// `SIGNAL_LATENCY_BOUND_NS` is recorded as that.
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
    /// Maximum, ns. `SIGNAL_LATENCY_BOUND_NS` means that or more.
    pub max_ns: u64,
}

/// Size of a lane's or ring's name in bytes, including its NUL.
pub const SIGNAL_NAME_LEN: usize = 64;

/// A lane and its progress.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_lane_t {
    /// Its stages, its core at the start and what it does when idle, as in
    /// `ingest..egress@1(spin)`; NUL-terminated.
    pub name: [c_char; SIGNAL_NAME_LEN],
    /// Core that it is pinned to now; `SIGNAL_NO_CORE` if it could not be pinned, or someone
    /// has let it run on several cores since.
    pub core: u64,
    /// Number of heartbeats. It grows as long as the lane is not stuck, also without work.
    pub beats: u64,
    /// Longest time between two heartbeats, ns, without waits for room and, in a lane that parks
    /// or yields, without the time for which it gave its core away. In a lane that spins, time
    /// in which something else had its core counts. If the whole process was stopped meanwhile,
    /// that counts: a lane cannot tell.
    pub longest_duty_ns: u64,
    /// How often that time was longer than `health.stall_us`.
    pub stalls: u64,
    /// Time since the last heartbeat, ns.
    pub silence_ns: u64,
}

/// A ring and how full it has been.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct signal_ring_t {
    /// `ingest` and `egress`, as in the configuration, or `stage.NAME` for the ring
    /// between lanes that leads to stage NAME; with several shards or model lanes a number
    /// follows, as in `stage.factor#1`. NUL-terminated.
    pub name: [c_char; SIGNAL_NAME_LEN],
    /// Number of messages that it can hold.
    pub capacity: u64,
    /// Largest number of messages that have waited in it at once.
    pub high_water: u64,
}

/// `signal_health`: nothing is wrong.
///
/// The numbers of `SIGNAL_HEALTH_*` do not rank the states. From best to worst the
/// states are `OK`, `DEGRADED`, `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`,
/// `FAILED`.
pub const SIGNAL_HEALTH_OK: c_int = 0;
/// A model, or the factor sets of an instrument, is in quarantine after a panic. This state
/// lasts until the handle is destroyed.
pub const SIGNAL_HEALTH_QUARANTINED: c_int = 1;
/// At least `health.silent_events` events have come in since the last call that found new
/// signals delivered.
pub const SIGNAL_HEALTH_SILENT: c_int = 2;
/// Since the last call, events, signals or messages between lanes were dropped, signals were
/// conflated, lanes that share the models skipped factor vectors, or lanes waited for room.
/// Or signals are waiting for room now.
pub const SIGNAL_HEALTH_OVERLOADED: c_int = 3;
/// A lane has made no progress for `health.stall_us`. The longest interval between two calls
/// since its last heartbeat is left out of that time: the whole process may have been stopped
/// then (SIGSTOP, a freezer, a debugger, a paused machine). So the first call that finds a lane
/// standing still does not say so. If calls are further apart than `health.stall_us`, one of the
/// next two does; if they are closer, a call does at most two intervals after that time.
pub const SIGNAL_HEALTH_STALLED: c_int = 4;
/// The engine has failed. Further events are refused and counted.
pub const SIGNAL_HEALTH_FAILED: c_int = 5;
/// Signals go out, but something else is wrong:
///
/// - at least `health.refused_percent` of the events since the last call were refused (not
///   counting `refused_not_an_asset`, `refused_quarantined` and `refused_failed`),
/// - since the last call, `deliver_late` grew by at least 10 and by a tenth of what
///   `answered` grew, or `stood_in` by at least 10 and by a tenth of what `answered` and
///   `updates` grew together,
/// - the latency report has ended, or events are missing from the capture,
/// - the thread that writes one of these files was ended from outside, as by a sandbox,
/// - someone has deleted or cut one of these files while it was written,
/// - a claim on a core is lost,
/// - a lane may run on other cores than the one that it was pinned to, or
/// - a CPU quota of a control group has stopped the process since the last call, or between
///   the last two times that the system was asked.
///
/// Only `SIGNAL_HEALTH_OK` is better.
pub const SIGNAL_HEALTH_DEGRADED: c_int = 6;

/// The handle, or another pointer that the call needs, is null; or `size` in `signal_stats_t`
/// is too small for itself and one counter.
pub const SIGNAL_ERROR_NULL: c_int = -1;
/// The engine has failed, and every signal was handed out. `signal_last_error` gives the
/// reason.
pub const SIGNAL_ERROR_FAILED: c_int = -2;
/// The handle is invalid: one that was destroyed, one of a parent process, or one that
/// this library never returned. Counted by `signal_refused_handles`.
pub const SIGNAL_ERROR_HANDLE: c_int = -3;
/// A one-thread function is running on this handle, on another thread or in the code that a
/// signal handler interrupted. Calls in a callback are not refused for that. Counted in
/// `refused_concurrent`.
pub const SIGNAL_ERROR_BUSY: c_int = -4;

/// `core` in `signal_lane_t` of a lane that is not pinned.
pub const SIGNAL_NO_CORE: u64 = u64::MAX;

/// In place of a model's index: the signal has the values of all models.
pub const SIGNAL_ALL_MODELS: c_int = -10;
/// `signal_current_model`: no callback is running.
pub const SIGNAL_NO_MODEL: c_int = -11;
/// `signal_current_instrument`: no callback is running. `signal_batch_instrument`:
/// the batch has no such signal.
pub const SIGNAL_NO_INSTRUMENT: c_int = -12;
