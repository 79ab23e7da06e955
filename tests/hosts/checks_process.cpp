// What happens to the process: exits, forks, signals, unloading, and a second copy
// of the library.
#include "folder.hpp"
#include "plugin.hpp"

#include <malloc.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

using namespace host;

namespace {

constexpr int kHandle = SIGNAL_ERROR_HANDLE;

void ignore(const char *, long long, const double *, int, void *) {}

void note(const char *, long long timestamp, const double *, int, void *user_data) {
  static_cast<std::vector<long long> *>(user_data)->push_back(timestamp);
}

void check_before_fork(const Plugin &plugin, void *handle, const signal_egress_t *egress) {
  const std::uint64_t before = plugin.refused_handles();
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  signal_stats_t stats{};
  stats.size = sizeof stats;
  signal_hop_t hops[4];
  plugin.on_data(handle, kDepth, &d);
  CHECK(std::strstr(plugin.last_error(), "before fork") != nullptr);
  plugin.register_callback(handle, ignore, nullptr);
  CHECK_EQ(plugin.poll_callbacks(handle), kHandle);
  CHECK_EQ(signal_poll(handle, egress, plugin.poll_callbacks), 0);
  CHECK_EQ(plugin.stats(handle, &stats), kHandle);
  CHECK_EQ(plugin.models(handle), kHandle);
  CHECK(plugin.egress(handle) == nullptr);
  CHECK_EQ(plugin.latency(handle, hops, 4), kHandle);
  signal_lane_t lanes[4];
  signal_ring_t rings[4];
  signal_result_t results[4];
  CHECK_EQ(plugin.poll_batch(handle, results, 4), kHandle);
  CHECK_EQ(plugin.current_sequence(handle), 0u);
  CHECK_EQ(plugin.health(handle), kHandle);
  CHECK(plugin.incident(handle, 0) == nullptr);
  CHECK_EQ(plugin.lanes(handle, lanes, 4), kHandle);
  CHECK_EQ(plugin.rings(handle, rings, 4), kHandle);
  plugin.destroy(handle);
  plugin.destroy(handle);
  CHECK_EQ(plugin.refused_handles() - before, 15u);
}

struct Forking {
  const Plugin *plugin;
  void *handle;
  const signal_egress_t *egress;
  pid_t child = -1;
  int calls = 0;
};

void forking(const char *, long long, const double *, int, void *user_data) {
  auto *self = static_cast<Forking *>(user_data);
  if (++self->calls != 2) return;
  self->child = fork();
  CHECK(self->child >= 0);
  if (self->child != 0) return;
  alarm(120);
  check_before_fork(*self->plugin, self->handle, self->egress);
  use(*self->plugin, "{}");
}

// Destroys its handle and forks, both in one callback.
void destroying_and_forking(const char *, long long, const double *, int, void *user_data) {
  auto *self = static_cast<Forking *>(user_data);
  ++self->calls;
  self->plugin->destroy(self->handle);
  self->child = fork();
  CHECK(self->child >= 0);
  if (self->child == 0) alarm(120);
}

// What an atexit handler uses.
const Plugin *leaving_plugin = nullptr;
void *leaving_handle = nullptr;

void call_at_exit() {
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  leaving_plugin->on_data(leaving_handle, kDepth, &d);
  CHECK(leaving_plugin->poll_callbacks(leaving_handle) >= 0);
  signal_stats_t stats{};
  stats.size = sizeof stats;
  CHECK_EQ(leaving_plugin->stats(leaving_handle, &stats), 0);
  CHECK_EQ(leaving_plugin->poll_callbacks(&leaving_plugin), kHandle);
  leaving_plugin->last_error();
  void *other = leaving_plugin->create("{}");
  CHECK(other != nullptr);
  leaving_plugin->destroy(other);
}

void destroy_at_exit() {
  leaving_plugin->destroy(leaving_handle);
  CHECK_EQ(leaving_plugin->poll_callbacks(leaving_handle), kHandle);
}

volatile sig_atomic_t alarms = 0;
void count_alarm(int) { alarms = alarms + 1; }

}  // namespace

SCENARIO(calls_at_exit) {
  // Registered first, so called last: after anything that the library may have registered.
  std::atexit(destroy_at_exit);
  std::atexit(call_at_exit);
  leaving_plugin = new Plugin;
  leaving_handle = leaving_plugin->create(R"({"placement":"fused","idle":"spin"})");
  CHECK(leaving_handle != nullptr);
  leaving_plugin->register_callback(leaving_handle, ignore, nullptr);
  std::atexit(call_at_exit);
  std::exit(42);
}

SCENARIO(fork_and_go_on) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    Engine engine(plugin, config);
    const signal_egress_t *egress = plugin.egress(engine.handle);
    for (int round = 0; round < 10; ++round) {
      // Some signals wait in the ring during the fork.
      for (int event = 0; event < 5; ++event) engine.feed(depth("btc_usdt", round, 10.0, 11.0));
      engine.settle();
      in_child(17, [&] {
        check_before_fork(plugin, engine.handle, egress);
        // The inherited handle has no lanes in the child; the child's own handles do.
        for (const char *own : kConfigs) use(plugin, own);
        check_before_fork(plugin, engine.handle, egress);
        // The child forks too.
        Engine second(plugin, config);
        in_child(18, [&] {
          check_before_fork(plugin, second.handle, egress);
          use(plugin, config);
          std::exit(18);
        });
        second.feed(depth("btc_usdt", 1, 10.0, 11.0));
        second.drain();
        CHECK_EQ(second.got.size(), 1u);
        // The child ends in both ways with one handle left behind and one alive.
        round % 2 == 0 ? std::exit(17) : _exit(17);
      });
      while (engine.poll() > 0) {
      }
      CHECK_EQ(engine.got.size(), 5u * (static_cast<std::size_t>(round) + 1));
    }
    engine.drain();
    CHECK_EQ(plugin.refused_handles(), 0u);
    check_accounts(engine.stats());
  }
  return 0;
}

SCENARIO(fork_in_a_callback) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    Engine engine(plugin, config);
    Forking state{&plugin, engine.handle, plugin.egress(engine.handle)};
    plugin.register_callback(engine.handle, forking, &state);
    for (int event = 0; event < 5; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.settle();
    const int made = plugin.poll_callbacks(engine.handle);
    if (state.child == 0) {
      // The remaining signals are the parent's.
      CHECK_EQ(made, 2);
      check_before_fork(plugin, state.handle, state.egress);
      use(plugin, config);
      _exit(17);
    }
    CHECK_EQ(made, 5);
    int status = 0;
    CHECK_EQ(waitpid(state.child, &status, 0), state.child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 17);
    engine.feed(depth("btc_usdt", 9, 10.0, 11.0));
    engine.settle();
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 1);
    check_accounts(engine.stats());
  }
  return 0;
}

// Only the parent ends the handle: the child has no lanes to join.
SCENARIO(destroy_and_fork_in_a_callback) {
  Plugin plugin;
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string reports = std::string(R"({"placement":"fused","latency":{"dir":")") + directory + "\"}}";
  const std::size_t threads_before = threads().size();
  for (const char *config : {kConfigs[0], kConfigs[1], kConfigs[2], reports.c_str()}) {
    Forking state{&plugin, plugin.create(config), nullptr};
    CHECK(state.handle != nullptr);
    plugin.register_callback(state.handle, destroying_and_forking, &state);
    signal_stats_t stats{};
    stats.size = sizeof stats;
    for (int event = 0; event < 5; ++event) {
      const Depth d = depth("btc_usdt", event, 10.0, 11.0);
      plugin.on_data(state.handle, kDepth, &d);
    }
    CHECK(wait_for([&] { return plugin.stats(state.handle, &stats) == 0 && stats.in_flight == 0; }));
    CHECK_EQ(plugin.poll_callbacks(state.handle), 1);
    CHECK_EQ(state.calls, 1);
    CHECK_EQ(plugin.poll_callbacks(state.handle), kHandle);
    if (state.child == 0) {
      use(plugin, kConfigs[1]);
      _exit(17);
    }
    int status = 0;
    CHECK_EQ(waitpid(state.child, &status, 0), state.child);
    if (WIFSIGNALED(status)) std::fprintf(stderr, "%s: signal %d\n", config, WTERMSIG(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 17);
    CHECK(wait_for([&] { return threads().size() == threads_before; }));
    use(plugin, config);
  }
  const std::string remove = std::string("rm -r ") + directory;
  CHECK_EQ(std::system(remove.c_str()), 0);
  return 0;
}

// Forks while another thread calibrates the clock: the child must not wait for that thread.
// Chance decides which children fall into that time; none may hang.
SCENARIO(fork_beside_the_first_create) {
  Plugin plugin;
  for (unsigned delay = 100; delay < 100000; delay += delay / 2) {
    int found = 0;
    in_child(17, [&] {
      // This process has not used the library.
      std::thread other([&] { use(plugin, kConfigs[0]); });
      sleep_us(delay);
      const pid_t child = fork();
      CHECK(child >= 0);
      if (child == 0) {
        alarm(120);
        void *handle = plugin.create(kConfigs[1]);
        if (handle == nullptr) {
          CHECK(std::strstr(plugin.last_error(), "forked while another thread") != nullptr);
          _exit(20);
        }
        plugin.destroy(handle);
        _exit(21);
      }
      CHECK_EQ(waitpid(child, &found, 0), child);
      if (WIFSIGNALED(found)) std::fprintf(stderr, "after %u us: signal %d\n", delay, WTERMSIG(found));
      CHECK(WIFEXITED(found) && (WEXITSTATUS(found) == 20 || WEXITSTATUS(found) == 21));
      std::fprintf(stderr, "after %u us: %s\n", delay, WEXITSTATUS(found) == 21 ? "made" : "refused");
      other.join();
      _exit(17);
    });
  }
  return 0;
}

// The host's own handlers of fork, registered before the library's. In the child they run before it,
// and give the child its handle.
SCENARIO(fork_handlers_of_the_host) {
  static const Plugin plugin;
  static void *parents = nullptr, *own = nullptr;
  static bool destroys = false, makes = false;
  static std::string config;
  const auto in_the_child = [] {
    if (destroys) plugin.destroy(parents);
    if (!makes) return;
    own = plugin.create(config.c_str());
    if (own == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(own != nullptr);
    feed_and_settle(plugin, own, 5);
  };
  CHECK_EQ(pthread_atfork(nullptr, nullptr, in_the_child), 0);
  const Folder folder;
  for (const char *placement : {"inline", "fused", "split"}) {
    config = std::string(R"({"placement":")") + placement + "\"}";
    parents = plugin.create(config.c_str());
    CHECK(parents != nullptr);
    const signal_egress_t *egress = plugin.egress(parents);
    config.insert(config.size() - 1, R"(,"latency":{"dir":")" + folder.at(placement) + R"("},"capture":{"file":")" +
                                         folder.at("capture.csv") + "\"}");
    for (const int mode : {1, 2, 3}) {
      destroys = mode & 1;
      makes = mode & 2;
      in_child(17, [&] {
        if (!makes) own = plugin.create(config.c_str());
        feed_and_settle(plugin, own, 5);
        CHECK_EQ(plugin.poll_callbacks(own), 0);
        std::vector<long long> seen;
        plugin.register_callback(own, note, &seen);
        while (plugin.poll_callbacks(own) > 0) {
        }
        const std::size_t events = makes ? 10 : 5;
        CHECK_EQ(seen.size(), events);
        check_before_fork(plugin, parents, egress);
        // What the child has made is its own child's parent's.
        const signal_egress_t *owns = plugin.egress(own);
        void *const before = own;
        destroys = makes = false;
        in_child(18, [&] {
          check_before_fork(plugin, before, owns);
          _exit(18);
        });
        plugin.destroy(own);
        CHECK(wait_for([] { return threads().size() == 1; }));
        CHECK(!text(folder.at(placement) + "/summary.json").empty());
        const std::string capture = text(folder.at("capture.csv"));
        CHECK_EQ(static_cast<std::size_t>(std::count(capture.begin(), capture.end(), '\n')), events + 1);
        _exit(17);
      });
    }
    destroys = makes = false;
    feed_and_settle(plugin, parents, 5);
    plugin.destroy(parents);
  }
  CHECK_EQ(plugin.refused_handles(), 0u);
  return 0;
}

// Another thread makes and destroys handles while this one forks.
SCENARIO(fork_beside_calls) {
  Plugin plugin;
  use(plugin, "{}");
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int round = 0; !stop; ++round) use(plugin, kConfigs[round % 3]);
  });
  for (int round = 0; round < 40; ++round) {
    in_child(17, [&] {
      void *handle = plugin.create(kConfigs[0]);
      CHECK(handle != nullptr);
      plugin.destroy(handle);
      _exit(17);
    });
  }
  stop = true;
  other.join();
  CHECK_EQ(plugin.refused_handles(), 0u);
  return 0;
}

// The host's signals hit every call, including system calls of create and destroy.
SCENARIO(signals_during_calls) {
  Plugin plugin;
  use(plugin, "{}");
  struct sigaction action {};
  action.sa_handler = count_alarm;  // Without SA_RESTART: system calls are interrupted.
  CHECK_EQ(sigaction(SIGALRM, &action, nullptr), 0);
  const itimerval often{{0, 100}, {0, 100}}, never{};
  CHECK_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string reports = std::string(R"({"latency":{"interval_ms":20,"dir":")") + directory + "\"}}";
  for (int round = 0; round < 40; ++round) {
    const int kind = round % 4;
    Engine engine(plugin, kind == 3 ? reports.c_str() : kConfigs[kind]);
    signal_hop_t hops[32];
    for (int event = 0; event < 2000; ++event) {
      engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      engine.poll();
    }
    engine.drain();
    CHECK(plugin.latency(engine.handle, hops, 32) > 0);
    CHECK(plugin.stamp_ns(engine.handle) > 0.0);
    CHECK_EQ(engine.got.size() + engine.stats().dropped_ingest_ring_full, 2000u);
    CHECK_EQ(engine.stats().refused_concurrent, 0u);
    check_accounts(engine.stats());
  }
  CHECK_EQ(setitimer(ITIMER_REAL, &never, nullptr), 0);
  std::fprintf(stderr, "%d signals\n", static_cast<int>(alarms));
  CHECK(alarms > 100);
  const std::string remove = std::string("rm -r ") + directory;
  CHECK_EQ(std::system(remove.c_str()), 0);
  return 0;
}

// The library is loaded, used and unloaded a thousand times, as both kinds of host do it.
SCENARIO(load_and_unload) {
  const auto rounds = [](int from, int to) {
    for (int round = from; round < to; ++round) {
      Plugin plugin(round % 2 == 0 ? RTLD_LAZY : RTLD_LAZY | RTLD_NODELETE);
      use(plugin, kConfigs[round % 3], 2);
      CHECK_EQ(dlclose(plugin.library), 0);
    }
  };
  // The allocator's own stores fill up at first, in steps. A leak grows in each of two
  // equal stretches.
  Footprint seen[3];
  for (int stretch = 0; stretch < 3; ++stretch) {
    rounds(stretch == 0 ? 0 : 100 + 300 * stretch, 400 + 300 * stretch);
    CHECK(wait_for([] { return threads().size() == 1; }));
    // What the allocator keeps for later goes by megabytes, and is no leak.
    malloc_trim(0);
    seen[stretch] = footprint();
    std::fprintf(stderr, "resident %ld KiB, allocated %ld KiB\n", seen[stretch].resident_kib,
                 seen[stretch].allocated_kib);
    CHECK_EQ(seen[stretch].descriptors, seen[0].descriptors);
  }
  const auto least = [&](long Footprint::*what) {
    return std::min(seen[1].*what - seen[0].*what, seen[2].*what - seen[1].*what);
  };
  CHECK(least(&Footprint::allocated_kib) < 32);
  CHECK(least(&Footprint::resident_kib) < 1024);
  return 0;
}

SCENARIO(two_copies) {
  const char *path = std::getenv("SIGNAL_LIB_PATH");
  CHECK(path != nullptr);
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string copy = std::string(directory) + "/libother.so";
  std::ofstream(copy, std::ios::binary) << std::ifstream(path, std::ios::binary).rdbuf();
  Plugin first(RTLD_LAZY | RTLD_NODELETE), second(copy.c_str(), RTLD_LAZY | RTLD_NODELETE);
  CHECK(first.create != second.create);
  for (const char *config : kConfigs) {
    Engine left(first, config), right(second, config);
    for (int event = 0; event < 100; ++event) {
      left.feed(depth("btc_usdt", event, 10.0, 11.0));
      right.feed(depth("eth_usdt", event, 10.0, 11.0));
      // Neither copy knows the other's handle.
      const Depth d = depth("xrp_usdt", event, 10.0, 11.0);
      first.on_data(right.handle, kDepth, &d);
      second.on_data(left.handle, kDepth, &d);
      CHECK_EQ(first.poll_callbacks(right.handle), kHandle);
      CHECK_EQ(second.poll_callbacks(left.handle), kHandle);
      first.destroy(right.handle);
      second.destroy(left.handle);
    }
    left.drain();
    right.drain();
    CHECK_EQ(left.got.size(), 100u);
    CHECK_EQ(right.got.size(), 100u);
    for (const Got &got : left.got) CHECK_EQ(got.symbol, "BTCUSDT");
    for (const Got &got : right.got) CHECK_EQ(got.symbol, "ETHUSDT");
    check_accounts(left.stats());
    check_accounts(right.stats());
  }
  CHECK_EQ(first.refused_handles(), 900u);
  CHECK_EQ(second.refused_handles(), 900u);
  CHECK_EQ(unlink(copy.c_str()), 0);
  CHECK_EQ(rmdir(directory), 0);
  return 0;
}

// The process's first thread has ended, and the others continue. `/proc/self` then
// describes a process without memory, descriptors or mounts.
SCENARIO(main_thread_has_ended) {
  static const pthread_t first = pthread_self();
  pthread_t worker;
  const auto body = [](void *) -> void * {
    CHECK_EQ(pthread_join(first, nullptr), 0);
    const pid_t process = getpid();
    const auto has_ended = [&] {
      std::ifstream status("/proc/" + std::to_string(process) + "/status");
      for (std::string line; std::getline(status, line);) {
        if (line.rfind("State:\tZ", 0) == 0) return true;
      }
      return false;
    };
    CHECK(wait_for(has_ended));
    Plugin plugin;
    const std::string line = said([&] {
      void *handle = plugin.create(R"({"placement":"split"})");
      CHECK(handle != nullptr);
      feed_and_settle(plugin, handle, 10);
      plugin.destroy(handle);
    });
    CHECK(line.find("lanes=ingest") != std::string::npos);
    CHECK(line.find("not known") == std::string::npos);
    // The check for memory sees what the process really uses.
    std::vector<char> taken(std::size_t{256} << 20, 1);
    limit(RLIMIT_DATA, (std::size_t{256} << 20) + (std::size_t{8} << 20));
    CHECK(plugin.create("{}") == nullptr);
    CHECK(std::strstr(plugin.last_error(), "RLIMIT_DATA") != nullptr);
    std::fflush(nullptr);
    _exit(taken[0] == 1 ? 0 : 1);
  };
  CHECK_EQ(pthread_create(&worker, nullptr, body, nullptr), 0);
  pthread_exit(nullptr);
}
