// Threads of the library that a sandbox ends.
#include "folder.hpp"
#include "sandbox.hpp"

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
    end_who_calls(SYS_sched_yield);
    CHECK(wait_for([&] { return plugin.health(engine.handle) == SIGNAL_HEALTH_STALLED; }));
    CHECK(has(plugin.last_error(), "lane ingest..egress@"));
    CHECK_EQ(said([&] { engine.destroy(); }), std::string());
  });
  return 0;
}
