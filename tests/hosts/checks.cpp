// A host that behaves as the trading host does and checks what it gets.
// Usage: checks SCENARIO; exits 0 if everything holds.
#include "plugin.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <map>

namespace host {

static std::map<std::string, Run> &scenarios() {
  static std::map<std::string, Run> all;
  return all;
}

Scenario::Scenario(const char *name, Run run) { scenarios()[name] = run; }

double seconds() {
  timespec now{};
  // The C library's call would read the TSC, which some scenarios forbid.
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void sleep_us(unsigned us) {
  const timespec time{static_cast<time_t>(us / 1000000), static_cast<long>(us % 1000000) * 1000};
  nanosleep(&time, nullptr);
}

// Calls with the folder and each name in it. Not by opendir, which needs memory that a limit may
// not leave.
template <typename Entry>
static void each_entry(const char *path, Entry take) {
  const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(folder >= 0);
  alignas(dirent64) char entries[4096];
  for (long bytes; (bytes = syscall(SYS_getdents64, folder, entries, sizeof entries)) != 0;) {
    CHECK(bytes > 0);
    for (long at = 0; at < bytes;) {
      const auto *entry = reinterpret_cast<const dirent64 *>(entries + at);
      take(folder, entry->d_name);
      at += entry->d_reclen;
    }
  }
  close(folder);
}

std::vector<pid_t> threads() {
  std::vector<pid_t> ids;
  each_entry("/proc/self/task", [&](int, const char *name) {
    if (name[0] != '.') ids.push_back(std::atoi(name));
  });
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<pid_t> lane_threads() {
  std::vector<pid_t> lanes;
  for (const pid_t thread : threads()) {
    std::string name;
    std::getline(std::ifstream("/proc/self/task/" + std::to_string(thread) + "/comm"), name);
    if (name.rfind("signal-lane-", 0) == 0) lanes.push_back(thread);
  }
  return lanes;
}

// Without a list of the threads: a scenario may have no memory or no descriptors left.
void hurry() {
  constexpr int kLowest = 19;
  const pid_t first = getpid();
  for (pid_t thread = first; thread < first + 10000; ++thread) {
    const auto id = static_cast<id_t>(thread);
    const bool ours = syscall(SYS_tgkill, first, thread, 0) == 0;
    if (ours && getpriority(PRIO_PROCESS, id) == kLowest) setpriority(PRIO_PROCESS, id, 0);
  }
}

void each_descriptor(const std::function<void(std::string_view)> &take) {
  each_entry("/proc/self/fd", [&](int folder, const char *name) {
    char target[4096];
    const ssize_t length = readlinkat(folder, name, target, sizeof target);
    take({target, static_cast<std::size_t>(length > 0 ? length : 0)});
  });
}

// Does not count the file of claimed cores, which each copy of the library opens once.
static std::size_t descriptors() {
  const char *claims = std::getenv("SIGNAL_CORE_CLAIMS");
  std::size_t count = 0, kept = 0;
  each_descriptor([&](std::string_view target) {
    const bool is_kept = claims != nullptr && !target.empty() && target == claims;
    ++(is_kept ? kept : count);
  });
  CHECK(kept <= 1);
  return count;
}

Footprint footprint() {
  // A kernel without statm would give "0 0".
  long pages = 0, resident = 0;
  std::FILE *statm = std::fopen("/proc/self/statm", "r");
  CHECK(statm != nullptr);
  CHECK_EQ(std::fscanf(statm, "%ld %ld", &pages, &resident), 2);
  std::fclose(statm);
  long allocated = 0;
#if __GLIBC_PREREQ(2, 33)
  const auto heap = mallinfo2();
  allocated = static_cast<long>((heap.uordblks + heap.hblkhd) / 1024);
#endif
  return {threads().size(), descriptors(), resident * sysconf(_SC_PAGESIZE) / 1024, allocated};
}

std::uint64_t events(const signal_stats_t &stats) {
  return stats.events_depth + stats.events_ticker + stats.events_trade + stats.events_index_price;
}

void check_accounts(const signal_stats_t &stats, std::uint64_t queued) {
  CHECK_EQ(stats.in_flight, 0u);
  const std::uint64_t ended = stats.refused_bad_symbol + stats.refused_bad_price +
                              stats.refused_bad_size + stats.refused_too_many_instruments +
                              stats.refused_not_an_asset + stats.refused_failed +
                              stats.refused_quarantined + stats.dropped_ingest_ring_full +
                              stats.dropped_ingest_timeout + stats.dropped_stage_stopped + stats.updates +
                              stats.answered;
  CHECK_EQ(events(stats), ended);
  CHECK_EQ(stats.index_copies_ended, stats.index_copies);
  CHECK_EQ(stats.queued, queued);
  CHECK_EQ(stats.signals, stats.delivered + stats.conflated_egress + stats.dropped_egress_ring_full +
                              stats.dropped_egress_timeout + stats.dropped_egress_stopped +
                              stats.dropped_egress_too_old + queued);
  CHECK_EQ(stats.triggered, stats.signals);
  CHECK_EQ(stats.predicted, stats.signals);
}

signal_stats_t empty_stats() {
  signal_stats_t stats{};
  stats.size = sizeof stats;
  return stats;
}

static void ignore(const char *, long long, const double *, int, void *) {}

void check_refused(const Plugin &plugin, void *handle, const char *why) {
  const std::uint64_t before = plugin.refused_handles();
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  signal_stats_t stats = empty_stats();
  signal_hop_t hops[4];
  CHECK_EQ(plugin.poll_callbacks(handle), SIGNAL_ERROR_HANDLE);
  CHECK(std::strstr(plugin.last_error(), why) != nullptr);
  plugin.register_callback(handle, ignore, nullptr);
  plugin.on_data(handle, kDepth, &d);
  signal_result_t results[4];
  CHECK_EQ(plugin.poll_batch(handle, results, 4), SIGNAL_ERROR_HANDLE);
  CHECK_EQ(plugin.stats(handle, &stats), SIGNAL_ERROR_HANDLE);
  CHECK_EQ(stats.events_depth, 0u);
  CHECK_EQ(plugin.models(handle), SIGNAL_ERROR_HANDLE);
  CHECK(plugin.model_name(handle, 0) == nullptr);
  CHECK(plugin.value_name(handle, 0, 0) == nullptr);
  CHECK_EQ(plugin.current_model(handle), SIGNAL_ERROR_HANDLE);
  CHECK(plugin.egress(handle) == nullptr);
  CHECK_EQ(plugin.latency(handle, hops, 4), SIGNAL_ERROR_HANDLE);
  CHECK(plugin.stamp_ns(handle) == -1.0);
  signal_lane_t lanes[4];
  signal_ring_t rings[4];
  CHECK_EQ(plugin.current_sequence(handle), 0u);
  signal_instrument_t instrument{};
  CHECK_EQ(plugin.current_instrument(handle, &instrument), SIGNAL_ERROR_HANDLE);
  CHECK_EQ(plugin.batch_instrument(handle, 0, &instrument), SIGNAL_ERROR_HANDLE);
  CHECK(instrument.name == nullptr);
  CHECK_EQ(plugin.health(handle), SIGNAL_ERROR_HANDLE);
  CHECK(plugin.incident(handle, 0) == nullptr);
  CHECK_EQ(plugin.lanes(handle, lanes, 4), SIGNAL_ERROR_HANDLE);
  CHECK_EQ(plugin.rings(handle, rings, 4), SIGNAL_ERROR_HANDLE);
  plugin.destroy(handle);
  CHECK_EQ(plugin.refused_handles() - before, 20u);
}

void in_child(int code, const std::function<void()> &body, unsigned seconds) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    // A child that hangs ends by itself and fails the check.
    alarm(seconds);
    body();
    _exit(99);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) std::fprintf(stderr, "the child ended by signal %d\n", WTERMSIG(status));
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), code);
}

static void filter_out(int call, unsigned answer, unsigned flags) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, filter};
  CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program), 0);
}

void forbid(int call, int error, unsigned flags) {
  filter_out(call, SECCOMP_RET_ERRNO | static_cast<unsigned>(error), flags);
}

void trap(int call) { filter_out(call, SECCOMP_RET_TRAP, 0); }

void apart(const std::function<void()> &doing) {
  in_child(17, [&] {
    doing();
    // This code differs from that of a host that ends before it gets here.
    _exit(17);
  }, 60);
}

void use(const Plugin &plugin, const char *config, int depths) {
  Engine engine(plugin, config);
  for (int event = 0; event < depths; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  engine.drain();
  CHECK_EQ(engine.got.size(), static_cast<std::size_t>(depths));
  check_accounts(engine.stats());
}

signal_stats_t Engine::settle() const {
  signal_stats_t last{};
  // A lane counts its own work after it has passed the signal on.
  CHECK(wait_for([&] {
    last = stats();
    return last.in_flight == 0 && last.triggered == last.signals && last.predicted == last.signals;
  }));
  return last;
}

long kib(const char *name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(name, 0) == 0) return std::atol(line.c_str() + std::strlen(name) + 1);
  }
  CHECK(false);
  return 0;
}

void limit(__rlimit_resource resource, rlim_t most) {
  rlimit now{};
  CHECK_EQ(getrlimit(resource, &now), 0);
  now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
  CHECK_EQ(setrlimit(resource, &now), 0);
}

}  // namespace host

int main(int argc, char **argv) {
  if (argc != 2 || host::scenarios().count(argv[1]) == 0) {
    std::fprintf(stderr, "usage: checks SCENARIO, one of:\n");
    for (const auto &[name, run] : host::scenarios()) std::fprintf(stderr, "  %s\n", name.c_str());
    return 2;
  }
  return host::scenarios()[argv[1]]();
}
