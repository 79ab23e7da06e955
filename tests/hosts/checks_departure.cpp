// Hosts whose threads end, all or some of them, while a handle lives.
#include "plugin.hpp"

#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

using namespace host;

namespace {

// Beyond several looks of the library's own thread.
constexpr double kSeconds = 4.5;

// How many threads of the library look whether the host has any left.
int watching() {
  int count = 0;
  for (const pid_t thread : threads()) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/comm");
    std::string name;
    count += std::getline(file, name) && name == "signal-watch";
  }
  return count;
}

bool first_has_ended() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("State:\tZ", 0) == 0) return true;
  }
  return false;
}

void started(void *(*body)(void *)) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, nullptr, body, nullptr), 0);
  CHECK_EQ(pthread_detach(thread), 0);
}

const Plugin &plugin() {
  static const Plugin *const loaded = new Plugin;
  return *loaded;
}

void *made() {
  const char *config = std::getenv("SIGNAL_TEST_CONFIG");
  CHECK(config != nullptr);
  void *handle = plugin().create(config);
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin().last_error());
  CHECK(handle != nullptr);
  return handle;
}

void at_exit() {
  std::printf("at exit\n");
  std::fflush(stdout);
}

void *sleeps(void *) {
  sleep_us(200000);
  return nullptr;
}

void *makes_and_ends(void *) {
  feed_and_settle(plugin(), made(), 100);
  return nullptr;
}

// The one thread of the host that is left. Its handle works as ever, and the process goes on.
void *lives_on(void *handle) {
  CHECK(wait_for(first_has_ended));
  CHECK(wait_for([] { return watching() == 1; }));
  std::uint64_t fed = 0;
  signal_stats_t stats = empty_stats();
  for (const double start = seconds(); seconds() - start < kSeconds; sleep_us(1000)) {
    const Depth d = depth("btc_usdt", static_cast<std::int64_t>(fed++), 10.0, 11.0);
    plugin().on_data(handle, kDepth, &d);
    CHECK(plugin().poll_callbacks(handle) >= 0);
    CHECK_EQ(plugin().stats(handle, &stats), 0);
    CHECK_EQ(stats.events_depth, fed);
    // The kernel's list of threads leaves some out while others end.
    std::thread([] {}).join();
  }
  plugin().destroy(handle);
  // With the handle ends what watches.
  CHECK(wait_for([] { return threads().size() == 2; }));
  CHECK_EQ(watching(), 0);
  _exit(42);
}

}  // namespace

// The first thread makes the handle and ends; another one is the last.
SCENARIO(all_threads_end) {
  std::atexit(at_exit);
  feed_and_settle(plugin(), made(), 100);
  started(sleeps);
  pthread_exit(nullptr);
}

// Nothing is left of the thread that made the handle when the first one ends.
SCENARIO(all_threads_end_the_maker_first) {
  std::atexit(at_exit);
  pthread_t maker;
  CHECK_EQ(pthread_create(&maker, nullptr, makes_and_ends, nullptr), 0);
  CHECK_EQ(pthread_join(maker, nullptr), 0);
  CHECK_EQ(watching(), 1);
  sleep_us(1500000);
  pthread_exit(nullptr);
}

SCENARIO(all_threads_end_but_one) {
  void *handle = made();
  pthread_t last;
  CHECK_EQ(pthread_create(&last, nullptr, lives_on, handle), 0);
  pthread_exit(nullptr);
}

// The kernel has a thread of its own in the process, for a ring that the host leaves open.
SCENARIO(all_threads_end_but_the_kernels) {
  std::atexit(at_exit);
  io_uring_params params{};
  params.flags = IORING_SETUP_SQPOLL;
  const std::size_t before = threads().size();
  if (syscall(SYS_io_uring_setup, 4, &params) < 0) {
    std::fprintf(stderr, "skipped: io_uring is not allowed here\n");
  } else {
    CHECK_EQ(threads().size(), before + 1);
  }
  feed_and_settle(plugin(), made(), 100);
  pthread_exit(nullptr);
}

// A namespace of its own and the outer one's /proc, as `unshare --pid --fork` leaves it: there, the
// threads have other IDs than they have for themselves.
SCENARIO(all_threads_end_in_a_namespace) {
  if (!needs_root()) return 0;
  if (!needs(unshare(CLONE_NEWPID) == 0, "PID namespaces")) return 0;
  in_child(0, [] {
    // The first process of a namespace takes no SIGALRM, and with it ends the namespace.
    CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
    in_child(0, [] {
      CHECK(access(("/proc/self/task/" + std::to_string(tid())).c_str(), F_OK) != 0);
      std::atexit(at_exit);
      feed_and_settle(plugin(), made(), 100);
      pthread_exit(nullptr);
    });
    _exit(0);
  });
  return 0;
}

// The maker ends, and the first thread lives. A second maker's end starts nothing more.
SCENARIO(makers_of_handles_end) {
  static void *handles[2];
  for (void *&handle : handles) {
    std::thread([&] { handle = made(); }).join();
    CHECK_EQ(watching(), 1);
  }
  for (const double start = seconds(); seconds() - start < kSeconds; sleep_us(1000)) {
    for (void *handle : handles) {
      const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
      plugin().on_data(handle, kDepth, &d);
      CHECK(plugin().poll_callbacks(handle) >= 0);
    }
  }
  for (void *handle : handles) plugin().destroy(handle);
  CHECK(wait_for([] { return threads().size() == 1; }));
  // What watches ends with the last handle and not at its next look, unless the machine is busy.
  double shortest = kSeconds;
  for (int round = 0; round < 8; ++round) {
    std::thread([] { handles[0] = made(); }).join();
    CHECK_EQ(watching(), 1);
    plugin().destroy(handles[0]);
    const double start = seconds();
    CHECK(wait_for([] { return threads().size() == 1; }));
    shortest = std::min(shortest, seconds() - start);
  }
  CHECK(shortest < 0.5);
  // A handle of its own is watched again when its maker ends.
  std::thread([] { handles[0] = made(); }).join();
  CHECK_EQ(watching(), 1);
  // The child of a fork has no threads of ours, and ends as ever.
  in_child(0, [] { pthread_exit(nullptr); });
  in_child(7, [] {
    feed_and_settle(plugin(), made(), 10);
    std::atexit([] { _exit(7); });
    pthread_exit(nullptr);
  });
  plugin().destroy(handles[0]);
  return 0;
}
