// A callback calls `exit`, and the handle is destroyed in there. Prints how many events it gave.
// Usage: exit_in_callback WHERE PLUGIN
//   handler       a handler of exit, registered after the create
//   early         one that was registered before the library was loaded
//   first, last   the destructor of a library (PLUGIN) that was loaded before or after ours
#include "../plugin.hpp"

using namespace host;

namespace {

constexpr int kEvents = 100, kLast = 50;

const Plugin *plugin = nullptr;
void *handle = nullptr;
int given = 0, calls = 0;

void leaves() {
  plugin->destroy(handle);
  CHECK_EQ(plugin->poll_callbacks(handle), SIGNAL_ERROR_HANDLE);
  std::printf("%d events\n", given);
  std::fflush(stdout);
}

void last_callback(const char *, long long, const double *, int, void *) {
  if (++calls == kLast) std::exit(42);
}

void hook(const char *library) {
  void *loaded = dlopen(library, RTLD_NOW);
  CHECK(loaded != nullptr);
  auto *call = static_cast<void (**)()>(dlsym(loaded, "at_exit_call"));
  CHECK(call != nullptr);
  *call = leaves;
}

}  // namespace

int main(int count, char **arguments) {
  CHECK_EQ(count, 3);
  const std::string where = arguments[1];
  if (where == "early") std::atexit(leaves);
  if (where == "first") hook(arguments[2]);
  plugin = new Plugin;
  handle = plugin->create(std::getenv("SIGNAL_TEST_CONFIG"));
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin->last_error());
  CHECK(handle != nullptr);
  if (where == "handler") std::atexit(leaves);
  if (where == "last") hook(arguments[2]);
  plugin->register_callback(handle, last_callback, nullptr);
  for (int event = 0; event < kEvents; ++event) {
    ++given;
    const Depth d = depth("btc_usdt", event, 10.0, 11.0);
    plugin->on_data(handle, kDepth, &d);
  }
  feed_and_settle(*plugin, handle, 0);
  while (plugin->poll_callbacks(handle) > 0) {
  }
  return 1;
}
