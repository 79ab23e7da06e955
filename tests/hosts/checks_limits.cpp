// Limits on memory, threads, files and cores.
#include "plugin.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace host;

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

namespace {

void ignore(const char *, long long, const double *, int, void *) {}

// Under a limit, create must return a handle that works, or null with a reason and nothing
// left behind. Returns whether a handle was made.
bool try_create(const Plugin &plugin, const char *config, const char *reason) {
  const std::size_t threads_before = threads().size();
  const std::size_t open_before = footprint().descriptors;
  void *handle = plugin.create(config);
  if (handle == nullptr) {
    const char *why = plugin.last_error();
    CHECK(why != nullptr);
    if (std::strstr(why, reason) == nullptr) std::fprintf(stderr, "\"%s\" does not name %s\n", why, reason);
    CHECK(std::strstr(why, reason) != nullptr);
  } else {
    plugin.register_callback(handle, ignore, nullptr);
    signal_stats_t stats{};
    stats.size = sizeof stats;
    for (int event = 0; event < 10; ++event) {
      const Depth d = depth("btc_usdt", event, 10.0, 11.0);
      plugin.on_data(handle, kDepth, &d);
    }
    CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
    CHECK_EQ(plugin.poll_callbacks(handle), 10);
    plugin.destroy(handle);
  }
  CHECK(wait_for([&] { return threads().size() == threads_before; }));
  CHECK_EQ(footprint().descriptors, open_before);
  return handle != nullptr;
}

}  // namespace

// Limits from too little to enough, each in a process that has not used the library.
SCENARIO(limited_address_space) {
  constexpr long kEnough = 480;
  for (const char *config : kConfigs) {
    int made = 0, refused = 0;
    for (long mib = 0; mib <= kEnough; mib += mib < 8 ? 1 : mib < 120 ? 14 : 60) {
      std::fflush(nullptr);
      const pid_t child = fork();
      CHECK(child >= 0);
      if (child == 0) {
        alarm(120);
        Plugin plugin;
        const rlim_t most = static_cast<rlim_t>(kib("VmSize:") / 1024 + mib) << 20;
        // Allocates beforehand what this host needs for its own checks.
        threads();
        limit(RLIMIT_AS, most);
        const bool created = try_create(plugin, config, "memory");
        // Once there is enough memory again, the library works.
        limit(RLIMIT_AS, RLIM_INFINITY);
        use(plugin, config);
        _exit(created ? 21 : 20);
      }
      int status = 0;
      CHECK_EQ(waitpid(child, &status, 0), child);
      if (!WIFEXITED(status)) std::fprintf(stderr, "%s with %ld MiB: signal %d\n", config, mib, WTERMSIG(status));
      CHECK(WIFEXITED(status));
      const int code = WEXITSTATUS(status);
      CHECK(code == 20 || code == 21);
      ++(code == 21 ? made : refused);
      CHECK(code == 21 ? mib > 12 : mib < kEnough);
    }
    std::fprintf(stderr, "%s: %d made, %d refused\n", config, made, refused);
    CHECK(made > 0 && refused > 0);
  }
  return 0;
}

// The kernel lets a thread of this policy make no threads, and says "try again".
SCENARIO(created_by_a_deadline_thread) {
  if (!needs_root()) return 0;
  Plugin plugin;
  struct {
    std::uint32_t size = 48, policy = SCHED_DEADLINE;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 5000000, deadline = 10000000, period = 10000000;
  } attributes;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    std::fprintf(stderr, "SCHED_DEADLINE is not to be had here\n");
    return 0;
  }
  CHECK(plugin.create(R"({"placement":"split"})") == nullptr);
  CHECK(std::strstr(plugin.last_error(), "SCHED_DEADLINE") != nullptr);
  attributes.flags = 1;  // SCHED_FLAG_RESET_ON_FORK
  CHECK_EQ(syscall(SYS_sched_setattr, 0, &attributes, 0), 0);
  use(plugin, R"({"placement":"split"})");
  return 0;
}

// The kernel ends a process that uses up its CPU time, which spinning lanes would do.
SCENARIO(limited_cpu_time) {
  limit(RLIMIT_CPU, 3600);
  Plugin plugin;
  for (const char *config : {"{}", R"({"placement":"fused"})"}) {
    const std::string line = said([&] { use(plugin, config); });
    CHECK(line.find("3600 s of CPU time (RLIMIT_CPU)") != std::string::npos);
    CHECK(line.find("(park)") != std::string::npos && line.find("(spin)") == std::string::npos);
  }
  CHECK(said([&] { use(plugin, R"({"placement":"fused","idle":"spin"})"); }).find("(RLIMIT_CPU)") != std::string::npos);
  return 0;
}

// The kernel ends a process whose real-time thread runs for too long, so no lane is one.
SCENARIO(limited_real_time) {
  Plugin plugin;
  sched_param priority{};
  priority.sched_priority = 1;
  const int ordinary = sched_getscheduler(0);
  if (sched_setscheduler(0, SCHED_RR, &priority) != 0) {
    std::fprintf(stderr, "SCHED_RR is not to be had here\n");
    return 0;
  }
  priority.sched_priority = 0;
  CHECK_EQ(sched_setscheduler(0, ordinary, &priority), 0);
  limit(RLIMIT_RTTIME, 200000);
  const auto refused = [&](const char *config) {
    const std::size_t threads_before = threads().size();
    CHECK(plugin.create(config) == nullptr);
    CHECK(std::strstr(plugin.last_error(), "200000 us without sleeping (RLIMIT_RTTIME)") != nullptr);
    CHECK(wait_for([&] { return threads().size() == threads_before; }));
  };
  refused(R"({"placement":"fused","policy":"fifo"})");
  priority.sched_priority = 1;
  CHECK_EQ(sched_setscheduler(0, SCHED_RR, &priority), 0);
  refused(R"({"placement":"fused","policy":"inherit"})");
  // Lanes that a real-time thread makes are ordinary threads too, so they keep running.
  void *handle = plugin.create(R"({"placement":"fused","idle":"spin"})");
  CHECK(handle != nullptr);
  sleep_us(600000);
  plugin.destroy(handle);
  return 0;
}

// A user who has this many threads gets no more; root may have any number.
SCENARIO(limited_threads) {
  int made = 0, refused = 0;
  for (const char *config : kConfigs) {
    for (rlim_t most = 1; most <= 6; ++most) {
      std::fflush(nullptr);
      const pid_t child = fork();
      CHECK(child >= 0);
      if (child == 0) {
        alarm(120);
        Plugin plugin;
        // This user runs nothing else.
        if (geteuid() == 0) CHECK_EQ(setuid(64321), 0);
        limit(RLIMIT_NPROC, most);
        const bool created = try_create(plugin, config, "RLIMIT_NPROC");
        _exit(created ? 21 : 20);
      }
      int status = 0;
      CHECK_EQ(waitpid(child, &status, 0), child);
      CHECK(WIFEXITED(status));
      const int code = WEXITSTATUS(status);
      CHECK(code == 20 || code == 21);
      ++(code == 21 ? made : refused);
    }
  }
  std::fprintf(stderr, "%d made, %d refused\n", made, refused);
  // Any other user already has processes, and is refused each time.
  CHECK(refused > 0 && (made > 0 || geteuid() != 0));
  return 0;
}

// The library locks no memory, so this limit does not matter.
SCENARIO(limited_locked_memory) {
  Plugin plugin;
  limit(RLIMIT_MEMLOCK, 0);
  for (const char *config : kConfigs) CHECK(try_create(plugin, config, "nothing"));
  return 0;
}

// A host may have many handles and few descriptors.
SCENARIO(handles_share_the_files_that_health_reads) {
  Plugin plugin;
  const std::size_t before = footprint().descriptors;
  std::vector<void *> handles;
  std::size_t with_one = 0;
  for (int count = 1; count <= 20; ++count) {
    handles.push_back(plugin.create(R"({"placement":"inline"})"));
    CHECK(handles.back() != nullptr);
    if (count == 1) with_one = footprint().descriptors;
  }
  CHECK_EQ(footprint().descriptors, with_one);
  // The files outlive the handle that has opened them.
  for (void *const handle : handles) {
    CHECK_EQ(plugin.health(handle), SIGNAL_HEALTH_OK);
    plugin.destroy(handle);
  }
  CHECK_EQ(footprint().descriptors, before);
  return 0;
}

SCENARIO(limited_files) {
  Plugin plugin;
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string reports = std::string(R"({"latency":{"dir":")") + directory + "\"}}";
  rlimit before{};
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (rlim_t most = 0; most < 8; ++most) {
    for (const char *config : {kConfigs[0], kConfigs[1], kConfigs[2], reports.c_str()}) {
      const std::size_t threads_before = threads().size();
      limit(RLIMIT_NOFILE, most);
      void *handle = plugin.create(config);
      limit(RLIMIT_NOFILE, before.rlim_cur);
      if (handle == nullptr) CHECK(std::strstr(plugin.last_error(), "Too many open files") != nullptr);
      plugin.destroy(handle);
      CHECK(wait_for([&] { return threads().size() == threads_before; }));
    }
  }
  use(plugin, reports.c_str());
  const std::string remove = std::string("rm -r ") + directory;
  CHECK_EQ(std::system(remove.c_str()), 0);
  return 0;
}

// A core outside this process's set: the error names it and the allowed cores, and the
// process works as before.
SCENARIO(cores_that_are_not_there) {
  Plugin plugin;
  const std::size_t threads_before = threads().size();
  CHECK(plugin.create(R"({"placement":"fused","cores":[1000]})") == nullptr);
  const std::string why = plugin.last_error();
  CHECK(why.find("1000") != std::string::npos && why.find("expected some of [") != std::string::npos);
  CHECK(wait_for([&] { return threads().size() == threads_before; }));
  use(plugin, "{}");
  return 0;
}

namespace {

// Leaves this process no memory to allocate.
void use_memory_up() {
  limit(RLIMIT_AS, static_cast<rlim_t>(kib("VmSize:")) << 10);
  for (std::size_t bytes = 1 << 20; bytes >= 16; bytes /= 2) {
    // A compiler may remove an allocation that nobody uses.
    while (void *volatile taken = std::malloc(bytes)) *static_cast<volatile char *>(taken) = 1;
  }
}

}  // namespace

// The host has used up its memory after create: queries, events and polls then do not allocate.
SCENARIO(memory_that_is_used_up_after_create) {
  char directory[] = "/tmp/signal-memory-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string reports = std::string(R"({"latency":{"interval_ms":60000,"dir":")") + directory + R"("}})";
  for (const char *config : {kConfigs[0], kConfigs[1], reports.c_str()}) {
    apart([config] {
      Plugin plugin;
      void *handle = plugin.create(config);
      CHECK(handle != nullptr);
      plugin.register_callback(handle, ignore, nullptr);
      signal_stats_t stats{};
      stats.size = sizeof stats;
      static signal_hop_t hops[16];
      static signal_lane_t lanes[16];
      static signal_ring_t rings[16];
      for (int round = 0; round < 2; ++round) {
        for (int event = 0; event < 10; ++event) {
          const Depth d = depth("btc_usdt", event, 10.0, 11.0);
          plugin.on_data(handle, kDepth, &d);
        }
        CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
        CHECK_EQ(plugin.poll_callbacks(handle), 10);
        const int health = plugin.health(handle);
        // On a busy machine a lane makes progress late.
        CHECK(health == SIGNAL_HEALTH_OK || health == SIGNAL_HEALTH_STALLED);
        const int timed = plugin.latency(handle, hops, 16);
        CHECK(timed > 0 && hops[timed - 1].count == static_cast<std::uint64_t>(10 * (round + 1)));
        const int count = plugin.lanes(handle, lanes, 16);
        CHECK(count == 0 || std::strstr(lanes[0].name, "ingest") != nullptr);
        CHECK(plugin.rings(handle, rings, 16) > 0 && std::strcmp(rings[0].name, "ingest") == 0);
        CHECK(plugin.stamp_ns(handle) > 0.0);
        if (round == 0) use_memory_up();
      }
      // Writing its files is another matter, so the process ends with a live handle.
      _exit(17);
    });
  }
  const std::string remove = std::string("rm -r ") + directory;
  CHECK_EQ(std::system(remove.c_str()), 0);
  return 0;
}
