/*
 * C interface of libsignal.so, a signal library for the Godzilla trading host.
 *
 * What happens. An event passes up to four stages: ingest checks it, factor updates the
 * state of its instrument, model predicts, and egress numbers the prediction, which is
 * then called a signal. Lanes (threads) run the stages. Rings (queues) lead from the host
 * to the first lane, between lanes, and back to the host. By default each Depth makes one
 * signal (configuration key "trigger"). docs/configuration.md has all keys, and
 * ARCHITECTURE.md a glossary.
 *
 * Words. Engine: what a handle refers to. Event: a Depth, Ticker, Trade or IndexPrice
 * that the host hands over. To trigger: to call for a signal. Factor vector: the factors
 * after one event. Claim: the mark by which a process reserves a core for a lane. To
 * spin: to wait without sleeping. Capture: a file of the events that were accepted.
 * Inline: there is no lane, and signal_on_data runs all stages on the host's thread. That
 * is so with "placement": "inline", and with "auto" and "deliver": "on_data" where no
 * lane can have a core to itself, unless "cores" or "idle" is set. Shard: a copy of the
 * factor and model lanes, for part of the instruments. Hop: one timed part of the way,
 * such as a ring or a stage. Inlined poll: signal_poll, at the end of this file.
 * Conflated: replaced by a newer signal of its instrument. Quarantine: where a model, or
 * an instrument's factor sets, are put after a panic; they are not run again. Stand in:
 * signal_on_data does a lane's work. Heartbeat: a counter that a lane raises again and
 * again, also without work; it stands still while the lane is stuck or off its core.
 *
 * Threads. Only one thread at a time may use these functions on one handle, the
 * "one-thread functions": signal_on_data, signal_poll_callbacks, signal_poll_batch,
 * signal_register_callback, signal_latency, signal_current_model,
 * signal_current_sequence, signal_current_instrument, signal_batch_instrument and
 * signal_destroy. Between two calls the handle may move to another thread; the first call
 * there costs some microseconds more (2 ms if a sandbox has forbidden membarrier since
 * the handle was made). After 64 moves, every call costs a locked instruction instead; it
 * does from the start where membarrier was refused before the handle was made. The count
 * belongs to the handle's place in the library's table: the moves of a destroyed handle
 * in the same place count too. signal_create prefers places without that cost. If two
 * calls of one-thread functions overlap, from two threads or because a signal handler
 * interrupts the first, the second is refused and counted in refused_concurrent. Every
 * other function may be called from any thread at any time.
 *
 * Callbacks run on the host's thread only: inside signal_poll_callbacks and, where the
 * configuration has "deliver": "on_data", inside signal_on_data. A callback may call
 * every function of the library. It may throw a C++ exception (but not in a program that
 * has LLVM's libunwind linked statically, or beside a library loaded with RTLD_DEEPBIND:
 * "What a host may do" in docs/hosts.md), call pthread_exit or be cancelled. It must not
 * be left by longjmp: the library would then consider the callback as running for ever.
 * No other call on a handle may be left by longjmp either, for example from a SIGBUS
 * handler. After a one-thread function was left so, every later one is refused. After
 * another function was left so, signal_destroy waits 1 s and does not free the handle's
 * memory.
 *
 * Handles are numbers, not pointers. Every function refuses an invalid handle: null, one
 * that was destroyed, one of a parent process, or one that this library never returned.
 * It then returns SIGNAL_ERROR_NULL or SIGNAL_ERROR_HANDLE, null, -1.0 or 0, depending on
 * the function's return type. Except for calls with null, signal_refused_handles counts
 * them and signal_last_error gives the reason. signal_create makes a handle, and the
 * caller owns it until signal_destroy. Everything that the library returns (symbols,
 * values, texts, signal_egress_t, the pointers in signal_result_t) belongs to the
 * library: never free it.
 *
 * Child processes. A child cannot use its parent's handles: every function refuses them
 * there (but see the second point below), whether fork, _Fork or a system call (clone,
 * clone3) has made it, and the child may end as it likes. It may make its own, unless
 * another thread was in the process' first signal_create when the child was made; then
 * signal_create returns null in the child. The parent's handles keep working.
 * - _Fork and the system calls do not free malloc's locks: if another thread of the
 *   parent was in malloc, signal_create in the child may hang there.
 * - Before Linux 4.14, and where a sandbox refuses madvise(MADV_WIPEONFORK), the kernel
 *   does not empty pages in children. There, a child made by _Fork or a system call must
 *   not call signal_on_data, a poll or the inlined poll with its parent's handle, unless
 *   another function has refused that handle before. If such a child shares its parent's
 *   memory and calls any other function with a handle, even signal_health in a signal
 *   handler, the parent's handles become invalid in the parent too.
 * - A child that shares its parent's memory (vfork, clone with CLONE_VM), or its
 *   descriptors without its memory (CLONE_FILES), must not call the library. With shared
 *   memory, and where the kernel empties pages in children, signal_create returns null if
 *   the parent has called it before; if the parent has not, every signal_create of the
 *   parent fails from then on. posix_spawn, and vfork followed by exec, are harmless.
 *
 * End of the process. A process may exit without signal_destroy. If the last
 * of the host's own threads ends by pthread_exit, a thread of the library notices within
 * three seconds, destroys all handles and calls exit(0).
 *
 * Floating point. The host's threads may use another rounding mode, flush denormals to
 * zero or unmask traps. The values do not depend on these settings, and the library
 * causes no trap. Callbacks, and the code after each call, find the host's own settings.
 * The library's threads use the default settings.
 *
 * Thread cancellation (pthread_cancel). A cancelled thread ends inside the library only
 * in these places: in signal_create, on entry or instead of returning null; and in
 * signal_latency, signal_health, signal_lanes, signal_rings and signal_stamp_ns, just
 * before they return. signal_destroy is not a cancellation point, so destructors may call
 * it. Callbacks have their own cancellation points. A thread with asynchronous
 * cancellation must not call the library.
 *
 * Signal handlers. From a handler call only signal_health, which neither waits nor
 * allocates. It changes what signal_last_error says to the interrupted thread. If a
 * handler does call a one-thread function on the handle whose call it interrupted, that call
 * is refused, without waiting or allocating. A handler must not leave a call that it has
 * interrupted: a C++ exception or pthread_exit would end the process, and a longjmp
 * has the effects that "Callbacks" names for a call that was left so.
 *
 * Constructors. Static constructors, which run inside dlopen, may make, use and destroy a
 * handle.
 *
 * Stacks. A thread that calls the library needs a stack of at least 32 KiB. Of these,
 * signal_create uses up to 16 KiB and every other function up to 12 KiB. If your own
 * frames, signal handlers and thread-local storage need more than the rest, make the
 * stack larger. Factor sets and models of your own need their stack as well on a thread
 * that runs them. signal_create runs every model on the calling thread, in every
 * placement. signal_on_data and the polls run factor sets and models where stages run
 * inline, and signal_on_data where it stands in for a lane (key "stand_in_us").
 *
 * TSC: the processor's own clock. Where reading it is forbidden (PR_SET_TSC) on the
 * thread that calls signal_create, or the program has replaced clock_gettime by one that
 * does not tell the system's time, the handle reads the time by system calls, which take
 * some 100 ns more each, and lanes are not kept warm; one line on stderr says so. A
 * thread that may not read the TSC must not call signal_on_data, signal_poll_callbacks or
 * signal_poll_batch with a handle made where it was allowed: reading the time would end
 * the process. It may call every other function. Once signal_health has found that a
 * thread may read the TSC, it does not ask again: do not forbid it on that thread later.
 *
 * Stderr. The library writes lines to descriptor 2 only while that is still the file that
 * it was when the library was loaded. That file must be writable, not close-on-exec, and
 * a terminal or another character device, a pipe, a local socket or a write-only file:
 * any other may be the host's data. The one other file that gets lines is a log that the
 * host put there later and also has open under another descriptor, as after
 * dup2(log, 1); dup2(log, 2).
 * To be safe, redirect stderr before loading the library. A line never blocks;
 * signal_lost_lines counts the lines that could not be written.
 *
 * Files. The library never opens a file as descriptor 0, 1 or 2. Its descriptors are
 * close-on-exec, and are closed in the child of a fork (in another child process, at its
 * first call with a handle). If the host closes them, as closefrom does, capture and
 * latency report end: before each write the library looks whether the descriptor still is
 * its file. Relative paths are resolved once, in signal_create: those of the
 * configuration file from its folder, those of config_json from the working directory.
 * signal_destroy waits at most 5 seconds for a disk that does not respond.
 *
 * Names. The dynamic linker looks for the C library's functions in the program first. So
 * a function of the host's with a name of ISO C or POSIX (read, write, close, also
 * open64) must do what the standard says; signal_create returns null where it finds that
 * one does not. A host may replace the allocator: malloc, calloc, realloc and free are
 * enough. Mathematical functions, and names that no standard reserves (gettid, getrandom,
 * statx, flock, prctl, syscall, getauxval), may be functions of the host's: the library
 * does not call those.
 *
 * C++ programs can use signal.hpp, beside this file.
 *
 * Include this file by its path, or with -iquote. With -I, its folder would be searched
 * before the system's, and <signal.h> would find this file.
 */
#ifndef GODZILLA_SIGNAL_H
#define GODZILLA_SIGNAL_H

/* Generated by cbindgen from src/ffi.rs, src/ffi/ and cbindgen.toml: change those files, not this one. */

#include <stdint.h>

/*
 * Input of signal_on_data: the host's message types and structs. The structs are packed
 * and little-endian, and may lie at any address. Texts are filled as by strncpy: a text
 * as long as its field has no NUL, and bytes after a NUL are ignored. Times are ns since
 * the Unix epoch, prices are in quote currency, sizes in the exchange's unit.
 */

/* Ten levels of an order book: signal_depth_t. */
#define SIGNAL_TYPE_DEPTH 101
/* Best bid and ask: signal_ticker_t. */
#define SIGNAL_TYPE_TICKER 102
/* One trade: signal_trade_t. */
#define SIGNAL_TYPE_TRADE 103
/* The index price of an underlying: signal_index_price_t. */
#define SIGNAL_TYPE_INDEX_PRICE 104

/* The aggressor of a trade, `side`. */
#define SIGNAL_SIDE_BUY 0
#define SIGNAL_SIDE_SELL 1
/* Used by other messages of the host. A trade with any side other than BUY and SELL is
   accepted, as neither bought nor sold. */
#define SIGNAL_SIDE_LOCK 2
#define SIGNAL_SIDE_UNLOCK 3
#define SIGNAL_SIDE_EXEC 4
#define SIGNAL_SIDE_DROP 5

/* `position_side`. */
#define SIGNAL_POSITION_LONG 0
#define SIGNAL_POSITION_SHORT 1

/* `instrument_type`. Any other number is accepted as a further type. */
#define SIGNAL_INSTRUMENT_UNKNOWN 0
#define SIGNAL_INSTRUMENT_FFUTURE 1
#define SIGNAL_INSTRUMENT_DFUTURE 2
#define SIGNAL_INSTRUMENT_FUTURE 3
#define SIGNAL_INSTRUMENT_ETF 4
#define SIGNAL_INSTRUMENT_SPOT 5
#define SIGNAL_INSTRUMENT_INDEX 6
#define SIGNAL_INSTRUMENT_SWAP 7

/* Size in bytes of a symbol, and of the name of an exchange or source. */
#define SIGNAL_SYMBOL_LEN 32
#define SIGNAL_EXCHANGE_LEN 16
/* Number of levels of an order book. */
#define SIGNAL_LEVELS 10

#pragma pack(push, 1)
/* SIGNAL_TYPE_DEPTH. The best level comes first. A level other than the best may be
   absent, on either side: its price and size are then 0. The library ignores source_id. */
typedef struct {
  char source_id[SIGNAL_EXCHANGE_LEN];
  char symbol[SIGNAL_SYMBOL_LEN];
  char exchange_id[SIGNAL_EXCHANGE_LEN];
  int64_t data_time;
  int8_t instrument_type;
  double bid_price[SIGNAL_LEVELS];
  double ask_price[SIGNAL_LEVELS];
  double bid_volume[SIGNAL_LEVELS];
  double ask_volume[SIGNAL_LEVELS];
} signal_depth_t;

/* SIGNAL_TYPE_TICKER. The library ignores source_id. */
typedef struct {
  char source_id[SIGNAL_EXCHANGE_LEN];
  char symbol[SIGNAL_SYMBOL_LEN];
  char exchange_id[SIGNAL_EXCHANGE_LEN];
  int64_t data_time;
  int8_t instrument_type;
  double bid_price;
  double bid_volume;
  double ask_price;
  double ask_volume;
} signal_ticker_t;

/* SIGNAL_TYPE_TRADE. The library ignores client_id, trade_id, ask_id, bid_id and
   position_side. */
typedef struct {
  char client_id[SIGNAL_SYMBOL_LEN];
  char symbol[SIGNAL_SYMBOL_LEN];
  char exchange_id[SIGNAL_EXCHANGE_LEN];
  int8_t instrument_type;
  int64_t trade_id;
  int64_t ask_id;
  int64_t bid_id;
  double price;
  double volume;
  int8_t side;
  int8_t position_side;
  int64_t trade_time;
} signal_trade_t;

/* SIGNAL_TYPE_INDEX_PRICE. It has no time. It applies to all instruments of its exchange
   and symbol, whatever the instrument_type. */
typedef struct {
  char symbol[SIGNAL_SYMBOL_LEN];
  char exchange_id[SIGNAL_EXCHANGE_LEN];
  int8_t instrument_type;
  double price;
} signal_index_price_t;
#pragma pack(pop)

/* A check at compile time that the structs have this layout (C11, C++11 and later). */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define SIGNAL_ASSERT(what) static_assert(what, #what)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define SIGNAL_ASSERT(what) _Static_assert(what, #what)
#endif
#ifdef SIGNAL_ASSERT
#define SIGNAL_AT(type, field, offset) SIGNAL_ASSERT(__builtin_offsetof(type, field) == offset)
SIGNAL_ASSERT(sizeof(double) == 8 && sizeof(signal_depth_t) == 393 && sizeof(signal_ticker_t) == 105);
SIGNAL_ASSERT(sizeof(signal_trade_t) == 131 && sizeof(signal_index_price_t) == 57);
SIGNAL_AT(signal_depth_t, symbol, 16);
SIGNAL_AT(signal_depth_t, exchange_id, 48);
SIGNAL_AT(signal_depth_t, data_time, 64);
SIGNAL_AT(signal_depth_t, instrument_type, 72);
SIGNAL_AT(signal_depth_t, bid_price, 73);
SIGNAL_AT(signal_depth_t, ask_price, 153);
SIGNAL_AT(signal_depth_t, bid_volume, 233);
SIGNAL_AT(signal_depth_t, ask_volume, 313);
SIGNAL_AT(signal_ticker_t, symbol, 16);
SIGNAL_AT(signal_ticker_t, exchange_id, 48);
SIGNAL_AT(signal_ticker_t, data_time, 64);
SIGNAL_AT(signal_ticker_t, instrument_type, 72);
SIGNAL_AT(signal_ticker_t, bid_price, 73);
SIGNAL_AT(signal_ticker_t, bid_volume, 81);
SIGNAL_AT(signal_ticker_t, ask_price, 89);
SIGNAL_AT(signal_ticker_t, ask_volume, 97);
SIGNAL_AT(signal_trade_t, symbol, 32);
SIGNAL_AT(signal_trade_t, exchange_id, 64);
SIGNAL_AT(signal_trade_t, instrument_type, 80);
SIGNAL_AT(signal_trade_t, trade_id, 81);
SIGNAL_AT(signal_trade_t, ask_id, 89);
SIGNAL_AT(signal_trade_t, bid_id, 97);
SIGNAL_AT(signal_trade_t, price, 105);
SIGNAL_AT(signal_trade_t, volume, 113);
SIGNAL_AT(signal_trade_t, side, 121);
SIGNAL_AT(signal_trade_t, position_side, 122);
SIGNAL_AT(signal_trade_t, trade_time, 123);
SIGNAL_AT(signal_index_price_t, exchange_id, 32);
SIGNAL_AT(signal_index_price_t, instrument_type, 48);
SIGNAL_AT(signal_index_price_t, price, 49);
#undef SIGNAL_AT
#endif

/* All further structs have their natural alignment, also under the host's own #pragma pack. */
#pragma pack(push, 8)


/*
 Size of a hop's name in bytes, including its NUL.
 */
#define SIGNAL_HOP_NAME_LEN 24

/*
 The upper limit of recorded latencies, ns: 73 minutes. A percentile or maximum in
 `signal_hop_t` that equals it means this long or longer. `latency_beyond` in
 `signal_stats_t` is the number of such latencies.
 */
#define SIGNAL_LATENCY_BOUND_NS 4398046511103

/*
 Size of a lane's or ring's name in bytes, including its NUL.
 */
#define SIGNAL_NAME_LEN 64

/*
 `signal_health`: nothing is wrong.

 The numbers of `SIGNAL_HEALTH_*` do not rank the states. From best to worst the
 states are `OK`, `DEGRADED`, `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`,
 `FAILED`.
 */
#define SIGNAL_HEALTH_OK 0

/*
 A model, or the factor sets of an instrument, is in quarantine after a panic. This state
 lasts until the handle is destroyed.
 */
#define SIGNAL_HEALTH_QUARANTINED 1

/*
 At least `health.silent_events` events have come in since the last call that found new
 signals delivered.
 */
#define SIGNAL_HEALTH_SILENT 2

/*
 Since the last call, events, signals or messages between lanes were dropped, signals were
 conflated, lanes that share the models skipped factor vectors, or lanes waited for room.
 Or signals are waiting for room now.
 */
#define SIGNAL_HEALTH_OVERLOADED 3

/*
 A lane has made no progress for `health.stall_us`. The longest interval between two calls
 since its last heartbeat is left out of that time: the whole process may have been stopped
 then (SIGSTOP, a freezer, a debugger, a paused machine). So the first call that finds a lane
 standing still does not say so. If calls are further apart than `health.stall_us`, one of the
 next two does; if they are closer, a call does at most two intervals after that time.
 */
#define SIGNAL_HEALTH_STALLED 4

/*
 The engine has failed. Further events are refused and counted.
 */
#define SIGNAL_HEALTH_FAILED 5

/*
 Signals go out, but something else is wrong:

 - at least `health.refused_percent` of the events since the last call were refused (not
   counting `refused_not_an_asset`, `refused_quarantined` and `refused_failed`),
 - since the last call, `deliver_late` grew by at least 10 and by a tenth of what
   `answered` grew, or `stood_in` by at least 10 and by a tenth of what `answered` and
   `updates` grew together,
 - the latency report has ended, or events are missing from the capture,
 - the thread that writes one of these files was ended from outside, as by a sandbox,
 - someone has deleted or cut one of these files while it was written,
 - a claim on a core is lost,
 - a lane may run on other cores than the one that it was pinned to, or
 - a CPU quota of a control group has stopped the process since the last call, or between
   the last two times that the system was asked.

 Only `SIGNAL_HEALTH_OK` is better.
 */
#define SIGNAL_HEALTH_DEGRADED 6

/*
 The handle, or another pointer that the call needs, is null; or `size` in `signal_stats_t`
 is too small for itself and one counter.
 */
#define SIGNAL_ERROR_NULL -1

/*
 The engine has failed, and every signal was handed out. `signal_last_error` gives the
 reason.
 */
#define SIGNAL_ERROR_FAILED -2

/*
 The handle is invalid: one that was destroyed, one of a parent process, or one that
 this library never returned. Counted by `signal_refused_handles`.
 */
#define SIGNAL_ERROR_HANDLE -3

/*
 A one-thread function is running on this handle, on another thread or in the code that a
 signal handler interrupted. Calls in a callback are not refused for that. Counted in
 `refused_concurrent`.
 */
#define SIGNAL_ERROR_BUSY -4

/*
 `core` in `signal_lane_t` of a lane that is not pinned.
 */
#define SIGNAL_NO_CORE UINT64_MAX

/*
 In place of a model's index: the signal has the values of all models.
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
 Receives one signal. It runs on the host's own thread, inside
 `signal_poll_callbacks`, or inside `signal_on_data` where `deliver` is `on_data`.

 `symbol` is the instrument's name (`name` in `signal_instrument_t`): UTF-8, at most 32
 bytes and a NUL. `timestamp` is the event's own time, ns since the Unix epoch:
 `data_time` or `trade_time`; for an index price, which has no time, the time of the
 instrument's previous event. `values` has `count` values; `signal_value_name` names
 them. `symbol` and `values` are valid during the call only. `user_data` is what
 `signal_register_callback` was given.

 The callback may throw a C++ exception, which passes through the function that made the
 call. The signal then counts as delivered. The rest wait for the next poll, or for the
 next `signal_on_data` where `deliver` is `on_data`.
 */
typedef void (*signal_callback_t)(const char *symbol,
                                  long long timestamp,
                                  const double *values,
                                  int count,
                                  void *user_data);

/*
 Describes an instrument. The texts are UTF-8, belong to the handle and are valid
 until `signal_destroy`.
 */
typedef struct {
  /*
   The name in its signals: what the callback gets as `symbol`.
   */
  const char *name;
  /*
   Its symbol as the host spells it, such as `btc_usdt`; the first spelling received
   if there are several.
   */
  const char *symbol;
  /*
   Its exchange as the host spells it.
   */
  const char *exchange;
  /*
   Its type, one of `SIGNAL_INSTRUMENT_*` or the host's other number.
   */
  int instrument_type;
} signal_instrument_t;

/*
 Tells an inlined poll whether there are new signals. Read it through `signal_poll`;
 never write it.
 */
typedef struct {
  /*
   Points to the number of signals published to the host. Another thread writes that
   number.
   */
  const uint64_t *published;
  /*
   Points to the number of signals that the host has taken. The host's own thread
   writes it. The 8 bytes behind that number are what `next` points to; `signal_poll`
   relies on that.
   */
  const uint64_t *taken;
  /*
   Points to the address of the next signal's slot. The host's own thread writes that
   address. Prefetch it; never read through it.
   */
  const void *const *next;
} signal_egress_t;

/*
 One signal of a batch. `symbol` and `values` point into the library's memory: the
 values are in the ring slot that carried them. Both are valid until the batch is
 freed; see `signal_poll_batch`.
 */
typedef struct {
  /*
   The signal's sequence number, as `signal_current_sequence` returns it.
   */
  uint64_t sequence;
  /*
   The instrument's name, as the callback gets it. UTF-8, NUL-terminated.
   */
  const char *symbol;
  /*
   The event's own time, ns since the Unix epoch, as the callback gets it.
   */
  long long timestamp;
  /*
   Time from `signal_on_data` until this batch took the signal, ns; 0 where timing is
   off.
   */
  uint64_t age_ns;
  /*
   The values, aligned to 8 bytes.
   */
  const double *values;
  /*
   Number of values.
   */
  int count;
  /*
   Index of the model that made the values; `SIGNAL_ALL_MODELS` if they are those of
   all models.
   */
  int model;
} signal_result_t;

/*
 Counters of one handle. Set `size` to `sizeof(signal_stats_t)` before the call. If the
 library has more fields than fit into `size`, it writes only those that fit whole. If it has
 fewer, it writes those and sets `size` to their length.

 Each event of a known type ends in exactly one of `refused_bad_*`,
 `refused_too_many_instruments`, `refused_not_an_asset`, `refused_failed`,
 `refused_quarantined`, `dropped_ingest_*`, `dropped_stage_stopped`, `updates` and
 `answered`; until then `in_flight` counts it. An event may become several messages between
 lanes; one of them, the last, ends the event and decides where it is counted. Each signal
 is counted in exactly one of `delivered`, `conflated_egress`, `dropped_egress_*` and
 `queued`. A lane counts a signal just after it publishes it, so `delivered` can be ahead
 of `signals` for a moment. Once `in_flight` is 0, everything is counted and visible.
 */
typedef struct {
  /*
   Bytes of the struct, set by the caller.
   */
  uint64_t size;
  /*
   Depth events received.
   */
  uint64_t events_depth;
  /*
   Ticker events received.
   */
  uint64_t events_ticker;
  /*
   Trade events received.
   */
  uint64_t events_trade;
  /*
   Index price events received.
   */
  uint64_t events_index_price;
  /*
   Calls with a null data pointer.
   */
  uint64_t refused_null_data;
  /*
   Calls with a message type that the library does not use.
   */
  uint64_t refused_unknown_type;
  /*
   Events whose symbol is empty, is not UTF-8, or contains spaces, control
   characters or other invisible characters.
   */
  uint64_t refused_bad_symbol;
  /*
   Events with a price that is not positive, or above `limits.max_price`.
   */
  uint64_t refused_bad_price;
  /*
   Events with a size that is negative, or above `limits.max_size`.
   */
  uint64_t refused_bad_size;
  /*
   Events of instruments beyond `instruments.max`.
   */
  uint64_t refused_too_many_instruments;
  /*
   Events received after the engine failed.
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
   How many events' numbers ingest has not seen, such as those of events dropped at a full
   ring.
   */
  uint64_t ingest_gap;
  /*
   Events that changed state and called for no signal.
   */
  uint64_t updates;
  /*
   Factor vectors computed.
   */
  uint64_t triggered;
  /*
   Predictions made: one per factor vector, or one per factor vector and model where
   `callback` is `per-model`.
   */
  uint64_t predicted;
  /*
   Signals made, including those dropped or conflated later.
   */
  uint64_t signals;
  /*
   Signals that the host received, from a poll, `signal_on_data` or a batch.
   */
  uint64_t delivered;
  /*
   How many signals' numbers have not reached the host, such as those of signals dropped or
   conflated at a full ring.
   */
  uint64_t egress_gap;
  /*
   Times a sender had to wait because its ring was full.
   */
  uint64_t ring_waits;
  /*
   Events that have not ended, plus copies of index prices that other shards still
   process, plus factor vectors and predictions on their way through lanes that share
   the models. So, where lanes share the models, it may count an event after `answered`
   has counted it.
   */
  uint64_t in_flight;
  /*
   Events of symbols that are not in the configured `assets`.
   */
  uint64_t refused_not_an_asset;
  /*
   Events whose signals have all been made. Where several lanes share the models: events
   whose factor vectors have all been sent to those lanes.
   */
  uint64_t answered;
  /*
   Events of an instrument in quarantine, and events whose last signal is missing because
   the models that would have made it are in quarantine.
   */
  uint64_t refused_quarantined;
  /*
   Where `overload.ingest` is `block`: events dropped after `overload.block_ms` without
   room.
   */
  uint64_t dropped_ingest_timeout;
  /*
   Events whose last message, the one that ends them, was dropped between lanes because
   the engine stopped or had failed.
   */
  uint64_t dropped_stage_stopped;
  /*
   Where `overload.egress` is `block`: signals dropped after `overload.block_ms` without
   room.
   */
  uint64_t dropped_egress_timeout;
  /*
   Signals dropped because the engine stopped or had failed.
   */
  uint64_t dropped_egress_stopped;
  /*
   Signals replaced by a newer one of the same instrument while the ring to the host
   was full.
   */
  uint64_t conflated_egress;
  /*
   Signals made and neither delivered nor lost yet.
   */
  uint64_t queued;
  /*
   Panics of factor sets and models. Each put something in quarantine.
   */
  uint64_t panics;
  /*
   Calls refused because another call on the handle was in progress. An event that such a call
   passed is in no other counter.
   */
  uint64_t refused_concurrent;
  /*
   Factor vectors skipped by a lane that runs some of the models and fell behind.
   */
  uint64_t model_vectors_missed;
  /*
   Events written to the capture file.
   */
  uint64_t capture_written;
  /*
   Events overwritten before the capture writer had read them.
   */
  uint64_t capture_missed;
  /*
   Events missing from the capture file because of a disk error.
   */
  uint64_t capture_failed;
  /*
   Events dropped in the ring to ingest because the engine stopped or had failed.
   */
  uint64_t dropped_ingest_stopped;
  /*
   Messages dropped between lanes because the engine stopped or had failed, other than
   the last ones of their events, which are counted in `dropped_stage_stopped`.
   */
  uint64_t lost_stage_parts;
  /*
   1 once the engine has failed, else 0. `signal_last_error` gives the reason after a
   poll that returned `SIGNAL_ERROR_FAILED`, or after `signal_health`.
   */
  uint64_t failed;
  /*
   Copies of index prices made for the second and later shards. An index price goes to
   every shard; one of them stands for the event.
   */
  uint64_t index_copies;
  /*
   Copies of index prices that have been processed. The others are in `in_flight`.
   */
  uint64_t index_copies_ended;
  /*
   Number of latencies, over all hops, of at least `SIGNAL_LATENCY_BOUND_NS`, as of the
   last `signal_latency` or the last interval of the latency report.
   */
  uint64_t latency_beyond;
  /*
   1 once the latency report could not be written and has ended, else 0.
   `signal_last_error` gives the reason after `signal_health`.
   */
  uint64_t report_ended;
  /*
   Events whose signals had not all come when `signal_on_data` stopped waiting for them,
   with `deliver: on_data`. Those signals come with the next poll or `signal_on_data`.
   */
  uint64_t deliver_late;
  /*
   Past messages that lanes without work, or polls where stages run inline, ran through
   the stages once more, without effect, to keep them warm.
   */
  uint64_t rehearsals;
  /*
   Messages that `signal_on_data` handled on its own thread, with `deliver: on_data`: the
   lane had not begun them within `stand_in_us`, or the ring to it was full. Mostly
   something else ran on the lane's core.
   */
  uint64_t stood_in;
  /*
   How often lanes that spin were away from their cores for 50 us or longer while they
   had nothing to do: something else ran there, the hypervisor of a virtual machine took
   the core, or the process was stopped.
   */
  uint64_t lane_away;
  /*
   How long they were away in all, ns.
   */
  uint64_t lane_away_ns;
  /*
   Those of `deliver_late` whose lane was in the middle of its work when the wait ended,
   so that `signal_on_data` could not do it: something else took the lane's core, or the
   event takes longer than `deliver_budget_us`. 0 where nobody stands in for a lane.
   */
  uint64_t deliver_late_begun;
  /*
   Signals dropped because they were older than `max_age_us` when they would have been
   delivered. Their numbers are not in `egress_gap`.
   */
  uint64_t dropped_egress_too_old;
} signal_stats_t;

/*
 Latencies of one hop since the handle was made, in ns. A latency above
 `SIGNAL_LATENCY_BOUND_NS` is recorded as that.
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
   Maximum, ns. `SIGNAL_LATENCY_BOUND_NS` means that or more.
   */
  uint64_t max_ns;
} signal_hop_t;

/*
 A lane and its progress.
 */
typedef struct {
  /*
   Its stages, its core at the start and what it does when idle, as in
   `ingest..egress@1(spin)`; NUL-terminated.
   */
  char name[SIGNAL_NAME_LEN];
  /*
   Core that it is pinned to now; `SIGNAL_NO_CORE` if it could not be pinned, or someone
   has let it run on several cores since.
   */
  uint64_t core;
  /*
   Number of heartbeats. It grows as long as the lane is not stuck, also without work.
   */
  uint64_t beats;
  /*
   Longest time between two heartbeats, ns, without waits for room and, in a lane that parks
   or yields, without the time for which it gave its core away. In a lane that spins, time
   in which something else had its core counts. If the whole process was stopped meanwhile,
   that counts: a lane cannot tell.
   */
  uint64_t longest_duty_ns;
  /*
   How often that time was longer than `health.stall_us`.
   */
  uint64_t stalls;
  /*
   Time since the last heartbeat, ns.
   */
  uint64_t silence_ns;
} signal_lane_t;

/*
 A ring and how full it has been.
 */
typedef struct {
  /*
   `ingest` and `egress`, as in the configuration, or `stage.NAME` for the ring
   between lanes that leads to stage NAME; with several shards or model lanes a number
   follows, as in `stage.factor#1`. NUL-terminated.
   */
  char name[SIGNAL_NAME_LEN];
  /*
   Number of messages that it can hold.
   */
  uint64_t capacity;
  /*
   Largest number of messages that have waited in it at once.
   */
  uint64_t high_water;
} signal_ring_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes an engine and starts its lanes.

 `config_json` is NUL-terminated JSON; `"{}"` or null adds nothing to the defaults and to
 the configuration file. It is read during the call only. A process can have 256 handles at
 once. Returns a handle, which the caller owns until `signal_destroy`.
 Returns null on an error: `signal_last_error` then gives the reason, as does one line on
 stderr.

 It reads these environment variables. `SIGNAL_CONFIG` names a configuration file; keys in
 `config_json` override keys in that file. `SIGNAL_CORES` lists the lanes' cores, such as
 `2,3` or `2-3`. It overrides `cores` in the file, and `cores` in `config_json` overrides
 it. `SIGNAL_LATENCY_DIR` names a folder in which each handle makes a folder for its
 latency report, unless `latency.dir` is set. `SIGNAL_CORE_CLAIMS` names the file in which
 processes reserve cores, instead of `/dev/shm/godzilla-signal-cores`. In a program with
 rights that its caller may lack (set-user-ID, set-group-ID, file capabilities:
 `AT_SECURE`) these variables are ignored; one line on stderr says so.

 To choose cores, it locks that file. It waits up to 1 s for another thread that chooses, and
 up to 1 s for another process that holds the lock, twice more at most where someone removes
 the file meanwhile; then it goes on without the lock. The first time in a process, one line
 on stderr says so.

 The first call of a process also calibrates the clock, for up to 200 ms. In every
 placement, the call first runs each model on the calling thread, without a limit. Where
 there are lanes, each then runs its models once more. The call returns null if a lane's
 first run, or the start of a thread, takes more than 30 s. The call checks for memory
 before it takes any; if another thread of the host takes that memory in between, an
 allocation fails and aborts the process.

 # Safety

 `config_json` is null or points to a NUL-terminated string.
 */
void *signal_create(const char *config_json);

/*
 Sets the callback and its `user_data`, replacing an earlier one. Null removes the
 callback: signals then wait in the ring until it is full, and then `overload.egress`
 decides. Inside a callback, the change takes effect after that callback.

 While another thread is inside a one-thread function on the handle, this call is
 refused and the earlier callback stays. `signal_last_error` then gives the reason; after
 a successful call it returns null.

 # Safety

 `cb` is null or points to a function. The function stays callable and `user_data`
 stays valid until another callback is set or the handle is destroyed.
 */
void signal_register_callback(void *handle, signal_callback_t cb, void *user_data);

/*
 Stops and joins the lanes, ends the capture and the latency report if they are
 configured, and frees the handle. Makes no callback: signals still queued are discarded.

 It waits up to 5 s for factor sets and models that do not return (their lanes are then
 left behind), up to 5 s for a disk that does not respond, up to 1 s for other threads that
 read from the handle, for example in `signal_stats`, and up to 1 s each for another thread
 and another process that choose their cores at that moment.

 If it is called in a callback, every function refuses the handle from then on, and the
 handle is freed when the poll, or `signal_on_data`, returns. If the callback calls `exit`
 instead, the handle is not freed. Capture and report are whole all the same once the process
 has ended, if `signal_destroy` is called there or in a handler of `exit` and no handler calls
 `_exit`. While another thread is inside a one-thread function on the handle, this call is
 refused and the handle stays valid. Null is ignored.
 */
void signal_destroy(void *handle);

/*
 The library's version, `MAJOR.MINOR.PATCH`. Static: never free it.
 */
const char *signal_version(void);

/*
 Takes one event. `type` is one of `SIGNAL_TYPE_*`, `data` points to its struct.

 The call copies what it needs from `data`. It takes no lock, allocates nothing, makes
 no system call and does not wait, apart from these cases:

 - Where `overload.ingest` is `block` and the ring is full, it spins and yields the core
   for at most `overload.block_ms`.
 - Where `deliver` is `on_data`, it may wait for signals, or do a lane's work: see below.
 - Where stages run inline, it runs the factors and models before it returns. It writes
   one line to stderr when a second instrument with the same name appears, when two
   spellings turn out to be one instrument, and when a factor set or model panics. A panic
   also allocates.
   Where `deliver` is `on_data` too, an event without a signal now and then has it run factor
   sets and models on a past event, as `signal_poll_callbacks` does (key `warm`).
 - The first call on another thread asks the kernel for a memory barrier: see "Threads"
   at the head of `signal.h`.
 - Where the handle reads the time by system calls, this call does.

 Null `data`, other types and bad content are counted and dropped. A null handle is
 ignored; another invalid handle is refused and counted. If another call on the handle is
 in progress, the event is lost: it is counted in `refused_concurrent` alone.

 Where `deliver` is `on_data` and a callback is set, the call then makes callbacks, as
 `signal_poll_callbacks` does, for the signals that are ready. It also waits for the
 event's signals, spinning for at most `deliver_budget_us`, if the event is of a kind that
 triggers and was put into the ring, every lane spins, and the process has more than one
 core. If the only lane has not begun the event for `stand_in_us`, because something else
 runs on its core, the call does the lane's work, where the configuration allows that
 (docs/hosts.md): the call then lasts as long as that work, and may write the lines that it
 would write inline. If the ring to that lane is full, the call does some of the lane's work
 at once, also inside a callback. Only if there is still no room does `overload.ingest`
 decide. Inside a callback the call makes no callbacks. If a callback throws, the exception
 passes through. The library has taken the event by then: do not pass it again.

 # Safety

 `data` is null or points to the struct of `type`, at any alignment, readable during
 the call.
 */
void signal_on_data(void *handle, int type, const void *data);

/*
 Calls the callback on this thread for every signal that is ready, oldest first.
 Callbacks run only in this function and, where `deliver` is `on_data`, in
 `signal_on_data`. This function first frees the batch that `signal_poll_batch` returned.

 Apart from what callbacks do, and as long as the engine has not failed, it takes no lock,
 allocates nothing, makes no system call and does not wait, except for the barrier after a
 move to another thread, and for clock readings that are system calls. Where stages run
 inline, if no signal is ready, it now and then runs factor sets and models on a past
 event, without effect, to keep them warm (key `warm`). A panic there writes one line to
 stderr and allocates.

 Returns the number of callbacks made: 0 inside a callback, or if none is set. Returns
 `SIGNAL_ERROR_FAILED` once the engine has failed and every signal was handed out; for an
 invalid or busy handle `SIGNAL_ERROR_NULL`, `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.
 */
int signal_poll_callbacks(void *handle);

/*
 Inside a callback: the index of the model that made the signal, or
 `SIGNAL_ALL_MODELS` if its values are those of all models. Outside a callback
 `SIGNAL_NO_MODEL`; for an invalid or busy handle `SIGNAL_ERROR_NULL`,
 `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.
 */
int signal_current_model(void *handle);

/*
 Inside a callback: the signal's sequence number. The engine numbers its signals 1, 2,
 3 and so on. A dropped or conflated signal uses up a number. So a gap shows how many
 signals were lost, and where. 0 outside a callback, and for an invalid or busy handle.
 */
uint64_t signal_current_sequence(void *handle);

/*
 Inside a callback: describes the signal's instrument in `instrument`.

 Returns 0; `SIGNAL_NO_INSTRUMENT` outside a callback; `SIGNAL_ERROR_NULL` if
 `instrument` or the handle is null; `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY` for
 another invalid or a busy handle. `instrument` is written only when it returns 0.

 # Safety

 `instrument` is null or points to a writable struct, at any alignment.
 */
int signal_current_instrument(void *handle, signal_instrument_t *instrument);

/*
 Describes in `instrument` the instrument of signal `index`, counted from 0, of the
 last batch that `signal_poll_batch` returned.

 Returns 0; `SIGNAL_NO_INSTRUMENT` if that batch has no such signal or was freed;
 `SIGNAL_ERROR_NULL` if `instrument` or the handle is null; `SIGNAL_ERROR_HANDLE` or
 `SIGNAL_ERROR_BUSY` for another invalid or a busy handle. `instrument` is written only
 when it returns 0.

 # Safety

 `instrument` is null or points to a writable struct, at any alignment.
 */
int signal_batch_instrument(void *handle, int index, signal_instrument_t *instrument);

/*
 What an inlined poll reads: pass it to `signal_poll`. It belongs to the library and
 stays readable for ever. After `signal_destroy` an inlined poll either finds no
 signal in it, or calls the library, which refuses the handle. Null for an invalid
 handle.
 */
const signal_egress_t *signal_egress(void *handle);

/*
 Writes at most `max` of the signals that are ready to `results`, oldest first, without
 copying their values, and returns how many it wrote. It makes no callback: it is for
 hosts that want none. The signals count as delivered.

 The batch stays valid until the next `signal_poll_batch`, `signal_poll_callbacks` or
 `signal_destroy` on this handle, and, where `deliver` is `on_data` and a callback is
 set, the next `signal_on_data`. That call frees the batch; its pointers are invalid
 from then on. A batch occupies its ring slots until it is freed. It holds at most
 `rings.egress` minus one signals, so that one more can be published and an inlined
 poll sees it. With `max` at 0 or less, and `results` not null, the call takes no
 signal: it frees the batch and returns 0 (or `SIGNAL_ERROR_FAILED`, see below). A call that
 returns no signal keeps inline stages warm as `signal_poll_callbacks` does.

 Returns 0 inside a callback, and `SIGNAL_ERROR_NULL` if `results` is null, which leaves
 the last batch valid. Returns `SIGNAL_ERROR_FAILED` once the engine has failed and every
 signal was handed out; for an invalid or busy handle `SIGNAL_ERROR_NULL`,
 `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY`.

 # Safety

 `results` is null or has room for `max` elements, at any alignment.
 */
int signal_poll_batch(void *handle, signal_result_t *results, int max);

/*
 The text of this thread's latest failure or health check. It is set by a `signal_create`
 that returns null, a call that refuses its handle (busy, or invalid but not null), a poll
 that returns `SIGNAL_ERROR_FAILED`, and `signal_health`. `signal_create`,
 `signal_register_callback` and `signal_health` reset it to null if they have nothing to
 report. Other successful calls leave it unchanged. Valid until the next call on this
 thread that sets or resets it: copy it, never free it.
 */
const char *signal_last_error(void);

/*
 Number of calls refused because of an invalid handle other than null: one that was
 destroyed, one of a parent process, or one that this library never returned. Counts all
 handles since the library was loaded. Any thread may call it.
 */
uint64_t signal_refused_handles(void);

/*
 Number of stderr lines lost because they could not be written at once: a full pipe, a
 closed reader, a full disk, or a descriptor 2 that is no longer stderr. Counts all
 handles since the library was loaded. Any thread may call it.
 */
uint64_t signal_lost_lines(void);

/*
 Fills in the counters, while the engine runs and after it has failed. Returns 0, or
 `SIGNAL_ERROR_NULL` if the handle or `stats` is null or `size` is too small for itself and
 one counter, or `SIGNAL_ERROR_HANDLE` for another invalid handle. `stats` is written only
 when it returns 0.

 With a latency report, the call also asks the system whether the report's thread still
 lives. Where the kernel does not empty pages in children, it asks for the process' number.
 It makes no other system call.

 # Safety

 `stats` is null or points to at least `stats->size` writable bytes.
 */
int signal_stats(void *handle, signal_stats_t *stats);

/*
 Number of models. They are numbered from 0 in the order of the configuration.
 `SIGNAL_ERROR_NULL` or `SIGNAL_ERROR_HANDLE` for an invalid handle.
 */
int signal_models(void *handle);

/*
 Name of model `model`, counted from 0. It belongs to the handle and is valid until
 `signal_destroy`. Null if there is no such model.
 */
const char *signal_model_name(void *handle, int model);

/*
 Name of `values[index]` in a callback with the values of model `model`, or with those
 of all models (`SIGNAL_ALL_MODELS`). It belongs to the handle and is valid until
 `signal_destroy`. Null if there is no such value.
 */
const char *signal_value_name(void *handle, int model, int index);

/*
 Writes at most `max` hops that have recorded latencies to `hops`, in pipeline order,
 and returns how many it wrote. If it returns `max`, there may be more. A value equal to
 `SIGNAL_LATENCY_BOUND_NS` is a lower bound. Not for the hot path: it waits up to 100 ms
 for the lanes.

 Returns 0 inside a callback; `SIGNAL_ERROR_NULL` if `hops` or the handle is null;
 `SIGNAL_ERROR_HANDLE` or `SIGNAL_ERROR_BUSY` for another invalid or a busy handle.

 # Safety

 `hops` is null or has room for `max` elements.
 */
int signal_latency(void *handle, signal_hop_t *hops, int max);

/*
 The engine's state, one of `SIGNAL_HEALTH_*`; the worst if several apply. From best to
 worst: `OK`, `DEGRADED`, `QUARANTINED`, `SILENT`, `OVERLOADED`, `STALLED`, `FAILED`.
 The numbers do not rank them. For an invalid handle `SIGNAL_ERROR_NULL` or
 `SIGNAL_ERROR_HANDLE`.

 `signal_last_error` on this thread then explains the state. It also says, in any state,
 what an operator should know: instruments that share a name, assets or `symbols.map`
 entries for which no event has arrived, a core that a lane has to share, and panics of
 what is kept warm. Up to 64 living threads can have such a text; a further one gets a text
 that says so, and the right state. It returns null for `SIGNAL_HEALTH_OK` with nothing to
 report, and cuts texts off after 4,095 bytes.

 "Since the last call" means the last call on this handle, from any thread. The call
 allocates nothing and waits for no other thread. A call that overlaps another one on the
 same handle, from another thread or from a signal handler, returns what the last
 completed call found. Not for the hot path.

 Each call asks the system whether the threads of the latency report and the capture still
 live. At most once a second it also asks where the lanes may run, checks the handle's
 claims on cores and renews lost ones, and, without a latency report, whether a CPU quota
 stops the process; in between it repeats the last answer. It opens no file. If
 `SIGNAL_CORE_CLAIMS` is on a network file system, that check is as slow as the network.
 The first call on a thread also asks whether it may read the TSC.
 */
int signal_health(void *handle);

/*
 Text of incident `index`, counted from 0: which model or instrument was put in
 quarantine, and why. It belongs to the handle and is valid until `signal_destroy`. Null
 if there is none, or if `index` is 64 or more: the first 64 are kept.
 */
const char *signal_incident(void *handle, int index);

/*
 Writes at most `max` lanes to `lanes`, in pipeline order, and returns how many it
 wrote: 0 where stages run inline, without lanes. If it returns `max`, there may be more.
 Asks the system where each lane may run. `SIGNAL_ERROR_NULL` if `lanes` or the handle is
 null; `SIGNAL_ERROR_HANDLE` for another invalid handle.

 # Safety

 `lanes` is null or has room for `max` elements.
 */
int signal_lanes(void *handle, signal_lane_t *lanes, int max);

/*
 Writes at most `max` rings to `rings`, in pipeline order, and returns how many it
 wrote. If it returns `max`, there may be more. `SIGNAL_ERROR_NULL` if `rings` or the
 handle is null; `SIGNAL_ERROR_HANDLE` for another invalid handle.

 # Safety

 `rings` is null or has room for `max` elements.
 */
int signal_rings(void *handle, signal_ring_t *rings, int max);

/*
 Measures what one clock reading costs, and returns it in ns. Takes well under 1 ms,
 or some ms where the handle reads the time by system calls. -1 for an invalid handle.
 */
double signal_stamp_ns(void *handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#pragma pack(pop)

#ifdef SIGNAL_ASSERT
SIGNAL_ASSERT(sizeof(signal_instrument_t) == 32 && sizeof(signal_egress_t) == 24);
SIGNAL_ASSERT(sizeof(signal_result_t) == 48 && sizeof(signal_stats_t) == 416);
SIGNAL_ASSERT(sizeof(signal_hop_t) == 64 && sizeof(signal_lane_t) == 104 && sizeof(signal_ring_t) == 80);
#undef SIGNAL_ASSERT
#endif

/* The inlined poll: a few loads, one comparison and one prefetch. It calls the
 * library only when there is a new signal. `egress` comes from signal_egress(handle), and
 * must not be null.
 * `poll` is signal_poll_callbacks, as dlsym found it. Returns what `poll` returns, or 0.
 * Every word that another thread may write is read as an atomic.
 *
 * It does not notice that an engine has failed: signal_poll_callbacks does. Nor does it
 * keep inline stages warm: call signal_poll_callbacks for that. */
static __inline__ int signal_poll(void *handle, const signal_egress_t *egress,
                                  int (*poll)(void *handle)) {
  const uint64_t *host = egress->taken;
  if (__atomic_load_n(egress->published, __ATOMIC_ACQUIRE) ==
      __atomic_load_n(host, __ATOMIC_RELAXED)) {
    /* Prefetch the next slot, so that the signal arrives with the count that announces it. */
    __builtin_prefetch((const void *)(uintptr_t)__atomic_load_n(host + 1, __ATOMIC_RELAXED));
    return 0;
  }
  return poll(handle);
}

#endif /* GODZILLA_SIGNAL_H */
