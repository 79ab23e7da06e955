// Handles: made and destroyed many times, two at once, and left behind at exit.
#include "plugin.hpp"

#include <malloc.h>
#include <csignal>

using namespace host;

namespace {

struct Guarded {
  bool polling = false;
  std::uint64_t calls = 0;
};

void guarded(const char *, long long, const double *, int, void *user_data) {
  auto *guard = static_cast<Guarded *>(user_data);
  CHECK(guard->polling);
  ++guard->calls;
}

void cycle(const Plugin &plugin, int number, Guarded &guard) {
  static const char *const configs[] = {"{}", R"({"placement":"split"})", R"({"placement":"inline"})",
                                        R"({"placement":"fused","idle":"spin"})", nullptr};
  void *handle = plugin.create(configs[number % 5]);
  CHECK(handle != nullptr);
  plugin.register_callback(handle, guarded, &guard);
  for (int event = 0; event < 200; ++event) {
    const Depth d = depth("btc_usdt", event, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &d);
    if (event == 100) {
      guard.polling = true;
      CHECK(plugin.poll_callbacks(handle) >= 0);
      guard.polling = false;
    }
  }
  // Results are on their way and in the queue now, and nobody takes them.
  plugin.destroy(handle);
}

void leave_running(const Plugin &plugin) {
  for (const char *config : {R"({"placement":"fused","idle":"spin"})", R"({"placement":"split"})"}) {
    // Not destroyed on purpose: exit() runs no destructor of locals.
    auto *engine = new Engine(plugin, config);
    for (int event = 0; event < 1000; ++event) {
      engine->feed(depth("btc_usdt", event, 10.0, 11.0));
      if (event == 500) engine->poll();
    }
  }
}

void exit_42(int) { std::exit(42); }

void exit_in_callback(const char *, long long, const double *, int, void *) { std::exit(42); }

}  // namespace

SCENARIO(cycles) {
  Plugin plugin;
  Guarded guard;
  int number = 0;
  for (; number < 50; ++number) cycle(plugin, number, guard);
  sleep_us(20000);
  // What the allocator keeps for later comes in megabytes and is no leak.
  const auto trimmed = [] {
    malloc_trim(0);
    return footprint();
  };
  const Footprint before = trimmed();
  for (; number < 200; ++number) cycle(plugin, number, guard);
  // glibc keeps stacks and arenas of threads that have ended, more of them on a busy machine. What
  // leaks grows in every round.
  bool is_flat = false;
  for (int round = 0; round < 6 && !is_flat; ++round) {
    const long resident = trimmed().resident_kib;
    for (const int end = number + 150; number < end; ++number) cycle(plugin, number, guard);
    is_flat = trimmed().resident_kib - resident < 1024;
  }
  const std::uint64_t calls = guard.calls;
  CHECK(calls > 0);
  CHECK(wait_for([&] { return threads().size() == before.threads; }));
  const Footprint after = trimmed();
  std::fprintf(stderr, "resident %ld -> %ld KiB, allocated %ld -> %ld KiB\n", before.resident_kib,
               after.resident_kib, before.allocated_kib, after.allocated_kib);
  CHECK_EQ(after.threads, std::size_t{1});
  CHECK_EQ(after.descriptors, before.descriptors);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Sanitizers keep freed memory, and the first one looks for leaks itself.
  CHECK(after.allocated_kib - before.allocated_kib < 64);
  CHECK(is_flat);
#endif
  CHECK_EQ(guard.calls, calls);
  return 0;
}

SCENARIO(two_handles) {
  Plugin plugin;
  for (const char *placement : {"fused", "inline"}) {
    const std::string rest = std::string(R"(,"placement":")") + placement + "\"}";
    Engine left(plugin, (R"({"model":"none")" + rest).c_str());
    Engine right(plugin, (R"({"model":"test0000")" + rest).c_str());
    CHECK(left.handle != right.handle);
    for (int event = 0; event < 1000; ++event) {
      left.feed(depth("btc_usdt", event, 10.0, 11.0));
      right.feed(depth("eth_usdt", 5000 + event, 20.0, 22.0));
      if (event % 2 == 0) left.feed(ticker("btc_usdt", event, 10.0, 11.0));
      left.poll();
      if (event % 3 == 0) right.poll();
    }
    left.drain();
    right.drain();
    CHECK_EQ(left.got.size(), 1000u);
    CHECK_EQ(right.got.size(), 1000u);
    for (std::size_t index = 0; index < 1000; ++index) {
      const auto number = static_cast<long long>(index);
      CHECK_EQ(left.got[index].symbol, "BTCUSDT");
      CHECK_EQ(left.got[index].timestamp, number);
      CHECK((left.got[index].values == std::vector<double>{1.0, 10.5, 10.0}));
      CHECK_EQ(right.got[index].symbol, "ETHUSDT");
      CHECK_EQ(right.got[index].timestamp, 5000 + number);
      CHECK_EQ(right.got[index].values.size(), 2u);
    }
    CHECK_EQ(left.stats().updates, 500u);
    CHECK_EQ(right.stats().updates, 0u);
    check_accounts(left.stats());
    check_accounts(right.stats());

    left.feed(depth("btc_usdt", 1, 10.0, 11.0));
    right.feed(depth("eth_usdt", 7777, 20.0, 22.0));
    left.destroy();
    right.drain();
    CHECK_EQ(right.got.size(), 1001u);
    CHECK_EQ(right.got.back().timestamp, 7777);
    CHECK_EQ(left.got.size(), 1000u);
    for (int event = 0; event < 100; ++event) right.feed(depth("btc_usdt", event, 10.0, 11.0));
    right.drain();
    CHECK_EQ(right.got.size(), 1101u);
    check_accounts(right.stats());
  }
  return 0;
}

// The host's handlers call exit() and never signal_destroy.
SCENARIO(exit_without_destroy) {
  leave_running(*new Plugin);
  std::signal(SIGHUP, exit_42);
  std::raise(SIGHUP);
  return 1;
}

SCENARIO(exit_from_callback) {
  auto *plugin = new Plugin;
  leave_running(*plugin);
  void *handle = plugin->create(R"({"placement":"inline"})");
  plugin->register_callback(handle, exit_in_callback, nullptr);
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  plugin->on_data(handle, kDepth, &d);
  plugin->poll_callbacks(handle);
  return 1;
}

SCENARIO(quick_exit_without_destroy) {
  leave_running(*new Plugin);
  _exit(42);
}

SCENARIO(return_from_main_without_destroy) {
  leave_running(*new Plugin);
  return 42;
}

// A host without RTLD_NODELETE: the lanes' code must still stay mapped.
SCENARIO(dlclose_without_destroy) {
  auto *plugin = new Plugin(RTLD_LAZY);
  leave_running(*plugin);
  CHECK_EQ(dlclose(plugin->library), 0);
  CHECK(dlopen(std::getenv("SIGNAL_LIB_PATH"), RTLD_LAZY | RTLD_NOLOAD) != nullptr);
  sleep_us(20000);
  std::exit(42);
}
