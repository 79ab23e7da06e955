// The design that this library replaces, with its known faults mended: what is
// compared is how work is handed on, not bugs.
//
// Per event: a copy on the heap behind a shared_ptr, put into a broadcast buffer
// under a mutex. A tick thread scans the buffer and computes factors; a model thread
// gets them in a vector through a queue. Each result owns its symbol as a string and
// its values as a vector, and waits in a queue of 4096 for the host's poll.

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

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
  // The factor set and the model, which are this library's own, in Rust.
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
}

namespace hf_live {
namespace {

// One producer to consumers that each see every item, unless they are overtaken; under a
// mutex. A consumer counts for itself what it has read.
template <typename T> class Broadcast {
public:
  explicit Broadcast(std::size_t capacity) : items_(capacity) {}

  /// The oldest item makes room for the newest.
  void push(T item) {
    // Destroyed after the lock is let go.
    T oldest;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const std::uint64_t written = written_.load(std::memory_order_relaxed);
      oldest = std::exchange(items_[written % items_.size()], std::move(item));
      written_.store(written + 1, std::memory_order_release);
    }
  }

  /// The next item. No lock while there is none, so that a consumer that spins does not keep the
  /// producer out.
  bool pop(std::uint64_t &read, T &item) {
    if (written_.load(std::memory_order_acquire) == read)
      return false;
    std::lock_guard<std::mutex> lock(mutex_);
    const std::uint64_t written = written_.load(std::memory_order_relaxed);
    if (written - read > items_.size())
      read = written - items_.size();
    item = items_[read++ % items_.size()];
    return true;
  }

private:
  std::mutex mutex_;
  std::vector<T> items_;
  alignas(64) std::atomic<std::uint64_t> written_{0};
};

// A bounded queue under a mutex. Full, it drops the newest item.
template <typename T> class Queue {
public:
  /// `notifies`: a consumer blocks in `wait_pop`.
  Queue(std::size_t capacity, bool notifies) : items_(capacity), notifies_(notifies) {}

  void push(T item) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const std::size_t size = size_.load(std::memory_order_relaxed);
      if (size == items_.size())
        return;
      items_[(first_ + size) % items_.size()] = std::move(item);
      size_.store(size + 1, std::memory_order_release);
    }
    if (notifies_)
      ready_.notify_one();
  }

  /// No lock while there is nothing, so that a consumer that spins does not keep
  /// the producer out.
  bool try_pop(T &item) {
    if (size_.load(std::memory_order_acquire) == 0)
      return false;
    std::lock_guard<std::mutex> lock(mutex_);
    take(item);
    return true;
  }

  /// Blocks; false once the queue is closed.
  bool wait_pop(T &item) {
    std::unique_lock<std::mutex> lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || size_.load(std::memory_order_relaxed) > 0; });
    if (closed_)
      return false;
    take(item);
    return true;
  }

  void close() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

private:
  // There is one consumer, so what `size_` said still holds under the lock.
  void take(T &item) {
    item = std::move(items_[first_]);
    first_ = (first_ + 1) % items_.size();
    size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;
  std::size_t first_ = 0;
  bool closed_ = false;
  const bool notifies_;
  alignas(64) std::atomic<std::size_t> size_{0};
};

constexpr int kDepth = 101, kTrade = 103;
constexpr std::size_t kEvents = 4096, kVectors = 4096, kResults = 4096;

#pragma pack(push, 1)
struct Depth {
  char source_id[16], symbol[32], exchange_id[16];
  std::int64_t data_time;
  std::int8_t instrument_type;
  double levels[40];
};
struct Trade {
  char client_id[32], symbol[32], exchange_id[16];
  std::int8_t instrument_type;
  std::int64_t trade_id, ask_id, bid_id;
  double price, volume;
  std::int8_t side, position_side;
  std::int64_t trade_time;
};
#pragma pack(pop)
static_assert(sizeof(Depth) == 393 && sizeof(Trade) == 131, "as the host lays them out");

struct Event {
  int type = 0;
  std::shared_ptr<const void> data;
};

/// Factors on their way to the model, or its outputs on their way to the host.
struct Values {
  std::string symbol;
  std::int64_t timestamp = 0;
  std::vector<double> values;
};

/// `btc_usdt`, which need not end in a NUL, as `BTCUSDT`.
std::string normalised(const char (&symbol)[32]) {
  std::string text;
  for (std::size_t at = 0; at < sizeof symbol && symbol[at] != '\0'; ++at)
    if (symbol[at] != '_')
      text.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(symbol[at]))));
  return text;
}

class Design {
public:
  explicit Design(const hf_live_settings &settings)
      : settings_(settings), events_(kEvents),
        vectors_(kVectors, settings.model_wait == HF_LIVE_BLOCK), results_(kResults, false) {
    try {
      tick_ = std::thread([this] { tick(); });
      pin(tick_, settings.tick_core);
      if (settings.model_wait != HF_LIVE_NO_THREAD) {
        model_ = std::thread([this] { model(); });
        pin(model_, settings.model_core);
      }
    } catch (...) {
      end();
      throw;
    }
  }

  ~Design() { end(); }

  void on_data(int type, const void *data) {
    Event event;
    event.type = type;
    if (type == kDepth)
      event.data = std::make_shared<const Depth>(*static_cast<const Depth *>(data));
    else if (type == kTrade)
      event.data = std::make_shared<const Trade>(*static_cast<const Trade *>(data));
    else
      return;
    events_.push(std::move(event));
  }

  int poll() {
    int delivered = 0;
    Values result;
    while (results_.try_pop(result)) {
      if (callback_ != nullptr)
        callback_(result.symbol.c_str(), result.timestamp, result.values.data(),
                  static_cast<int>(result.values.size()), user_data_);
      ++delivered;
    }
    return delivered;
  }

  void register_callback(hf_live_callback callback, void *user_data) {
    callback_ = callback;
    user_data_ = user_data;
  }

private:
  static void pin(std::thread &thread, int core) {
    if (core < 0)
      return;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core < CPU_SETSIZE)
      CPU_SET(core, &set);
    const int error = pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
    if (error != 0)
      throw std::system_error(error, std::generic_category());
  }

  static void wait(std::int32_t how) {
    if (how == HF_LIVE_YIELD)
      sched_yield();
    else if (how == HF_LIVE_SLEEP)
      std::this_thread::sleep_for(std::chrono::microseconds(1));
  }

  void tick() {
    Event event;
    std::uint64_t read = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (!events_.pop(read, event)) {
        wait(settings_.tick_wait);
        continue;
      }
      if (event.type == kDepth) {
        const auto &depth = *static_cast<const Depth *>(event.data.get());
        compute(event, depth.symbol, depth.data_time);
      } else {
        const auto &trade = *static_cast<const Trade *>(event.data.get());
        compute(event, trade.symbol, trade.trade_time);
      }
    }
  }

  void compute(const Event &event, const char (&field)[32], std::int64_t timestamp) {
    Values vector;
    vector.symbol = normalised(field);
    const auto next = static_cast<std::uint32_t>(instruments_.size());
    const std::uint32_t instrument = instruments_.emplace(vector.symbol, next).first->second;
    vector.timestamp = timestamp;
    vector.values.resize(static_cast<std::size_t>(settings_.factors));
    if (settings_.on_event(settings_.factor_context, instrument, event.type, event.data.get(),
                          vector.values.data()) == 0)
      return;
    if (settings_.model_wait == HF_LIVE_NO_THREAD)
      predict(std::move(vector));
    else
      vectors_.push(std::move(vector));
  }

  void model() {
    Values vector;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (settings_.model_wait == HF_LIVE_BLOCK) {
        if (!vectors_.wait_pop(vector))
          return;
      } else if (!vectors_.try_pop(vector)) {
        wait(settings_.model_wait);
        continue;
      }
      predict(std::move(vector));
    }
  }

  void predict(Values vector) {
    Values result;
    result.symbol = std::move(vector.symbol);
    result.timestamp = vector.timestamp;
    result.values.resize(static_cast<std::size_t>(settings_.outputs));
    settings_.run(settings_.model_context, vector.values.data(), result.values.data());
    results_.push(std::move(result));
  }

  void end() {
    stop_.store(true, std::memory_order_relaxed);
    vectors_.close();
    if (tick_.joinable())
      tick_.join();
    if (model_.joinable())
      model_.join();
  }

  const hf_live_settings settings_;
  Broadcast<Event> events_;
  Queue<Values> vectors_;
  Queue<Values> results_;
  std::unordered_map<std::string, std::uint32_t> instruments_;
  hf_live_callback callback_ = nullptr;
  void *user_data_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread tick_, model_;
};

} // namespace
} // namespace hf_live

using hf_live::Design;

extern "C" {

/// Null if the threads cannot be started or pinned; nothing is left behind.
void *hf_live_create(const hf_live_settings *settings) {
  try {
    return new Design(*settings);
  } catch (...) {
    return nullptr;
  }
}

void hf_live_register_callback(void *handle, hf_live_callback callback, void *user_data) {
  static_cast<Design *>(handle)->register_callback(callback, user_data);
}

void hf_live_on_data(void *handle, int type, const void *data) {
  static_cast<Design *>(handle)->on_data(type, data);
}

int hf_live_poll_callbacks(void *handle) { return static_cast<Design *>(handle)->poll(); }

/// Joins the threads: the contexts are not used after it.
void hf_live_destroy(void *handle) { delete static_cast<Design *>(handle); }
}
