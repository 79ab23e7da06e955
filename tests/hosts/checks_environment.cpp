// Hosts whose threads have unusual settings: rounding, unmasked traps, nice values. The
// library computes the same bits and leaves all settings as they were.
#include "folder.hpp"
#include "plugin.hpp"

#include <fenv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xmmintrin.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>
#include <thread>

using namespace host;

namespace {

// The floating-point settings of a thread: MXCSR without its flags, and the x87 control word.
struct Control {
  unsigned mxcsr;
  unsigned short x87;
};

constexpr unsigned kUp = 0x4000, kDown = 0x2000, kFlush = 0x8040, kMasks = 0x1f80;
constexpr Control kDefault{kMasks, 0x37f};

Control control() {
  unsigned short x87 = 0;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  return {_mm_getcsr() & 0xffc0, x87};
}

void choose(const Control &wanted) {
  _mm_setcsr(wanted.mxcsr);
  __asm__ volatile("fldcw %0" : : "m"(wanted.x87));
}

void check_control(const Control &wanted) {
  const Control now = control();
  CHECK_EQ(now.mxcsr, wanted.mxcsr);
  CHECK_EQ(now.x87, wanted.x87);
}

const Control kChoices[] = {
    {kMasks | kUp, 0xb7f},           // rounds up
    {kMasks | kDown, 0x77f},         // rounds down
    {kMasks | kUp | kDown, 0xf7f},   // rounds to zero
    {kMasks | kFlush, 0x37f},        // what -ffast-math sets
    {kMasks, 0x27f},                 // x87 in double precision
    {0x0100 | 0x1000, 0x360},        // traps, except for denormal and inexact
    {0x0000 | kFlush | kUp, 0xb40},  // all at once: traps for everything
};

struct Seen {
  std::vector<std::uint64_t> bits;
  Control wanted;
};

void see(const char *, long long, const double *values, int count, void *user_data) {
  auto *seen = static_cast<Seen *>(user_data);
  check_control(seen->wanted);
  for (int place = 0; place < count; ++place) {
    std::uint64_t bits;
    std::memcpy(&bits, values + place, sizeof bits);
    seen->bits.push_back(bits);
  }
}

double of_bits(std::uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

signal_stats_t settle(const Plugin &plugin, void *handle) {
  signal_stats_t stats = empty_stats();
  CHECK(wait_for([&] {
    CHECK_EQ(plugin.stats(handle, &stats), 0);
    return stats.in_flight == 0;
  }));
  return stats;
}

// Events whose results depend on rounding, are denormal, or would trap. They are made
// beforehand, because the host's own calculations would trap too.
struct Events {
  std::vector<Trade> trades;
  std::vector<Depth> depths;

  Events() {
    const double inf = std::numeric_limits<double>::infinity();
    trades = {trade("btc_usdt", 1, 0.1, 2e-310), trade("btc_usdt", 2, 0.3, 1e-310),
              trade("btc_usdt", 3, 1e200, 0.0)};
    Depth d = depth("btc_usdt", 4, 0.1, 0.3);
    for (int level = 0; level < 10; ++level) {
      d.bid_price[level] = 0.1 - level * 1e-3;
      d.ask_price[level] = 0.3 + level * 1e-3;
      d.bid_volume[level] = 0.7 + level * 1e-3;
      d.ask_volume[level] = 3e-310 + level * 0.1;
    }
    for (int event = 0; event < 40; ++event) {
      d.data_time = 4 + event;
      d.bid_price[0] += 1e-4;
      depths.push_back(d);
    }
    const auto with = [&](double bid, double size) {
      ++d.data_time;
      depths.push_back(d);
      std::memcpy(&depths.back().bid_price[0], &bid, sizeof bid);
      std::memcpy(&depths.back().bid_volume[0], &size, sizeof size);
    };
    for (const double odd : {std::nan(""), of_bits(0x7ff0000000000001), inf, -inf, 1.7e308, 1e39, 0.0, 4e-320}) {
      with(odd, 1.0);
      with(0.1, odd);
    }
    with(0.11, 0.13);
  }
};

void feed_all(const Plugin &plugin, void *handle) {
  static const Events events;
  for (const Trade &t : events.trades) plugin.on_data(handle, kTrade, &t);
  for (const Depth &d : events.depths) plugin.on_data(handle, kDepth, &d);
}

std::vector<std::uint64_t> run(const Plugin &plugin, const std::string &config, const Control &chosen) {
  Seen seen{{}, chosen};
  choose(chosen);
  void *handle = plugin.create(config.c_str());
  const Control after = control();
  choose(kDefault);
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(handle != nullptr);
  choose(after);
  check_control(chosen);
  plugin.register_callback(handle, see, &seen);
  feed_all(plugin, handle);
  check_control(chosen);
  choose(kDefault);
  settle(plugin, handle);
  choose(chosen);
  plugin.poll_callbacks(handle);
  check_control(chosen);
  signal_hop_t hops[16];
  signal_lane_t lanes[8];
  signal_ring_t rings[8];
  CHECK(plugin.latency(handle, hops, 16) >= 0);
  CHECK(plugin.health(handle) >= 0);
  CHECK(plugin.lanes(handle, lanes, 8) >= 0);
  CHECK(plugin.rings(handle, rings, 8) >= 0);
  plugin.stamp_ns(handle);
  check_control(chosen);
  plugin.destroy(handle);
  check_control(chosen);
  choose(kDefault);
  CHECK(!seen.bits.empty());
  return seen.bits;
}

struct Changing {
  const Plugin *plugin;
  void *handle;
  int calls = 0;
  bool throws = false;
};

// Finds its host's settings, and leaves different ones behind.
void changing(const char *, long long, const double *, int, void *user_data) {
  auto *self = static_cast<Changing *>(user_data);
  const Control &before = kChoices[self->calls % 2], &after = kChoices[(self->calls + 1) % 2];
  check_control(before);
  ++self->calls;
  const Depth d = depth("btc_usdt", 1000 + self->calls, 0.1, 0.3);
  self->plugin->on_data(self->handle, kDepth, &d);
  check_control(before);
  choose(after);
  if (self->throws) throw std::runtime_error("from a callback");
}

struct Scheduled {
  int nice;
  long slack;
};

std::vector<Scheduled> lanes_of_this_process() {
  std::vector<Scheduled> found;
  for (const pid_t thread : threads()) {
    std::string name;
    std::getline(std::ifstream("/proc/self/task/" + std::to_string(thread) + "/comm"), name);
    if (name.rfind("signal-", 0) != 0) continue;
    long slack = -1;
    std::ifstream("/proc/" + std::to_string(thread) + "/timerslack_ns") >> slack;
    found.push_back({getpriority(PRIO_PROCESS, static_cast<id_t>(thread)), slack});
  }
  return found;
}

const Plugin *looked_with = nullptr;
void *looked_at = nullptr;
volatile sig_atomic_t looks = 0;

void look(int) {
  CHECK(looked_with->health(looked_at) >= 0);
  looks = looks + 1;
}

}  // namespace

// Whatever the host's thread has set: results have the same bits, nothing traps, and the
// settings stay.
SCENARIO(floating_point_of_the_host) {
  Plugin plugin;
  const Folder folder;
  const std::string model = std::string(folder.path) + "/linear.json";
  std::ofstream(model) << R"({"weights":[0.1,0.2,0.3],"bias":0.1})";
  const std::string what[] = {R"("factors":"market","model":"none")", R"("factors":"test0000","model":"test0000")",
                              R"("factors":"test0000","model":")" + model + '"'};
  const char *how[] = {R"("placement":"inline")", R"("placement":"fused")", R"("placement":"split")",
                       R"("placement":"inline","deliver":"on_data")",
                       R"("placement":"fused","deliver":"on_data","deliver_budget_us":1)"};
  feed_all(plugin, nullptr);
  for (const std::string &one : what) {
    const auto expected = run(plugin, "{" + one + R"(,"placement":"inline"})", kDefault);
    for (const char *placement : how) {
      for (const Control &chosen : kChoices) {
        const auto found = run(plugin, "{" + one + "," + placement + "}", chosen);
        CHECK_EQ(found.size(), expected.size());
        CHECK(found == expected);
      }
    }
  }
  return 0;
}

// The threads that write files compute too.
SCENARIO(floating_point_and_files) {
  Plugin plugin;
  const Folder folder;
  const std::string path = folder.path;
  const std::string config = R"({"placement":"fused","latency":{"interval_ms":10,"dir":")" + path +
                             R"(/report"},"capture":{"file":")" + path + "/capture.csv\"}}";
  feed_all(plugin, nullptr);
  for (const Control &chosen : kChoices) {
    run(plugin, config, chosen);
    std::ifstream summary(path + "/report/summary.json"), capture(path + "/capture.csv");
    std::string text, line;
    std::getline(summary, text, '\0');
    CHECK(text.find("tick_to_callback") != std::string::npos);
    int lines = 0;
    while (std::getline(capture, line)) ++lines;
    CHECK(lines > 40);
  }
  return 0;
}

// A callback has its host's settings, and its changes stay, even if it throws.
SCENARIO(floating_point_in_a_callback) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"inline"})", R"({"placement":"fused"})",
                             R"({"placement":"inline","deliver":"on_data"})"}) {
    for (const bool throws : {false, true}) {
      void *handle = plugin.create(config);
      CHECK(handle != nullptr);
      Changing changing_host{&plugin, handle};
      changing_host.throws = throws;
      plugin.register_callback(handle, changing, &changing_host);
      choose(kChoices[0]);
      for (int event = 0; event < 20; ++event) {
        try {
          const Depth d = depth("btc_usdt", event, 0.1, 0.3);
          plugin.on_data(handle, kDepth, &d);
          check_control(kChoices[changing_host.calls % 2]);
          settle(plugin, handle);
          plugin.poll_callbacks(handle);
        } catch (const std::runtime_error &) {
        }
        check_control(kChoices[changing_host.calls % 2]);
      }
      choose(kDefault);
      settle(plugin, handle);
      plugin.destroy(handle);
      CHECK(changing_host.calls > 10);
    }
  }
  return 0;
}

// Library threads inherit neither the nice value nor the timer slack of the thread that made
// them. If their nice value may not be lowered, or not to 0, one line says so.
SCENARIO(threads_of_a_niced_maker) {
  const Folder folder;
  CHECK_EQ(chmod(folder.path, 0777), 0);
  const std::string config = R"({"placement":"split","idle":"park","latency":{"dir":")" +
                             std::string(folder.path) + "\"}}";
  apart([&] {
    Plugin plugin;
    CHECK_EQ(setpriority(PRIO_PROCESS, 0, 15), 0);
    CHECK_EQ(prctl(PR_SET_TIMERSLACK, 20000000, 0, 0, 0), 0);
    void *handle = plugin.create(config.c_str());
    CHECK(handle != nullptr);
    int usual = 0, last = 0;
    for (const Scheduled &one : lanes_of_this_process()) {
      CHECK_EQ(one.slack, 50000L);
      ++(one.nice == 19 ? last : usual);
      if (geteuid() == 0) CHECK(one.nice == 0 || one.nice == 19);
    }
    CHECK_EQ(usual, 4);
    CHECK_EQ(last, 1);
    plugin.destroy(handle);
  });
  if (!needs_root()) return 0;
  for (const auto &[allowed, nice] : {std::pair{0, 7}, std::pair{15, 5}}) {
    apart([&, allowed = allowed, nice = nice] {
      Plugin plugin;
      CHECK_EQ(setpriority(PRIO_PROCESS, 0, 7), 0);
      const rlimit least{static_cast<rlim_t>(allowed), static_cast<rlim_t>(allowed)};
      if (setrlimit(RLIMIT_NICE, &least) != 0) {
        std::fprintf(stderr, "skipped: this process may not raise RLIMIT_NICE to %d\n", allowed);
        return;
      }
      CHECK_EQ(setuid(64321), 0);
      const std::string line = said([&] {
        for (int round = 0; round < 2; ++round) use(plugin, R"({"placement":"split","idle":"park"})");
      });
      const std::string expected = "lanes run at nice " + std::to_string(nice);
      const std::size_t at = line.find(expected);
      CHECK(at != std::string::npos && line.find(expected, at + 1) == std::string::npos);
    });
  }
  return 0;
}

// Where the kernel keeps lanes at the idle policy of their maker, they run with it, and one line says
// so. A configured nice value, which has no effect then, is refused.
SCENARIO(threads_of_an_idle_maker) {
  if (!needs_root()) return 0;
  const char *const config = R"({"placement":"split","idle":"park"})";
  const auto be_idle = [] {
    const sched_param none{0};
    CHECK_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
  };
  const auto lanes_are = [&](Plugin &plugin, int policy) {
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    const std::vector<pid_t> lanes = lane_threads();
    CHECK_EQ(lanes.size(), 4u);
    for (const pid_t lane : lanes) CHECK_EQ(sched_getscheduler(lane), policy);
    plugin.destroy(handle);
    CHECK_EQ(sched_getscheduler(0), SCHED_IDLE);
  };
  const char *const expected = "lanes run with the idle policy";
  // It may leave it.
  apart([&] {
    Plugin plugin;
    be_idle();
    CHECK(!has(said([&] { lanes_are(plugin, SCHED_OTHER); }), expected));
  });
  apart([&] {
    Plugin plugin;
    be_idle();
    const rlimit least{0, 0};
    CHECK_EQ(setrlimit(RLIMIT_NICE, &least), 0);
    CHECK_EQ(setuid(64321), 0);
    const std::string line = said([&] {
      for (int round = 0; round < 2; ++round) lanes_are(plugin, SCHED_IDLE);
      use(plugin, config);
    });
    const std::size_t at = line.find(expected);
    CHECK(at != std::string::npos && line.find(expected, at + 1) == std::string::npos);
    CHECK(has(line, "RLIMIT_NICE of 20"));
    CHECK(plugin.create(R"({"placement":"split","idle":"park","nice":3})") == nullptr);
    CHECK(has(plugin.last_error(), "nice: 3 has no effect"));
  });
  return 0;
}

// A signal handler calls health while the interrupted thread does the same, or is anywhere
// else in the library or in the allocator.
SCENARIO(health_in_a_handler) {
  Plugin plugin;
  alarm(120);
  Engine engine(plugin, R"({"placement":"inline","assets":["no_such"],"health":{"silent_events":10}})");
  engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
  looked_with = &plugin, looked_at = engine.handle;
  struct sigaction action {};
  action.sa_handler = look;
  CHECK_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  const pthread_t main_thread = pthread_self();
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) {
      pthread_kill(main_thread, SIGUSR1);
      sleep_us(30);
    }
  });
  // Under a sanitizer, rounds take far longer.
  const double start = seconds();
  for (int round = 0; (round < 20000 && seconds() - start < 15) || looks < 100; ++round) {
    CHECK(plugin.health(engine.handle) >= 0);
    delete[] new char[64 + round % 4096];
    signal_hop_t hops[16];
    if (round % 100 == 0) CHECK(plugin.latency(engine.handle, hops, 16) >= 0);
  }
  done = true;
  other.join();
  CHECK(looks > 10);
  CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_OK);
  CHECK(std::strstr(plugin.last_error(), "ok: assets: no event came for no_such") != nullptr);
  return 0;
}
