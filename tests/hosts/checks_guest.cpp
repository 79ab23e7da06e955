// The library as a guest: the host's thread stays as it was, and library
// threads never run the host's signal handlers.
#include "plugin.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>

using namespace host;

namespace {

struct HostThread {
  cpu_set_t cores;
  int policy, priority, nice;
  sigset_t blocked;
};

HostThread host_thread() {
  HostThread now{};
  CHECK_EQ(sched_getaffinity(0, sizeof now.cores, &now.cores), 0);
  now.policy = sched_getscheduler(0);
  sched_param parameter{};
  CHECK_EQ(sched_getparam(0, &parameter), 0);
  now.priority = parameter.sched_priority;
  now.nice = getpriority(PRIO_PROCESS, 0);
  CHECK_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &now.blocked), 0);
  return now;
}

void check_unchanged(const HostThread &before) {
  const HostThread now = host_thread();
  CHECK(CPU_EQUAL(&before.cores, &now.cores));
  CHECK_EQ(now.policy, before.policy);
  CHECK_EQ(now.priority, before.priority);
  CHECK_EQ(now.nice, before.nice);
  for (int number = 1; number < 65; ++number) {
    CHECK_EQ(sigismember(&now.blocked, number), sigismember(&before.blocked, number));
  }
}

std::string field(pid_t thread, const char *name) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  std::string line;
  const std::string start = std::string(name) + ":\t";
  while (std::getline(status, line)) {
    if (line.rfind(start, 0) == 0) return line.substr(start.size());
  }
  std::fprintf(stderr, "thread %d has no %s\n", static_cast<int>(thread), name);
  _exit(1);
}

void check_guest(pid_t thread) {
  // The mask must hold from the first instruction, so it is read first. A thread names
  // itself a moment later.
  const std::uint64_t blocked = std::stoull(field(thread, "SigBlk"), nullptr, 16);
  std::string name;
  CHECK(wait_for([&] { return (name = field(thread, "Name")).rfind("signal-", 0) == 0; }));
  for (int number = 1; number <= 64; ++number) {
    // KILL and STOP cannot be blocked; 32 and 33 are the C library's own.
    if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;
    // What a thread causes by itself.
    const int own[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    if (std::find(std::begin(own), std::end(own), number) != std::end(own)) {
      CHECK((blocked >> (number - 1) & 1) == 0);
      continue;
    }
    if ((blocked >> (number - 1) & 1) == 0) {
      std::fprintf(stderr, "%s does not block signal %d\n", name.c_str(), number);
      CHECK(false);
    }
  }
}

std::vector<pid_t> new_threads(const std::vector<pid_t> &before) {
  std::vector<pid_t> made;
  for (const pid_t thread : threads()) {
    if (!std::binary_search(before.begin(), before.end(), thread)) made.push_back(thread);
  }
  return made;
}

std::vector<int> usable_cores() {
  cpu_set_t mask;
  CHECK_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  return cores;
}

void check_all_placements(const Plugin &plugin, int pinned_to, std::size_t cores) {
  struct Case {
    const char *config;
    std::size_t lanes;
  };
  for (const Case &one : {Case{"{}", 1}, Case{R"({"placement":"fused"})", 1},
                          Case{R"({"placement":"split"})", 4}, Case{R"({"placement":"inline"})", 0},
                          Case{R"({"placement":[["ingest","factor"],["model"]]})", 2}}) {
    const HostThread before = host_thread();
    const std::vector<pid_t> threads_before = threads();
    Engine engine(plugin, one.config);
    check_unchanged(before);
    // The thread that looked at the cores may still be ending.
    CHECK(wait_for([&] { return new_threads(threads_before).size() <= one.lanes; }));
    const std::vector<pid_t> guests = new_threads(threads_before);
    CHECK_EQ(guests.size(), one.lanes);
    for (const pid_t guest : guests) {
      check_guest(guest);
      const std::string core = field(guest, "Cpus_allowed_list");
      CHECK(core.find_first_not_of("0123456789") == std::string::npos);
      if (pinned_to >= 0 && cores > 1) CHECK(core != std::to_string(pinned_to));
    }
    for (int event = 0; event < 100; ++event) {
      engine.poll();
      engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    }
    engine.drain();
    CHECK_EQ(engine.got.size(), 100u);
    check_unchanged(before);
    engine.destroy();
    check_unchanged(before);
    CHECK(wait_for([&] { return new_threads(threads_before).empty(); }));
  }
}

volatile sig_atomic_t handled = 0;
volatile pid_t handled_by = 0;

void note_thread(int) {
  ++handled;
  handled_by = tid();
}

}  // namespace

SCENARIO(thread_guest) {
  Plugin plugin;
  check_all_placements(plugin, -1, usable_cores().size());
  return 0;
}

SCENARIO(thread_guest_of_a_pinned_host) {
  Plugin plugin;
  const std::vector<int> cores = usable_cores();
  for (const int core : {cores.front(), cores.back()}) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    check_all_placements(plugin, core, cores.size());
  }
  return 0;
}

SCENARIO(thread_guest_of_a_masked_host) {
  Plugin plugin;
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  sigaddset(&some, SIGALRM);
  sigaddset(&some, SIGRTMIN + 3);
  CHECK_EQ(pthread_sigmask(SIG_SETMASK, &some, nullptr), 0);
  CHECK_EQ(setpriority(PRIO_PROCESS, 0, 3), 0);
  check_all_placements(plugin, -1, usable_cores().size());
  return 0;
}

SCENARIO(thread_guest_reports) {
  Plugin plugin;
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::vector<pid_t> before = threads();
  const std::string config = std::string(R"({"latency":{"interval_ms":20,"dir":")") + directory + "\"}}";
  Engine engine(plugin, config.c_str());
  for (int round = 0; round < 20; ++round) {
    engine.feed(depth("btc_usdt", round, 10.0, 11.0));
    engine.poll();
    for (const pid_t thread : new_threads(before)) check_guest(thread);
    sleep_us(5000);
  }
  CHECK(new_threads(before).size() > 1);
  engine.drain();
  engine.destroy();
  const std::string summary = std::string(directory) + "/summary.json";
  const std::string log = std::string(directory) + "/latency.hlog";
  CHECK_EQ(access(summary.c_str(), R_OK), 0);
  CHECK_EQ(access(log.c_str(), R_OK), 0);
  const std::string remove = std::string("rm -r ") + directory;
  CHECK_EQ(std::system(remove.c_str()), 0);
  return 0;
}

// Signals that the host blocks everywhere, and takes with sigwait when it has time. They are
// pending while handles are made, used and ended.
SCENARIO(signals_that_the_host_has_blocked) {
  Plugin plugin;
  sigset_t all;
  sigfillset(&all);
  CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, nullptr), 0);
  const int own[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (const bool before_create : {true, false}) {
    for (const char *placement : {"inline", "fused", "split"}) {
      const auto send = [&] {
        for (const int number : own) CHECK_EQ(kill(getpid(), number), 0);
      };
      if (before_create) send();
      const std::string config = std::string(R"({"placement":")") + placement + "\"}";
      Engine engine(plugin, config.c_str());
      if (!before_create) send();
      for (int event = 0; event < 100; ++event) {
        engine.poll();
        engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      }
      engine.drain();
      engine.destroy();
      sigset_t pending;
      CHECK_EQ(sigpending(&pending), 0);
      for (const int number : own) {
        CHECK_EQ(sigismember(&pending, number), 1);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, number);
        int taken = 0;
        CHECK_EQ(sigwait(&one, &taken), 0);
        CHECK_EQ(taken, number);
      }
    }
  }
  return 0;
}

// The kernel gives a process's signal to any thread that does not block it. The main thread
// blocks it here, so that only a library thread could take it.
SCENARIO(process_signals) {
  Plugin plugin;
  struct sigaction action {};
  action.sa_handler = note_thread;
  CHECK_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  for (const bool masked_at_create : {false, true}) {
    if (masked_at_create) CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, nullptr), 0);
    Engine engine(plugin, R"({"placement":"split"})");
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, nullptr), 0);
    for (int round = 0; round < 100; ++round) {
      handled = 0;
      CHECK_EQ(kill(getpid(), SIGUSR1), 0);
      engine.feed(depth("btc_usdt", round, 10.0, 11.0));
      sleep_us(500);
      CHECK_EQ(static_cast<int>(handled), 0);
      CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr), 0);
      CHECK_EQ(static_cast<int>(handled), 1);
      CHECK_EQ(static_cast<pid_t>(handled_by), getpid());
      CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, nullptr), 0);
      engine.poll();
    }
    engine.drain();
    CHECK_EQ(engine.got.size(), 100u);
    CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr), 0);
  }
  return 0;
}
