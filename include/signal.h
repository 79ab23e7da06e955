/*
 * The C interface of libsignal.so, a signal library for the Godzilla host.
 *
 * Threads: signal_on_data, signal_poll_callbacks, signal_poll_batch,
 * signal_register_callback, signal_latency, signal_current_model,
 * signal_current_sequence, signal_current_instrument, signal_batch_instrument and
 * signal_destroy belong to one thread at a time, the host's; between calls a handle may move to another thread, whose first call
 * costs some microseconds. A second such call on the same handle at the same
 * time, from another thread or from a signal handler that interrupted the first,
 * is refused and counted (refused_concurrent). All other functions may be called
 * from any thread. The library runs no host code on any other thread, and makes
 * callbacks from inside signal_poll_callbacks alone, or with "deliver": "on_data"
 * also from inside signal_on_data; from inside one every function may be called.
 *
 * Misuse: a handle is a number, never a pointer. NULL, a destroyed or foreign
 * handle, or anything else is refused by every function: SIGNAL_ERROR_NULL or
 * SIGNAL_ERROR_HANDLE, NULL, -1.0, 0 or nothing, by its return type.
 * signal_refused_handles counts the calls, signal_last_error names the reason.
 *
 * Processes: the child of a fork finds every handle made before refused, and may
 * create its own (unless it was forked during another thread's first
 * signal_create); the parent's are unharmed. exit() needs no signal_destroy.
 *
 * Ownership: a handle belongs to the caller from signal_create until
 * signal_destroy. Everything the library hands out (symbol, values, texts,
 * signal_egress_t, what signal_result_t points to) stays the library's.
 *
 * C++: signal.hpp beside this file wraps it.
 *
 * Include it by its path, or with -iquote: with -I its folder would come before
 * the system's own <signal.h>.
 */
#ifndef GODZILLA_SIGNAL_H
#define GODZILLA_SIGNAL_H

/* Generated from src/ffi.rs and src/ffi/ by cbindgen: change those files, not this one. */

#include <stdint.h>

/*
 Bytes of a hop's name, its NUL included.
 */
#define SIGNAL_HOP_NAME_LEN 24

/*
 Bytes of a lane's or ring's name, its NUL included.
 */
#define SIGNAL_NAME_LEN 64

/*
 `signal_health`: events go in, signals come out.
 */
#define SIGNAL_HEALTH_OK 0

/*
 A factor set's instrument or a model has been put in quarantine.
 */
#define SIGNAL_HEALTH_QUARANTINED 1

/*
 Events in, nothing out: `health.silent_events` events have come since the
 last signal that the host took.
 */
#define SIGNAL_HEALTH_SILENT 2

/*
 Events or signals were dropped or conflated since the last look, or signals
 wait for room now.
 */
#define SIGNAL_HEALTH_OVERLOADED 3

/*
 A lane has not come round for `health.stall_us`.
 */
#define SIGNAL_HEALTH_STALLED 4

/*
 A lane could not go on: events are counted and refused.
 */
#define SIGNAL_HEALTH_FAILED 5

/*
 The handle, or another pointer that is needed, is null.
 */
#define SIGNAL_ERROR_NULL -1

/*
 `signal_poll_callbacks`: a lane has failed; see `signal_last_error`.
 */
#define SIGNAL_ERROR_FAILED -2

/*
 The handle is none of this library's: foreign, destroyed, or made before
 `fork`. Counted in `signal_refused_handles`.
 */
#define SIGNAL_ERROR_HANDLE -3

/*
 Another call on this handle is under way. Counted in `refused_concurrent`.
 */
#define SIGNAL_ERROR_BUSY -4

/*
 `signal_value_name`: the model of values that are those of several models.
 */
#define SIGNAL_ALL_MODELS -10

/*
 `signal_current_model`: no callback is running.
 */
#define SIGNAL_NO_MODEL -11

/*
 `signal_current_instrument`: no callback is running. `signal_batch_instrument`:
 the batch has no such signal.
 */
#define SIGNAL_NO_INSTRUMENT -12

/*
 Receives one signal on the host's own thread, from inside
 `signal_poll_callbacks`, or with `deliver` `on_data` from inside
 `signal_on_data`. `symbol` is UTF-8, at most 32 bytes and a NUL. `symbol` and
 `values` are valid during the call only. A C++ exception may leave it: it passes through the function that made the call,
 that signal counts as delivered and the rest waits for the next poll, or with
 `deliver` `on_data` for the next `signal_on_data`.
 */
typedef void (*signal_callback_t)(const char *symbol,
                                  long long timestamp,
                                  const double *values,
                                  int count,
                                  void *user_data);

/*
 What an instrument is. The texts are UTF-8, owned by the handle and valid until
 `signal_destroy`.
 */
typedef struct {
  /*
   The name that its signals bear: what the callback gets as `symbol`.
   */
  const char *name;
  /*
   Its symbol as the host spells it, `btc_usdt`; of several spellings the first
   that came.
   */
  const char *symbol;
  /*
   Its exchange as the host spells it.
   */
  const char *exchange;
  /*
   Its type, one of `SIGNAL_INSTRUMENT_`.
   */
  int instrument_type;
} signal_instrument_t;

/*
 What tells an inlined poll whether anything is new. Read it through
 `signal_poll`; never write it.
 */
typedef struct {
  /*
   Signals published to the host. Another thread writes it.
   */
  const uint64_t *published;
  /*
   Signals that the host has taken. Its own thread writes it.
   */
  const uint64_t *taken;
  /*
   Where the next signal will lie: for a prefetch, not to be read through.
   The host's own thread writes it.
   */
  const void *const *next;
} signal_egress_t;

/*
 One signal of a batch. `symbol` and `values` lie in the library's memory, the
 values in the very slot of the ring that they came through, and are valid until
 the batch is freed: see `signal_poll_batch`.
 */
typedef struct {
  /*
   The signal's number, as `signal_current_sequence` says it.
   */
  uint64_t sequence;
  /*
   The instrument's symbol, UTF-8, NUL-terminated.
   */
  const char *symbol;
  /*
   The event's own time, ns since the Unix epoch.
   */
  long long timestamp;
  /*
   From `signal_on_data` until it was taken by this batch, ns; 0 with timing
   off.
   */
  uint64_t age_ns;
  /*
   The values, aligned to 8 bytes.
   */
  const double *values;
  /*
   How many values.
   */
  int count;
  /*
   The place of the model that it is from, `SIGNAL_ALL_MODELS` if the values
   are those of several.
   */
  int model;
} signal_result_t;

/*
 Counters of one handle. Set `size` to `sizeof(signal_stats_t)` first: a
 library that knows more fields leaves the rest out, one that knows fewer
 fills what it knows and sets `size` to that.

 Every event of a known type ends in exactly one of `refused_bad_*`,
 `refused_too_many_instruments`, `refused_not_an_asset`, `refused_failed`,
 `refused_quarantined`, `dropped_ingest_*`, `dropped_stage_stopped`, `updates`
 and `answered`, or is counted in `in_flight`. Every signal ends in exactly
 one of `delivered`, `conflated_egress` and `dropped_egress_*`, or is counted
 in `queued`. A lane counts a signal just after it has published it, so for a
 moment `delivered` may be ahead of `signals`; with `in_flight` 0 everything
 is counted and visible.
 */
typedef struct {
  /*
   Bytes of the struct, set by the caller.
   */
  uint64_t size;
  /*
   Depth events given.
   */
  uint64_t events_depth;
  /*
   Ticker events given.
   */
  uint64_t events_ticker;
  /*
   Trade events given.
   */
  uint64_t events_trade;
  /*
   Index price events given.
   */
  uint64_t events_index_price;
  /*
   Calls with a null data pointer.
   */
  uint64_t refused_null_data;
  /*
   Calls with a message type that the engine does not take.
   */
  uint64_t refused_unknown_type;
  /*
   Events with an empty symbol, or one that is no UTF-8 or has spaces, control
   characters or others that cannot be seen.
   */
  uint64_t refused_bad_symbol;
  /*
   Events with a price that is not positive or beyond `limits.max_price`.
   */
  uint64_t refused_bad_price;
  /*
   Events with a size that is negative or beyond `limits.max_size`.
   */
  uint64_t refused_bad_size;
  /*
   Events of instruments beyond `instruments.max`.
   */
  uint64_t refused_too_many_instruments;
  /*
   Events that came after a lane had failed.
   */
  uint64_t refused_failed;
  /*
   Events dropped because the ring to ingest was full.
   */
  uint64_t dropped_ingest_ring_full;
  /*
   Signals dropped because the ring to the host was full.
   */
  uint64_t dropped_egress_ring_full;
  /*
   Input sequence numbers that ingest missed.
   */
  uint64_t ingest_gap;
  /*
   Events that only updated state.
   */
  uint64_t updates;
  /*
   Factor vectors computed.
   */
  uint64_t triggered;
  /*
   Predictions made: one a factor vector, or with `"callback": "per-model"`
   one for each model.
   */
  uint64_t predicted;
  /*
   Signals made, dropped and conflated ones too.
   */
  uint64_t signals;
  /*
   Signals that the host took: by poll, from `signal_on_data` or in batches.
   */
  uint64_t delivered;
  /*
   Signal numbers that the host missed.
   */
  uint64_t egress_gap;
  /*
   Times that a ring was full and its sender waited.
   */
  uint64_t ring_waits;
  /*
   Events that have not ended yet.
   */
  uint64_t in_flight;
  /*
   Events of symbols that are not among the configured `assets`.
   */
  uint64_t refused_not_an_asset;
  /*
   Events whose signals have all been made.
   */
  uint64_t answered;
  /*
   Events that ended in a quarantine: their instrument's, or that of the
   only model left.
   */
  uint64_t refused_quarantined;
  /*
   Events dropped because `overload.ingest` `block` found no room in time.
   */
  uint64_t dropped_ingest_timeout;
  /*
   Events that ended between lanes because the engine ended or had failed:
   their last message was dropped.
   */
  uint64_t dropped_stage_stopped;
  /*
   Signals dropped because `overload.egress` `block` found no room in time.
   */
  uint64_t dropped_egress_timeout;
  /*
   Signals dropped because the engine ended or had failed.
   */
  uint64_t dropped_egress_stopped;
  /*
   Signals replaced by a newer one of their instrument while the ring to
   the host was full.
   */
  uint64_t conflated_egress;
  /*
   Signals that were made and are neither delivered nor lost.
   */
  uint64_t queued;
  /*
   Panics of factor sets and models; each put something in quarantine.
   */
  uint64_t panics;
  /*
   Calls refused because another call on the handle was under way: no events.
   */
  uint64_t refused_concurrent;
  /*
   Factor vectors that a lane with a share of the models was too slow for.
   */
  uint64_t model_vectors_missed;
  /*
   Events in the capture file.
   */
  uint64_t capture_written;
  /*
   Events that were overwritten before the capture's writer had read them.
   */
  uint64_t capture_missed;
  /*
   Events that are not in the capture file because of an error of its disk.
   */
  uint64_t capture_failed;
  /*
   Events dropped in the ring to ingest because the engine ended or had
   failed.
   */
  uint64_t dropped_ingest_stopped;
  /*
   Messages between lanes, not the last of their event, that were dropped
   because the engine ended or had failed.
   */
  uint64_t lost_stage_parts;
  /*
   1 once a lane could not go on, else 0: `signal_last_error` says why after a
   poll that returned `SIGNAL_ERROR_FAILED` or after `signal_health`.
   */
  uint64_t failed;
  /*
   Copies of index prices for further shards: an index price goes to every
   shard, and one of them stands for the event.
   */
  uint64_t index_copies;
  /*
   Such copies that have been dealt with; the rest is part of `in_flight`.
   */
  uint64_t index_copies_ended;
} signal_stats_t;

/*
 One hop's latencies, in ns, since the handle was made.
 */
typedef struct {
  /*
   The hop's name, NUL-terminated.
   */
  char name[SIGNAL_HOP_NAME_LEN];
  /*
   Messages timed.
   */
  uint64_t count;
  /*
   Median, ns.
   */
  uint64_t p50_ns;
  /*
   99th percentile, ns.
   */
  uint64_t p99_ns;
  /*
   99.9th percentile, ns.
   */
  uint64_t p999_ns;
  /*
   Greatest, ns.
   */
  uint64_t max_ns;
} signal_hop_t;

/*
 A lane and how it comes round.
 */
typedef struct {
  /*
   Its stages, its core and what it does when idle, as in
   `ingest..egress@1(spin)`; NUL-terminated.
   */
  char name[SIGNAL_NAME_LEN];
  /*
   The core that it is pinned to.
   */
  uint64_t core;
  /*
   The heartbeat's sequence: it grows for as long as the lane comes round.
   */
  uint64_t beats;
  /*
   The longest duty cycle, ns, without time given away on purpose.
   */
  uint64_t longest_duty_ns;
  /*
   Duty cycles longer than `health.stall_us`.
   */
  uint64_t stalls;
  /*
   Time since the last beat, ns.
   */
  uint64_t silence_ns;
} signal_lane_t;

/*
 A ring and how full it has been.
 */
typedef struct {
  /*
   `ingest` and `egress`, as in the configuration; `stage.NAME` for the ring
   between lanes that leads to a stage; NUL-terminated.
   */
  char name[SIGNAL_NAME_LEN];
  /*
   Messages that it can hold.
   */
  uint64_t capacity;
  /*
   Most messages that have waited in it at once.
   */
  uint64_t high_water;
} signal_ring_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes an engine and starts its lanes.

 `config_json` is NUL-terminated JSON, `"{}"` or null for the defaults; it is
 read during the call only. `SIGNAL_CONFIG` names a file with the real
 configuration; keys in `config_json` win over it. Returns a handle that the
 caller owns until `signal_destroy`, or null: `signal_last_error` then says
 why, as does one line on stderr. Takes up to 200 ms the first time.

 # Safety

 `config_json` is null or points to a NUL-terminated string.
 */
void *signal_create(const char *config_json);

/*
 Sets the callback and what it gets as `user_data`, in place of an earlier
 one. Null clears it: signals then wait in the ring. From inside a callback
 it takes effect after that callback.

 # Safety

 `cb` is null or a function that stays callable, and `user_data` stays valid,
 for as long as the callback is set.
 */
void signal_register_callback(void *handle, signal_callback_t cb, void *user_data);

/*
 Stops and joins the lanes, writes the latency report if one is configured,
 and frees the handle. Makes no callback: signals still queued are discarded.
 From inside a callback the handle is dead for every function at once, and its
 end takes place when the poll, or `signal_on_data`, ends. While another thread is inside a call on
 the handle it is refused, and the handle lives on. Null is ignored.

 # Safety

 None is needed: a handle that is none is refused.
 */
void signal_destroy(void *handle);

/*
 The library's version, `MAJOR.MINOR.PATCH`. Static: never free it.
 */
const char *signal_version(void);

/*
 Takes one event. Copies what it needs from `data` and returns: it takes no
 lock, allocates nothing, makes no system call and never waits. With
 `overload.ingest` `block` alone it does wait for room, spinning, for
 `overload.block_ms` at most; placed `inline` it computes before it returns, and
 writes the one line on stderr that is due when a second instrument begins to bear
 a name.
 A handle that is none is refused and counted, null ignored; null data, other
 types and bad content are counted.

 With `deliver` `on_data` it then makes callbacks, as `signal_poll_callbacks`
 does: of what is ready, and, if the event triggers, of what comes within
 `deliver_budget_us`, for which it spins. It makes none inside a callback or
 without one. An exception that leaves a callback passes through; the event has
 been taken then.

 # Safety

 `data` is null or points to the struct of `type`, at any alignment, readable
 during the call.
 */
void signal_on_data(void *handle, int type, const void *data);

/*
 Hands every signal that is ready to the callback, on this thread, oldest
 first. No other thread ever runs the callback, and no other function but
 `signal_on_data` with `deliver` `on_data`. Returns how many callbacks were
 made, 0 inside a callback or without one, `SIGNAL_ERROR_FAILED` once the engine
 has failed and everything queued was handed out, or another `SIGNAL_ERROR_` for
 a handle that it does not take. It frees the batch that `signal_poll_batch` has
 handed out.

 # Safety

 None is needed: a handle that is none is refused.
 */
int signal_poll_callbacks(void *handle);

/*
 From inside a callback: the place of the model that the signal is from, or
 `SIGNAL_ALL_MODELS` if its values are those of several models.
 `SIGNAL_NO_MODEL` outside a callback, another `SIGNAL_ERROR_` for a handle that
 it does not take.

 # Safety

 None is needed: a handle that is none is refused.
 */
int signal_current_model(void *handle);

/*
 From inside a callback: the number of the signal, from 1 and one more for each
 that the engine makes. Numbers of dropped and conflated signals are skipped, so
 each gap shows where signals were lost, and how many. 0 outside a callback and
 for a handle that it does not take.

 # Safety

 None is needed: a handle that is none is refused.
 */
uint64_t signal_current_sequence(void *handle);

/*
 From inside a callback: what the signal's instrument is, into `instrument`.
 Returns 0; `SIGNAL_NO_INSTRUMENT` outside a callback; `SIGNAL_ERROR_NULL` for
 null `instrument`; another `SIGNAL_ERROR_` for a handle that it does not take.
 `instrument` is then left as it was.

 # Safety

 `instrument` is null or points to a writable struct, at any alignment.
 */
int signal_current_instrument(void *handle, signal_instrument_t *instrument);

/*
 What the instrument is of the signal at `index`, from 0, in the batch that
 `signal_poll_batch` has handed out last, into `instrument`. Returns 0;
 `SIGNAL_NO_INSTRUMENT` if that batch has no such signal or has been freed;
 `SIGNAL_ERROR_NULL` for null `instrument`; another `SIGNAL_ERROR_` for a handle
 that it does not take. `instrument` is then left as it was.

 # Safety

 `instrument` is null or points to a writable struct, at any alignment.
 */
int signal_batch_instrument(void *handle, int index, signal_instrument_t *instrument);

/*
 What an inlined poll reads; give it to `signal_poll`. Owned by the library and
 readable for ever: after `signal_destroy` an inlined poll finds nothing in it,
 or calls and is refused. Null for a handle that is none.

 # Safety

 None is needed: a handle that is none is refused.
 */
const signal_egress_t *signal_egress(void *handle);

/*
 Writes at most `max` of the signals that are ready into `results`, oldest
 first, without copying their values, and returns how many. For hosts that want
 no callback; no callback is made. The signals count as delivered.

 The batch is freed, and its pointers die, at the next `signal_poll_batch`,
 `signal_poll_callbacks` or `signal_destroy` on this handle, and with `deliver`
 `on_data` and a callback at the next `signal_on_data`. Until then its slots
 are not free for new signals, but for one: a batch is at most `rings.egress`
 less one, so that there is always room for the news that makes an inlined poll
 call again. `max` 0 or less only frees.

 0 inside a callback; `SIGNAL_ERROR_NULL` for null `results`, and nothing is
 freed; `SIGNAL_ERROR_FAILED` once the engine has failed and everything queued
 was handed out; another `SIGNAL_ERROR_` for a handle that it does not take.

 # Safety

 `results` is null or has room for `max` elements, at any alignment.
 */
int signal_poll_batch(void *handle, signal_result_t *results, int max);

/*
 Why the last `signal_create` on this thread returned null, why a poll
 returned `SIGNAL_ERROR_FAILED`, or what `signal_health` found; null if that
 call had nothing to say. Valid until the next such call on this thread: copy
 it, never free it.
 */
const char *signal_last_error(void);

/*
 Calls that were refused because their handle is none of this library's:
 foreign, destroyed, or made before `fork`. All handles, since the library was
 loaded. Any thread.
 */
uint64_t signal_refused_handles(void);

/*
 Fills in the counters while the engine runs. Returns 0; `SIGNAL_ERROR_NULL`
 for a null handle, null `stats` or a `size` too small for a single counter;
 `SIGNAL_ERROR_HANDLE` for any other handle that is none. `stats` is then left
 as it was.

 # Safety

 `stats` is null or points to at least
 `stats->size` writable bytes.
 */
int signal_stats(void *handle, signal_stats_t *stats);

/*
 Number of models, in the order of the configuration; `SIGNAL_ERROR_NULL` or
 `SIGNAL_ERROR_HANDLE` for a handle that is none.

 # Safety

 None is needed: a handle that is none is refused.
 */
int signal_models(void *handle);

/*
 The name of a model, by its place from 0. Owned by the handle and valid until
 `signal_destroy`; null if there is no such model.

 # Safety

 None is needed: a handle that is none is refused.
 */
const char *signal_model_name(void *handle, int model);

/*
 The name of `values[index]` in a callback with this model's values, or with
 all models' values (`SIGNAL_ALL_MODELS`). Owned by the handle and valid until
 `signal_destroy`; null if there is no such value.

 # Safety

 None is needed: a handle that is none is refused.
 */
const char *signal_value_name(void *handle, int model, int index);

/*
 Writes at most `max` hops that have been timed, in the order of the path,
 and returns how many; -1 for a null pointer. Not for the hot path: it waits
 up to 100 ms for the lanes. 0 inside a callback.

 # Safety

 `hops` is null or has room
 for `max` elements.
 */
int signal_latency(void *handle, signal_hop_t *hops, int max);

/*
 The engine's state in a word, one of `SIGNAL_HEALTH_`: where several hold, the
 greatest. `signal_last_error` then says on this thread what it is concluded
 from, and what a person should know in any state, as instruments of one name;
 null if there is nothing to say of `SIGNAL_HEALTH_OK`. "Since the last look" is since the
 last call on this handle, by whichever thread. Not for the hot path.

 # Safety

 None is needed: a handle that is none is refused.
 */
int signal_health(void *handle);

/*
 What was put in quarantine as the `index`th, and why; null if fewer were, or
 if it is beyond the 64 that are kept. Owned by the handle and valid until
 `signal_destroy`.

 # Safety

 None is needed: a handle that is none is refused.
 */
const char *signal_incident(void *handle, int index);

/*
 Writes at most `max` lanes, in the order of the path, and returns how many;
 a negative `SIGNAL_ERROR_` for a null pointer or a handle
 that is none.

 # Safety

 `lanes` is null or has room for `max` elements.
 */
int signal_lanes(void *handle, signal_lane_t *lanes, int max);

/*
 Writes at most `max` rings, in the order of the path, and returns how many;
 a negative `SIGNAL_ERROR_` for a null pointer or a handle that is none.

 # Safety

 `rings` is null or has room for `max` elements.
 */
int signal_rings(void *handle, signal_ring_t *rings, int max);

/*
 What one clock stamp costs, ns, measured now in well under a millisecond;
 -1 for a handle that is none.

 # Safety

 None is needed: a handle that is none is refused.
 */
double signal_stamp_ns(void *handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* The inlined poll: one acquire load, a compare and a prefetch; calls into the library only
 * when something is new. `egress` comes from signal_egress(handle), `poll` is
 * signal_poll_callbacks, as dlsym found it. Returns what `poll` returns, or 0.
 *
 * It does not see that an engine has failed: signal_poll_callbacks itself says
 * so. */
static inline int signal_poll(void *handle, const signal_egress_t *egress,
                              int (*poll)(void *handle)) {
  if (__atomic_load_n(egress->published, __ATOMIC_ACQUIRE) == *egress->taken) {
    /* So that the signal comes along with the news of it. */
    __builtin_prefetch(*egress->next);
    return 0;
  }
  return poll(handle);
}

#endif /* GODZILLA_SIGNAL_H */
