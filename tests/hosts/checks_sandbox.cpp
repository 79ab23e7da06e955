// Hosts in a sandbox that forbids a system call.
#include "plugin.hpp"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

using namespace host;

namespace {

std::size_t count(const std::string &text, const std::string &part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

// A host that does not sleep: gives ten Depths, half of them after `then`.
void use_awake(const Plugin &plugin, const char *config, const std::function<void()> &then) {
  Engine engine(plugin, config);
  const auto drain = [&](std::size_t signals) {
    const double start = seconds();
    while (engine.got.size() < signals && seconds() - start < 60.0) engine.poll();
    CHECK_EQ(engine.got.size(), signals);
  };
  for (int event = 0; event < 5; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  drain(5);
  then();
  for (int event = 5; event < 10; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  drain(10);
  signal_hop_t hops[16];
  CHECK(plugin.latency(engine.handle, hops, 16) > 0);
  CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_OK);
  check_accounts(engine.stats());
}

}  // namespace

// Lanes run on any core that they may use, and one line says so.
SCENARIO(affinity_is_forbidden) {
  const std::pair<int, int> ways[] = {{SYS_sched_setaffinity, EPERM}, {SYS_sched_getaffinity, EINVAL}};
  for (const auto &[call, error] : ways) {
    apart([call = call, error = error] {
      Plugin plugin;
      forbid(call, error);
      for (const char *config : {R"({})", R"({"placement":"split"})", R"({"cores":[0]})"}) {
        void *handle = nullptr;
        const std::string line = said([&] { handle = plugin.create(config); });
        CHECK(handle != nullptr);
        CHECK_EQ(count(line, "\n"), 1u);
        CHECK_EQ(count(line, "lanes are not pinned: "), 1u);
        signal_lane_t lanes[8];
        const int have = plugin.lanes(handle, lanes, 8);
        CHECK(have > 0);
        for (int lane = 0; lane < have; ++lane) {
          CHECK_EQ(lanes[lane].core, SIGNAL_NO_CORE);
          CHECK(std::strstr(lanes[lane].name, "@any(park)") != nullptr);
        }
        plugin.destroy(handle);
        use(plugin, config);
      }
      const std::string line = said([&] { use(plugin, R"({"placement":"inline"})"); });
      CHECK_EQ(count(line, "pinned"), 0u);
    });
  }
  return 0;
}

// What the machine does not say is not assumed: lanes leave their cores to others that may
// be there, everything else works, and one line says why.
SCENARIO(machine_cannot_be_asked) {
  const auto nothing_on = [](const char *place) {
    CHECK_EQ(unshare(CLONE_NEWNS), 0);
    CHECK_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    CHECK_EQ(mount("none", place, "tmpfs", 0, nullptr), 0);
  };
  char folder[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const auto own_root = [&] {
    CHECK_EQ(chroot(folder), 0);
    CHECK_EQ(chdir("/"), 0);
  };
  const auto no_descriptors = [] {
    const rlimit none{0, 0};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  };
  // Entered from outside of the namespace whose groups are mounted here.
  const auto other_group = [&] {
    const std::string list = "/proc/self/task/" + std::to_string(tid()) + "/cgroup";
    const std::string said = std::string(folder) + "/cgroup";
    std::ofstream(said) << "2:memory:/../other\n1:cpu:/../other\n0::/../other\n";
    CHECK_EQ(unshare(CLONE_NEWNS), 0);
    CHECK_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    CHECK_EQ(mount(said.c_str(), list.c_str(), nullptr, MS_BIND, nullptr), 0);
    CHECK_EQ(unlink(said.c_str()), 0);
  };
  struct Way {
    const char *unknown;
    std::function<void()> take_away;
  };
  const Way ways[] = {
      {"other lanes of this process use is not known: /proc/self/task: ", [&] { nothing_on("/proc"); }},
      {"a CPU quota holds this process up is not known: /", [&] { nothing_on("/sys"); }},
      {"other processes use is not known: /", own_root},
      {"other processes use is not known: /", no_descriptors},
      {"a CPU quota holds this process up is not known: /proc/thread-self/cgroup: ", no_descriptors},
      {"whether a CPU quota holds this process up is not known: ", other_group},
      {"whether a control group limits memory is not known: ", other_group},
      {"other lanes of this process use is not known: ", [] { forbid(SYS_getdents64, EPERM); }},
      {"other processes use is not known: ", [] { forbid(SYS_openat, EACCES); }},
  };
  const bool may_take_away = needs_root();
  for (const Way &way : ways) {
    if (!may_take_away) break;
    apart([&way] {
      Plugin plugin;
      const std::string line = said([&] {
        way.take_away();
        void *handle = plugin.create("{}");
        CHECK(handle != nullptr);
        signal_lane_t lane{};
        CHECK_EQ(plugin.lanes(handle, &lane, 1), 1);
        CHECK(std::strstr(lane.name, "(park)") != nullptr);
        plugin.destroy(handle);
      });
      CHECK_EQ(count(line, "\n"), 1u);
      CHECK_EQ(count(line, way.unknown), 1u);
      for (const char *config : kConfigs) use(plugin, config);
      use(plugin, R"({"placement":"fused","idle":"spin"})");
    });
  }
  CHECK_EQ(rmdir(folder), 0);
  return 0;
}

// Calls that sleep are refused, before create or by a later sandbox: no wait is too short
// or endless, and no lane ends.
SCENARIO(sleeping_is_forbidden) {
  const std::vector<int> ways[] = {{SYS_clock_nanosleep},
                                      {SYS_clock_nanosleep, SYS_nanosleep, SYS_membarrier}};
  for (const auto &calls : ways) {
    for (const int error : {EPERM, ENOSYS}) {
      const auto forbid_all = [&] { for (const int call : calls) forbid(call, error); };
      apart([&] {
        Plugin plugin;
        forbid_all();
        for (const char *config : kConfigs) use_awake(plugin, config, [] {});
      });
      apart([&] {
        Plugin plugin;
        use_awake(plugin, R"({"placement":"split","idle":"park"})", [&] {
          for (const int call : calls) forbid(call, error, SECCOMP_FILTER_FLAG_TSYNC);
        });
      });
    }
  }
  return 0;
}

// Lanes do not inherit the settings of the thread that creates the handle.
SCENARIO(lanes_have_the_configured_policy) {
  Plugin plugin;
  if (!needs_root()) return 0;
  const sched_param first{10}, none{0};
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, 20000000, 0, 0, 0), 0);
  // `priority` is a nice value of ordinary threads.
  const auto check = [&](const char *config, int policy, int priority, const char *slack) {
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    const std::vector<pid_t> lanes = lane_threads();
    CHECK(!lanes.empty());
    for (const pid_t thread : lanes) {
      std::string found;
      CHECK_EQ(sched_getscheduler(thread), policy);
      if (policy != SCHED_OTHER) {
        sched_param has{};
        CHECK_EQ(sched_getparam(thread, &has), 0);
        CHECK_EQ(has.sched_priority, priority);
        continue;
      }
      errno = 0;
      CHECK_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(thread)), priority);
      CHECK_EQ(errno, 0);
      std::getline(std::ifstream("/proc/" + std::to_string(thread) + "/timerslack_ns"), found);
      CHECK_EQ(found, std::string(slack));
    }
    plugin.destroy(handle);
  };
  CHECK_EQ(setpriority(PRIO_PROCESS, 0, 15), 0);
  check(R"({"placement":"split","idle":"park"})", SCHED_OTHER, 0, "50000");
  check(R"({"placement":"fused","idle":"park","policy":"inherit"})", SCHED_OTHER, 15, "20000000");
  check(R"({"placement":"fused","idle":"park","policy":"fifo"})", SCHED_FIFO, 1, "");
  check(R"({"placement":"split","idle":"park","scheduler":{"policy":"rr","priority":7}})", SCHED_RR, 7, "");
  check(R"({"placement":"fused","idle":"park","nice":-5})", SCHED_OTHER, -5, "50000");
  if (sched_setscheduler(0, SCHED_FIFO, &first) == 0) {
    check(R"({"placement":"fused","idle":"park"})", SCHED_OTHER, 0, "50000");
    check(R"({"placement":"fused","idle":"park","policy":"inherit"})", SCHED_FIFO, 10, "");
    check(R"({"placement":"fused","idle":"park","scheduler":"other","nice":3})", SCHED_OTHER, 3, "50000");
    CHECK_EQ(sched_setscheduler(0, SCHED_OTHER, &none), 0);
  }
  // The process has no right to a real-time policy.
  rlimit least{0, 0};
  CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &least), 0);
  CHECK_EQ(setuid(64321), 0);
  CHECK(plugin.create(R"({"placement":"fused","policy":"fifo"})") == nullptr);
  CHECK(std::strstr(plugin.last_error(), "RLIMIT_RTPRIO") != nullptr);
  CHECK(plugin.create(R"({"placement":"fused","idle":"park","nice":-5})") == nullptr);
  CHECK(std::strstr(plugin.last_error(), "RLIMIT_NICE of 25") != nullptr);
  use(plugin, R"({"placement":"fused","idle":"park"})");
  return 0;
}

// membarrier is forbidden after a first handle: later handles work on any thread, and so
// does a handle that another thread has used before.
SCENARIO(membarrier_is_forbidden_later) {
  apart([] {
    Plugin plugin;
    Engine older(plugin, R"({"placement":"inline"})");
    older.feed(depth("btc_usdt", 1, 10.0, 11.0));
    use(plugin, R"({"placement":"inline"})");
    std::string line;
    std::thread([&] {
      forbid(SYS_membarrier, EPERM);
      for (int round = 0; round < 3; ++round) {
        line += said([&] { use(plugin, R"({"placement":"inline"})", 1000); });
        plugin.register_callback(older.handle, nullptr, nullptr);
        CHECK(plugin.last_error() == nullptr);
        const Depth d = depth("btc_usdt", 2, 10.0, 11.0);
        plugin.on_data(older.handle, kDepth, &d);
      }
      plugin.destroy(older.handle);
      CHECK_EQ(plugin.models(older.handle), SIGNAL_ERROR_HANDLE);
    }).join();
    CHECK_EQ(count(line, "refuses membarrier"), 1u);
    older.handle = nullptr;
  });
  return 0;
}

static std::atomic<int> refused_by_handler{0};

// A sandbox whose handler of SIGSYS answers a system call, on whichever thread makes it.
SCENARIO(a_handler_answers_system_calls) {
  for (const char *config : {R"({"placement":"fused"})", R"({"placement":"split"})", R"({"placement":"inline"})"}) {
    apart([config] {
      struct sigaction answer{};
      answer.sa_flags = SA_SIGINFO;
      answer.sa_sigaction = [](int, siginfo_t *, void *context) {
        static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
        ++refused_by_handler;
      };
      CHECK_EQ(sigaction(SIGSYS, &answer, nullptr), 0);
      Plugin plugin;
      trap(SYS_sched_setaffinity);
      use(plugin, config);
      CHECK(std::strstr(config, "inline") != nullptr || refused_by_handler > 0);
    });
  }
  return 0;
}

// Hash maps have random seeds, which need not come from the kernel.
SCENARIO(randomness_is_forbidden) {
  for (const int error : {EPERM, ENOSYS, EACCES, EINVAL}) {
    char folder[] = "/tmp/signal-checks-XXXXXX";
    CHECK(mkdtemp(folder) != nullptr);
    apart([&] {
      Plugin plugin;
      // There is no /dev/urandom either.
      if (geteuid() == 0) CHECK(chroot(folder) == 0 && chdir("/") == 0);
      forbid(SYS_getrandom, error);
      for (const char *config : kConfigs) use(plugin, config);
      CHECK(plugin.create(R"({"modle":"none"})") == nullptr);
      CHECK(has(plugin.last_error(), "did you mean"));
    });
    CHECK_EQ(rmdir(folder), 0);
  }
  return 0;
}

// A sandbox that gives no memory is named, and not a limit that was not reached.
SCENARIO(mapping_is_forbidden) {
  for (const int error : {EPERM, ENOSYS, EACCES}) {
    for (const auto &[call, name] : {std::pair{SYS_mmap, "mmap fails"}, std::pair{SYS_mprotect, "mprotect fails"}}) {
      apart([call = call, name = name, error] {
        Plugin plugin;
        forbid(call, error);
        CHECK(plugin.create("{}") == nullptr);
        CHECK(has(plugin.last_error(), name));
        CHECK(has(plugin.last_error(), std::strerror(error)));
      });
    }
  }
  return 0;
}

// A priority that the kernel does not tell is no nice value of -1.
SCENARIO(priority_cannot_be_asked) {
  for (const int error : {EPERM, EACCES, ENOSYS}) {
    apart([error] {
      Plugin plugin;
      forbid(SYS_getpriority, error);
      const std::string line = said([&] { use(plugin, R"({"placement":"split"})"); });
      CHECK(!has(line, "nice"));
      if (geteuid() == 0) use(plugin, R"({"placement":"fused","idle":"park","nice":-5})");
      forbid(SYS_setpriority, error);
      use(plugin, R"({"placement":"fused"})");
      CHECK(plugin.create(R"({"placement":"fused","nice":-5})") == nullptr);
      CHECK(has(plugin.last_error(), "nice: -5 was refused, and the kernel does not say"));
    });
  }
  return 0;
}
