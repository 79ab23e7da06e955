// Latency reports: what they keep in memory, a full disk, and a host that leaves.
#include "plugin.hpp"
#include "sandbox.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <iterator>

using namespace host;

namespace {

// A separate folder, removed at the end.
struct Folder {
  char path[32] = "/tmp/signal-checks-XXXXXX";
  Folder() { CHECK(mkdtemp(path) != nullptr); }
  ~Folder() { CHECK_EQ(std::system((std::string("rm -r ") + path).c_str()), 0); }
};

std::string config_of(const char *placement, const char *directory, int interval_ms) {
  return std::string(R"({"placement":")") + placement + R"(","latency":{"dir":")" + directory +
         R"(","interval_ms":)" + std::to_string(interval_ms) + "}}";
}

// Reads the hops a hundred times, with a signal between two reads. Returns by how much the
// heap has grown, KiB. Each read would keep at least 72 KiB for the log.
long growth_of_looks(const Plugin &plugin, Engine &engine) {
  signal_hop_t hops[32];
  const auto look = [&](int times) {
    for (int event = 0; event < times; ++event) {
      engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      engine.drain();
      CHECK(plugin.latency(engine.handle, hops, 32) > 0);
    }
  };
  look(10);
  const Footprint before = footprint();
  look(100);
  const Footprint after = footprint();
  std::fprintf(stderr, "resident %ld -> %ld KiB, allocated %ld -> %ld KiB\n", before.resident_kib,
               after.resident_kib, before.allocated_kib, after.allocated_kib);
  return after.allocated_kib - before.allocated_kib;
}

// Bytes of a log on a disk that is full. A few intervals fill it: under load their writer, which yields to
// everything, needs seconds for one.
constexpr rlim_t kLittle = 1536;

// The number of intervals with a signal in the log of a folder. A line of another hop
// begins with its tag.
long intervals_with_signals(const char *folder) {
  std::ifstream log(std::string(folder) + "/latency.hlog");
  long count = 0;
  for (std::string line; std::getline(log, line);) {
    count += !line.empty() && line[0] >= '0' && line[0] <= '9';
  }
  return count;
}

}  // namespace

SCENARIO(latency_between_two_intervals) {
  Plugin plugin;
  for (const char *placement : {"inline", "fused"}) {
    const Folder folder;
    Engine engine(plugin, config_of(placement, folder.path, 3600000).c_str());
    CHECK(growth_of_looks(plugin, engine) < 512);
    CHECK_EQ(engine.stats().report_ended, 0u);
  }
  return 0;
}

SCENARIO(report_on_a_full_disk) {
  Plugin plugin;
  // SIGXFSZ, which ends a process, must not come either.
  rlimit most{};
  CHECK_EQ(getrlimit(RLIMIT_FSIZE, &most), 0);
  for (const char *placement : {"inline", "fused"}) {
    const Folder folder;
    Engine engine(plugin, config_of(placement, folder.path, 10).c_str());
    const rlimit little{kLittle, most.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
    CHECK(wait_for([&] {
      engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
      sleep_us(1000);
      engine.poll();
      return engine.stats().report_ended == 1;
    }));
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &most), 0);
    // The part for which there was room consists of whole lines.
    std::ifstream file(std::string(folder.path) + "/latency.hlog");
    const std::string log{std::istreambuf_iterator<char>(file), {}};
    CHECK(log.size() > kLittle / 2 && log.size() <= kLittle && log.back() == '\n');
    const auto ended = [&] {
      return plugin.health(engine.handle) == SIGNAL_HEALTH_DEGRADED &&
             std::strstr(plugin.last_error(), folder.path) != nullptr;
    };
    CHECK(wait_for(ended));
    CHECK(growth_of_looks(plugin, engine) < 512);
    // It stays so. A lane that gets no core for a while is a graver state, and passes.
    CHECK(wait_for(ended));
    const std::size_t taken = engine.got.size();
    engine.feed(depth("btc_usdt", 2, 10.0, 11.0));
    engine.drain();
    CHECK_EQ(engine.got.size(), taken + 1);
  }
  return 0;
}

// Leaves without destroy, in the way that SIGNAL_CHECKS_END names, between two intervals of
// a report in SIGNAL_CHECKS_FOLDER that has 200 signals in it. More signals are on their
// way, and chance decides how many of them are in the log.
SCENARIO(report_left_behind) {
  static Plugin plugin;
  const std::string end = std::getenv("SIGNAL_CHECKS_END");
  const std::string placement = std::getenv("SIGNAL_CHECKS_PLACEMENT");
  const char *folder = std::getenv("SIGNAL_CHECKS_FOLDER");
  auto *engine = new Engine(plugin, config_of(placement.c_str(), folder, 20).c_str());
  const double start = seconds();
  while (engine->got.size() < 200 || seconds() - start < 0.2) {
    if (engine->got.size() < 200) engine->feed(depth("btc_usdt", 1, 10.0, 11.0));
    engine->drain();
    sleep_us(500);
  }
  // Signals continue until a second interval has been written. It began after the first 200.
  const long before = intervals_with_signals(folder);
  long given = 200;
  CHECK(wait_for([&] {
    engine->feed(depth("btc_usdt", 1, 10.0, 11.0));
    ++given;
    engine->drain();
    sleep_us(5000);
    return intervals_with_signals(folder) >= before + 2;
  }));
  std::printf("given %ld\n", given);
  std::fflush(stdout);
  for (int event = 0; event < 50; ++event) engine->feed(depth("btc_usdt", 2, 10.0, 11.0));
  engine->poll();
  // The host's handlers do this for every signal but two.
  for (const int number : {SIGHUP, SIGABRT, SIGSEGV}) std::signal(number, [](int) { std::exit(42); });
  if (end == "exit") std::exit(42);
  if (end == "_exit") _exit(42);
  if (end == "hup") std::raise(SIGHUP);
  if (end == "abort") std::abort();
  if (end == "segv") std::raise(SIGSEGV);
  if (end == "kill") std::raise(SIGKILL);
  std::signal(SIGHUP, SIG_DFL);
  if (end == "hup without a handler") std::raise(SIGHUP);
  return 1;
}

// Leaves as soon as it has made a handle.
SCENARIO(report_left_at_once) {
  static Plugin plugin;
  const std::string placement = std::getenv("SIGNAL_CHECKS_PLACEMENT");
  CHECK(plugin.create(config_of(placement.c_str(), std::getenv("SIGNAL_CHECKS_FOLDER"), 100).c_str()) != nullptr);
  _exit(42);
}

// Needs a whole core for a second.
SCENARIO(report_under_a_quota) {
  Plugin plugin;
  Engine engine(plugin, config_of("inline", std::getenv("SIGNAL_CHECKS_FOLDER"), 3600000).c_str());
  for (const double start = seconds(); seconds() - start < 1.0;) {
    engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
    engine.poll();
    engine.got.clear();
  }
  return 0;
}

// The quota comes when the handle is there: it is set, or the process is moved into a group that has one.
SCENARIO(a_quota_that_is_set_later) {
  Plugin plugin;
  const char *report = std::getenv("SIGNAL_CHECKS_FOLDER");
  const std::string group = std::getenv("SIGNAL_CHECKS_GROUP");
  // Without a report the host's thread looks, in files that create has opened.
  const std::string config =
      report != nullptr ? config_of("inline", report, 3600000) : R"({"placement":"inline"})";
  Engine engine(plugin, config.c_str());
  const auto play = [&] {
    engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
    engine.poll();
    engine.got.clear();
  };
  play();
  CHECK_EQ(plugin.health(engine.handle), SIGNAL_HEALTH_OK);
  std::istringstream writes(std::getenv("SIGNAL_CHECKS_WRITES"));
  for (std::string file, text; writes >> file && std::getline(writes >> std::ws, text);) {
    std::ofstream out(group + "/" + file);
    CHECK((out << (text == "self" ? std::to_string(getpid()) : text) << std::endl).good());
  }
  if (report == nullptr) end_who_calls(SYS_openat);
  // Needs a whole core.
  CHECK(wait_for([&] {
    const double start = seconds();
    while (seconds() - start < 0.1) play();
    return plugin.health(engine.handle) == SIGNAL_HEALTH_DEGRADED;
  }));
  const std::string why = plugin.last_error();
  const std::string quota = report != nullptr ? " of 0.2 cores" : "";
  CHECK(has(why, "degraded: throttled: a CPU quota" + quota + " of the control group has stopped this process in "));
  CHECK(has(why, "raise or remove it"));
  return 0;
}

// The files that are made at the end get a descriptor, although the host has used up all others.
SCENARIO(report_without_a_descriptor_left) {
  Folder folder;
  Plugin plugin;
  limit(RLIMIT_NOFILE, 64);
  for (const char *placement : {"inline", "split"}) {
    const std::string report = std::string(folder.path) + "/" + placement;
    const std::string json = R"({"placement":")" + std::string(placement) + R"(","latency":{"dir":")" + report +
                             "\"}}";
    void *handle = plugin.create(json.c_str());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 10);
    std::vector<int> taken;
    for (int file; (file = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(file);
    CHECK_EQ(errno, EMFILE);
    feed_and_settle(plugin, handle, 10);
    plugin.destroy(handle);
    CHECK_EQ(plugin.lost_lines(), 0u);
    for (const int file : taken) close(file);
    std::ifstream summary(report + "/summary.json");
    CHECK(std::string(std::istreambuf_iterator<char>(summary), {}).find("\"hops\"") != std::string::npos);
  }
  return 0;
}
