/*
 * The C interface of libsignal.so, a signal library for the Godzilla host.
 *
 * Threads: every function that takes a handle is called on one thread, the
 * host's. The library runs no host code on any other thread, and makes
 * callbacks from inside signal_poll_callbacks alone.
 *
 * Ownership: a handle belongs to the caller from signal_create until
 * signal_destroy. Everything the library hands out (symbol, values, texts,
 * signal_egress_t) stays the library's.
 *
 * Include it by its path, or with -iquote: with -I its folder would come before
 * the system's own <signal.h>.
 */
#ifndef GODZILLA_SIGNAL_H
#define GODZILLA_SIGNAL_H

/* Generated from src/ffi.rs by cbindgen: change that file, not this one. */

#include <stdint.h>

/*
 Bytes of a hop's name, its NUL included.
 */
#define SIGNAL_HOP_NAME_LEN 24

/*
 `signal_poll_callbacks` and others: the handle is null.
 */
#define SIGNAL_ERROR_NULL -1

/*
 `signal_poll_callbacks`: a lane has failed; see `signal_last_error`.
 */
#define SIGNAL_ERROR_FAILED -2

/*
 `signal_value_name`: the model of values that are those of several models.
 */
#define SIGNAL_ALL_MODELS -10

/*
 `signal_current_model`: no callback is running.
 */
#define SIGNAL_NO_MODEL -11

/*
 Receives one signal on the host's own thread, from inside
 `signal_poll_callbacks`. `symbol` and `values` are valid during the call
 only. A C++ exception may leave it: it passes through
 `signal_poll_callbacks`, that signal counts as delivered and the rest waits
 for the next poll.
 */
typedef void (*signal_callback_t)(const char *symbol,
                                  long long timestamp,
                                  const double *values,
                                  int count,
                                  void *user_data);

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
   Events with an empty or unprintable symbol.
   */
  uint64_t refused_bad_symbol;
  /*
   Events with a price that is not finite or not positive.
   */
  uint64_t refused_bad_price;
  /*
   Events with a size that is not finite or negative.
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
   Signals taken by poll.
   */
  uint64_t delivered;
  /*
   Signal numbers that poll missed.
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
   Messages between lanes dropped because the engine ended or had failed.
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
} signal_stats_t;

/*
 Two counters that tell an inlined poll whether anything is new. Read both
 through `signal_poll`; never write them.
 */
typedef struct {
  /*
   Signals published to the host. Another thread writes it.
   */
  const uint64_t *published;
  /*
   Signals that poll has taken. The host's own thread writes it.
   */
  const uint64_t *taken;
} signal_egress_t;

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

 `handle` is null or a live handle, on its thread. `user_data` stays valid
 for as long as the callback is set.
 */
void signal_register_callback(void *handle, signal_callback_t cb, void *user_data);

/*
 Takes one event. Copies what it needs from `data` and returns: it takes no
 lock, allocates nothing, makes no system call and never waits. A null handle
 is ignored; null data, other types and bad content are counted.

 # Safety

 `handle` is null or a live handle, on its thread. `data` is null or points
 to the struct of `type`, at any alignment, readable during the call.
 */
void signal_on_data(void *handle, int type, const void *data);

/*
 Hands every signal that is ready to the callback, on this thread, oldest
 first; no other function and no other thread runs it. Returns how many
 callbacks were made, 0 inside a callback or without one, `SIGNAL_ERROR_NULL`
 for a null handle, and `SIGNAL_ERROR_FAILED` once the engine has failed and
 everything queued was handed out.

 # Safety

 `handle` is null or a live handle, on its thread.
 */
int signal_poll_callbacks(void *handle);

/*
 Stops and joins the lanes, writes the latency report if one is configured,
 and frees the handle. Makes no callback: signals still queued are discarded.
 From inside a callback it takes effect when the poll ends. Null is ignored.

 # Safety

 `handle` is null or a live handle, on its thread; it is dead afterwards.
 */
void signal_destroy(void *handle);

/*
 The library's version, `MAJOR.MINOR.PATCH`. Static: never free it.
 */
const char *signal_version(void);

/*
 Why the last `signal_create` on this thread returned null, or why a poll
 returned `SIGNAL_ERROR_FAILED`; null if the last create succeeded. Valid
 until the next such call on this thread: copy it, never free it.
 */
const char *signal_last_error(void);

/*
 Fills in the counters while the engine runs. Returns 0, or -1 for a null
 pointer or a `size` too small for a single counter.

 # Safety

 `handle` is null or a live handle. `stats` is null or points to at least
 `stats->size` writable bytes.
 */
int signal_stats(void *handle, signal_stats_t *stats);

/*
 Number of models, in the order of the configuration; -1 for a null handle.

 # Safety

 `handle` is null or a live handle.
 */
int signal_models(void *handle);

/*
 The name of a model, by its place from 0. Owned by the handle and valid until
 `signal_destroy`; null if there is no such model.

 # Safety

 `handle` is null or a live handle.
 */
const char *signal_model_name(void *handle, int model);

/*
 The name of `values[index]` in a callback with this model's values, or with
 all models' values (`SIGNAL_ALL_MODELS`). Owned by the handle and valid until
 `signal_destroy`; null if there is no such value.

 # Safety

 `handle` is null or a live handle.
 */
const char *signal_value_name(void *handle, int model, int index);

/*
 From inside a callback: the place of the model that the signal is from, or
 `SIGNAL_ALL_MODELS` if its values are those of several models.
 `SIGNAL_NO_MODEL` outside a callback, -1 for a null handle.

 # Safety

 `handle` is null or a live handle, on its thread.
 */
int signal_current_model(void *handle);

/*
 What an inlined poll reads; give it to `signal_poll`. Owned by the handle
 and valid until `signal_destroy`; null for a null handle.

 # Safety

 `handle` is null or a live handle.
 */
const signal_egress_t *signal_egress(void *handle);

/*
 Writes at most `max` hops that have been timed, in the order of the path,
 and returns how many; -1 for a null pointer. Not for the hot path: it waits
 up to 100 ms for the lanes. 0 inside a callback.

 # Safety

 `handle` is null or a live handle, on its thread. `hops` is null or has room
 for `max` elements.
 */
int signal_latency(void *handle, signal_hop_t *hops, int max);

/*
 What one clock stamp costs, ns, measured now in well under a millisecond;
 -1 for a null handle.

 # Safety

 `handle` is null or a live handle.
 */
double signal_stamp_ns(void *handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* The inlined poll: one acquire load and a compare; calls into the library only
 * when something is new. `egress` comes from signal_egress(handle), `poll` is
 * signal_poll_callbacks, as dlsym found it. Returns what `poll` returns, or 0.
 *
 * It does not see that an engine has failed: signal_poll_callbacks itself says
 * so. */
static inline int signal_poll(void *handle, const signal_egress_t *egress,
                              int (*poll)(void *handle)) {
  if (__atomic_load_n(egress->published, __ATOMIC_ACQUIRE) == *egress->taken) {
    return 0;
  }
  return poll(handle);
}

#endif /* GODZILLA_SIGNAL_H */
