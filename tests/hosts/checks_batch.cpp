// Batches: many signals at once, in place.
#include "plugin.hpp"

#include <climits>

using namespace host;

namespace {

std::string config(const char *placement, const char *more = "") {
  return std::string(R"({"model":"none","placement":)") + placement + more + "}";
}

// The bytes of a message to the host that come before its values.
constexpr int kSignalHead = 48;

// A handle without a callback.
struct Silent {
  const Plugin *plugin;
  void *handle;

  Silent(const Plugin &library, const std::string &text) : plugin(&library), handle(library.create(text.c_str())) {
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", library.last_error());
    CHECK(handle != nullptr);
  }
  ~Silent() { plugin->destroy(handle); }
  Silent(const Silent &) = delete;
  Silent &operator=(const Silent &) = delete;

  void give(long long first, long long count) {
    for (long long time = first; time < first + count; ++time) {
      const Depth d = depth(time % 2 == 0 ? "btc_usdt" : "eth_usdt", time, static_cast<double>(time),
                            static_cast<double>(time) + 2.0);
      plugin->on_data(handle, kDepth, &d);
    }
    CHECK(wait_for([&] { return stats().in_flight == 0; }));
  }
  signal_stats_t stats() const {
    signal_stats_t stats{};
    stats.size = sizeof stats;
    CHECK_EQ(plugin->stats(handle, &stats), 0);
    return stats;
  }
  int batch(signal_result_t *results, int max) { return plugin->poll_batch(handle, results, max); }
};

void check_result(const signal_result_t &result, long long time) {
  CHECK_EQ(result.sequence, static_cast<std::uint64_t>(time));
  CHECK_EQ(std::string(result.symbol), time % 2 == 0 ? "BTCUSDT" : "ETHUSDT");
  CHECK_EQ(result.timestamp, time);
  CHECK_EQ(result.count, 3);
  CHECK_EQ(result.model, 0);
  CHECK(result.values[0] == 2.0 && result.values[2] == static_cast<double>(time));
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(result.values) % alignof(double), 0u);
  CHECK(result.age_ns > 0 && result.age_ns < 60000000000u);
}

void count(const char *, long long, const double *, int, void *user_data) { ++*static_cast<int *>(user_data); }

}  // namespace

SCENARIO(batch_in_place) {
  Plugin plugin;
  for (const char *placement : {R"("inline")", R"("fused")", R"("split")"}) {
    Silent silent(plugin, config(placement, R"(,"rings":{"egress":16})"));
    const signal_egress_t *egress = plugin.egress(silent.handle);
    CHECK(egress != nullptr);
    signal_result_t results[32];
    long long given = 0, taken = 0;
    // More than once around the ring, in batches of every size.
    for (int round = 0; round < 200; ++round) {
      silent.give(given + 1, round % 7 + 1);
      given += round % 7 + 1;
      while (taken < given) {
        const int max = round % 5 + 1;
        // An inlined poll prefetches the place where the next message begins.
        const void *next = *egress->next;
        const int count = silent.batch(results, max);
        const long long left = given - taken;
        CHECK_EQ(count, static_cast<int>(left < max ? left : max));
        CHECK(reinterpret_cast<const char *>(results[0].values) == static_cast<const char *>(next) + kSignalHead);
        for (int index = 0; index < count; ++index) check_result(results[index], ++taken);
        CHECK_EQ(silent.stats().delivered, static_cast<std::uint64_t>(taken));
      }
    }
    CHECK_EQ(silent.batch(results, 32), 0);
    check_accounts(silent.stats());
    CHECK_EQ(silent.stats().egress_gap, 0u);
    signal_hop_t hops[16];
    const int rows = plugin.latency(silent.handle, hops, 16);
    bool seen = false;
    for (int row = 0; row < rows; ++row) {
      if (std::strcmp(hops[row].name, "tick_to_callback") != 0) continue;
      CHECK_EQ(hops[row].count, static_cast<std::uint64_t>(given));
      seen = true;
    }
    CHECK(seen);
  }
  return 0;
}

// What a batch points to stays until it is freed, whatever the lanes do.
SCENARIO(batch_stays_until_freed) {
  Plugin plugin;
  for (const char *placement : {R"("inline")", R"("fused")"}) {
    Silent silent(plugin, config(placement, R"(,"rings":{"egress":4})"));
    signal_result_t results[8];
    silent.give(1, 3);
    CHECK_EQ(silent.batch(results, 8), 3);
    for (int index = 1; index < 3; ++index) CHECK(results[index].values > results[index - 1].values);
    // One slot is free; of the other signals, each instrument's newest waits.
    silent.give(4, 100);
    for (long long index = 0; index < 3; ++index) check_result(results[index], index + 1);
    CHECK_EQ(silent.stats().queued, 3u);
    // This frees the batch and takes nothing.
    CHECK_EQ(silent.batch(results, 0), 0);
    CHECK(wait_for([&] { return silent.batch(results, -1) == 0 && silent.stats().queued == 3; }));
    // Each instrument's newest signal, in the place of its oldest waiting one.
    std::vector<long long> seen;
    CHECK(wait_for([&] {
      const int count = silent.batch(results, 8);
      for (int index = 0; index < count; ++index) seen.push_back(results[index].timestamp);
      return silent.stats().queued == 0;
    }));
    CHECK((seen == std::vector<long long>{4, 103, 102}));
    // Polling frees a batch too, before it checks what is ready.
    int calls = 0;
    CHECK_EQ(silent.batch(results, 0), 0);
    silent.give(104, 4);
    CHECK_EQ(silent.batch(results, 2), 2);
    plugin.register_callback(silent.handle, count, &calls);
    CHECK_EQ(plugin.poll_callbacks(silent.handle), 2);
    CHECK_EQ(calls, 2);
    check_accounts(silent.stats());
    // So does an on_data that delivers; nothing is delivered twice.
    Silent both(plugin, config(placement, R"(,"rings":{"egress":4},"deliver":"on_data")"));
    both.give(1, 4);
    CHECK_EQ(both.batch(results, 4), 3);
    for (long long index = 0; index < 3; ++index) check_result(results[index], index + 1);
    calls = 0;
    plugin.register_callback(both.handle, count, &calls);
    both.give(5, 10);
    CHECK(wait_for([&] { return plugin.poll_callbacks(both.handle) >= 0 && both.stats().queued == 0; }));
    CHECK(calls > 0);
    CHECK_EQ(both.stats().delivered, 3u + static_cast<std::uint64_t>(calls));
  }
  return 0;
}

// A host that calls only on news, and takes everything that is ready, keeps getting signals.
SCENARIO(batch_leaves_room_for_news) {
  Plugin plugin;
  for (const char *placement : {R"("inline")", R"("fused")", R"("split")"}) {
    Silent silent(plugin, config(placement, R"(,"rings":{"egress":4})"));
    const signal_egress_t *egress = plugin.egress(silent.handle);
    CHECK(egress != nullptr);
    const auto has_news = [&] { return __atomic_load_n(egress->published, __ATOMIC_ACQUIRE) != *egress->taken; };
    signal_result_t results[8];
    silent.give(1, 4);
    CHECK(has_news());
    CHECK_EQ(silent.batch(results, 8), 3);
    long long taken = 3;
    for (int round = 0; round < 100; ++round) {
      silent.give(5 + 4 * round, 4);
      CHECK(wait_for(has_news));
      const int count = silent.batch(results, 8);
      CHECK(count > 0 && count < 4);
      taken += count;
    }
    CHECK(wait_for([&] {
      taken += silent.batch(results, 8);
      return silent.stats().queued == 0;
    }));
    CHECK_EQ(silent.stats().delivered, static_cast<std::uint64_t>(taken));
    check_accounts(silent.stats());
  }
  return 0;
}

SCENARIO(batch_misuse) {
  Plugin plugin;
  signal_result_t results[4];
  std::memset(results, 0xab, sizeof results);
  CHECK_EQ(plugin.poll_batch(nullptr, results, 4), SIGNAL_ERROR_NULL);
  for (const char *placement : {R"("inline")", R"("fused")"}) {
    Silent silent(plugin, config(placement));
    CHECK_EQ(silent.batch(nullptr, 4), SIGNAL_ERROR_NULL);
    CHECK_EQ(silent.batch(nullptr, 0), SIGNAL_ERROR_NULL);
    silent.give(1, 4);
    for (const int none : {0, -1, INT_MIN}) {
      CHECK_EQ(silent.batch(results, none), 0);
      CHECK_EQ(silent.stats().delivered, 0u);
    }
    CHECK_EQ(silent.batch(results, 2), 2);
    // Null changes nothing, not even the batch that is out.
    CHECK_EQ(silent.batch(nullptr, 4), SIGNAL_ERROR_NULL);
    check_result(results[0], 1);
    check_result(results[1], 2);
    // The results may have any alignment.
    alignas(signal_result_t) unsigned char room[2 * sizeof(signal_result_t) + 1];
    CHECK_EQ(silent.batch(reinterpret_cast<signal_result_t *>(room + 1), 2), 2);
    std::memcpy(results, room + 1, 2 * sizeof(signal_result_t));
    check_result(results[0], 3);
    check_result(results[1], 4);
    // The handle may be destroyed while a batch is out.
    silent.give(5, 4);
    CHECK_EQ(silent.batch(results, 2), 2);
    plugin.destroy(silent.handle);
    CHECK_EQ(silent.batch(results, 2), SIGNAL_ERROR_HANDLE);
  }
  // Without timing a signal has no age.
  Silent untimed(plugin, config(R"("inline")", R"(,"timing":false)"));
  untimed.give(1, 1);
  CHECK_EQ(untimed.batch(results, 1), 1);
  CHECK_EQ(results[0].age_ns, 0u);
  // The result says whose values these are, if several models made them.
  Silent several(plugin, R"({"placement":"inline","models":["none","test0000"]})");
  several.give(1, 1);
  CHECK_EQ(several.batch(results, 1), 1);
  CHECK_EQ(results[0].model, SIGNAL_ALL_MODELS);
  CHECK_EQ(results[0].count, 5);
  return 0;
}
