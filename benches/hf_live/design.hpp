// The C interface of the design that this library replaces, written for comparison:
// the host's five functions, and what the bench needs beside them.
#pragma once

#include <cstdint>

extern "C" {

/// What a thread does while there is nothing for it.
enum hf_live_wait : std::int32_t {
  /// Looks again at once.
  HF_LIVE_SPIN = 0,
  /// Offers its core, then looks again: for threads that share one.
  HF_LIVE_YIELD = 1,
  /// Sleeps for a microsecond (and the kernel's slack), then looks again.
  HF_LIVE_SLEEP = 2,
  /// Blocks on a condition variable. Not for the tick thread, which scans.
  HF_LIVE_BLOCK = 3,
};

/// `model_wait`: the tick thread runs the model itself.
constexpr std::int32_t HF_LIVE_NO_THREAD = -1;

struct hf_live_settings {
  std::int32_t tick_wait;
  std::int32_t model_wait;
  /// Cores; negative: any.
  std::int32_t tick_core;
  std::int32_t model_core;
};

/// The factor sets and the model, which are this library's own, in Rust.
struct hf_live_compute {
  /// Used on the tick thread alone.
  void *factor_context;
  /// Takes an event; writes the factors and returns 1 if it triggers, else 0.
  std::int32_t (*on_event)(void *context, std::uint32_t instrument, std::int32_t type,
                           const void *data, double *factors);
  std::int32_t factors;
  /// Used on the model's thread alone.
  void *model_context;
  void (*run)(void *context, const double *factors, double *outputs);
  std::int32_t outputs;
};

typedef void (*hf_live_callback)(const char *symbol, long long timestamp, const double *values,
                                 int count, void *user_data);

/// Null if the threads cannot be started or pinned; nothing is left behind.
void *hf_live_create(const hf_live_settings *settings, const hf_live_compute *compute);
void hf_live_register_callback(void *handle, hf_live_callback callback, void *user_data);
void hf_live_on_data(void *handle, int type, const void *data);
int hf_live_poll_callbacks(void *handle);
/// Joins the threads: the contexts are not used after it.
void hf_live_destroy(void *handle);
/// Events and results that found no room.
std::uint64_t hf_live_dropped(void *handle);
}
