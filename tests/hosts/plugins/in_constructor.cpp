// A plugin whose constructor, under `dlopen`, makes a handle and uses it.
#include "../plugin.hpp"

namespace {

struct InConstructor {
  InConstructor() {
    host::Plugin plugin;
    const char *config = std::getenv("SIGNAL_TEST_CONFIG");
    void *handle = plugin.create(config != nullptr ? config : "{}");
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    for (int event = 0; event < 100; ++event) {
      const host::Depth d = host::depth("btc_usdt", event, 10.0, 11.0);
      plugin.on_data(handle, host::kDepth, &d);
    }
    signal_stats_t stats{};
    stats.size = sizeof stats;
    do {
      usleep(100);
      CHECK_EQ(plugin.stats(handle, &stats), 0);
    } while (stats.in_flight > 0);
    signal_hop_t hops[16];
    CHECK(plugin.latency(handle, hops, 16) >= 0);
    plugin.destroy(handle);
    std::printf("made and ended\n");
  }
} in_constructor;

}  // namespace
