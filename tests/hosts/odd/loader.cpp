// Handles made while a `dlopen` is in progress: on its own thread, in the constructor of
// the plugin that the first argument names, or on another thread.
#include "../plugin.hpp"

#include <atomic>
#include <thread>

using namespace host;

namespace {

// Makes, uses and ends a handle while another thread is in the plugin's constructor.
void beside(const char *plugin_path) {
  const char *config = std::getenv("SIGNAL_TEST_CONFIG");
  CHECK(config != nullptr);
  const Plugin plugin;
  static std::atomic<int> word{0};
  char address[32];
  std::snprintf(address, sizeof address, "%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(&word)));
  CHECK_EQ(setenv("SIGNAL_TEST_WORD", address, 1), 0);
  std::thread loading([=] { CHECK(dlopen(plugin_path, RTLD_NOW) != nullptr); });
  while (word == 0) usleep(50);
  void *handle = plugin.create(config);
  CHECK(handle != nullptr);
  feed_and_settle(plugin, handle, 10);
  plugin.destroy(handle);
  // The constructor is still running: nothing above has waited for it.
  CHECK_EQ(word.load(), 1);
  word = 2;
  loading.join();
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc == 3);
  alarm(120);
  if (std::string(argv[1]) == "beside") {
    beside(argv[2]);
    return 0;
  }
  void *plugin = dlopen(argv[2], RTLD_NOW);
  if (plugin == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  CHECK(plugin != nullptr);
  return 0;
}
