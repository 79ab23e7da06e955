// A host whose allocator refuses everything from the create of a handle with the given
// configuration until its destroy. It prints how often the allocator was asked. With a second
// argument, a sandbox ends whoever yields its core before that.
#include "../sandbox.hpp"
#include "allocator.hpp"

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <iterator>

using namespace host;

namespace {

std::atomic<bool> refusing{false};
std::atomic<long> refused{0};

long thread_count() {
  namespace fs = std::filesystem;
  return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

}  // namespace

bool refuse() {
  if (!refusing.load(std::memory_order_relaxed)) return false;
  refused.fetch_add(1, std::memory_order_relaxed);
  errno = ENOMEM;
  return true;
}

int main(int argc, char **argv) {
  CHECK(argc == 2 || argc == 3);
  Plugin plugin;
  void *handle = plugin.create(argv[1]);
  if (handle == nullptr) std::fprintf(stderr, "%s\n", plugin.last_error());
  CHECK(handle != nullptr);
  plugin.register_callback(handle, [](const char *, long long, const double *, int, void *) {}, nullptr);
  static signal_hop_t hops[16];
  static signal_lane_t lanes[16];
  static signal_ring_t rings[16];
  static signal_result_t batch[16];
  signal_stats_t stats{};
  stats.size = sizeof stats;
  if (argc == 3) {
    end_who_calls(SYS_sched_yield);
    while (thread_count() > 1) usleep(1000);
    refusing = true;
    plugin.destroy(handle);
    refusing = false;
    std::printf("asked %ld times\n", refused.load());
    return 0;
  }
  refusing = true;
  for (int round = 0; round < 8; ++round) {
    for (int event = 0; event < 40; ++event) {
      // New instruments: some are written in two ways, which is reported, and some are refused.
      char symbol[32];
      std::snprintf(symbol, sizeof symbol, event % 10 == 9 ? "a%d_%dusdt" : "a%d%d_usdt", round, event - event % 10 / 9);
      Depth d = depth(symbol, round * 40 + event, 10.0, event % 10 == 5 ? 9.0 : 11.0);
      plugin.on_data(handle, kDepth, &d);
    }
    int looks = 0;
    do {
      usleep(100);
      CHECK_EQ(plugin.stats(handle, &stats), 0);
      if (round % 2 == 0) {
        CHECK(plugin.poll_callbacks(handle) >= 0);
      } else {
        CHECK(plugin.poll_batch(handle, batch, 16) >= 0);
      }
    } while ((stats.in_flight != 0 || stats.signals != stats.delivered) && ++looks < 100000);
    CHECK(plugin.health(handle) >= 0);
    CHECK(plugin.latency(handle, hops, 16) >= 0);
    CHECK(plugin.lanes(handle, lanes, 16) >= 0);
    CHECK(plugin.rings(handle, rings, 16) >= 0);
    plugin.on_data(handle, 999, nullptr);
    CHECK(plugin.poll_callbacks(&stats) < 0);
    CHECK(plugin.last_error() != nullptr);
    // Long enough for several intervals of the report.
    usleep(60000);
  }
  for (const char *config : {R"({"placement":"nowhere"})", "{}"}) {
    CHECK(plugin.create(config) == nullptr);
    CHECK(std::strstr(plugin.last_error(), "memory: ") != nullptr);
  }
  plugin.destroy(handle);
  refusing = false;
  CHECK(stats.delivered > 0);
  std::printf("asked %ld times\n", refused.load());
  return 0;
}
