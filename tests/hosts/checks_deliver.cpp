// Delivery from on_data: whose call makes the callbacks, and what they may do.
#include "plugin.hpp"

#include <sys/wait.h>

#include <thread>

using namespace host;

namespace {

// The longest budget, because these scenarios do not look for lanes that the system delays.
std::string on_data(const char *placement, const char *more = "") {
  return std::string(R"({"deliver":"on_data","deliver_budget_us":10000,"placement":)") + placement + more + "}";
}

struct Thrown {
  long long timestamp;
};

// Records which call made each callback: poll or on_data.
struct Strategy {
  const Plugin *plugin;
  void *handle = nullptr;
  std::vector<long long> seen, from_data;
  bool in_data = false, calling = false;
  int throws_every = 0;
  void (*also)(Strategy &, long long) = nullptr;

  Strategy(const Plugin &library, const std::string &config) : plugin(&library) {
    handle = library.create(config.c_str());
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", library.last_error());
    CHECK(handle != nullptr);
    listen();
  }
  ~Strategy() { plugin->destroy(handle); }
  Strategy(const Strategy &) = delete;
  Strategy &operator=(const Strategy &) = delete;

  void listen() { plugin->register_callback(handle, on_signal, this); }
  template <typename Event> void give(int type, const Event &event) {
    in_data = true;
    struct Over {
      bool &flag;
      ~Over() { flag = false; }
    } over{in_data};
    plugin->on_data(handle, type, &event);
  }
  void depth(long long time) { give(kDepth, host::depth("btc_usdt", time, 10.0, 11.0)); }
  int poll() { return plugin->poll_callbacks(handle); }
  signal_stats_t stats() const {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    CHECK_EQ(plugin->stats(handle, &stats), 0);
    return stats;
  }
  void settle() const {
    CHECK(wait_for([&] { return stats().in_flight == 0; }));
  }
  // Takes the signals that no on_data has delivered.
  void drain() {
    CHECK(wait_for([&] {
      const bool ended = stats().in_flight == 0;
      poll();
      return ended && stats().queued == 0;
    }));
  }

  static void on_signal(const char *symbol, long long timestamp, const double *values, int count, void *user_data) {
    auto &self = *static_cast<Strategy *>(user_data);
    CHECK(!self.calling && std::string(symbol) == "BTCUSDT" && count == 2 && values[0] == 1.0);
    self.calling = true;
    self.seen.push_back(timestamp);
    if (self.in_data) self.from_data.push_back(timestamp);
    CHECK_EQ(self.plugin->current_sequence(self.handle), self.seen.size());
    if (self.also != nullptr) self.also(self, timestamp);
    self.calling = false;
    if (self.throws_every > 0 && timestamp % self.throws_every == 0) throw Thrown{timestamp};
  }
};

void check_counts_up(const std::vector<long long> &seen, long long first, std::size_t count) {
  CHECK_EQ(seen.size(), count);
  for (std::size_t place = 0; place < count; ++place) CHECK_EQ(seen[place], first + static_cast<long long>(place));
}

const char *const kPlacements[] = {R"("inline")", R"("fused")", R"("split")",
                                   R"([["ingest","factor"],["model"]])"};

bool has_lanes(const char *placement) { return std::strcmp(placement, R"("inline")") != 0; }

}  // namespace

SCENARIO(deliver_from_on_data) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, on_data(placement));
    constexpr long long kRounds = 300;
    for (long long round = 0; round < kRounds; ++round) {
      strategy.depth(round);
      strategy.give(kTicker, ticker("btc_usdt", round, 10.0, 11.0));
      strategy.give(kTrade, trade("btc_usdt", round, 10.0, 1.0));
      strategy.give(kIndexPrice, index_price("btc_usdt", 10.0));
      if (!has_lanes(placement)) check_counts_up(strategy.from_data, 0, static_cast<std::size_t>(round) + 1);
    }
    strategy.drain();
    check_counts_up(strategy.seen, 0, kRounds);
    std::fprintf(stderr, "%s: %zu of %lld from on_data\n", placement, strategy.from_data.size(), kRounds);
    // Ten milliseconds are enough for any lane that runs. Four lanes may have to share two
    // cores: then they park, and no call waits for them.
    if (std::strcmp(placement, R"("fused")") == 0 && std::thread::hardware_concurrency() > 1) {
      CHECK(!strategy.from_data.empty());
    }
    check_accounts(strategy.stats());
    CHECK_EQ(plugin.current_sequence(strategy.handle), 0u);
    CHECK_EQ(plugin.current_model(strategy.handle), SIGNAL_NO_MODEL);
  }
  // By default no on_data makes a callback.
  for (const char *config : {"{}", R"({"placement":"inline"})", R"({"deliver":"poll","deliver_budget_us":10000})"}) {
    Strategy strategy(plugin, config);
    for (long long round = 0; round < 50; ++round) {
      strategy.depth(round);
      strategy.settle();
    }
    CHECK(strategy.seen.empty());
    CHECK_EQ(strategy.poll(), 50);
    CHECK(strategy.from_data.empty());
  }
  return 0;
}

// Late signals are delivered by the next call, whichever it is.
SCENARIO(deliver_what_was_late) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, on_data(placement));
    // Without a callback no call waits, and nothing is lost.
    plugin.register_callback(strategy.handle, nullptr, nullptr);
    for (long long round = 0; round < 10; ++round) strategy.depth(round);
    strategy.settle();
    CHECK_EQ(strategy.stats().delivered, 0u);
    strategy.listen();
    strategy.give(kTicker, ticker("btc_usdt", 10, 10.0, 11.0));
    check_counts_up(strategy.from_data, 0, 10);
    // Data that is not an event delivers waiting signals too.
    plugin.register_callback(strategy.handle, nullptr, nullptr);
    for (long long round = 10; round < 20; ++round) strategy.depth(round);
    strategy.settle();
    strategy.listen();
    strategy.in_data = true;
    plugin.on_data(strategy.handle, kBar, nullptr);
    check_counts_up(strategy.from_data, 0, 20);
    // Poll delivers them too.
    plugin.register_callback(strategy.handle, nullptr, nullptr);
    for (long long round = 20; round < 30; ++round) strategy.depth(round);
    strategy.settle();
    strategy.listen();
    CHECK_EQ(strategy.poll(), 10);
    check_counts_up(strategy.seen, 0, 30);
    CHECK_EQ(strategy.from_data.size(), 20u);
    check_accounts(strategy.stats());
  }
  return 0;
}

SCENARIO(deliver_exception) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, on_data(placement));
    strategy.throws_every = 3;
    long long caught = 0, fed = 0;
    for (int round = 0; round < 50; ++round) {
      // Some signals wait when the next event comes.
      plugin.register_callback(strategy.handle, nullptr, nullptr);
      for (int event = 0; event < 5; ++event) strategy.depth(fed++);
      strategy.settle();
      strategy.listen();
      const std::size_t before = strategy.seen.size();
      const long long next = fed++;
      try {
        strategy.depth(next);
      } catch (const Thrown &thrown) {
        ++caught;
        CHECK_EQ(thrown.timestamp, strategy.seen.back());
      }
      CHECK(strategy.seen.size() > before);
      // The event was taken, and the queued signals are intact.
      CHECK_EQ(strategy.stats().events_depth, static_cast<std::uint64_t>(fed));
      while (static_cast<long long>(strategy.seen.size()) < fed) {
        try {
          strategy.poll();
        } catch (const Thrown &) {
          ++caught;
        }
      }
    }
    check_counts_up(strategy.seen, 0, static_cast<std::size_t>(fed));
    CHECK_EQ(caught, (fed + 2) / 3);
    CHECK(!strategy.from_data.empty());
    strategy.settle();
    check_accounts(strategy.stats());
  }
  return 0;
}

SCENARIO(deliver_nested) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, on_data(placement));
    // Each callback gives an event. Its signal must wait for the next call, or no call
    // would ever end.
    strategy.also = [](Strategy &self, long long timestamp) {
      if (timestamp >= 1000) return;
      const std::size_t before = self.seen.size();
      const Depth more = host::depth("btc_usdt", timestamp + 1, 10.0, 11.0);
      self.plugin->on_data(self.handle, kDepth, &more);
      CHECK_EQ(self.plugin->poll_callbacks(self.handle), 0);
      signal_result_t results[4];
      CHECK_EQ(self.plugin->poll_batch(self.handle, results, 4), 0);
      CHECK_EQ(self.seen.size(), before);
      CHECK_EQ(self.plugin->current_sequence(self.handle), before);
    };
    strategy.depth(1);
    const std::size_t in_one = strategy.seen.size();
    CHECK(in_one <= 2);
    CHECK_EQ(strategy.stats().events_depth, 1u + in_one);
    CHECK(wait_for([&] {
      strategy.give(kTicker, ticker("btc_usdt", 1, 10.0, 11.0));
      return strategy.seen.size() == 1000;
    }));
    check_counts_up(strategy.seen, 1, 1000);

    // A callback that is set or cleared inside a callback takes effect after it.
    strategy.also = [](Strategy &self, long long) { self.plugin->register_callback(self.handle, nullptr, nullptr); };
    strategy.depth(1001);
    strategy.depth(1002);
    strategy.settle();
    CHECK(strategy.seen.size() <= 1001);
    strategy.also = nullptr;
    strategy.listen();
    strategy.drain();
    check_counts_up(strategy.seen, 1, 1002);
    check_accounts(strategy.stats());
  }
  return 0;
}

SCENARIO(deliver_destroy_in_a_callback) {
  Plugin plugin;
  const std::size_t threads_before = threads().size();
  for (int round = 0; round < 16; ++round) {
    Strategy strategy(plugin, on_data(kPlacements[round % 4]));
    void *handle = strategy.handle;
    plugin.register_callback(handle, nullptr, nullptr);
    for (int event = 1; event <= 5; ++event) strategy.depth(event);
    strategy.settle();
    strategy.listen();
    strategy.throws_every = round % 8 < 4 ? 0 : 1;
    strategy.also = [](Strategy &self, long long) {
      self.plugin->destroy(self.handle);
      CHECK_EQ(self.plugin->poll_callbacks(self.handle), SIGNAL_ERROR_HANDLE);
    };
    bool caught = false;
    try {
      strategy.depth(6);
    } catch (const Thrown &) {
      caught = true;
    }
    CHECK_EQ(caught, strategy.throws_every == 1);
    check_counts_up(strategy.seen, 1, 1);
    const Depth late = depth("btc_usdt", 7, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &late);
    CHECK_EQ(plugin.poll_callbacks(handle), SIGNAL_ERROR_HANDLE);
    check_counts_up(strategy.seen, 1, 1);
    CHECK(wait_for([&] { return threads().size() == threads_before; }));
  }
  return 0;
}

SCENARIO(deliver_fork_in_a_callback) {
  Plugin plugin;
  for (const char *placement : kPlacements) {
    Strategy strategy(plugin, on_data(placement));
    static pid_t child;
    plugin.register_callback(strategy.handle, nullptr, nullptr);
    for (int event = 1; event <= 3; ++event) strategy.depth(event);
    strategy.settle();
    strategy.listen();
    child = -1;
    strategy.also = [](Strategy &self, long long timestamp) {
      if (timestamp == 1) child = fork();
      if (child == 0) CHECK_EQ(self.plugin->poll_callbacks(self.handle), SIGNAL_ERROR_HANDLE);
      // In the child, the current sequence is gone with the handle.
    };
    strategy.depth(4);
    if (child == 0) {
      // The child is back from on_data, which has made no further callback.
      CHECK_EQ(strategy.seen.size(), 1u);
      _exit(0);
    }
    int status = 1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    strategy.drain();
    check_counts_up(strategy.seen, 1, 4);
  }
  return 0;
}
