// What a host may get wrong, rings that fill up, and additions to the ABI.
#include "plugin.hpp"

#include <fcntl.h>

#include <cfloat>
#include <climits>
#include <cmath>
#include <thread>

using namespace host;

namespace {

void ignore(const char *, long long, const double *, int, void *) {}

// A call with a null handle does nothing and does not crash.
void check_null_handle(const Plugin &plugin) {
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  signal_stats_t stats{};
  stats.size = sizeof stats;
  signal_hop_t hops[4];
  plugin.register_callback(nullptr, ignore, nullptr);
  plugin.on_data(nullptr, kDepth, &d);
  plugin.on_data(nullptr, kDepth, nullptr);
  CHECK_EQ(plugin.poll_callbacks(nullptr), -1);
  CHECK_EQ(plugin.stats(nullptr, &stats), -1);
  CHECK_EQ(stats.events_depth, 0u);
  CHECK(plugin.egress(nullptr) == nullptr);
  CHECK(plugin.latency(nullptr, hops, 4) <= 0);
  (void)plugin.stamp_ns(nullptr);
  plugin.destroy(nullptr);
}

void feed_bad_prices(Engine &engine) {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL, 0.0, -1.0, DBL_MAX, 1e308}) {
    Depth d = depth("btc_usdt", 1, 10.0, 11.0);
    d.bid_price[0] = bad;
    engine.feed(d);
    d = depth("btc_usdt", 1, 10.0, 11.0);
    d.ask_price[0] = bad;
    engine.feed(d);
    engine.feed(ticker("btc_usdt", 1, 10.0, bad));
    engine.feed(trade("btc_usdt", 1, bad, 1.0));
    engine.feed(index_price("btc_usdt", bad));
  }
  for (const double bad : {std::nan(""), HUGE_VAL, -1.0, DBL_MAX, 1e308}) {
    Depth d = depth("btc_usdt", 1, 10.0, 11.0);
    d.ask_volume[0] = bad;
    engine.feed(d);
    Ticker t = ticker("btc_usdt", 1, 10.0, 11.0);
    t.bid_volume = bad;
    engine.feed(t);
    engine.feed(trade("btc_usdt", 1, 10.0, bad));
  }
}

template <typename T> void feed_filled(Engine &engine, unsigned char byte) {
  T event;
  std::memset(static_cast<void *>(&event), byte, sizeof event);
  engine.feed(event);
}

int counted_calls = 0;
int (*counted_poll)(void *) = nullptr;
int counting_poll(void *handle) {
  ++counted_calls;
  return counted_poll(handle);
}

}  // namespace

SCENARIO(bad_input) {
  Plugin plugin;
  check_null_handle(plugin);
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    CHECK_EQ(plugin.stats(engine.handle, nullptr), -1);
    CHECK(plugin.latency(engine.handle, nullptr, 4) <= 0);

    for (const int type : {kDepth, kTicker, kTrade, kIndexPrice}) engine.data(type, nullptr);
    Bar bar{};
    std::strcpy(bar.symbol, "btc_usdt");
    for (const int type : {0, -1, 7, 100, 105, kBar, INT_MAX, INT_MIN}) engine.data(type, &bar);
    feed_bad_prices(engine);
    const signal_stats_t numbers = engine.settle();
    CHECK_EQ(numbers.refused_null_data, 4u);
    CHECK_EQ(numbers.refused_unknown_type, 8u);
    CHECK_EQ(numbers.refused_bad_price, 35u);
    CHECK_EQ(numbers.refused_bad_size, 15u);
    check_accounts(numbers);

    for (const unsigned char byte : {0x00, 0xff}) {
      feed_filled<Depth>(engine, byte);
      feed_filled<Ticker>(engine, byte);
      feed_filled<Trade>(engine, byte);
      feed_filled<IndexPrice>(engine, byte);
    }
    for (const char *symbol : {"", "_", "btc usdt", "btc\x01", "b\xc3", "b\xe3\x80\x80"}) {
      engine.feed(depth(symbol, 1, 10.0, 11.0));
    }
    const signal_stats_t refused = engine.settle();
    CHECK(refused.refused_bad_symbol >= 6);
    CHECK_EQ(refused.refused_bad_symbol + refused.refused_bad_price + refused.refused_bad_size,
             35u + 15u + 8u + 6u);
    CHECK_EQ(engine.poll(), 0);

    // A symbol that fills its field has no NUL; what follows it must not leak in.
    Depth full = depth("", 2, 10.0, 11.0);
    std::memset(full.symbol, 'a', sizeof full.symbol);
    engine.feed(full);
    // The host does not clear the bytes after the NUL.
    Depth dirty = depth("btc_usdt", 3, 10.0, 11.0);
    std::memset(dirty.symbol + 9, 0xee, sizeof dirty.symbol - 9);
    std::memset(dirty.exchange_id + 8, 0x7f, sizeof dirty.exchange_id - 8);
    engine.feed(dirty);
    // UTF-8, and a character that the field's end cuts off.
    engine.feed(depth("\xe5\xb8\x81\xe5\xae\x89_usdt", 4, 10.0, 11.0));
    Depth cut = depth("", 5, 10.0, 11.0);
    std::memset(cut.symbol, 'b', sizeof cut.symbol);
    std::memcpy(cut.symbol + 30, "\xe5\xb8", 2);
    engine.feed(cut);
    engine.drain();
    CHECK_EQ(engine.got.size(), 4u);
    CHECK_EQ(engine.got[0].symbol, std::string(32, 'A'));
    CHECK_EQ(engine.got[1].symbol, "BTCUSDT");
    CHECK_EQ(engine.got[2].symbol, "\xe5\xb8\x81\xe5\xae\x89USDT");
    CHECK_EQ(engine.got[3].symbol, std::string(30, 'B'));
    check_accounts(engine.stats());

    // Without a callback, signals stay where they are.
    plugin.register_callback(engine.handle, nullptr, nullptr);
    engine.feed(depth("btc_usdt", 6, 10.0, 11.0));
    engine.settle();
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 0);
    CHECK_EQ(engine.stats().delivered, 4u);
    plugin.register_callback(engine.handle, ignore, nullptr);
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 1);
    check_accounts(engine.stats());
  }
  return 0;
}

SCENARIO(too_many_instruments) {
  Plugin plugin;
  Engine engine(plugin, R"({"instruments":{"max":1}})");
  for (int noise = 0; noise < 50; ++noise) {
    Depth d = depth("btc_usdt", noise, 10.0, 11.0);
    std::memset(d.symbol + 9, noise, sizeof d.symbol - 9);
    std::memset(d.exchange_id + 8, noise, sizeof d.exchange_id - 8);
    engine.feed(d);
    engine.feed(depth(("coin" + std::to_string(noise)).c_str(), noise, 10.0, 11.0));
  }
  engine.drain();
  const signal_stats_t stats = engine.stats();
  CHECK_EQ(engine.got.size(), 50u);
  CHECK_EQ(stats.refused_too_many_instruments, 50u);
  check_accounts(stats);
  return 0;
}

SCENARIO(bad_config) {
  Plugin plugin;
  struct Case {
    const char *config, *named;
  };
  const Case cases[] = {
      {"{", "line 1"},
      {"[]", ""},
      {"\xff\xfe{}", "UTF-8"},
      {R"({"plcement":"inline"})", "plcement"},
      {R"({"placement":"sideways"})", "placement"},
      {R"({"placement":[["factor"],["ingest","model"]]})", "placement"},
      {R"({"factors":"nope"})", "nope"},
      {R"({"model":"nope"})", "nope"},
      {R"({"idle":"nap"})", "idle"},
      {R"({"cores":[9999]})", "9999"},
      {R"({"cores":[18446744073709551615]})", "cores"},
      {R"({"rings":{"ingest":0}})", "ingest"},
      {R"({"rings":{"egress":-1}})", "egress"},
      {R"({"rings":{"ingest":18446744073709551615}})", "ingest"},
      {R"({"rings":{"ingest":1099511627776}})", "ingest"},
      {R"({"instruments":{"max":0}})", "instruments"},
      {R"({"timing":"yes"})", "timing"},
  };
  const std::size_t threads_before = threads().size();
  for (const Case &one : cases) {
    void *handle = plugin.create(one.config);
    if (handle != nullptr) std::fprintf(stderr, "accepted: %s\n", one.config);
    CHECK(handle == nullptr);
    const char *why = plugin.last_error();
    CHECK(why != nullptr);
    if (std::strstr(why, one.named) == nullptr) {
      std::fprintf(stderr, "%s: \"%s\" does not name %s\n", one.config, why, one.named);
      CHECK(false);
    }
    std::thread([&] { CHECK(plugin.last_error() == nullptr); }).join();
  }
  CHECK(wait_for([&] { return threads().size() == threads_before; }));
  Engine engine(plugin, nullptr);
  CHECK(plugin.last_error() == nullptr);
  return 0;
}

// A host whose log cannot be written must still get its signals.
SCENARIO(full_log) {
  Plugin plugin;
  const int kept = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY);
  CHECK(kept >= 0 && full >= 0);
  std::fflush(stderr);
  CHECK_EQ(dup2(full, STDERR_FILENO), STDERR_FILENO);
  void *refused = plugin.create(R"({"model":"nope"})");
  const std::string why = refused == nullptr && plugin.last_error() != nullptr ? plugin.last_error() : "";
  void *made = plugin.create("{}");
  dup2(kept, STDERR_FILENO);
  CHECK(refused == nullptr);
  CHECK(why.find("nope") != std::string::npos);
  if (made == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(made != nullptr);
  plugin.destroy(made);
  return 0;
}

SCENARIO(stops_polling) {
  Plugin plugin;
  for (const char *placement : {"fused", "split", "inline"}) {
    const std::string config = std::string(R"({"rings":{"ingest":16,"egress":16},"overload":{"egress":"drop-newest"},"idle":"park","placement":")") +
                               placement + "\"}";
    const bool lanes = std::strcmp(placement, "inline") != 0;
    Engine engine(plugin, config.c_str());
    // Lanes are asleep now, so the burst fills the ring to ingest.
    sleep_us(5000);
    std::uint64_t fed = 0;
    const double start = seconds();
    for (; fed < 10000; ++fed) engine.feed(depth("btc_usdt", static_cast<std::int64_t>(fed), 10.0, 11.0));
    CHECK(seconds() - start < 5.0);
    // Whatever the burst left in it, the ring to the host overflows here.
    for (; fed < 10064; ++fed) {
      engine.feed(depth("btc_usdt", static_cast<std::int64_t>(fed), 10.0, 11.0));
      engine.settle();
    }
    const signal_stats_t full = engine.stats();
    std::fprintf(stderr, "%s: %llu dropped before ingest, %llu before the host\n", placement,
                 static_cast<unsigned long long>(full.dropped_ingest_ring_full),
                 static_cast<unsigned long long>(full.dropped_egress_ring_full));
    CHECK_EQ(full.dropped_ingest_ring_full > 0, lanes);
    CHECK(full.dropped_egress_ring_full >= 48);
    CHECK_EQ(full.delivered, 0u);
    check_accounts(full, 16);
    CHECK_EQ(full.ingest_gap, full.dropped_ingest_ring_full);

    engine.drain();
    CHECK_EQ(engine.got.size(), 16u);
    for (int more = 0; more < 100; ++more) {
      engine.feed(depth("btc_usdt", 1000000 + more, 10.0, 11.0));
      engine.drain();
      CHECK_EQ(engine.got.size(), 17u + static_cast<std::size_t>(more));
      CHECK_EQ(engine.got.back().timestamp, 1000000 + more);
    }
    const signal_stats_t stats = engine.stats();
    CHECK_EQ(stats.egress_gap, stats.dropped_egress_ring_full);
    CHECK_EQ(stats.dropped_egress_ring_full, full.dropped_egress_ring_full);
    CHECK_EQ(stats.dropped_ingest_ring_full, full.dropped_ingest_ring_full);
    check_accounts(stats);
  }
  return 0;
}

SCENARIO(stats_sizes) {
  Plugin plugin;
  Engine engine(plugin, "{}");
  for (int event = 0; event < 3; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  engine.drain();
  constexpr std::size_t kRoom = sizeof(signal_stats_t) + 64;
  alignas(signal_stats_t) unsigned char room[kRoom];
  auto *stats = reinterpret_cast<signal_stats_t *>(room);

  for (const std::size_t size : {offsetof(signal_stats_t, refused_null_data), offsetof(signal_stats_t, in_flight),
                                 offsetof(signal_stats_t, in_flight) + 5}) {
    std::memset(room, 0xab, kRoom);
    stats->size = size;
    CHECK_EQ(plugin.stats(engine.handle, stats), 0);
    CHECK_EQ(stats->events_depth, 3u);
    // No half of a counter.
    const std::size_t whole = size / sizeof(std::uint64_t) * sizeof(std::uint64_t);
    CHECK_EQ(stats->size, whole);
    for (std::size_t byte = whole; byte < kRoom; ++byte) CHECK_EQ(room[byte], 0xab);
  }
  for (const std::size_t size : {0, 1, 7}) {
    std::memset(room, 0xab, kRoom);
    stats->size = size;
    CHECK_EQ(plugin.stats(engine.handle, stats), -1);
    for (std::size_t byte = sizeof stats->size; byte < kRoom; ++byte) CHECK_EQ(room[byte], 0xab);
  }
  // A host that was built with a later header asks for more than there is.
  std::memset(room, 0xab, kRoom);
  stats->size = kRoom;
  CHECK_EQ(plugin.stats(engine.handle, stats), 0);
  CHECK_EQ(stats->size, sizeof(signal_stats_t));
  CHECK_EQ(stats->events_depth, 3u);
  CHECK_EQ(stats->delivered, 3u);
  CHECK_EQ(stats->in_flight, 0u);
  return 0;
}

SCENARIO(inline_poll) {
  Plugin plugin;
  counted_poll = plugin.poll_callbacks;
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    plugin.register_callback(engine.handle, ignore, nullptr);
    const signal_egress_t *egress = plugin.egress(engine.handle);
    CHECK(egress != nullptr);
    counted_calls = 0;
    for (int round = 1; round <= 1000; ++round) {
      for (int empty = 0; empty < 3; ++empty) CHECK_EQ(signal_poll(engine.handle, egress, counting_poll), 0);
      CHECK_EQ(counted_calls, round - 1);
      engine.feed(depth("btc_usdt", round, 10.0, 11.0));
      engine.settle();
      CHECK_EQ(signal_poll(engine.handle, egress, counting_poll), 1);
      CHECK_EQ(counted_calls, round);
    }
  }
  return 0;
}

SCENARIO(latency) {
  Plugin plugin;
  Engine engine(plugin, "{}");
  CHECK(plugin.stamp_ns(engine.handle) > 0.0 && plugin.stamp_ns(engine.handle) < 10000.0);
  for (int event = 0; event < 1000; ++event) {
    engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.drain();
  }
  signal_hop_t hops[32];
  const int rows = plugin.latency(engine.handle, hops, 32);
  CHECK(rows > 0 && rows <= 32);
  bool whole_path = false;
  for (int row = 0; row < rows; ++row) {
    const signal_hop_t &hop = hops[row];
    CHECK(hop.count > 0 && hop.p50_ns <= hop.p99_ns && hop.p99_ns <= hop.p999_ns && hop.p999_ns <= hop.max_ns);
    if (std::string(hop.name) != "tick_to_callback") continue;
    whole_path = true;
    CHECK_EQ(hop.count, 1000u);
    CHECK(hop.p50_ns > 0);
  }
  CHECK(whole_path);
  CHECK_EQ(plugin.latency(engine.handle, hops, 1), 1);
  CHECK(plugin.latency(engine.handle, hops, 0) <= 0);
  return 0;
}
