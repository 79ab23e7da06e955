// Signals that are too old when the host would get them (key max_age_us).
#include "plugin.hpp"

using namespace host;

namespace {

void count(const char *, long long, const double *, int, void *user_data) { ++*static_cast<int *>(user_data); }

struct Host {
  const Plugin &plugin;
  void *handle;
  const signal_egress_t *egress;
  int calls = 0;

  Host(const Plugin &library, const std::string &config) : plugin(library), handle(library.create(config.c_str())) {
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", library.last_error());
    CHECK(handle != nullptr);
    egress = library.egress(handle);
    library.register_callback(handle, count, &calls);
  }
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;
  ~Host() { plugin.destroy(handle); }

  signal_stats_t stats() const {
    signal_stats_t stats = empty_stats();
    CHECK_EQ(plugin.stats(handle, &stats), 0);
    return stats;
  }
  bool has_news() const { return __atomic_load_n(egress->published, __ATOMIC_ACQUIRE) != *egress->taken; }
};

enum class Way { kPoll, kInlined, kBatch };

int take(const Host &host, Way way) {
  signal_result_t results[8];
  switch (way) {
    case Way::kPoll: return host.plugin.poll_callbacks(host.handle);
    case Way::kInlined: return signal_poll(host.handle, host.egress, host.plugin.poll_callbacks);
    case Way::kBatch: return host.plugin.poll_batch(host.handle, results, 8);
  }
  return -1;
}

}  // namespace

SCENARIO(signals_that_are_too_old) {
  const Plugin plugin;
  for (const char *placement : {"inline", "fused", "split"}) {
    for (const Way way : {Way::kPoll, Way::kInlined, Way::kBatch}) {
      const std::string keys = std::string(R"({"placement":")") + placement + R"(","max_age_us":)";
      Host old(plugin, keys + "1}");
      feed_and_settle(plugin, old.handle, 20);
      CHECK(old.has_news());
      CHECK_EQ(plugin.health(old.handle), SIGNAL_HEALTH_OK);
      sleep_us(2000);
      CHECK_EQ(take(old, way), 0);
      CHECK(!old.has_news());
      const signal_stats_t stats = old.stats();
      CHECK_EQ(stats.dropped_egress_too_old, 20u);
      CHECK_EQ(stats.delivered, 0u);
      CHECK_EQ(stats.egress_gap, 0u);
      check_accounts(stats);
      CHECK_EQ(plugin.health(old.handle), SIGNAL_HEALTH_OVERLOADED);
      CHECK(has(plugin.last_error(), "20 messages were dropped"));
      CHECK_EQ(old.calls, 0);

      Host young(plugin, keys + "60000000}");
      feed_and_settle(plugin, young.handle, 5);
      CHECK_EQ(take(young, way), 5);
      CHECK_EQ(young.calls, way == Way::kBatch ? 0 : 5);
      CHECK_EQ(young.stats().dropped_egress_too_old, 0u);
      check_accounts(young.stats());
    }
    // What waited is dropped by the on_data that would deliver it; its own signal comes, then or later.
    Host both(plugin, std::string(R"({"deliver":"on_data","placement":")") + placement + R"(","max_age_us":20000000})");
    feed_and_settle(plugin, both.handle, 10);
    CHECK(wait_for([&] { return plugin.poll_callbacks(both.handle) >= 0 && both.stats().queued == 0; }));
    CHECK_EQ(both.calls, 10);
    Host late(plugin, std::string(R"({"deliver":"on_data","placement":")") + placement + R"(","max_age_us":1})");
    plugin.register_callback(late.handle, nullptr, nullptr);
    feed_and_settle(plugin, late.handle, 10);
    plugin.register_callback(late.handle, count, &late.calls);
    sleep_us(2000);
    feed_and_settle(plugin, late.handle, 1);
    CHECK(late.stats().dropped_egress_too_old >= 10);
    CHECK(wait_for([&] { return plugin.poll_callbacks(late.handle) >= 0 && late.stats().queued == 0; }));
    check_accounts(late.stats());
  }
  CHECK(plugin.create(R"({"timing":false,"max_age_us":5})") == nullptr);
  CHECK(has(plugin.last_error(), "max_age_us cannot be used with timing false"));
  return 0;
}
