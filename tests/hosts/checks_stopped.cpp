// A process that is stopped for longer than anything may take (SIGSTOP, a freezer, a paused
// machine): no lane and no host is blamed for it.
#include "plugin.hpp"

#include <signal.h>
#include <sys/wait.h>

using namespace host;

namespace {

// Stops this process for `seconds` seconds, `after_us` after `go`.
class Stopper {
public:
  Stopper(unsigned after_us, unsigned seconds) {
    CHECK_EQ(pipe(go_), 0);
    const pid_t parent = getpid();
    child_ = fork();
    CHECK(child_ >= 0);
    if (child_ > 0) return;
    char byte;
    if (read(go_[0], &byte, 1) != 1) _exit(1);
    sleep_us(after_us);
    kill(parent, SIGSTOP);
    sleep_us(seconds * 1000000);
    kill(parent, SIGCONT);
    _exit(0);
  }
  void go() const { CHECK_EQ(write(go_[1], "", 1), 1); }
  ~Stopper() {
    int status = 0;
    CHECK_EQ(waitpid(child_, &status, 0), child_);
    CHECK_EQ(status, 0);
    close(go_[0]), close(go_[1]);
  }

private:
  int go_[2];
  pid_t child_;
};

}  // namespace

SCENARIO(stopped_in_destroy) {
  Plugin plugin;
  for (const unsigned after : {0u, 60u}) {
    void *handle = plugin.create(R"({"placement":"split","idle":"park"})");
    CHECK(handle != nullptr);
    const std::string line = said([&] {
      const Stopper stopper(after, 6);
      stopper.go();
      const double start = seconds();
      while (seconds() - start < 40e-6) {
      }
      plugin.destroy(handle);
    });
    CHECK_EQ(line, "");
  }
  return 0;
}

// The host asks before its lanes have had a core again.
SCENARIO(stopped_before_health) {
  Plugin plugin;
  Engine engine(plugin, R"({"placement":"split","health":{"stall_us":100000}})");
  for (int round = 0; round < 8; ++round) {
    engine.feed(depth("btc_usdt", round, 10.0, 11.0));
    engine.settle();
    plugin.health(engine.handle);
    const Stopper stopper(20000, 1);
    stopper.go();
    const double start = seconds();
    while (seconds() - start < 0.5) {
    }
    const int health = plugin.health(engine.handle);
    if (health == SIGNAL_HEALTH_STALLED) std::fprintf(stderr, "round %d: %s\n", round, plugin.last_error());
    CHECK(health != SIGNAL_HEALTH_STALLED);
    engine.drain();
  }
  return 0;
}

// The stopped time does not count for a lane that waits for room.
SCENARIO(stopped_while_a_lane_waits) {
  Plugin plugin;
  Engine engine(plugin, R"({"placement":"fused","idle":"park","rings":{"egress":2},
                            "overload":{"egress":"block","block_ms":2000}})");
  for (int event = 0; event < 8; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
  CHECK(wait_for([&] { return engine.stats().ring_waits > 0; }));
  {
    const Stopper stopper(0, 3);
    stopper.go();
  }
  // The lane checks before the host does.
  sleep_us(20000);
  CHECK(wait_for([&] { return engine.poll() >= 0 && engine.stats().in_flight == 0; }));
  engine.drain();
  CHECK_EQ(engine.stats().dropped_egress_timeout, 0u);
  CHECK_EQ(engine.got.size(), 8u);
  return 0;
}
