// The smallest host: signal.hpp, three Depths, signals as they are ready.
//
//   g++ -std=c++17 -O2 examples/host_hpp.cpp -o host -ldl
//   SIGNAL_LIB_PATH=target/release/libsignal.so ./host

// By its path, not through `-I include`: that would hide the system's <signal.h>.
#include "../include/signal.hpp"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <iomanip>
#include <iostream>

namespace {

godzilla::Depth depth(const char *symbol, std::int64_t time, double bid, double ask) {
  godzilla::Depth depth{};
  std::memcpy(depth.symbol, symbol, std::strlen(symbol));
  std::memcpy(depth.exchange_id, "binance", sizeof "binance");
  depth.data_time = time;
  depth.bid_price[0] = bid, depth.ask_price[0] = ask;
  depth.bid_volume[0] = depth.ask_volume[0] = 1.0;
  return depth;
}

void print(std::string_view symbol, long long time, godzilla::span<const double> values) {
  std::cout << symbol << " at " << time << ":";
  for (const double value : values) std::cout << " " << value;
  std::cout << "\n";
}

}  // namespace

int main() try {
  const char *path = std::getenv("SIGNAL_LIB_PATH");
  const auto library = godzilla::Library::open(path != nullptr ? path : "target/release/libsignal.so");
  std::cout << std::setprecision(16);

  // Callbacks from on_data itself: nobody polls.
  int callbacks = 0;
  godzilla::Signal signal(library, R"({"placement": "inline", "model": "none", "deliver": "on_data"})");
  signal.on_signal([&](std::string_view symbol, long long time, godzilla::span<const double> values) {
    ++callbacks;
    print(symbol, time, values);
  });
  for (int event = 0; event < 3; ++event) signal.on_data(depth("btc_usdt", 1720000000000000000 + event, 62000.0, 62000.5));

  // Many at once, in place: no callback, no copy.
  godzilla::Signal batches(library, R"({"placement": "inline", "model": "none"})");
  for (int event = 0; event < 3; ++event) batches.on_data(depth("eth_usdt", 1720000000000000000 + event, 3400.0, 3400.25));
  const auto batch = batches.poll_batch();
  for (const signal_result_t &result : batch) print(result.symbol, result.timestamp, godzilla::values(result));

  std::cout << callbacks << " callbacks, " << batch.size() << " in a batch\n";
  return callbacks == 3 && batch.size() == 3 ? 0 : 1;
} catch (const std::exception &error) {
  std::cerr << "host: " << error.what() << "\n";
  return 1;
}
