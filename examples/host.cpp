// A small host: loads libsignal.so as Godzilla does, feeds it a few synthetic
// events in Godzilla's order of calls and prints the signals that come back.
//
//   g++ -std=c++17 -O2 examples/host.cpp -o host -ldl
//   SIGNAL_LIB_PATH=target/release/libsignal.so ./host

// By its path, not through `-I include`: that would hide the system's <signal.h>.
#include "../include/signal.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

// The host's message types and structs: packed, so a payload has no alignment.
enum MessageType { kDepth = 101, kTicker = 102, kTrade = 103, kIndexPrice = 104 };

#pragma pack(push, 1)
struct Depth {
  char source_id[16], symbol[32], exchange_id[16];
  std::int64_t data_time;  // ns since the Unix epoch
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
#pragma pack(pop)
static_assert(sizeof(Depth) == 393 && sizeof(Ticker) == 105);
static_assert(sizeof(Trade) == 131 && sizeof(IndexPrice) == 57);

// The library, through the functions that this host uses.
class Library {
public:
  decltype(&signal_create) create;
  decltype(&signal_register_callback) register_callback;
  decltype(&signal_on_data) on_data;
  decltype(&signal_poll_callbacks) poll_callbacks;
  decltype(&signal_destroy) destroy;
  // Additions to the five functions that every libsignal.so has.
  decltype(&signal_last_error) last_error;
  decltype(&signal_stats) stats;
  decltype(&signal_egress) egress;

  explicit Library(const char *path) : library_(dlopen(path, RTLD_LAZY | RTLD_NODELETE)) {
    if (library_ == nullptr) throw std::runtime_error(dlerror());
    find(create, "signal_create");
    find(register_callback, "signal_register_callback");
    find(on_data, "signal_on_data");
    find(poll_callbacks, "signal_poll_callbacks");
    find(destroy, "signal_destroy");
    find(last_error, "signal_last_error");
    find(stats, "signal_stats");
    find(egress, "signal_egress");
  }

private:
  template <typename Function> void find(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) throw std::runtime_error(dlerror());
  }
  void *library_;
};

// What a strategy would be. The library calls it on the thread that polls.
class Strategy {
public:
  int signals = 0;

  void on_factor(const std::string &symbol, long long timestamp, const double *values, int count) {
    ++signals;
    std::cout << "signal " << symbol << " at " << timestamp << ":";
    for (int index = 0; index < count; ++index) std::cout << (index ? ", " : " ") << values[index];
    std::cout << "\n";
    if (symbol == "DOGEUSDT") throw std::runtime_error("it does not like " + symbol);
  }
};

// `symbol` and `values` are the library's and live for this call only.
void on_signal(const char *symbol, long long timestamp, const double *values, int count, void *user_data) {
  static_cast<Strategy *>(user_data)->on_factor(symbol, timestamp, values, count);
}

class Host {
public:
  Host(const Library &library, Strategy &strategy) : library_(library), strategy_(strategy) {
    // Always "{}": a real configuration comes from the file in SIGNAL_CONFIG.
    handle_ = library_.create("{}");
    if (handle_ == nullptr) throw std::runtime_error(library_.last_error());
    library_.register_callback(handle_, on_signal, &strategy_);
    egress_ = library_.egress(handle_);
  }
  ~Host() { library_.destroy(handle_); }
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;

  // Takes what is ready. When nothing is, this is one load and no call.
  void poll() {
    try {
      signal_poll(handle_, egress_, library_.poll_callbacks);
    } catch (const std::exception &error) {
      // What was still queued is intact: the next poll goes on behind it.
      std::cout << "the strategy threw: " << error.what() << "\n";
    }
  }

  void depth(const char *symbol, std::int64_t time, double bid, double ask) {
    Depth event{};
    fill(event, symbol);
    event.data_time = time;
    for (int level = 0; level < 10; ++level) {
      event.bid_price[level] = bid - level;
      event.ask_price[level] = ask + level;
      event.bid_volume[level] = event.ask_volume[level] = 1.0 + level;
    }
    // A real market pauses for longer; this lets the signals so far get ready.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // Godzilla's order on each Depth: poll, the strategy's on_depth, on_data.
    // So a signal arrives with some later Depth; a host that can should also
    // poll in between.
    poll();
    std::cout << "on_depth " << symbol << "\n";
    library_.on_data(handle_, kDepth, &event);
  }
  void ticker(const char *symbol, std::int64_t time, double bid, double ask) {
    Ticker event{};
    fill(event, symbol);
    event.data_time = time;
    event.bid_price = bid, event.bid_volume = 1.0, event.ask_price = ask, event.ask_volume = 2.0;
    library_.on_data(handle_, kTicker, &event);
  }
  void trade(const char *symbol, std::int64_t time, double price, double volume) {
    Trade event{};
    fill(event, symbol);
    event.price = price, event.volume = volume, event.trade_time = time;
    library_.on_data(handle_, kTrade, &event);
  }
  void index_price(const char *symbol, double price) {
    IndexPrice event{};
    fill(event, symbol);
    event.price = price;
    library_.on_data(handle_, kIndexPrice, &event);
  }

  // Polls until every event has ended and every signal has been taken.
  void drain() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (signal_stats_t now = stats(); now.in_flight > 0 || now.queued > 0; now = stats()) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("signals are missing");
      poll();
      std::this_thread::yield();
    }
  }

  signal_stats_t stats() const {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    if (library_.stats(handle_, &stats) != 0) throw std::runtime_error("no statistics");
    return stats;
  }

private:
  template <typename Event> static void fill(Event &event, const char *symbol) {
    // A symbol that fills its field has no NUL.
    std::memcpy(event.symbol, symbol, std::min(std::strlen(symbol), sizeof event.symbol));
    std::memcpy(event.exchange_id, "binance", sizeof "binance");
    event.instrument_type = 7;
  }

  const Library &library_;
  Strategy &strategy_;
  void *handle_ = nullptr;
  const signal_egress_t *egress_ = nullptr;
};

int main() try {
  const char *path = std::getenv("SIGNAL_LIB_PATH");
  const Library library(path != nullptr ? path : "target/release/libsignal.so");
  Strategy strategy;
  Host host(library, strategy);

  std::cout << std::setprecision(16);
  const std::int64_t start = 1720000000000000000;
  const auto ms = [&](int count) { return start + count * std::int64_t{1000000}; };
  host.depth("btc_usdt", ms(100), 62000.0, 62000.1);
  host.trade("btc_usdt", ms(120), 62000.1, 0.25);
  host.ticker("btc_usdt", ms(130), 62000.0, 62000.1);
  host.depth("eth_usdt", ms(150), 3400.0, 3400.5);
  host.depth("doge_usdt", ms(180), 20.0, 20.5);
  host.index_price("btc_usdt", 62001.5);
  host.depth("btc_usdt", ms(200), 62000.2, 62000.3);
  host.trade("eth_usdt", ms(210), 3400.5, 2.0);
  host.ticker("eth_usdt", ms(220), 3400.0, 3400.5);
  host.depth("eth_usdt", ms(250), 3400.1, 3400.4);
  host.depth("btc_usdt", ms(300), 62000.1, 62000.4);
  host.drain();

  const signal_stats_t stats = host.stats();
  std::cout << "events: depth " << stats.events_depth << ", ticker " << stats.events_ticker << ", trade "
            << stats.events_trade << ", index price " << stats.events_index_price << "\n"
            << "signals " << stats.signals << ", delivered " << stats.delivered << ", dropped "
            << stats.dropped_ingest_ring_full + stats.dropped_egress_ring_full << "\n";
  return strategy.signals == 6 ? 0 : 1;
} catch (const std::exception &error) {
  std::cerr << "host: " << error.what() << "\n";
  return 1;
}
