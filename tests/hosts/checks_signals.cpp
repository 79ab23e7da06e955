// Signals: one per Depth, in order, the same under every placement, and what a
// callback may do.
#include "plugin.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <stdexcept>

using namespace host;

namespace {

// A payload as in the journal: read-only, at any address, gone after the call. It ends
// `offset` bytes before an unreadable page.
template <typename T> void feed_from_journal(Engine &engine, int type, const T &event, std::size_t offset) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void *mapping = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mapping != MAP_FAILED);
  char *payload = static_cast<char *>(mapping) + page - sizeof event - offset;
  std::memcpy(payload, &event, sizeof event);
  CHECK_EQ(mprotect(mapping, page, PROT_READ), 0);
  CHECK_EQ(mprotect(static_cast<char *>(mapping) + page, page, PROT_NONE), 0);
  engine.data(type, payload);
  CHECK_EQ(std::memcmp(payload, &event, sizeof event), 0);
  if (offset % 2 == 0) {
    CHECK_EQ(mprotect(mapping, page, PROT_READ | PROT_WRITE), 0);
    std::memset(mapping, 0xff, page);
  }
  CHECK_EQ(munmap(mapping, 2 * page), 0);
}

// SplitMix64, so that every run sees the same feed.
struct Random {
  std::uint64_t state = 2024;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }
};

std::vector<Got> stream(const Plugin &plugin, const char *placement, std::vector<Got> &expected) {
  static const char *const symbols[] = {"btc_usdt", "eth_usdt", "sol_usdt", "doge_usdt", "1000pepe_usdt"};
  static const char *const names[] = {"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "1000PEPEUSDT"};
  const std::string config = std::string(R"({"model":"none","placement":)") + placement + "}";
  Engine engine(plugin, config.c_str());
  Random random;
  expected.clear();
  for (int event = 0; event < 20000; ++event) {
    const std::uint64_t which = random.below(5);
    const double bid = 100.0 + static_cast<double>(random.below(1000000)) / 1000.0;
    const double ask = bid + 0.1 + static_cast<double>(random.below(1000)) / 1000.0;
    const std::int64_t time = 1720000000000000000 + event;
    switch (random.below(5)) {
      case 0: engine.feed(ticker(symbols[which], time, bid, ask)); break;
      case 1: engine.feed(trade(symbols[which], time, bid, 1.5)); break;
      case 2: engine.feed(index_price(symbols[which], ask)); break;
      default:
        engine.feed(depth(symbols[which], time, bid, ask));
        expected.push_back({names[which], time, {ask - bid, (ask + bid) / 2.0, bid}});
    }
    // Neither ring may fill up, because only whole streams can be compared.
    if (event % 512 == 511) engine.settle();
    engine.poll();
  }
  engine.drain();
  check_accounts(engine.stats());
  return engine.got;
}

void check_same(const std::vector<Got> &left, const std::vector<Got> &right) {
  CHECK_EQ(left.size(), right.size());
  for (std::size_t index = 0; index < left.size(); ++index) {
    CHECK_EQ(left[index].symbol, right[index].symbol);
    CHECK_EQ(left[index].timestamp, right[index].timestamp);
    CHECK_EQ(left[index].values.size(), right[index].values.size());
    const std::size_t bytes = left[index].values.size() * sizeof(double);
    CHECK(std::memcmp(left[index].values.data(), right[index].values.data(), bytes) == 0);
  }
}

struct Thrown {
  long long timestamp;
};

void throwing(const char *, long long timestamp, const double *, int, void *user_data) {
  static_cast<std::vector<long long> *>(user_data)->push_back(timestamp);
  if (timestamp % 3 == 0) throw std::runtime_error("signal " + std::to_string(timestamp));
  if (timestamp % 3 == 1) throw Thrown{timestamp};
}

struct Nested {
  const Plugin *plugin;
  void *handle;
  std::vector<long long> first, second;
  bool throws = false;
  bool inside = false;
};

void second(const char *, long long timestamp, const double *, int, void *user_data) {
  static_cast<Nested *>(user_data)->second.push_back(timestamp);
}

void first(const char *, long long timestamp, const double *, int, void *user_data) {
  auto *nested = static_cast<Nested *>(user_data);
  CHECK(!nested->inside);
  nested->inside = true;
  nested->first.push_back(timestamp);
  const Depth more = depth("btc_usdt", 1000, 10.0, 11.0);
  nested->plugin->on_data(nested->handle, kDepth, &more);
  CHECK_EQ(nested->plugin->poll_callbacks(nested->handle), 0);
  nested->plugin->register_callback(nested->handle, second, nested);
  nested->inside = false;
}

void destroying(const char *, long long timestamp, const double *, int, void *user_data) {
  auto *nested = static_cast<Nested *>(user_data);
  nested->first.push_back(timestamp);
  if (nested->first.size() == 1) nested->plugin->destroy(nested->handle);
  if (nested->throws) throw Thrown{timestamp};
}

}  // namespace

SCENARIO(basic) {
  Plugin plugin;
  CHECK_EQ(std::string(plugin.version()), "0.1.0");
  Engine engine(plugin, "{}");
  CHECK(plugin.last_error() == nullptr);
  std::vector<long long> expected;
  for (std::size_t offset = 0; offset < 64; ++offset) {
    const auto time = static_cast<std::int64_t>(1720000000000000000 + offset);
    // The host's order: poll, strategy, on_data.
    engine.poll();
    feed_from_journal(engine, kDepth, depth("btc_usdt", time, 100.0, 101.0), offset);
    feed_from_journal(engine, kTicker, ticker("btc_usdt", time, 100.0, 101.0), offset);
    feed_from_journal(engine, kTrade, trade("btc_usdt", time, 100.0, 1.0), offset);
    feed_from_journal(engine, kIndexPrice, index_price("btc_usdt", 100.0), offset);
    expected.push_back(time);
  }
  engine.drain();
  CHECK_EQ(engine.got.size(), expected.size());
  for (std::size_t index = 0; index < expected.size(); ++index) {
    const Got &got = engine.got[index];
    CHECK_EQ(got.symbol, "BTCUSDT");
    CHECK_EQ(got.timestamp, expected[index]);
    CHECK_EQ(got.values.size(), 2u);
    CHECK(got.values[0] == 1.0 && got.values[1] == 0.800000011920929);
  }
  const signal_stats_t stats = engine.stats();
  check_accounts(stats);
  CHECK_EQ(stats.events_ticker, 64u);
  CHECK_EQ(stats.updates, 3u * 64u);
  CHECK_EQ(stats.delivered, 64u);
  return 0;
}

SCENARIO(placements) {
  Plugin plugin;
  std::vector<Got> expected;
  for (const char *placement : {R"("inline")", R"("fused")", R"("split")", R"("auto")",
                                R"([["ingest","factor"],["model"]])",
                                R"([["ingest"],["factor","model"],["egress"]])"}) {
    std::fprintf(stderr, "placement %s\n", placement);
    const std::vector<Got> got = stream(plugin, placement, expected);
    CHECK(!got.empty());
    check_same(got, expected);
  }
  return 0;
}

// Each symbol's signals in order, one symbol after the other.
std::vector<Got> by_symbol(std::vector<Got> signals) {
  std::stable_sort(signals.begin(), signals.end(),
                   [](const Got &left, const Got &right) { return left.symbol < right.symbol; });
  return signals;
}

SCENARIO(shards) {
  Plugin plugin;
  std::vector<Got> expected;
  for (const char *placement : {R"("inline")", R"("auto","shards":2)", R"("fused","shards":3)", R"("split","shards":2)",
                                R"([["ingest"],["factor","model"],["egress"]],"shards":5,"idle":"yield")"}) {
    std::fprintf(stderr, "placement %s\n", placement);
    const std::vector<Got> got = stream(plugin, placement, expected);
    CHECK(!got.empty());
    check_same(by_symbol(got), by_symbol(expected));
  }
  Engine engine(plugin, R"({"placement":"fused","shards":2})");
  signal_lane_t lanes[8];
  CHECK_EQ(plugin.lanes(engine.handle, lanes, 8), 4);
  CHECK(std::strncmp(lanes[2].name, "factor..model#1@", 16) == 0);
  signal_ring_t rings[8];
  CHECK_EQ(plugin.rings(engine.handle, rings, 8), 6);
  CHECK_EQ(std::string(rings[2].name), "stage.factor#1");
  // An index price goes to both shards and counts as one event.
  for (int round = 0; round < 3; ++round) engine.feed(index_price("btc_usdt", 10.0 + round));
  const signal_stats_t stats = engine.settle();
  CHECK_EQ(stats.events_index_price, 3u);
  CHECK_EQ(stats.index_copies, 3u);
  check_accounts(stats);
  return 0;
}

SCENARIO(exception) {
  Plugin plugin;
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    std::vector<long long> seen;
    plugin.register_callback(engine.handle, throwing, &seen);
    constexpr long long kRounds = 300, kBatch = 20;
    long long caught_error = 0, caught_other = 0, fed = 0;
    for (long long round = 0; round < kRounds; ++round) {
      for (long long event = 0; event < kBatch; ++event) engine.feed(depth("btc_usdt", fed++, 10.0, 11.0));
      engine.settle();
      while (static_cast<long long>(seen.size()) < fed) {
        const std::size_t before = seen.size();
        try {
          plugin.poll_callbacks(engine.handle);
        } catch (const std::runtime_error &error) {
          ++caught_error;
          CHECK_EQ(std::string(error.what()), "signal " + std::to_string(seen.back()));
        } catch (const Thrown &thrown) {
          ++caught_other;
          CHECK_EQ(thrown.timestamp, seen.back());
        }
        CHECK(seen.size() > before);
      }
    }
    for (long long index = 0; index < fed; ++index) CHECK_EQ(seen[static_cast<std::size_t>(index)], index);
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 0);
    CHECK_EQ(caught_error, kRounds * kBatch / 3);
    CHECK_EQ(caught_other, kRounds * kBatch / 3);
    check_accounts(engine.settle());
    CHECK_EQ(engine.stats().delivered, static_cast<std::uint64_t>(fed));
  }
  return 0;
}

SCENARIO(reentrant) {
  Plugin plugin;
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    Nested nested{&plugin, engine.handle, {}, {}};
    plugin.register_callback(engine.handle, first, &nested);
    for (int event = 1; event <= 5; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.settle();
    CHECK(plugin.poll_callbacks(engine.handle) >= 5);
    engine.settle();
    while (plugin.poll_callbacks(engine.handle) > 0) {
    }
    CHECK_EQ(nested.first.size(), 1u);
    CHECK_EQ(nested.first[0], 1);
    CHECK((nested.second == std::vector<long long>{2, 3, 4, 5, 1000}));
    check_accounts(engine.stats());

    for (const bool throws : {false, true}) {
      const std::size_t threads_before = threads().size();
      Nested last{&plugin, plugin.create(config), {}, {}, throws};
      CHECK(last.handle != nullptr);
      plugin.register_callback(last.handle, destroying, &last);
      for (int event = 1; event <= 5; ++event) {
        const Depth d = depth("btc_usdt", event, 10.0, 11.0);
        plugin.on_data(last.handle, kDepth, &d);
      }
      signal_stats_t stats{};
      stats.size = sizeof stats;
      CHECK(wait_for([&] { return plugin.stats(last.handle, &stats) == 0 && stats.in_flight == 0; }));
      bool caught = false;
      try {
        CHECK(plugin.poll_callbacks(last.handle) >= 1);
      } catch (const Thrown &) {
        caught = true;
      }
      CHECK_EQ(caught, throws);
      CHECK(!last.first.empty());
      const std::size_t calls = last.first.size();
      // A joined thread leaves the list of tasks a moment later.
      CHECK(wait_for([&] { return threads().size() == threads_before; }));
      sleep_us(2000);
      CHECK_EQ(last.first.size(), calls);
    }
  }
  return 0;
}
