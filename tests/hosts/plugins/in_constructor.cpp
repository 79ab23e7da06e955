// A plugin whose constructor makes and uses a handle during `dlopen`.
#include "../plugin.hpp"

namespace {

struct InConstructor {
  InConstructor() {
    host::Plugin plugin;
    const char *config = std::getenv("SIGNAL_TEST_CONFIG");
    void *handle = plugin.create(config != nullptr ? config : "{}");
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    host::feed_and_settle(plugin, handle, 100);
    signal_hop_t hops[16];
    CHECK(plugin.latency(handle, hops, 16) >= 0);
    plugin.destroy(handle);
    std::printf("made and ended\n");
  }
} in_constructor;

}  // namespace
