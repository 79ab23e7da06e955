// Hosts in a sandbox that answers `statx` with an error, from before create or from later on.
#include "descriptors.hpp"
#include "folder.hpp"
#include "plugin.hpp"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>

using namespace host;

namespace {

// What sandboxes answer, and what an old kernel does.
constexpr int kErrors[] = {EPERM, ENOSYS, EACCES, EINVAL};

constexpr const char *kSpinning = R"({"placement":"fused","idle":"spin","model":"none"})";

// A handle that writes all files that there are, in folders that need not exist, and has a model with a
// check file.
std::string writes_into(const Folder &folder, const std::string &name, int interval_ms = 10) {
  const std::string to = folder.at((name + "/sub").c_str());
  return R"({"placement":"fused","idle":"park","model":")" + folder.at("model.json") + R"(","capture":{"file":")" +
         to + R"(/c.csv"},"latency":{"interval_ms":)" + std::to_string(interval_ms) + R"(,"dir":")" + to +
         "/report\"}}";
}

void write_model(const Folder &folder) {
  std::ofstream(folder.at("model.json")) << R"({"weights":[0,0,0],"bias":0})";
  std::ofstream(folder.at("model.json.check.json"))
      << R"({"tolerance":1,"inputs":[[0,0,0]],"outputs":[[0,0]]})";
}

void feed(Engine &engine, int depths) {
  for (int event = 0; event < depths; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  engine.drain();
}

void check_files(const Folder &folder, const std::string &name, long events) {
  const std::string capture = text(folder.at((name + "/sub/c.csv").c_str()));
  CHECK_EQ(static_cast<long>(std::count(capture.begin(), capture.end(), '\n')), events + 1);
  CHECK(has(text(folder.at((name + "/sub/report/summary.json").c_str())), "\"hops\""));
}

}  // namespace

// Whatever has the numbers of our descriptors, once the host has closed all that it does not know, is the
// host's.
SCENARIO(statx_is_forbidden) {
  for (const int error : kErrors) {
    const Folder folder;
    write_model(folder);
    apart([&] {
      Plugin plugin;
      forbid(SYS_statx, error);
      Engine engine(plugin, writes_into(folder, "first", kReportIntervalMs).c_str());
      feed(engine, 5);
      void *spinning = plugin.create(kSpinning);
      CHECK(spinning != nullptr);
      await_interval(folder.at("first/sub/report/latency.hlog"), [&] {
        feed(engine, 1);
        sleep_us(5000);
      });
      replace_descriptors(folder);
      feed(engine, 5);
      CHECK(wait_for([&] { return plugin.health(engine.handle) == SIGNAL_HEALTH_DEGRADED; }));
      plugin.destroy(spinning);
      engine.destroy();
      check_replaced(folder);
    });
  }
  return 0;
}

// Files stay known, and the next handle finds and makes all that it needs.
SCENARIO(statx_is_forbidden_later) {
  for (const int error : kErrors) {
    const Folder folder;
    write_model(folder);
    apart([&] {
      Plugin plugin;
      Engine engine(plugin, writes_into(folder, "first").c_str());
      feed(engine, 5);
      void *spinning = plugin.create(kSpinning);
      CHECK(spinning != nullptr);
      forbid(SYS_statx, error, SECCOMP_FILTER_FLAG_TSYNC);
      const std::string lines = said([&] {
        feed(engine, 5);
        CHECK(wait_for([&] { return engine.stats().capture_written == 10; }));
        for (void *handle : {engine.handle, spinning}) {
          const char *why = plugin.health(handle) == SIGNAL_HEALTH_OK ? "" : plugin.last_error();
          CHECK(!has(why, "descriptor") && !has(why, "capture"));
        }
        CHECK_EQ(engine.stats().report_ended, 0u);
        engine.destroy();
        plugin.destroy(spinning);
      });
      CHECK(!has(lines, "cannot"));
      check_files(folder, "first", 10);
      for (const char *name : {"first", "second"}) {
        Engine again(plugin, writes_into(folder, name).c_str());
        feed(again, 7);
        again.destroy();
        check_files(folder, name, 7);
      }
    });
  }
  return 0;
}

// What cannot be told from the host's is left alone.
SCENARIO(statx_and_fstat_are_forbidden_later) {
  for (const bool replaces : {false, true}) {
    const Folder folder;
    write_model(folder);
    apart([&] {
      Plugin plugin;
      Engine engine(plugin, writes_into(folder, "first").c_str());
      feed(engine, 5);
      for (const int call : {SYS_statx, SYS_fstat, SYS_newfstatat, SYS_stat, SYS_lstat}) {
        forbid(call, EPERM, SECCOMP_FILTER_FLAG_TSYNC);
      }
      if (replaces) replace_descriptors(folder);
      feed(engine, 5);
      CHECK(wait_for([&] { return plugin.health(engine.handle) == SIGNAL_HEALTH_DEGRADED; }));
      engine.destroy();
      if (replaces) check_replaced(folder);
    });
  }
  return 0;
}
