// A sandbox that ends single threads: whoever makes a forbidden system call is gone, and the
// process goes on.
#include "folder.hpp"
#include "plugin.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <fstream>

using namespace host;

namespace {

int descriptor_of(const std::string &path) {
  for (int file = 3; file < 1024; ++file) {
    char target[4096] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    if (readlink(link.c_str(), target, sizeof target - 1) > 0 && path == target) return file;
  }
  CHECK(false);
  return -1;
}

// A filter for all threads of this process.
void end_whoever(sock_filter *filter, std::size_t length) {
  const sock_fprog program{static_cast<unsigned short>(length), filter};
  CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program), 0);
}

// From now on, a thread that makes this call with this first argument ends there.
void end_who_calls(int call, int argument) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(argument), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  end_whoever(filter, sizeof filter / sizeof *filter);
}

}  // namespace

// The next call of health says which thread is gone. Destroy does not wait for it, and says what is
// not whole.
SCENARIO(threads_that_were_ended_from_outside) {
  for (const char *which : {"report", "capture"}) {
    const bool is_report = std::strcmp(which, "report") == 0;
    apart([&] {
      Folder folder;
      Plugin plugin;
      const std::string report = folder.at("report"), capture = folder.at("c.csv");
      Engine engine(plugin, (R"({"placement":"inline","capture":{"file":")" + capture +
                             R"("},"latency":{"interval_ms":10,"dir":")" + report + "\"}}")
                                .c_str());
      const auto play = [&] {
        engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
        engine.poll();
      };
      const std::string file = is_report ? report + "/latency.hlog" : capture;
      play();
      CHECK(wait_for([&] { return text(capture).size() > 100; }));
      CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_OK);
      end_who_calls(SYS_write, descriptor_of(file));
      CHECK(wait_for([&] {
        play();
        return plugin.health(engine.handle) != SIGNAL_HEALTH_OK;
      }));
      CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_DEGRADED);
      const std::string why = plugin.last_error();
      CHECK_EQ(has(why, "the thread of the latency report was ended from outside"), is_report);
      CHECK_EQ(has(why, "the thread of the capture was ended from outside"), !is_report);
      CHECK_EQ(engine.stats().report_ended, is_report ? 1u : 0u);
      const std::string line = said([&] { engine.destroy(); });
      CHECK(!has(line, "does not respond"));
      CHECK_EQ(has(line, "is not whole: its thread was ended from outside"), is_report);
      CHECK_EQ(has(line, "the capture thread was ended from outside"), !is_report);
      CHECK_EQ(has(text(report + "/summary.json"), "the thread of the capture was ended"), !is_report);
      use(plugin, R"({"placement":"split"})");
    });
  }
  return 0;
}

// A lane that is gone stands still, and nobody waits for it either.
SCENARIO(a_lane_that_was_ended_from_outside) {
  apart([] {
    Plugin plugin;
    Engine engine(plugin, R"({"placement":"fused","idle":"yield"})");
    engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
    engine.settle();
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    end_whoever(filter, sizeof filter / sizeof *filter);
    CHECK(wait_for([&] { return plugin.health(engine.handle) == SIGNAL_HEALTH_STALLED; }));
    CHECK(has(plugin.last_error(), "lane ingest..egress@"));
    CHECK_EQ(said([&] { engine.destroy(); }), std::string());
  });
  return 0;
}
