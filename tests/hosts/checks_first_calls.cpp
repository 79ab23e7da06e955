// The first calls of a child: from several of its threads, from one that was inside the library, and in a process with
// its parent's number.
#include "children.hpp"
#include "folder.hpp"
#include "plugin.hpp"

#include <sched.h>
#include <sys/time.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

using namespace host;

namespace {

// What a call that has stopped halfway is to write to, and what its handlers do meanwhile.
struct Stopped {
  const Plugin *plugin;
  void *handle;
  const Way *way;
  void *page;
  std::size_t size;
  pid_t child = -1;
};
Stopped stopped;

void make_a_child(int) {
  // A child's time is over.
  if (stopped.child == 0) _exit(98);
  if (stopped.child > 0) return;
  stopped.child = made(*stopped.way);
  if (stopped.child == 0) return;
  ends(*stopped.way, stopped.child, 17);
}

// Runs where `signal_stats` writes to its struct: a destroy waits for that call, and a child is made meanwhile.
void destroy_meanwhile(int) {
  const itimerval soon{{0, 0}, {0, 300000}};
  CHECK_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
  stopped.plugin->destroy(stopped.handle);
  CHECK_EQ(mprotect(stopped.page, stopped.size, PROT_READ | PROT_WRITE), 0);
}

}  // namespace

// Each thread of a child that no handler has prepared may be the first to call.
SCENARIO(children_that_begin_with_several_threads) {
  Plugin plugin;
  std::vector<void *> handles(100);
  for (void *&handle : handles) {
    handle = plugin.create(kConfigs[0]);
    CHECK(handle != nullptr);
  }
  for (const Way &way : kWays) {
    for (int round = 0; round < 5; ++round) {
      const Folder folder;
      in_child_by(way, 17, [&] {
        std::atomic<int> ready{0};
        std::vector<std::thread> all;
        for (int number = 0; number < 4; ++number) {
          all.emplace_back([&, number] {
            const std::string file = folder.at(std::to_string(number).c_str());
            const std::string config = R"({"placement":"inline","capture":{"file":")" + file + "\"}}";
            ++ready;
            while (ready < 4) {
            }
            void *own = plugin.create(config.c_str());
            if (own == nullptr) std::fprintf(stderr, "%s: %s\n", way.name, plugin.last_error());
            CHECK(own != nullptr);
            feed_and_settle(plugin, own, 5);
            CHECK_EQ(plugin.poll_callbacks(handles[static_cast<std::size_t>(number)]), SIGNAL_ERROR_HANDLE);
            plugin.destroy(own);
            const std::string capture = text(file);
            // A header and the events: nobody has polled the signals.
            CHECK_EQ(std::count(capture.begin(), capture.end(), '\n'), 6);
          });
        }
        for (std::thread &thread : all) thread.join();
        check_refused(plugin, handles.back(), kWhy);
        _exit(17);
      });
    }
  }
  for (void *handle : handles) feed_and_settle(plugin, handle, 1);
  return 0;
}

// A signal handler makes a child that goes on in the midst of a destroy: the lanes that it would end are its parent's.
SCENARIO(a_child_made_while_destroy_waits) {
  Plugin plugin;
  CHECK(std::signal(SIGSEGV, destroy_meanwhile) != SIG_ERR);
  CHECK(std::signal(SIGALRM, make_a_child) != SIG_ERR);
  const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const char *placement : {"inline", "split"}) {
    for (const Way &way : kWays) {
      const Folder folder;
      const std::string config = std::string(R"({"placement":")") + placement + R"(","latency":{"dir":")" +
                                 folder.at("report") + R"("},"capture":{"file":")" + folder.at("c.csv") + "\"}}";
      void *page = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      CHECK(page != MAP_FAILED);
      auto *stats = static_cast<signal_stats_t *>(page);
      stats->size = sizeof *stats;
      CHECK_EQ(mprotect(page, size, PROT_READ), 0);
      stopped = {&plugin, plugin.create(config.c_str()), &way, page, size};
      CHECK(stopped.handle != nullptr);
      feed_and_settle(plugin, stopped.handle, 5);
      const std::string lines = said([&] {
        CHECK_EQ(plugin.stats(stopped.handle, stats), 0);
        if (stopped.child != 0) return;
        check_refused(plugin, stopped.handle, "handle");
        use(plugin, kConfigs[0]);
        _exit(17);
      });
      CHECK(stopped.child > 0);
      // The parent says so, and the child, which would have ended what is its parent's, does not.
      const char *const kept = "its memory is kept";
      const std::size_t once = lines.find(kept);
      CHECK(once != std::string::npos);
      CHECK_EQ(lines.find(kept, once + 1), std::string::npos);
      CHECK(!text(folder.at("report/summary.json")).empty());
      check_refused(plugin, stopped.handle, "handle");
      CHECK_EQ(munmap(page, size), 0);
    }
  }
  CHECK(wait_for([] { return threads().size() == 1; }));
  return 0;
}

// The first processes of two PID namespaces are both number 1.
SCENARIO(a_child_with_its_parents_number) {
  if (!needs_root()) return 0;
  for (const bool keeps : {false, true}) {
    // What no call has told about, the handlers of `fork` do.
    in_child(17, [&] {
      if (keeps) keep_pages();
      Plugin plugin;
      void *handle = plugin.create(kConfigs[0]);
      CHECK(handle != nullptr);
      if (!needs(unshare(CLONE_NEWPID) == 0, "PID namespaces")) _exit(17);
      in_child_by(kWays[1], 17, [&] {
        CHECK_EQ(getpid(), 1);
        CHECK_EQ(plugin.health(handle), SIGNAL_ERROR_HANDLE);
        void *own = plugin.create(kConfigs[0]);
        CHECK(own != nullptr);
        CHECK_EQ(unshare(CLONE_NEWPID), 0);
        in_child(17, [&] {
          CHECK_EQ(getpid(), 1);
          CHECK_EQ(plugin.poll_callbacks(own), SIGNAL_ERROR_HANDLE);
          check_refused(plugin, own, kWhy);
          use(plugin, kConfigs[0]);
          _exit(17);
        });
        feed_and_settle(plugin, own, 5);
        plugin.destroy(own);
        _exit(17);
      });
      feed_and_settle(plugin, handle, 5);
      plugin.destroy(handle);
      _exit(17);
    });
  }
  return 0;
}
