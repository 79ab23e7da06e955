// Lanes that somebody moves to other cores.
#include "claims.hpp"
#include "folder.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

using namespace host;

namespace {

// The thread of the only lane.
pid_t lane_thread() {
  for (const pid_t thread : threads()) {
    if (has(text("/proc/self/task/" + std::to_string(thread) + "/comm"), "signal-lane-0")) return thread;
  }
  CHECK(false);
  return 0;
}

void let_run(pid_t thread, const std::vector<int> &cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) CPU_SET(core, &set);
  CHECK_EQ(sched_setaffinity(thread, sizeof set, &set), 0);
}

// Two cores that this process may use, in ascending order; none if there are not two.
std::vector<int> two_cores() {
  cpu_set_t all;
  CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE && cores.size() < 2; ++core) {
    if (CPU_ISSET(core, &all)) cores.push_back(core);
  }
  return needs(cores.size() == 2, "two cores") ? cores : std::vector<int>();
}

}  // namespace

// Health and counters tell where the lane is, and its claim goes with it. It is not pinned again.
SCENARIO(a_lane_that_is_moved) {
  const std::vector<int> cores = two_cores();
  if (cores.empty()) return 0;
  const int other = cores[0], own = cores[1];
  const std::string at_other = std::to_string(other), at_own = std::to_string(own);
  for (const bool has_report : {false, true}) {
    Folder folder;
    const std::string claims = folder.at("claims"), report = folder.at("report");
    setenv("SIGNAL_CORE_CLAIMS", claims.c_str(), 1);
    Plugin plugin;
    std::string config = R"({"placement":"fused","idle":"spin","cores":[)" + at_own +
                         R"(],"health":{"stall_us":60000000})";
    if (has_report) config += R"(,"latency":{"dir":")" + report + "\"}";
    Engine engine(plugin, (config + "}").c_str());
    const auto core = [&] {
      signal_lane_t lane{};
      CHECK_EQ(plugin.lanes(engine.handle, &lane, 1), 1);
      CHECK(has(lane.name, "ingest..egress@" + at_own + "(spin)"));
      return lane.core;
    };
    const auto says = [&](const std::string &what) {
      const int state = plugin.health(engine.handle);
      const char *why = plugin.last_error();
      return what.empty() ? state == SIGNAL_HEALTH_OK : state == SIGNAL_HEALTH_DEGRADED && has(why, what);
    };
    const auto is_at = [&](const std::string &cores) {
      return says("degraded: signal-lane-0 was pinned to core " + at_own + " at the start; its affinity is now " +
                  cores + ": ");
    };
    CHECK_EQ(core(), static_cast<std::uint64_t>(own));
    CHECK(others_see(claims, own) && !others_see(claims, other));
    CHECK(wait_for([&] { return says(""); }));
    // Health asks once a second.
    let_run(lane_thread(), {other, own});
    CHECK(wait_for([&] { return is_at(at_other + (own == other + 1 ? "-" : ",") + at_own); }));
    CHECK_EQ(core(), SIGNAL_NO_CORE);
    // Where a report's thread has looked, the claims follow a moment after the lane's core is known.
    CHECK(wait_for([&] { return !others_see(claims, own) && !others_see(claims, other); }));
    let_run(lane_thread(), {other});
    CHECK_EQ(core(), static_cast<std::uint64_t>(other));
    CHECK(wait_for([&] { return is_at(at_other); }));
    CHECK(wait_for([&] { return others_see(claims, other) && !others_see(claims, own); }));
    feed_and_settle(plugin, engine.handle, 10);
    CHECK_EQ(engine.poll(), 10);
    cpu_set_t now;
    CHECK_EQ(sched_getaffinity(lane_thread(), sizeof now, &now), 0);
    CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(other, &now));
    if (has_report) {
      engine.destroy();
      const std::string summary = text(report + "/summary.json");
      CHECK(has(summary, "signal-lane-0 was pinned to core " + at_own + " at the start; its affinity is now " +
                             at_other + ": "));
      CHECK(has(summary, "\"core\": " + at_other + ","));
    } else {
      let_run(lane_thread(), {own});
      CHECK(wait_for([&] { return says(""); }));
      CHECK_EQ(core(), static_cast<std::uint64_t>(own));
      CHECK(others_see(claims, own));
      engine.destroy();
    }
    CHECK(!others_see(claims, other) && !others_see(claims, own));
  }
  return 0;
}

// The core that the lane is moved to has a claim of another process already: it keeps that. Two handles
// of this process may share a claim.
SCENARIO(a_lane_that_is_moved_to_a_core_that_others_have) {
  const std::vector<int> cores = two_cores();
  if (cores.empty()) return 0;
  const int others = cores[0], own = cores[1];
  Folder folder;
  const std::string claims = folder.at("claims");
  setenv("SIGNAL_CORE_CLAIMS", claims.c_str(), 1);
  Plugin plugin;
  const std::string on_own = R"({"placement":"fused","idle":"yield","cores":[)" + std::to_string(own) + "]}";
  void *first = plugin.create(on_own.c_str());
  const pid_t moved = lane_thread();
  void *second = plugin.create(on_own.c_str());
  CHECK(first != nullptr && second != nullptr);
  int go[2], done[2];
  CHECK(pipe(go) == 0 && pipe(done) == 0);
  const pid_t other = fork();
  CHECK(other >= 0);
  if (other == 0) {
    close(go[1]);
    struct flock claim{};
    claim.l_type = F_WRLCK, claim.l_whence = SEEK_SET, claim.l_start = others, claim.l_len = 1;
    CHECK_EQ(fcntl(open(claims.c_str(), O_RDWR), F_SETLK, &claim), 0);
    CHECK_EQ(write(done[1], "", 1), 1);
    char byte;
    CHECK(read(go[0], &byte, 1) >= 0);
    _exit(0);
  }
  char byte;
  CHECK_EQ(read(done[0], &byte, 1), 1);
  let_run(moved, {others});
  signal_lane_t lane{};
  CHECK_EQ(plugin.lanes(first, &lane, 1), 1);
  CHECK_EQ(lane.core, static_cast<std::uint64_t>(others));
  // The second one is still there.
  CHECK(others_see(claims, own) && others_see(claims, others));
  close(go[1]);
  int status = 0;
  CHECK_EQ(waitpid(other, &status, 0), other);
  CHECK_EQ(status, 0);
  CHECK(!others_see(claims, others));
  plugin.destroy(second);
  CHECK(!others_see(claims, own));
  plugin.destroy(first);
  return 0;
}

// A sandbox forbids the question: the lane is where it was put, as far as is known.
SCENARIO(a_lane_of_which_nobody_may_ask) {
  apart([] {
    Plugin plugin;
    Engine engine(plugin, R"({"placement":"fused","idle":"park"})");
    signal_lane_t before{}, after{};
    CHECK_EQ(plugin.lanes(engine.handle, &before, 1), 1);
    forbid(SYS_sched_getaffinity, EPERM);
    CHECK_EQ(plugin.lanes(engine.handle, &after, 1), 1);
    CHECK_EQ(after.core, before.core);
    CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_OK);
  });
  return 0;
}
