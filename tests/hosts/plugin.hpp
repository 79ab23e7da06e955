// What all checks share: the host's packed structs, the library as a host loads it, and a
// recorder of signals.
#pragma once

// Included by its relative path: with `-I include`, the system's `<signal.h>` would resolve
// to the library's header.
#include "../../include/signal.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) {                                                               \
      host::leave_said();                                                             \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::fflush(nullptr);                                                           \
      _exit(1);                                                                       \
    }                                                                                 \
  } while (0)

#define CHECK_EQ(left, right)                                                             \
  do {                                                                                    \
    const auto left_value = (left);                                                       \
    const decltype(left_value) right_value = (right);                                     \
    if (!(left_value == right_value)) {                                                   \
      host::leave_said();                                                                 \
      std::fprintf(stderr, "%s:%d: CHECK_EQ failed: %s is %s, expected %s (%s)\n", __FILE__, \
                   __LINE__, #left, host::show(left_value).c_str(),                       \
                   host::show(right_value).c_str(), #right);                              \
      std::fflush(nullptr);                                                               \
      _exit(1);                                                                           \
    }                                                                                     \
  } while (0)

namespace host {

// Whether a scenario has what it needs. If not, its test says so, and fails where nothing may be
// missing.
inline bool needs(bool is_there, const char *what) {
  if (!is_there) std::printf("SKIP: %s\n", what);
  std::fflush(stdout);
  return is_there;
}
inline bool needs_root() { return needs(geteuid() == 0, "root"); }

// The real stderr while `said` reads what the library prints: a check that fails there is shown.
inline int stderr_in_said = -1;
inline void leave_said() {
  if (stderr_in_said >= 0) dup2(stderr_in_said, STDERR_FILENO);
  stderr_in_said = -1;
}

inline std::string show(const std::string &text) { return '"' + text + '"'; }
template <typename T> std::string show(T number) { return std::to_string(number); }

constexpr int kDepth = 101, kTicker = 102, kTrade = 103, kIndexPrice = 104, kBar = 110;

#pragma pack(push, 1)
struct Depth {
  char source_id[16], symbol[32], exchange_id[16];
  std::int64_t data_time;
  std::int8_t instrument_type;
  double bid_price[10], ask_price[10], bid_volume[10], ask_volume[10];
};
struct Ticker {
  char source_id[16], symbol[32], exchange_id[16];
  std::int64_t data_time;
  std::int8_t instrument_type;
  double bid_price, bid_volume, ask_price, ask_volume;
};
struct Trade {
  char client_id[32], symbol[32], exchange_id[16];
  std::int8_t instrument_type;
  std::int64_t trade_id, ask_id, bid_id;
  double price, volume;
  std::int8_t side, position_side;
  std::int64_t trade_time;
};
struct IndexPrice {
  char symbol[32], exchange_id[16];
  std::int8_t instrument_type;
  double price;
};
struct Bar {
  char symbol[32], exchange_id[16];
  std::int64_t start_time, end_time;
  double open, close, low, high, volume, start_volume;
  std::int32_t trade_count, interval;
};
#pragma pack(pop)
static_assert(sizeof(Depth) == 393 && offsetof(Depth, bid_price) == 73);
static_assert(sizeof(Ticker) == 105 && offsetof(Ticker, ask_price) == 89);
static_assert(sizeof(Trade) == 131 && offsetof(Trade, trade_time) == 123);
static_assert(sizeof(IndexPrice) == 57 && offsetof(IndexPrice, price) == 49);
static_assert(sizeof(Bar) == 120 && offsetof(Bar, trade_count) == 112);

// As strncpy does it: a text that fills its field has no NUL.
template <std::size_t kSize> void copy_text(char (&field)[kSize], const char *text) {
  const std::size_t length = std::strlen(text);
  std::memcpy(field, text, length < kSize ? length : kSize);
}

inline Depth depth(const char *symbol, std::int64_t time, double bid, double ask) {
  Depth d{};
  copy_text(d.source_id, "binance");
  copy_text(d.symbol, symbol);
  copy_text(d.exchange_id, "binance");
  d.data_time = time;
  d.instrument_type = 7;
  for (int level = 0; level < 10; ++level) {
    d.bid_price[level] = bid - level * 0.5;
    d.ask_price[level] = ask + level * 0.5;
    d.bid_volume[level] = 1.0 + level;
    d.ask_volume[level] = 2.0 + level;
  }
  return d;
}
inline Ticker ticker(const char *symbol, std::int64_t time, double bid, double ask) {
  Ticker t{};
  copy_text(t.symbol, symbol);
  copy_text(t.exchange_id, "binance");
  t.data_time = time;
  t.instrument_type = 7;
  t.bid_price = bid, t.bid_volume = 1.0, t.ask_price = ask, t.ask_volume = 2.0;
  return t;
}
inline Trade trade(const char *symbol, std::int64_t time, double price, double volume) {
  Trade t{};
  copy_text(t.symbol, symbol);
  copy_text(t.exchange_id, "binance");
  t.instrument_type = 7;
  t.trade_id = time, t.price = price, t.volume = volume, t.trade_time = time;
  return t;
}
inline IndexPrice index_price(const char *symbol, double price) {
  IndexPrice i{};
  copy_text(i.symbol, symbol);
  copy_text(i.exchange_id, "binance");
  i.instrument_type = 7;
  i.price = price;
  return i;
}

inline pid_t tid() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// The library, loaded with the host's flags.
struct Plugin {
  void *library = nullptr;
#define ENTRY(name) decltype(&signal_##name) name = nullptr
  ENTRY(create);
  ENTRY(register_callback);
  ENTRY(on_data);
  ENTRY(poll_callbacks);
  ENTRY(poll_batch);
  ENTRY(destroy);
  ENTRY(version);
  ENTRY(last_error);
  ENTRY(stats);
  ENTRY(models);
  ENTRY(model_name);
  ENTRY(value_name);
  ENTRY(current_model);
  ENTRY(current_sequence);
  ENTRY(current_instrument);
  ENTRY(batch_instrument);
  ENTRY(egress);
  ENTRY(latency);
  ENTRY(stamp_ns);
  ENTRY(refused_handles);
  ENTRY(lost_lines);
  ENTRY(health);
  ENTRY(incident);
  ENTRY(lanes);
  ENTRY(rings);
#undef ENTRY

  explicit Plugin(int flags = RTLD_LAZY | RTLD_NODELETE)
      : Plugin(std::getenv("SIGNAL_LIB_PATH"), flags) {}
  Plugin(const char *path, int flags) {
    CHECK(path != nullptr);
    library = dlopen(path, flags);
    if (library == nullptr) std::fprintf(stderr, "dlopen: %s\n", dlerror());
    CHECK(library != nullptr);
#define LOAD(name)                                                              \
  name = reinterpret_cast<decltype(name)>(dlsym(library, "signal_" #name));     \
  if (name == nullptr) std::fprintf(stderr, "no symbol signal_" #name "\n");    \
  CHECK(name != nullptr)
    LOAD(create);
    LOAD(register_callback);
    LOAD(on_data);
    LOAD(poll_callbacks);
    LOAD(poll_batch);
    LOAD(destroy);
    LOAD(version);
    LOAD(last_error);
    LOAD(stats);
    LOAD(models);
    LOAD(model_name);
    LOAD(value_name);
    LOAD(current_model);
    LOAD(current_sequence);
    LOAD(current_instrument);
    LOAD(batch_instrument);
    LOAD(egress);
    LOAD(latency);
    LOAD(stamp_ns);
    LOAD(refused_handles);
    LOAD(lost_lines);
    LOAD(health);
    LOAD(incident);
    LOAD(lanes);
    LOAD(rings);
#undef LOAD
  }
  Plugin(const Plugin &) = delete;
  Plugin &operator=(const Plugin &) = delete;
};

// Gives `depths` Depths and waits until each has ended.
inline void feed_and_settle(const Plugin &plugin, void *handle, int depths) {
  for (int event = 0; event < depths; ++event) {
    const Depth d = depth("btc_usdt", event, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &d);
  }
  signal_stats_t stats{};
  stats.size = sizeof stats;
  do {
    usleep(100);
    CHECK_EQ(plugin.stats(handle, &stats), 0);
  } while (stats.in_flight > 0);
}

struct Got {
  std::string symbol;
  long long timestamp;
  std::vector<double> values;
};

// A handle with a callback that records signals and checks that they come at the right moment.
class Engine {
public:
  std::vector<Got> got;
  void *handle;

  Engine(const Plugin &plugin, const char *config) : plugin_(plugin) {
    handle = plugin.create(config);
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    plugin.register_callback(handle, record, this);
  }
  ~Engine() { destroy(); }
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  void destroy() {
    if (handle != nullptr) plugin_.destroy(handle);
    handle = nullptr;
  }
  void data(int type, const void *payload) { plugin_.on_data(handle, type, payload); }
  void feed(const Depth &d) { data(kDepth, &d); }
  void feed(const Ticker &t) { data(kTicker, &t); }
  void feed(const Trade &t) { data(kTrade, &t); }
  void feed(const IndexPrice &i) { data(kIndexPrice, &i); }

  int poll() {
    polling_ = true;
    const std::size_t before = got.size();
    const int made = plugin_.poll_callbacks(handle);
    polling_ = false;
    CHECK_EQ(made, static_cast<int>(got.size() - before));
    return made;
  }
  signal_stats_t stats() const {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    CHECK_EQ(plugin_.stats(handle, &stats), 0);
    return stats;
  }
  // Waits until every event has ended, then returns how each did.
  signal_stats_t settle() const;
  // Settles, then polls until nothing is left.
  void drain() {
    settle();
    while (poll() > 0) {
    }
  }

private:
  static void record(const char *symbol, long long timestamp, const double *values, int count,
                     void *user_data) {
    auto *self = static_cast<Engine *>(user_data);
    CHECK(self->polling_);
    CHECK_EQ(tid(), self->thread_);
    CHECK(symbol != nullptr && count >= 0);
    self->got.push_back({symbol, timestamp, {values, values + count}});
  }

  const Plugin &plugin_;
  const pid_t thread_ = tid();
  bool polling_ = false;
};

inline bool has(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

std::uint64_t events(const signal_stats_t &stats);
// Checks that every event ended in exactly one way, and that the signals are accounted for.
void check_accounts(const signal_stats_t &stats, std::uint64_t queued = 0);
signal_stats_t empty_stats();
// Checks that every function refuses the handle, says why, and counts the refusal.
void check_refused(const Plugin &plugin, void *handle, const char *why);
constexpr const char *kConfigs[] = {R"({"placement":"inline"})", R"({"placement":"fused"})",
                                    R"({"placement":"split"})"};
// Makes a handle, sends `depths` Depths through it and destroys it.
void use(const Plugin &plugin, const char *config, int depths = 10);
std::vector<pid_t> threads();
// Those that are lanes, by their names.
std::vector<pid_t> lane_threads();
// Calls with what each entry of /proc/self/fd leads to, empty if to nothing.
void each_descriptor(const std::function<void(std::string_view)> &take);
// Gives the threads of this process that have the lowest priority the ordinary one, if it may. While other
// programs have the cores, such a thread may get none for minutes.
void hurry();
// What a process holds, to check that nothing is left behind.
struct Footprint {
  std::size_t threads, descriptors;
  long resident_kib, allocated_kib;
};
Footprint footprint();
double seconds();
void sleep_us(unsigned us);
// Runs until `done` holds; false after a minute.
template <typename Done> bool wait_for(Done done) {
  double hurry_at = 2.0;
  for (const double start = seconds(); !done(); sleep_us(50)) {
    if (seconds() - start > 60.0) return false;
    if (seconds() - start > hurry_at) {
      hurry();
      hurry_at += 2.0;
    }
  }
  return true;
}

// Runs `body` in a forked child, which must exit with this code.
void in_child(int code, const std::function<void()> &body, unsigned seconds = 120);
// Runs `doing` in a separate process, which must succeed.
void apart(const std::function<void()> &doing);
// Makes a system call fail from now on, for this thread and the threads that it makes; with
// SECCOMP_FILTER_FLAG_TSYNC for all existing threads too.
void forbid(int call, int error, unsigned flags = 0);
// The thread gets a SIGSYS for the system call.
void trap(int call);

// A number from /proc/self/status, such as "VmSize:".
long kib(const char *name);
// Sets a soft limit of this process, up to the hard one.
void limit(__rlimit_resource resource, rlim_t most);

// What the library prints while `doing` runs.
template <typename Doing> std::string said(Doing doing) {
  std::FILE *file = std::tmpfile();
  const int kept = dup(STDERR_FILENO);
  std::fflush(stderr);
  stderr_in_said = kept;
  CHECK_EQ(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
  doing();
  leave_said();
  close(kept);
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  std::fprintf(stderr, "%s", text.c_str());
  return text;
}

using Run = int (*)();
struct Scenario {
  Scenario(const char *name, Run run);
};

}  // namespace host

// A scenario returns the process' exit code.
#define SCENARIO(name)                                         \
  static int scenario_##name();                                \
  static host::Scenario registered_##name{#name, scenario_##name}; \
  static int scenario_##name()
