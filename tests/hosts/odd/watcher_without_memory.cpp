// A host whose allocator refuses everything to the thread that looks whether the host's threads have
// ended, from when it has its name on. The thread that makes the handle ends, and then all others do.
// At exit it says how often the allocator was asked.
#include "../plugin.hpp"
#include "allocator.hpp"

#include <pthread.h>
#include <sys/prctl.h>

#include <atomic>
#include <thread>

using namespace host;

namespace {

std::atomic<bool> refusing{true};
std::atomic<long> refused{0};

bool is_watcher() {
  char name[16] = {};
  return prctl(PR_GET_NAME, name) == 0 && std::strcmp(name, "signal-watch") == 0;
}

void at_exit() {
  const bool watches = is_watcher();
  refusing = false;
  CHECK(watches);
  std::printf("asked %ld times\n", refused.load());
  std::fflush(stdout);
}

}  // namespace

bool refuse() {
  if (!refusing.load(std::memory_order_relaxed) || !is_watcher()) return false;
  refused.fetch_add(1, std::memory_order_relaxed);
  errno = ENOMEM;
  return true;
}

int main(int argc, char **argv) {
  CHECK_EQ(argc, 2);
  static Plugin plugin;
  static const char *config;
  config = argv[1];
  std::atexit(at_exit);
  std::thread([] {
    void *handle = plugin.create(config);
    if (handle == nullptr) std::fprintf(stderr, "%s\n", plugin.last_error());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 100);
  }).join();
  pthread_exit(nullptr);
}
