// A host that throws with an unwinder of its own, not with libgcc_s.so. The first exception of the
// process leaves a callback. Its arguments are a placement and a value of "deliver".
#include "../plugin.hpp"

#include <stdexcept>

using namespace host;

namespace {

struct Strategy {
  std::vector<long long> seen;
  int thrown = 0, left = 0;
};

// Its destructor runs on the exception's way to the host.
struct Leaving {
  Strategy *strategy;
  ~Leaving() { ++strategy->left; }
};

void throws_every_second(const char *, long long timestamp, const double *, int, void *user_data) {
  auto *strategy = static_cast<Strategy *>(user_data);
  const Leaving leaving{strategy};
  strategy->seen.push_back(timestamp);
  if (strategy->seen.size() % 2 == 1) {
    ++strategy->thrown;
    throw std::runtime_error(std::to_string(timestamp));
  }
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc == 3);
  alarm(120);
  // Linked as usual, this host would test nothing.
  CHECK(dlopen("libgcc_s.so.1", RTLD_LAZY | RTLD_NOLOAD) == nullptr);
  const Plugin plugin;
  const std::string config = std::string(R"({"placement":")") + argv[1] + R"(","deliver":")" +
                             argv[2] + "\"}";
  void *handle = plugin.create(config.c_str());
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(handle != nullptr);
  Strategy strategy;
  plugin.register_callback(handle, throws_every_second, &strategy);
  constexpr std::size_t kEvents = 100;
  int caught = 0;
  const auto catching = [&](const auto &call) {
    try {
      call();
    } catch (const std::runtime_error &error) {
      ++caught;
      CHECK_EQ(std::string(error.what()), std::to_string(strategy.seen.back()));
    }
  };
  for (std::size_t event = 0; event < kEvents; ++event) {
    const Depth d = depth("btc_usdt", static_cast<std::int64_t>(event), 10.0, 11.0);
    catching([&] { plugin.on_data(handle, kDepth, &d); });
  }
  while (strategy.seen.size() < kEvents) {
    catching([&] { plugin.poll_callbacks(handle); });
  }
  // Each signal came, once and in order, and each exception.
  CHECK_EQ(strategy.seen.size(), kEvents);
  for (std::size_t event = 0; event < kEvents; ++event) {
    CHECK_EQ(strategy.seen[event], static_cast<long long>(event));
  }
  CHECK_EQ(strategy.thrown, static_cast<int>(kEvents / 2));
  CHECK_EQ(caught, strategy.thrown);
  CHECK_EQ(strategy.left, static_cast<int>(kEvents));
  CHECK(plugin.health(handle) != SIGNAL_HEALTH_FAILED);
  plugin.destroy(handle);
  std::printf("caught %d\n", caught);
  return 0;
}
