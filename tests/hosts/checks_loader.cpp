// Handles made while a `dlopen` is under way, on its own thread and beside it.
#include "plugin.hpp"

#include <atomic>
#include <thread>

using namespace host;

namespace {

const char *plugin_path() {
  const char *path = std::getenv("SIGNAL_TEST_PLUGIN");
  CHECK(path != nullptr);
  return path;
}

// Makes and ends a handle while another thread is in a constructor under `dlopen`.
void beside(const Plugin &plugin, const char *config) {
  static std::atomic<int> word{0};
  word = 0;
  char address[32];
  std::snprintf(address, sizeof address, "%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(&word)));
  CHECK_EQ(setenv("SIGNAL_TEST_WORD", address, 1), 0);
  std::thread loading([] { CHECK(dlopen(plugin_path(), RTLD_NOW) != nullptr); });
  CHECK(wait_for([] { return word == 1; }));
  use(plugin, config, 10);
  CHECK_EQ(word.load(), 1);
  word = 2;
  loading.join();
}

}  // namespace

// The test names the plugin, and a configuration for it.
SCENARIO(create_in_a_constructor) {
  alarm(50);
  void *plugin = dlopen(plugin_path(), RTLD_NOW);
  if (plugin == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  CHECK(plugin != nullptr);
  return 0;
}

SCENARIO(create_beside_a_dlopen) {
  Plugin plugin;
  const char *config = std::getenv("SIGNAL_TEST_CONFIG");
  CHECK(config != nullptr);
  beside(plugin, config);
  return 0;
}
