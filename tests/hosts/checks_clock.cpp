// Hosts that have forbidden the TSC (PR_SET_TSC), and with it the C library's clock, or
// have replaced that clock, or whose sleeps last longer.
#include "plugin.hpp"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

using namespace host;

namespace {

// How the host's own clock differs from the C library's.
std::atomic<const char *> replaced{nullptr};

}  // namespace

// Replaces the C library's function, as a library that fakes the time does.
extern "C" int clock_gettime(clockid_t clock, timespec *time) noexcept {
  static const auto systems = reinterpret_cast<int (*)(clockid_t, timespec *)>(dlsym(RTLD_NEXT, "clock_gettime"));
  const char *way = replaced;
  if (way == nullptr) return systems(clock, time);
  static std::atomic<int> calls{0};
  const std::string how = way;
  if (how == "fails") {
    errno = EINVAL;
    return -1;
  }
  systems(clock, time);
  if (how == "stands") *time = {1, 0};
  if (how == "leaps") time->tv_sec += 3600 * (calls++ % 7);
  if (how == "is before the epoch") time->tv_sec = -5;
  return 0;
}

namespace {

// Applies from now on to this thread and to the threads that it makes.
void forbid_tsc() {
#ifdef __x86_64__
  CHECK_EQ(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0), 0);
#endif
}

// A separate folder, removed at the end. `mkdtemp` and `rm` would read the clock.
struct Folder {
  std::string path = "/tmp/signal-checks-clock-" + std::to_string(getpid());
  Folder() { CHECK_EQ(mkdir(path.c_str(), 0700), 0); }
  ~Folder() { CHECK(std::filesystem::remove_all(path) > 0); }
  std::string text(const char *name) const {
    std::ifstream file(path + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

// Makes a handle, makes every query, and destroys the handle.
void ask_everything(const Plugin &plugin, const std::string &config) {
  Engine engine(plugin, config.c_str());
  signal_hop_t hops[32];
  signal_lane_t lanes[16];
  signal_ring_t rings[16];
  for (int event = 0; event < 10; ++event) {
    engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.drain();
  }
  const int have = plugin.latency(engine.handle, hops, 32);
  CHECK(have > 0);
  bool is_timed = false;
  for (int hop = 0; hop < have; ++hop) is_timed |= hops[hop].count > 0 && hops[hop].max_ns > 0;
  CHECK(is_timed);
  CHECK(plugin.stamp_ns(engine.handle) > 0.0);
  CHECK(plugin.lanes(engine.handle, lanes, 16) >= 0);
  CHECK(plugin.rings(engine.handle, rings, 16) >= 0);
  CHECK(plugin.health(engine.handle) >= 0);
  CHECK_EQ(engine.got.size(), 10u);
  check_accounts(engine.stats());
}

// A host that gives far more events than there is room for: everything that waits gives up in time.
void overflow(const Plugin &plugin, const char *policy) {
  Engine engine(plugin, policy);
  for (int event = 0; event < 20; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  engine.drain();
  const signal_stats_t stats = engine.stats();
  check_accounts(stats);
  CHECK(stats.dropped_ingest_timeout + stats.dropped_egress_timeout > 0);
}

void use_without_tsc(const Plugin &plugin) {
  for (const char *config : kConfigs) use(plugin, config);
  for (const char *idle : {"spin", "yield", "park"}) {
    for (const char *rest : {"", R"(,"deliver":"on_data","deliver_budget_us":200)", R"(,"timing":false)"}) {
      Engine engine(plugin, (std::string(R"({"placement":"fused","idle":")") + idle + '"' + rest + "}").c_str());
      // Signals must also come from within `on_data`.
      plugin.register_callback(engine.handle, nullptr, nullptr);
      for (int event = 0; event < 5; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      engine.settle();
    }
  }
  for (const char *placement : {"inline", "fused", "split"}) {
    const Folder folder;
    const std::string &path = folder.path;
    ask_everything(plugin, std::string(R"({"placement":")") + placement + R"(","latency":{"dir":")" + path +
                               R"(","interval_ms":10},"capture":{"file":")" + path + R"(/capture.csv"}})");
    CHECK(folder.text("summary.json").find("\"tick_to_callback\"") != std::string::npos);
    CHECK(folder.text("latency.hlog").find("HISTFAAAA") != std::string::npos);
    CHECK(folder.text("capture.csv").find("btc_usdt") != std::string::npos);
  }
  overflow(plugin, R"({"placement":"fused","idle":"spin","rings":{"ingest":2,"egress":2},
                       "overload":{"ingest":"block","egress":"block","block_ms":2}})");
  overflow(plugin, R"({"placement":"split","idle":"park","rings":{"ingest":2,"stage":2,"egress":2},
                       "overload":{"ingest":"block","egress":"block","block_ms":2}})");
}

}  // namespace

// Everything works with system calls, and one line says so.
SCENARIO(tsc_is_forbidden) {
  apart([] {
    Plugin plugin;
    const std::string line = said([&] {
      forbid_tsc();
      use_without_tsc(plugin);
    });
    const std::size_t at = line.find("the TSC is forbidden");
    CHECK(at != std::string::npos);
    CHECK(line.find("the TSC is forbidden", at + 1) == std::string::npos);
  });
  return 0;
}

// Handles made before: queries and destroy work as usual, and the thread gets its setting
// back. Giving events or polling on such a thread is not allowed.
SCENARIO(tsc_is_forbidden_later) {
  for (const char *config : kConfigs) {
    apart([config] {
      Plugin plugin;
      Engine engine(plugin, config);
      for (int event = 0; event < 10; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      engine.drain();
      std::thread([&] {
        forbid_tsc();
        signal_hop_t hops[32];
        signal_lane_t lanes[16];
        CHECK(plugin.health(engine.handle) >= 0);
        CHECK(plugin.lanes(engine.handle, lanes, 16) >= 0);
        CHECK(plugin.latency(engine.handle, hops, 32) > 0);
        CHECK(plugin.stamp_ns(engine.handle) > 0.0);
        engine.destroy();
        int word = 0;
        CHECK_EQ(prctl(PR_GET_TSC, &word, 0, 0, 0), 0);
        CHECK_EQ(word, PR_TSC_SIGSEGV);
      }).join();
    });
  }
  return 0;
}

// Reading the clock is normally not a system call, so a sandbox may not know the call. With
// neither it nor the TSC there is no clock.
SCENARIO(clock_calls_are_forbidden) {
  apart([] {
    Plugin plugin;
    forbid(SYS_clock_gettime, EPERM);
    for (const char *config : kConfigs) use(plugin, config);
    forbid_tsc();
    CHECK(plugin.create("{}") == nullptr);
    CHECK(std::strstr(plugin.last_error(), "there is no clock") != nullptr);
  });
  // If the kernel does not say whether the TSC is forbidden, the library does not read it.
  for (const bool is_forbidden : {true, false}) {
    apart([is_forbidden] {
      Plugin plugin;
      const std::string line = said([&] {
        if (is_forbidden) forbid_tsc();
        forbid(SYS_prctl, EPERM);
        use(plugin, R"({"placement":"split"})");
      });
      CHECK(line.find("each clock reading is a system call") != std::string::npos);
    });
  }
  return 0;
}

// As in a test that runs at a faked time: handles are made, and their times come from the
// system's clock.
SCENARIO(clock_of_the_hosts_own) {
  for (const char *way : {"stands", "leaps", "fails", "is before the epoch"}) {
    apart([way] {
      alarm(120);
      Plugin plugin;
      replaced = way;
      const std::string lines = said([&] {
        for (const char *config : kConfigs) {
          Engine engine(plugin, config);
          engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
          while (engine.stats().in_flight > 0) sched_yield();
          CHECK_EQ(engine.poll(), 1);
          signal_hop_t hops[16];
          const int have = plugin.latency(engine.handle, hops, 16);
          CHECK(have > 0);
          for (int hop = 0; hop < have; ++hop) CHECK(hops[hop].max_ns < 10'000'000'000);
        }
      });
      const std::size_t at = lines.find("clock_gettime does not tell the system's time");
      CHECK(at != std::string::npos);
      CHECK(lines.find("clock_gettime", at + 1) == std::string::npos);
    });
  }
  return 0;
}

// The thread that makes a handle decides for it. Handles of threads that may read the TSC
// and of threads that may not exist together, whichever came first.
SCENARIO(tsc_is_forbidden_on_one_thread) {
  for (const bool forbidden_first : {true, false}) {
    apart([forbidden_first] {
      Plugin plugin;
      Engine *allowed = nullptr;
      if (!forbidden_first) allowed = new Engine(plugin, R"({"placement":"fused"})");
      std::thread([&] {
        forbid_tsc();
        for (const char *config : kConfigs) use(plugin, config);
      }).join();
      if (forbidden_first) allowed = new Engine(plugin, R"({"placement":"fused"})");
      allowed->feed(depth("btc_usdt", 1, 10.0, 11.0));
      allowed->drain();
      CHECK_EQ(allowed->got.size(), 1u);
      delete allowed;
      ask_everything(plugin, R"({"placement":"split"})");
    });
  }
  return 0;
}

namespace {

// How long the calls take that wait for other threads, on a thread with this timer slack.
double waits_with(const Plugin &plugin, unsigned long slack_ns) {
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, slack_ns), 0);
  const double start = seconds();
  Engine engine(plugin, R"({"placement":"split"})");
  signal_hop_t hops[16];
  CHECK(plugin.latency(engine.handle, hops, 16) >= 0);
  engine.destroy();
  const double took = seconds() - start;
  CHECK_EQ(static_cast<unsigned long>(prctl(PR_GET_TIMERSLACK)), slack_ns);
  return took;
}

}  // namespace

// They wait in steps, each of which would last longer by the slack.
SCENARIO(timer_slack_of_the_host) {
  constexpr unsigned long kUsual = 50'000, kLong = 1'000'000'000;
  Plugin plugin;
  double usual = waits_with(plugin, kUsual), longer = waits_with(plugin, kLong);
  for (int turn = 0; turn < 2; ++turn) {
    usual = std::min(usual, waits_with(plugin, kUsual));
    longer = std::min(longer, waits_with(plugin, kLong));
  }
  std::printf("%.3f s with the usual slack, %.3f s with a long one\n", usual, longer);
  std::fflush(stdout);
  CHECK(longer < 5 * usual + kLong / 1e9);
  return 0;
}
