// The C++ interface of libsignal.so: signal.h with ownership, types and spans.
// Header-only. Needs C++17 and signal.h beside this file.
//
//   const auto library = godzilla::Library::open(std::getenv("SIGNAL_LIB_PATH"));
//   godzilla::Signal signal(library, R"({"factors": "market"})");
//   signal.on_signal([](std::string_view symbol, long long time, godzilla::span<const double> values) {
//     ...
//   });
//   signal.on_data(depth);  // a packed struct, see message_type
//   signal.poll();          // inlined: a few loads and one comparison if there is no new signal
//
// One thread at a time uses a Signal; only stats, health and last_error may be called from
// any thread. What signal.h says about each C function applies here.
//
// Include this file by its path, or with -iquote, like signal.h.
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
// The part of std::span that this file needs, for C++17.
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

// The host's message types and structs, from signal.h.
constexpr int kDepth = SIGNAL_TYPE_DEPTH, kTicker = SIGNAL_TYPE_TICKER, kTrade = SIGNAL_TYPE_TRADE,
              kIndexPrice = SIGNAL_TYPE_INDEX_PRICE;
using Depth = signal_depth_t;
using Ticker = signal_ticker_t;
using Trade = signal_trade_t;
using IndexPrice = signal_index_price_t;

// The message type of a struct. A host with structs of its own specialises it:
//   template <> struct godzilla::message_type<my::Depth>
//       : std::integral_constant<int, godzilla::kDepth> {};
template <typename Event> struct message_type;
template <> struct message_type<Depth> : std::integral_constant<int, kDepth> {};
template <> struct message_type<Ticker> : std::integral_constant<int, kTicker> {};
template <> struct message_type<Trade> : std::integral_constant<int, kTrade> {};
template <> struct message_type<IndexPrice> : std::integral_constant<int, kIndexPrice> {};

// Size in bytes of a message type's struct; 0 for another type.
constexpr std::size_t message_size(int type) noexcept {
  return type == kDepth        ? sizeof(Depth)
         : type == kTicker     ? sizeof(Ticker)
         : type == kTrade      ? sizeof(Trade)
         : type == kIndexPrice ? sizeof(IndexPrice)
                               : 0;
}

// The values of a result. They lie in the ring and are valid as long as its batch.
inline span<const double> values(const signal_result_t &result) noexcept {
  return {result.values, static_cast<std::size_t>(result.count)};
}

// The library's functions. The library is never unloaded, so copies stay valid for ever.
class Library {
public:
#define GODZILLA_SIGNAL_FUNCTIONS(X)                                                                  \
  X(create) X(register_callback) X(on_data) X(poll_callbacks) X(poll_batch) X(destroy) X(version)     \
  X(last_error) X(stats) X(models) X(model_name) X(value_name) X(current_model) X(current_sequence)   \
  X(current_instrument) X(batch_instrument) X(egress) X(health)
#define GODZILLA_SIGNAL_MEMBER(name) decltype(&signal_##name) name = nullptr;
  GODZILLA_SIGNAL_FUNCTIONS(GODZILLA_SIGNAL_MEMBER)
#undef GODZILLA_SIGNAL_MEMBER

  // Loads the library as the trading host does, with dlopen(RTLD_LAZY | RTLD_NODELETE).
  // Throws std::runtime_error if that fails, or if the library is too old and lacks a
  // function.
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

  // The library that the program is linked with. A program that calls only `open` need
  // not be linked with one.
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

// A handle: events in, signals out. Move-only. The destructor destroys the handle, and
// may run inside a callback. A moved-from object may only be destroyed or assigned to.
class Signal {
public:
  // Starts an engine. `config` is JSON, or null for the defaults; a file named by
  // SIGNAL_CONFIG is read as well. The first call also calibrates the clock, for up to
  // 200 ms. Throws
  // std::runtime_error with the reason if signal_create fails.
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

  // For C functions that this class does not wrap.
  void *handle() const noexcept { return handle_; }
  const Library &library() const noexcept { return library_; }

  // Passes an event to the engine. With "deliver": "on_data" it makes callbacks;
  // exceptions that they throw pass through.
  template <typename Event> void on_data(const Event &event) {
    static_assert(sizeof(Event) == message_size(message_type<Event>::value), "not the packed struct of its message type");
    on_data(message_type<Event>::value, &event);
  }
  void on_data(int type, const void *data) { library_.on_data(handle_, type, data); }

  // Calls the callback for every signal that is ready. Returns how many calls it made, or a
  // negative SIGNAL_ERROR_. A few loads and one comparison if nothing is new: it then returns
  // 0, even if the engine has failed: ask health(). It does not keep inline stages warm: call
  // library().poll_callbacks(handle()) for that. Exceptions that a callback throws pass
  // through.
  int poll() {
    if (lent_) {
      lent_ = false;
      const int count = library_.poll_callbacks(handle_);
      // A refused call has not freed the batch. It has run no callback either, so this
      // object still exists; after a successful call it may not.
      if (count < 0) lent_ = true;
      return count;
    }
    if (egress_ == nullptr) return 0;
    return signal_poll(handle_, egress_, library_.poll_callbacks);
  }

  // Whether signals are ready.
  bool has_news() const noexcept {
    return egress_ != nullptr && __atomic_load_n(egress_->published, __ATOMIC_ACQUIRE) !=
                                     __atomic_load_n(egress_->taken, __ATOMIC_RELAXED);
  }

  // Sets a plain callback; null removes it. `user_data` must stay valid as long as the
  // callback is set. Throws
  // std::runtime_error if the library refuses, for example because another thread is
  // inside a call; the earlier callback then stays.
  void on_signal(signal_callback_t callback, void *user_data) {
    enroll(callback, user_data);
    listener_->replace(nullptr);
  }

  // Sets any callable that takes (symbol, timestamp, values); this object keeps it. The
  // callable may replace itself, destroy this object, and throw. on_signal itself throws
  // like the overload above.
  template <typename Function,
            typename = std::enable_if_t<std::is_invocable_v<Function &, std::string_view, long long, span<const double>>>>
  void on_signal(Function function) {
    auto callable = std::make_unique<Callable<Function>>(std::move(function));
    enroll(&Listener::template call<Function>, listener_.get());
    listener_->replace(std::move(callable));
  }

  // Returns at most `max` of the signals that are ready, oldest first; their values lie
  // in the ring. Valid until the next poll_batch or poll and, with "deliver": "on_data"
  // and a callback, until the next on_data. A `max` above 1,048,576 counts as that.
  // Allocates if `max` is larger than in every earlier call. If nothing is new and no batch is
  // out, that is found by a few loads and one comparison, and nothing is returned, even if the
  // engine has failed: ask health(). Otherwise throws std::runtime_error with the reason if
  // the library refuses the call, or if no signal is left and the engine has failed.
  span<const signal_result_t> poll_batch(std::size_t max = 256) {
    if (!has_news() && !lent_) return {};
    constexpr std::size_t kMost = 1u << 20;
    max = max < kMost ? max : kMost;
    if (results_.size() < max) results_.resize(max);
    signal_result_t none;
    const int count = library_.poll_batch(handle_, max > 0 ? results_.data() : &none, static_cast<int>(max));
    if (count < 0) throw std::runtime_error(why(library_, "signal_poll_batch: invalid handle"));
    lent_ = count > 0;
    return {results_.data(), static_cast<std::size_t>(count)};
  }

  // The counters; all 0 for an invalid handle. Any thread may call it.
  signal_stats_t stats() const noexcept {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    library_.stats(handle_, &stats);
    return stats;
  }

  // One of SIGNAL_HEALTH_*, SIGNAL_ERROR_NULL or SIGNAL_ERROR_HANDLE. Any thread may call
  // it. Not noexcept: a cancelled thread ends here.
  int health() const { return library_.health(handle_); }

  // What this thread's last health() found, or why its last call that failed did so; empty if
  // there is nothing to report.
  std::string last_error() const { return why(library_, ""); }

  // Inside a callback: the signal's sequence number, and the index of its model.
  std::uint64_t current_sequence() const noexcept { return library_.current_sequence(handle_); }
  int current_model() const noexcept { return library_.current_model(handle_); }

  // Inside a callback: the signal's instrument; no value outside. Its texts are valid as
  // long as this object.
  std::optional<signal_instrument_t> current_instrument() const noexcept {
    signal_instrument_t instrument;
    if (library_.current_instrument(handle_, &instrument) != 0) return std::nullopt;
    return instrument;
  }

  // The instrument of signal `place`, counted from 0, of the last batch that poll_batch
  // returned; no value if the batch has no such signal.
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
    // The callable that was replaced before this one.
    std::unique_ptr<Any> older;
  };
  template <typename Function> struct Callable : Any {
    explicit Callable(Function &&given) : function(std::move(given)) {}
    Function function;
  };

  // Keeps the callable at an address that stays when the Signal moves, and callables
  // that were replaced while they ran.
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

  // signal_register_callback returns nothing: last_error tells whether it refused.
  void enroll(signal_callback_t callback, void *user_data) {
    library_.register_callback(handle_, callback, user_data);
    const char *refused = library_.last_error();
    if (refused != nullptr) throw std::runtime_error(std::string("signal_register_callback: ") + refused);
  }

  void close() noexcept {
    if (handle_ == nullptr) return;
    library_.destroy(std::exchange(handle_, nullptr));
    egress_ = nullptr;
    // Called from its own callback: the callable is still running.
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
