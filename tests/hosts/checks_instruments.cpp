// Which instrument is which: instruments with the same name, configured names, and what a
// callback may ask.
#include "plugin.hpp"

using namespace host;

namespace {

constexpr int kSpot = 5, kSwap = 7;

Depth of(const char *symbol, const char *exchange, int type, long long time) {
  Depth d = depth(symbol, time, 10.0, 11.0);
  std::memset(d.exchange_id, 0, sizeof d.exchange_id);
  copy_text(d.exchange_id, exchange);
  d.instrument_type = static_cast<std::int8_t>(type);
  return d;
}

// On a busy machine a lane makes progress late.
constexpr const char *kPatient = R"("health":{"stall_us":60000000})";

std::string config(const char *placement, const std::string &symbols) {
  return R"({"model":"none","symbols":)" + symbols + R"(,"placement":)" + placement + "," + kPatient + "}";
}

std::string told(const signal_instrument_t &instrument) {
  return std::string(instrument.name) + " " + instrument.symbol + " " + instrument.exchange + " " +
         std::to_string(instrument.instrument_type);
}

// What each callback is told.
struct Strategy {
  const Plugin &plugin;
  void *handle;
  std::vector<std::string> told;

  Strategy(const Plugin &library, const std::string &text) : plugin(library), handle(library.create(text.c_str())) {
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", library.last_error());
    CHECK(handle != nullptr);
    plugin.register_callback(handle, on_signal, this);
  }
  ~Strategy() { plugin.destroy(handle); }
  Strategy(const Strategy &) = delete;
  Strategy &operator=(const Strategy &) = delete;

  void settle() {
    CHECK(wait_for([&] {
      signal_stats_t stats{};
      stats.size = sizeof stats;
      CHECK_EQ(plugin.stats(handle, &stats), 0);
      return stats.in_flight == 0;
    }));
  }
  // Waits for the event's signal before it returns.
  void give(const Depth &d) {
    plugin.on_data(handle, kDepth, &d);
    settle();
    CHECK_EQ(plugin.poll_callbacks(handle), 1);
  }
  std::string health() {
    CHECK_EQ(plugin.health(handle), SIGNAL_HEALTH_OK);
    const char *why = plugin.last_error();
    return why == nullptr ? "" : why;
  }

  static void on_signal(const char *symbol, long long, const double *, int, void *user_data) {
    auto &self = *static_cast<Strategy *>(user_data);
    signal_instrument_t instrument{};
    CHECK_EQ(self.plugin.current_instrument(self.handle, &instrument), 0);
    CHECK(instrument.name == symbol);
    self.told.push_back(::told(instrument));
    CHECK_EQ(self.plugin.current_instrument(self.handle, nullptr), SIGNAL_ERROR_NULL);
  }
};

constexpr const char *kPlacements[] = {R"("inline")", R"("fused")", R"("split")"};

}  // namespace

SCENARIO(instruments_are_told_apart) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, config(placement, R"("compact")"));
    signal_instrument_t none{};
    CHECK_EQ(plugin.current_instrument(strategy.handle, &none), SIGNAL_NO_INSTRUMENT);
    CHECK(none.name == nullptr);
    strategy.give(of("btc_usdt", "binance", kSpot, 1));
    strategy.give(of("btc_usdt", "binance", kSwap, 2));
    strategy.give(of("BTCUSDT", "okx", kSwap, 3));
    strategy.give(of("BTCUSDT", "binance", kSpot, 4));
    // An exchange that fills its field has no NUL there.
    strategy.give(of("x", "0123456789abcdef", -1, 5));
    CHECK_EQ(plugin.current_instrument(strategy.handle, &none), SIGNAL_NO_INSTRUMENT);
    const std::string expected[] = {"BTCUSDT btc_usdt binance 5", "BTCUSDT btc_usdt binance 7",
                                    "BTCUSDT BTCUSDT okx 7", "BTCUSDT btc_usdt binance 5",
                                    "X x 0123456789abcdef -1"};
    CHECK_EQ(strategy.told.size(), std::size(expected));
    for (std::size_t place = 0; place < std::size(expected); ++place) CHECK_EQ(strategy.told[place], expected[place]);

    // Batches name the same instruments.
    const Depth two[] = {of("eth_usdt", "okx", kSpot, 6), of("btc_usdt", "binance", kSwap, 7)};
    for (const Depth &d : two) plugin.on_data(strategy.handle, kDepth, &d);
    strategy.settle();
    signal_result_t results[4];
    CHECK_EQ(plugin.poll_batch(strategy.handle, results, 4), 2);
    signal_instrument_t instrument{};
    CHECK_EQ(plugin.batch_instrument(strategy.handle, 0, &instrument), 0);
    CHECK_EQ(told(instrument), "ETHUSDT eth_usdt okx 5");
    CHECK_EQ(plugin.batch_instrument(strategy.handle, 1, &instrument), 0);
    CHECK_EQ(told(instrument), "BTCUSDT btc_usdt binance 7");
    for (const int index : {-1, 2}) {
      CHECK_EQ(plugin.batch_instrument(strategy.handle, index, &instrument), SIGNAL_NO_INSTRUMENT);
    }
    CHECK_EQ(plugin.batch_instrument(strategy.handle, 0, nullptr), SIGNAL_ERROR_NULL);
    CHECK_EQ(plugin.poll_batch(strategy.handle, results, 0), 0);
    CHECK_EQ(plugin.batch_instrument(strategy.handle, 0, &instrument), SIGNAL_NO_INSTRUMENT);
  }
  return 0;
}

// The test that runs this scenario counts the lines on stderr.
SCENARIO(instruments_of_one_name) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, config(placement, R"("compact")"));
    strategy.give(of("btc_usdt", "binance", kSpot, 1));
    strategy.give(of("BTCUSDT", "binance", kSpot, 2));
    CHECK_EQ(strategy.health(), "");
    for (long long time = 3; time < 30; time += 3) {
      strategy.give(of("btc_usdt", "binance", kSwap, time));
      strategy.give(of("btc_usdt", "okx", kSwap, time + 1));
      strategy.give(of("b_tcusdt", "binance", kSpot, time + 2));
    }
    strategy.give(of("eth_usdt", "binance", kSpot, 40));
    strategy.give(of("eth_usdt", "okx", kSwap, 41));
    const std::string health = strategy.health();
    for (const char *part : {"BTCUSDT is the name of several instruments", "ETHUSDT is the name", "b_tcusdt and"}) {
      if (health.find(part) == std::string::npos) std::fprintf(stderr, "health: %s\n", health.c_str());
      CHECK(health.find(part) != std::string::npos);
    }
    CHECK_EQ(strategy.told.back(), "ETHUSDT eth_usdt okx 7");
  }
  return 0;
}

SCENARIO(symbols_as_the_host_writes_them) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, config(placement, R"("host")"));
    const char *const symbols[] = {"btc_usdt", "BTCUSDT", "b_tcusdt", "BTCUSDT_240628", "BTCUSD_PERP", "_"};
    long long time = 0;
    for (const char *symbol : symbols) strategy.give(of(symbol, "binance", kSwap, ++time));
    for (std::size_t place = 0; place < std::size(symbols); ++place) {
      CHECK_EQ(strategy.told[place], std::string(symbols[place]) + " " + symbols[place] + " binance 7");
    }
    CHECK_EQ(strategy.health(), "");
  }
  return 0;
}

SCENARIO(instruments_with_names_of_their_own) {
  Plugin plugin;
  const std::string map = R"("map":[
    {"exchange":"binance","type":"spot","symbol":"btc_usdt","name":"btc.spot_1"},
    {"exchange":"okx","type":7,"symbol":"btc_usdt","name":"\u5e01@okx"}]})";
  for (const char *placement : kPlacements) {
    for (const bool host : {false, true}) {
      Strategy strategy(plugin, config(placement, std::string(R"({"style":")") + (host ? "host" : "compact") + "\"," + map));
      strategy.give(of("btc_usdt", "binance", kSpot, 1));
      strategy.give(of("btc_usdt", "okx", kSwap, 2));
      strategy.give(of("btc_usdt", "binance", kSwap, 3));
      strategy.give(of("BTCUSDT", "binance", kSpot, 4));
      const std::string rest = host ? "btc_usdt" : "BTCUSDT";
      CHECK_EQ(strategy.told[0], "btc.spot_1 btc_usdt binance 5");
      CHECK_EQ(strategy.told[1], "\xe5\xb8\x81@okx btc_usdt okx 7");
      CHECK_EQ(strategy.told[2], rest + " btc_usdt binance 7");
      // Another spelling is the same instrument, or another one if names are as the host
      // wrote them.
      CHECK_EQ(strategy.told[3], host ? "BTCUSDT BTCUSDT binance 5" : "btc.spot_1 btc_usdt binance 5");
      CHECK_EQ(strategy.health(), "");
    }
  }
  return 0;
}

// The test that runs this scenario counts the lines on stderr.
SCENARIO(an_asset_that_never_occurs) {
  Plugin plugin;
  for (const char *assets : {R"(["btcusd"])", R"(["btc_usdt"])", R"(["btcusd", "BTCUSDT"])"}) {
    for (const char *placement : kPlacements) {
      const std::string text = std::string(R"({"model":"none","assets":)") + assets + R"(,"placement":)" + placement + "," + kPatient + "}";
      Strategy strategy(plugin, text);
      const Depth d = of("btc_usdt", "binance", kSwap, 1);
      plugin.on_data(strategy.handle, kDepth, &d);
      strategy.settle();
      plugin.poll_callbacks(strategy.handle);
      const bool is_missing = std::strstr(assets, R"("btcusd")") != nullptr;
      const std::string health = strategy.health();
      CHECK_EQ(health.find("no event came for btcusd, in 1 events") != std::string::npos, is_missing);
      CHECK_EQ(health.empty(), !is_missing);
    }
  }
  // Without any event there is nothing to say.
  Strategy silent(plugin, R"({"placement":"inline","assets":"btcusd"})");
  CHECK_EQ(silent.health(), "");
  return 0;
}
