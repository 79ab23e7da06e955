// A host with two megabytes of static thread-local storage, which glibc takes from each new
// thread's stack.
#include "../plugin.hpp"

using namespace host;

static thread_local char storage[BYTES] = {1};

int main() {
  storage[5] = 2;
  Plugin plugin;
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string config =
      std::string(R"({"placement":"split","latency":{"dir":")") + directory + "\"}}";
  void *handle = plugin.create(config.c_str());
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(handle != nullptr);
  for (int event = 0; event < 100; ++event) {
    const Depth d = depth("btc_usdt", event, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &d);
  }
  plugin.destroy(handle);
  CHECK_EQ(std::system((std::string("rm -r ") + directory).c_str()), 0);
  std::printf("storage of %d bytes\n", static_cast<int>(sizeof storage) * (storage[5] == 2));
  return 0;
}
