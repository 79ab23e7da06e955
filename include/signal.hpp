// The C++ interface of libsignal.so: signal.h with ownership, types and spans.
// C++17 or later, this file alone; nothing of it is in the library.
//
//   const auto library = godzilla::Library::open(std::getenv("SIGNAL_LIB_PATH"));
//   godzilla::Signal signal(library, R"({"factors": "market"})");
//   signal.on_signal([](std::string_view symbol, long long time, godzilla::span<const double> values) {
//     ...
//   });
//   signal.on_data(depth);  // a packed struct, see message_type
//   signal.poll();          // inlined: one load and a compare when nothing is new
//
// A Signal belongs to one thread at a time, and so do all of its functions but
// stats and health. What signal.h says of each C function holds here.
//
// Include it by its path, or with -iquote, as signal.h.
#ifndef GODZILLA_SIGNAL_HPP
#define GODZILLA_SIGNAL_HPP

#include "signal.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L
#include <span>
#endif

namespace godzilla {

#if __cplusplus >= 202002L
template <typename T> using span = std::span<T>;
#else
// As much of std::span as C++17 lacks here.
template <typename T> class span {
public:
  constexpr span() noexcept = default;
  constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T *begin() const noexcept { return data_; }
  constexpr T *end() const noexcept { return data_ + size_; }
  constexpr T &operator[](std::size_t place) const noexcept { return data_[place]; }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};
#endif

// The host's message types and structs, as signal.h has them.
constexpr int kDepth = SIGNAL_TYPE_DEPTH, kTicker = SIGNAL_TYPE_TICKER, kTrade = SIGNAL_TYPE_TRADE,
              kIndexPrice = SIGNAL_TYPE_INDEX_PRICE;
using Depth = signal_depth_t;
using Ticker = signal_ticker_t;
using Trade = signal_trade_t;
using IndexPrice = signal_index_price_t;

// The message type of a struct. A host that has these structs already says so:
//   template <> struct godzilla::message_type<my::Depth>
//       : std::integral_constant<int, godzilla::kDepth> {};
template <typename Event> struct message_type;
template <> struct message_type<Depth> : std::integral_constant<int, kDepth> {};
template <> struct message_type<Ticker> : std::integral_constant<int, kTicker> {};
template <> struct message_type<Trade> : std::integral_constant<int, kTrade> {};
template <> struct message_type<IndexPrice> : std::integral_constant<int, kIndexPrice> {};

// Bytes of a message type's struct.
constexpr std::size_t message_size(int type) noexcept {
  return type == kDepth        ? sizeof(Depth)
         : type == kTicker     ? sizeof(Ticker)
         : type == kTrade      ? sizeof(Trade)
         : type == kIndexPrice ? sizeof(IndexPrice)
                               : 0;
}

// The values of a result: in place, valid as long as its batch.
inline span<const double> values(const signal_result_t &result) noexcept {
  return {result.values, static_cast<std::size_t>(result.count)};
}

// The library's functions. It is never unloaded, so copies stay valid for ever.
class Library {
public:
#define GODZILLA_SIGNAL_FUNCTIONS(X)                                                                  \
  X(create) X(register_callback) X(on_data) X(poll_callbacks) X(poll_batch) X(destroy) X(version)     \
  X(last_error) X(stats) X(models) X(model_name) X(value_name) X(current_model) X(current_sequence)   \
  X(current_instrument) X(batch_instrument) X(egress) X(health)
#define GODZILLA_SIGNAL_MEMBER(name) decltype(&signal_##name) name = nullptr;
  GODZILLA_SIGNAL_FUNCTIONS(GODZILLA_SIGNAL_MEMBER)
#undef GODZILLA_SIGNAL_MEMBER

  // Loads it as the trading host does. Throws std::runtime_error if it cannot be
  // loaded, or is too old and lacks a function.
  static Library open(const char *path) {
    if (path == nullptr) throw std::runtime_error("libsignal.so: no path was given");
    void *loaded = dlopen(path, RTLD_LAZY | RTLD_NODELETE);
    if (loaded == nullptr) throw std::runtime_error(dlerror());
    Library library;
#define GODZILLA_SIGNAL_FIND(name) find(library.name, loaded, path, "signal_" #name);
    GODZILLA_SIGNAL_FUNCTIONS(GODZILLA_SIGNAL_FIND)
#undef GODZILLA_SIGNAL_FIND
    return library;
  }

  // The one that the program is linked with. Who loads it never calls this, and
  // need not link.
  static Library linked() noexcept {
    Library library;
#define GODZILLA_SIGNAL_TAKE(name) library.name = &signal_##name;
    GODZILLA_SIGNAL_FUNCTIONS(GODZILLA_SIGNAL_TAKE)
#undef GODZILLA_SIGNAL_TAKE
    return library;
  }
#undef GODZILLA_SIGNAL_FUNCTIONS

private:
  Library() noexcept = default;

  template <typename Function> static void find(Function &function, void *loaded, const char *path, const char *name) {
    function = reinterpret_cast<Function>(dlsym(loaded, name));
    if (function == nullptr) throw std::runtime_error(std::string(path) + " has no function " + name);
  }
};

// A handle: signals in, events out. Move-only; the destructor destroys it, and
// may run inside a callback. One that was moved from can be destroyed and
// assigned to, and nothing else.
class Signal {
public:
  // Starts an engine. `config` is JSON, null for the defaults; what SIGNAL_CONFIG
  // names is read, too. Takes up to 200 ms the first time. Throws
  // std::runtime_error that says what is wrong.
  explicit Signal(const Library &library, const char *config = "{}") : library_(library), listener_(new Listener) {
    handle_ = library_.create(config);
    if (handle_ == nullptr) throw std::runtime_error(why(library_, "signal_create: no reason was given"));
    egress_ = library_.egress(handle_);
  }
  Signal(const Library &library, const std::string &config) : Signal(library, config.c_str()) {}

  ~Signal() { close(); }
  Signal(Signal &&other) noexcept
      : library_(other.library_), handle_(std::exchange(other.handle_, nullptr)),
        egress_(std::exchange(other.egress_, nullptr)), listener_(std::move(other.listener_)),
        results_(std::move(other.results_)), lent_(std::exchange(other.lent_, false)) {}
  Signal &operator=(Signal &&other) noexcept {
    if (this == &other) return *this;
    close();
    library_ = other.library_;
    handle_ = std::exchange(other.handle_, nullptr);
    egress_ = std::exchange(other.egress_, nullptr);
    listener_ = std::move(other.listener_);
    results_ = std::move(other.results_);
    lent_ = std::exchange(other.lent_, false);
    return *this;
  }
  Signal(const Signal &) = delete;
  Signal &operator=(const Signal &) = delete;

  // For what this class does not wrap.
  void *handle() const noexcept { return handle_; }
  const Library &library() const noexcept { return library_; }

  // Gives an event. With "deliver": "on_data" it makes callbacks, and what they
  // throw comes out here.
  template <typename Event> void on_data(const Event &event) {
    static_assert(sizeof(Event) == message_size(message_type<Event>::value), "not the packed struct of its message type");
    on_data(message_type<Event>::value, &event);
  }
  void on_data(int type, const void *data) { library_.on_data(handle_, type, data); }

  // Hands what is ready to the callback; how many signals it got, or a negative
  // SIGNAL_ERROR_. One load and a compare when nothing is new: that an engine has
  // failed, health() says. What a callback throws comes out here.
  int poll() {
    if (lent_) {
      lent_ = false;
      const int count = library_.poll_callbacks(handle_);
      // A call that was refused has freed nothing. Only then is this object sure
      // to live: no callback has run that could have destroyed it.
      if (count < 0) lent_ = true;
      return count;
    }
    if (egress_ == nullptr) return 0;
    return signal_poll(handle_, egress_, library_.poll_callbacks);
  }

  // Whether signals are ready.
  bool has_news() const noexcept {
    return egress_ != nullptr && __atomic_load_n(egress_->published, __ATOMIC_ACQUIRE) != *egress_->taken;
  }

  // A plain callback, null for none. `user_data` must outlive it. Throws
  // std::runtime_error if the library refuses it, as while another thread is inside
  // a call; the one before then stays.
  void on_signal(signal_callback_t callback, void *user_data) {
    enroll(callback, user_data);
    listener_->replace(nullptr);
  }

  // Any callable that takes (symbol, timestamp, values), kept in this object. It
  // may replace itself, destroy this object, and throw. Throws as above.
  template <typename Function,
            typename = std::enable_if_t<std::is_invocable_v<Function &, std::string_view, long long, span<const double>>>>
  void on_signal(Function function) {
    auto callable = std::make_unique<Callable<Function>>(std::move(function));
    enroll(&Listener::template call<Function>, listener_.get());
    listener_->replace(std::move(callable));
  }

  // At most `max` of the signals that are ready, oldest first, their values in
  // place. Valid until the next poll_batch or poll, and with "deliver": "on_data"
  // and a callback until the next on_data. Allocates when `max` is greater than
  // ever before. One load and a compare when nothing is new: that an engine has
  // failed, health() says. Throws std::runtime_error that says what the library
  // refused.
  span<const signal_result_t> poll_batch(std::size_t max = 256) {
    if (!has_news() && !lent_) return {};
    constexpr std::size_t kMost = 1u << 20;
    max = max < kMost ? max : kMost;
    if (results_.size() < max) results_.resize(max);
    signal_result_t none;
    const int count = library_.poll_batch(handle_, max > 0 ? results_.data() : &none, static_cast<int>(max));
    if (count < 0) throw std::runtime_error(why(library_, "signal_poll_batch: not a live handle"));
    lent_ = count > 0;
    return {results_.data(), static_cast<std::size_t>(count)};
  }

  // The counters; all 0 for an invalid handle. Any thread.
  signal_stats_t stats() const noexcept {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    library_.stats(handle_, &stats);
    return stats;
  }

  // One of SIGNAL_HEALTH_, or a negative SIGNAL_ERROR_. Any thread. Not noexcept: it
  // ends a thread that was cancelled.
  int health() const { return library_.health(handle_); }

  // What health() found, why a poll said SIGNAL_ERROR_FAILED; empty if there is
  // nothing to say. Of this thread's last such call.
  std::string last_error() const { return why(library_, ""); }

  // Inside a callback: the number of the signal, and the place of its model.
  std::uint64_t current_sequence() const noexcept { return library_.current_sequence(handle_); }
  int current_model() const noexcept { return library_.current_model(handle_); }

  // Inside a callback: what the signal's instrument is. Nothing outside. The texts
  // live as long as this object.
  std::optional<signal_instrument_t> current_instrument() const noexcept {
    signal_instrument_t instrument;
    if (library_.current_instrument(handle_, &instrument) != 0) return std::nullopt;
    return instrument;
  }

  // The same of the signal at this place in the batch that poll_batch handed out
  // last. Nothing if it has no such signal.
  std::optional<signal_instrument_t> batch_instrument(std::size_t place) const noexcept {
    signal_instrument_t instrument;
    const int index = place < 0x7fffffff ? static_cast<int>(place) : -1;
    if (library_.batch_instrument(handle_, index, &instrument) != 0) return std::nullopt;
    return instrument;
  }

private:
  struct Any {
    Any() = default;
    virtual ~Any() = default;
    Any(const Any &) = delete;
    Any &operator=(const Any &) = delete;
    // Replaced before this one.
    std::unique_ptr<Any> older;
  };
  template <typename Function> struct Callable : Any {
    explicit Callable(Function &&given) : function(std::move(given)) {}
    Function function;
  };

  // Keeps the callable, at a place that stays when the Signal moves, and what was
  // replaced while it ran.
  struct Listener {
    std::unique_ptr<Any> current, replaced;
    int running = 0;
    bool orphaned = false;

    void replace(std::unique_ptr<Any> next) noexcept {
      current.swap(next);
      if (running == 0 || next == nullptr) return;
      next->older = std::move(replaced);
      replaced = std::move(next);
    }

    struct Running {
      Listener &self;
      explicit Running(Listener &listener) noexcept : self(listener) { ++self.running; }
      ~Running() {
        if (--self.running > 0) return;
        if (self.orphaned) {
          delete &self;
        } else {
          self.replaced.reset();
        }
      }
      Running(const Running &) = delete;
      Running &operator=(const Running &) = delete;
    };

    template <typename Function>
    static void call(const char *symbol, long long timestamp, const double *values, int count, void *user_data) {
      auto &self = *static_cast<Listener *>(user_data);
      const Running running(self);
      auto &callable = static_cast<Callable<Function> &>(*self.current);
      callable.function(std::string_view(symbol), timestamp,
                        span<const double>(values, static_cast<std::size_t>(count)));
    }
  };

  static std::string why(const Library &library, const char *otherwise) {
    const char *said = library.last_error();
    return said != nullptr ? said : otherwise;
  }

  // The function returns nothing; what this thread is told last says if it refused.
  void enroll(signal_callback_t callback, void *user_data) {
    library_.register_callback(handle_, callback, user_data);
    const char *refused = library_.last_error();
    if (refused != nullptr) throw std::runtime_error(std::string("signal_register_callback: ") + refused);
  }

  void close() noexcept {
    if (handle_ == nullptr) return;
    library_.destroy(std::exchange(handle_, nullptr));
    egress_ = nullptr;
    // From inside its own callback: the callable is still running.
    if (listener_->running > 0) listener_.release()->orphaned = true;
  }

  Library library_;
  void *handle_ = nullptr;
  const signal_egress_t *egress_ = nullptr;
  std::unique_ptr<Listener> listener_;
  std::vector<signal_result_t> results_;
  bool lent_ = false;
};

}  // namespace godzilla

#endif  // GODZILLA_SIGNAL_HPP
