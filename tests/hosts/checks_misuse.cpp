// Invalid handles, and calls that come at the wrong moment or from the wrong thread.
#include "plugin.hpp"

#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <random>
#include <thread>

using namespace host;

namespace {

constexpr int kNull = SIGNAL_ERROR_NULL, kHandle = SIGNAL_ERROR_HANDLE, kBusy = SIGNAL_ERROR_BUSY;
constexpr const char *kSmall =
    R"({"placement":"inline","rings":{"ingest":16,"egress":16},"instruments":{"max":1}})";

void ignore(const char *, long long, const double *, int, void *) {}

// Runs `body` repeatedly on another thread while the caller continues.
template <typename Body> std::thread beside(std::atomic<bool> &stop, Body body) {
  return std::thread([&stop, body] {
    while (!stop) body();
  });
}

struct Counted {
  std::atomic<bool> inside{false};
  std::atomic<std::uint64_t> calls{0};
};

void counted(const char *symbol, long long, const double *values, int count, void *user_data) {
  auto *self = static_cast<Counted *>(user_data);
  CHECK(!self->inside.exchange(true));
  CHECK(symbol != nullptr && count == 2 && values[0] == 1.0);
  ++self->calls;
  self->inside = false;
}

}  // namespace

SCENARIO(dead_handles) {
  Plugin plugin;
  CHECK_EQ(plugin.refused_handles(), 0u);
  CHECK_EQ(plugin.poll_callbacks(nullptr), kNull);
  CHECK_EQ(plugin.refused_handles(), 0u);
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    void *dead = plugin.create(config);
    const signal_egress_t *egress = plugin.egress(dead);
    CHECK(dead != nullptr && egress != nullptr);
    plugin.register_callback(dead, ignore, nullptr);
    const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
    plugin.on_data(dead, kDepth, &d);
    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] { return plugin.stats(dead, &stats) == 0 && stats.in_flight == 0; }));
    // A signal is left in the ring; an inlined poll must not see it any more.
    CHECK(*egress->published != *egress->taken);
    plugin.destroy(dead);
    check_refused(plugin, dead, "not a live handle");
    for (int poll = 0; poll < 100; ++poll) CHECK_EQ(signal_poll(dead, egress, plugin.poll_callbacks), 0);

    // The next handle may get the same slot, and the dead one does not reach it.
    Engine next(plugin, config);
    CHECK(next.handle != dead);
    check_refused(plugin, dead, "not a live handle");
    next.feed(d);
    next.settle();
    CHECK(plugin.egress(next.handle) == egress);
    CHECK_EQ(signal_poll(dead, egress, plugin.poll_callbacks), kHandle);
    CHECK_EQ(next.poll(), 1);
    check_accounts(next.stats());
  }
  return 0;
}

SCENARIO(foreign_handles) {
  Plugin plugin;
  Engine engine(plugin, kSmall);
  int local = 0;
  const auto heap = std::make_unique<char[]>(4096);
  std::mt19937_64 random(1);
  std::vector<void *> foreign{&local, heap.get(), &plugin, plugin.library, reinterpret_cast<void *>(1),
                              reinterpret_cast<void *>(~std::uintptr_t{0}),
                              reinterpret_cast<void *>(plugin.create), &engine};
  const auto token = reinterpret_cast<std::uintptr_t>(engine.handle);
  for (int bit = 0; bit < 64; ++bit) foreign.push_back(reinterpret_cast<void *>(token ^ (std::uintptr_t{1} << bit)));
  for (int low = 1; low < 1024; ++low) foreign.push_back(reinterpret_cast<void *>(token ^ static_cast<std::uintptr_t>(low)));
  for (int number = 0; number < 10000; ++number) foreign.push_back(reinterpret_cast<void *>(random()));
  for (void *handle : foreign) check_refused(plugin, handle, "not a live handle");
  engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
  CHECK_EQ(engine.poll(), 1);
  check_accounts(engine.stats());
  return 0;
}

SCENARIO(too_many_handles) {
  Plugin plugin;
  const std::size_t threads_before = threads().size();
  std::vector<void *> handles;
  for (int round = 0; round < 2; ++round) {
    while (handles.size() < 256) {
      handles.push_back(plugin.create(kSmall));
      CHECK(handles.back() != nullptr);
    }
    CHECK(plugin.create(kSmall) == nullptr);
    CHECK(std::strstr(plugin.last_error(), "256 handles") != nullptr);
    plugin.destroy(handles[100]);
    handles.erase(handles.begin() + 100);
  }
  for (void *handle : handles) plugin.destroy(handle);
  CHECK(wait_for([&] { return threads().size() == threads_before; }));
  return 0;
}

// Any number of threads may use a handle one after the other.
SCENARIO(handle_moves_between_threads) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"fused","rings":{"ingest":65536,"egress":65536}})",
                             R"({"placement":"inline"})"}) {
    Counted seen;
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    plugin.register_callback(handle, counted, &seen);
    std::uint64_t fed = 0;
    const auto use = [&] {
      const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
      for (int event = 0; event < 20; ++event, ++fed) {
        plugin.on_data(handle, kDepth, &d);
        CHECK(plugin.poll_callbacks(handle) >= 0);
      }
    };
    // A thread that ends may pass its name to the next, so some threads stay alive.
    std::atomic<bool> leave{false};
    std::vector<std::thread> stay;
    for (int number = 0; number < 100; ++number) {
      std::atomic<bool> done{false};
      stay.emplace_back([&] {
        use();
        done = true;
        while (!leave) sleep_us(1000);
      });
      while (!done) sleep_us(10);
      if (number % 10 == 0) use();
    }
    for (int number = 0; number < 100; ++number) std::thread(use).join();
    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
    // Signals that found no room are published when there is some.
    CHECK(wait_for([&] {
      plugin.poll_callbacks(handle);
      return plugin.stats(handle, &stats) == 0 && stats.queued == 0;
    }));
    CHECK_EQ(stats.refused_concurrent, 0u);
    CHECK_EQ(stats.events_depth, fed);
    CHECK_EQ(seen.calls.load(), fed);
    check_accounts(stats);
    std::thread([&] { plugin.destroy(handle); }).join();
    CHECK_EQ(plugin.poll_callbacks(handle), kHandle);
    leave = true;
    for (std::thread &thread : stay) thread.join();
  }
  return 0;
}

// Calls from several threads at once are not allowed. Accepted calls give right results,
// and refused ones are counted.
SCENARIO(threads_at_once) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"fused"})", R"({"placement":"inline"})"}) {
    Counted seen;
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    plugin.register_callback(handle, counted, &seen);
    std::atomic<std::uint64_t> calls{0}, polls{0}, refused{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> all;
    for (int number = 0; number < 3; ++number) {
      all.push_back(beside(stop, [&] {
        const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
        ++calls;
        plugin.on_data(handle, kDepth, &d);
      }));
    }
    for (int number = 0; number < 2; ++number) {
      all.push_back(beside(stop, [&] {
        ++polls;
        const int made = plugin.poll_callbacks(handle);
        if (made == kBusy) ++refused;
        CHECK(made >= 0 || made == kBusy);
      }));
    }
    all.push_back(beside(stop, [&] {
      signal_stats_t stats = empty_stats();
      CHECK_EQ(plugin.stats(handle, &stats), 0);
      CHECK_EQ(plugin.models(handle), 1);
    }));
    for (const double start = seconds(); seconds() - start < 1.0;) sleep_us(1000);
    stop = true;
    for (std::thread &thread : all) thread.join();

    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
    // One more event shows the gap that dropped events left before it.
    const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &d);
    ++calls;
    CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
    // Signals that found no room are published when there is some.
    CHECK(wait_for([&] {
      plugin.poll_callbacks(handle);
      return plugin.stats(handle, &stats) == 0 && stats.queued == 0;
    }));
    std::fprintf(stderr, "%s: %llu of %llu calls refused\n", config,
                 static_cast<unsigned long long>(stats.refused_concurrent),
                 static_cast<unsigned long long>(calls.load() + polls.load()));
    CHECK(stats.refused_concurrent > 0);
    CHECK_EQ(stats.events_depth + (stats.refused_concurrent - refused.load()), calls.load());
    CHECK_EQ(stats.delivered, seen.calls.load());
    CHECK_EQ(stats.ingest_gap, stats.dropped_ingest_ring_full);
    check_accounts(stats);
    plugin.destroy(handle);
  }
  return 0;
}

SCENARIO(destroy_beside_calls) {
  Plugin plugin;
  for (int round = 0; round < 150; ++round) {
    void *handle = plugin.create(round % 2 == 0 ? kSmall : R"({"rings":{"ingest":64,"egress":64}})");
    CHECK(handle != nullptr);
    const signal_egress_t *egress = plugin.egress(handle);
    plugin.register_callback(handle, ignore, nullptr);
    std::atomic<bool> stop{false};
    std::atomic<int> calls{0}, reads{0};
    std::vector<std::thread> all;
    all.push_back(beside(stop, [&] {
      const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
      plugin.on_data(handle, kDepth, &d);
      signal_poll(handle, egress, plugin.poll_callbacks);
      ++calls;
    }));
    all.push_back(beside(stop, [&] {
      signal_stats_t stats = empty_stats();
      const int code = plugin.stats(handle, &stats);
      CHECK(code == 0 || code == kHandle);
      plugin.value_name(handle, 0, 0);
      plugin.egress(handle);
      ++reads;
    }));
    while (calls == 0 || reads == 0) sleep_us(10);
    // Destroy is refused while the other thread is inside, but sooner or later it gets in.
    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] {
      plugin.destroy(handle);
      return plugin.stats(handle, &stats) == kHandle;
    }));
    stop = true;
    for (std::thread &thread : all) thread.join();
  }
  CHECK(plugin.refused_handles() > 0);
  return 0;
}

namespace {

struct Interrupting {
  const Plugin *plugin = nullptr;
  void *handle = nullptr;
  volatile sig_atomic_t times = 0;
} interrupting;

void call_in(int) {
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  interrupting.plugin->on_data(interrupting.handle, kDepth, &d);
  interrupting.times = interrupting.times + 1;
}

}  // namespace

// A signal handler that calls the library interrupts any instruction of a call.
SCENARIO(handlers_call_in) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"fused"})", R"({"placement":"inline"})"}) {
    Counted seen;
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    plugin.register_callback(handle, counted, &seen);
    interrupting.plugin = &plugin;
    interrupting.handle = handle;
    interrupting.times = 0;
    struct sigaction action {};
    action.sa_handler = call_in;
    action.sa_flags = SA_RESTART;
    CHECK_EQ(sigaction(SIGALRM, &action, nullptr), 0);
    const itimerval often{{0, 50}, {0, 50}}, never{};
    CHECK_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
    std::uint64_t calls = 0;
    const double start = seconds();
    while (interrupting.times < 2000 && seconds() - start < 20.0) {
      const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
      for (int event = 0; event < 50; ++event, ++calls) plugin.on_data(handle, kDepth, &d);
      CHECK(plugin.poll_callbacks(handle) >= 0);
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &never, nullptr), 0);
    calls += static_cast<std::uint64_t>(interrupting.times);
    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
    // Signals that found no room are published when there is some.
    CHECK(wait_for([&] {
      plugin.poll_callbacks(handle);
      return plugin.stats(handle, &stats) == 0 && stats.queued == 0;
    }));
    std::fprintf(stderr, "%s: %d interruptions, %llu refused\n", config, static_cast<int>(interrupting.times),
                 static_cast<unsigned long long>(stats.refused_concurrent));
    CHECK(stats.refused_concurrent > 0);
    CHECK_EQ(stats.events_depth + stats.refused_concurrent, calls);
    check_accounts(stats);
    plugin.destroy(handle);
  }
  return 0;
}
