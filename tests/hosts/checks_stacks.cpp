// How much of the caller's stack the functions use, measured on a stack that was painted
// beforehand. Usage: checks stack_of_calls. SIGNAL_STACK_CREATE and SIGNAL_STACK_OTHERS are
// the most bytes that they may use; SIGNAL_STACK_MODELS is a folder of model files for the
// set `market`.
#include "plugin.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <functional>

using namespace host;

namespace {

constexpr std::size_t kStack = 1 << 20;
constexpr std::uint64_t kPaint = 0xA5C3A5C3A5C3A5C3;
// Bytes below the painting frame that are left out, so that it does not paint over its own calls.
constexpr std::size_t kOwn = 256;

std::uint64_t *stack_begin;

// The number of bytes below this frame to which `doing` has written.
template <typename Doing> __attribute__((noinline)) std::size_t stack_of(Doing doing) {
  std::uint64_t here = 0;
  auto *volatile const top = reinterpret_cast<std::uint64_t *>(
      (reinterpret_cast<std::uintptr_t>(&here) - kOwn) & ~std::uintptr_t{7});
  for (std::uint64_t *word = stack_begin; word < top; ++word) *const_cast<volatile std::uint64_t *>(word) = kPaint;
  doing();
  std::uint64_t *deepest = stack_begin;
  while (deepest < top && *deepest == kPaint) ++deepest;
  return static_cast<std::size_t>(reinterpret_cast<char *>(&here) - reinterpret_cast<char *>(deepest));
}

std::size_t most(const char *variable) {
  const char *text = std::getenv(variable);
  CHECK(text != nullptr);
  return static_cast<std::size_t>(std::atol(text));
}

void ignore(const char *, long long, const double *, int, void *) {}

struct Case {
  std::string config;
  bool is_made;
};

void measure(const Plugin &plugin, const std::vector<Case> &cases) {
  static signal_hop_t hops[32];
  static signal_lane_t lanes[32];
  static signal_ring_t rings[32];
  static signal_result_t results[32];
  static signal_stats_t stats = empty_stats();
  static Depth event = depth("btc_usdt", 1, 10.0, 11.0);
  std::size_t create = 0, others = 0;
  const auto other = [&](const char *name, std::size_t bytes) {
    if (bytes > others) std::printf("%s takes %zu\n", name, bytes);
    others = std::max(others, bytes);
  };
  for (const Case &one : cases) {
    void *volatile handle = nullptr;
    const char *config = one.config.c_str();
    const std::size_t bytes = stack_of([&] { handle = plugin.create(config); });
    create = std::max(create, bytes);
    std::printf("signal_create takes %zu with %.100s\n", bytes, config);
    std::fflush(stdout);
    if ((handle != nullptr) != one.is_made) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK_EQ(handle != nullptr, one.is_made);
    if (handle == nullptr) continue;
    other("register_callback", stack_of([&] { plugin.register_callback(handle, ignore, nullptr); }));
    other("on_data", stack_of([&] { plugin.on_data(handle, kDepth, &event); }));
    feed_and_settle(plugin, handle, 1);
    other("poll_callbacks", stack_of([&] { plugin.poll_callbacks(handle); }));
    feed_and_settle(plugin, handle, 1);
    other("poll_batch", stack_of([&] { plugin.poll_batch(handle, results, 32); }));
    other("stats", stack_of([&] { plugin.stats(handle, &stats); }));
    other("latency", stack_of([&] { plugin.latency(handle, hops, 32); }));
    other("health", stack_of([&] { plugin.health(handle); }));
    other("lanes", stack_of([&] { plugin.lanes(handle, lanes, 32); }));
    other("rings", stack_of([&] { plugin.rings(handle, rings, 32); }));
    other("stamp_ns", stack_of([&] { plugin.stamp_ns(handle); }));
    other("destroy", stack_of([&] { plugin.destroy(handle); }));
    other("a refused call", stack_of([&] { plugin.poll_callbacks(handle); }));
  }
  std::printf("at most: create %zu, others %zu\n", create, others);
  std::fflush(stdout);
  CHECK(create <= most("SIGNAL_STACK_CREATE"));
  CHECK(others <= most("SIGNAL_STACK_OTHERS"));
}

}  // namespace

SCENARIO(stack_of_calls) {
  char folder[] = "/tmp/signal-stacks-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const char *models = std::getenv("SIGNAL_STACK_MODELS");
  CHECK(models != nullptr);
  const std::string deep = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
  std::vector<Case> cases{
      {"{}", true},
      {R"({"placement":"split","model":"none"})", true},
      {R"({"placement":"inline","factors":["market"]})", true},
      {std::string(R"({"latency":{"dir":")") + folder + R"(/report"},"capture":{"file":")" + folder + R"(/c.csv"}})", true},
      {R"({"symbols":{"style":"host","map":[{"exchange":"binance","type":"swap","symbol":"btc_usdt","name":"B"}]},"assets":["B"]})", true},
      {R"({"latncy":{"dir":"x"}})", false},
      {"{x", false},
      {R"({"model":"/no/such.json"})", false},
      {R"({"cores":[1000]})", false},
      {R"({"latency":{"dir":"/proc/no/such"}})", false},
      // Parameters of a factor set are values of any form.
      {R"({"factors":[{"set":"market","window":[[[1]]]}]})", false},
      {R"({"factors":[{"set":"market","window":)" + deep + "}]}", false},
  };
  for (const char *file : {"move.json", "move.txt", "move.xgb.json", "move.onnx"}) {
    cases.push_back({R"({"factors":["market"],"model":")" + std::string(models) + "/" + file + R"("})", true});
    cases.push_back({R"({"placement":"inline","factors":["market"],"model":")" + std::string(models) + "/" + file + R"("})", true});
  }
  Plugin plugin;
  stack_begin = static_cast<std::uint64_t *>(
      mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(stack_begin != MAP_FAILED);
  pthread_attr_t attributes;
  CHECK_EQ(pthread_attr_init(&attributes), 0);
  CHECK_EQ(pthread_attr_setstack(&attributes, stack_begin, kStack), 0);
  std::function<void()> body = [&] { measure(plugin, cases); };
  pthread_t thread;
  CHECK_EQ(pthread_create(
               &thread, &attributes,
               [](void *body) -> void * {
                 (*static_cast<std::function<void()> *>(body))();
                 return nullptr;
               },
               &body),
           0);
  CHECK_EQ(pthread_join(thread, nullptr), 0);
  CHECK_EQ(std::system((std::string("rm -r ") + folder).c_str()), 0);
  return 0;
}
