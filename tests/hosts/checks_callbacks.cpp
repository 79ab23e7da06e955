// Everything that a callback may do.
#include "plugin.hpp"

#include <thread>

using namespace host;

namespace {

constexpr int kBusy = SIGNAL_ERROR_BUSY;
constexpr const char *kSmall =
    R"({"placement":"inline","rings":{"ingest":16,"egress":16},"instruments":{"max":1}})";

// What one callback does, for `everything` and `destroys`.
struct Busy {
  const Plugin *plugin;
  void *handle;
  std::vector<long long> first, second;
  bool throws = false;
};

struct Thrown {};

void second_callback(const char *, long long timestamp, const double *, int, void *user_data) {
  static_cast<Busy *>(user_data)->second.push_back(timestamp);
}

void everything(const char *, long long timestamp, const double *, int, void *user_data) {
  auto *self = static_cast<Busy *>(user_data);
  const Plugin &plugin = *self->plugin;
  self->first.push_back(timestamp);
  const Depth more = depth("btc_usdt", timestamp + 1000, 10.0, 11.0);
  signal_stats_t stats = empty_stats();
  signal_hop_t hops[4];
  for (int times = 0; times < 2; ++times) {
    CHECK_EQ(plugin.poll_callbacks(self->handle), 0);
    CHECK_EQ(signal_poll(self->handle, plugin.egress(self->handle), plugin.poll_callbacks), 0);
    CHECK_EQ(plugin.latency(self->handle, hops, 4), 0);
    CHECK_EQ(plugin.stats(self->handle, &stats), 0);
    CHECK_EQ(stats.delivered, static_cast<std::uint64_t>(self->first.size()));
    CHECK_EQ(plugin.current_model(self->handle), 0);
    CHECK_EQ(plugin.models(self->handle), 1);
    CHECK_EQ(std::string(plugin.model_name(self->handle, 0)), "test0000");
    CHECK(plugin.value_name(self->handle, SIGNAL_ALL_MODELS, 0) != nullptr);
    CHECK(plugin.stamp_ns(self->handle) > 0.0);
    signal_lane_t lanes[4];
    signal_ring_t rings[8];
    CHECK_EQ(plugin.current_sequence(self->handle), static_cast<std::uint64_t>(self->first.size()));
    CHECK(plugin.health(self->handle) >= SIGNAL_HEALTH_OK && plugin.health(self->handle) != SIGNAL_HEALTH_FAILED);
    CHECK(plugin.incident(self->handle, 0) == nullptr);
    CHECK(plugin.lanes(self->handle, lanes, 4) >= 0);
    CHECK(plugin.rings(self->handle, rings, 8) > 0);
  }
  plugin.on_data(self->handle, kDepth, &more);
  // Another handle, from beginning to end.
  void *other = plugin.create(kSmall);
  CHECK(other != nullptr);
  plugin.register_callback(other, second_callback, self);
  plugin.on_data(other, kDepth, &more);
  CHECK_EQ(plugin.poll_callbacks(other), 1);
  plugin.destroy(other);
  // The new callback takes effect after this one returns.
  plugin.register_callback(self->handle, self->first.size() == 1 ? everything : nullptr, self);
}

void destroys(const char *, long long timestamp, const double *, int, void *user_data) {
  auto *self = static_cast<Busy *>(user_data);
  self->first.push_back(timestamp);
  self->plugin->destroy(self->handle);
  check_refused(*self->plugin, self->handle, "not a live handle");
  // The slot is not free yet: a new handle must not disturb this one's end.
  void *other = self->plugin->create(kSmall);
  CHECK(other != nullptr && other != self->handle);
  self->plugin->destroy(other);
  if (self->throws) throw Thrown{};
}

}  // namespace

namespace {

struct Visited {
  const Plugin *plugin;
  void *handle;
  int codes[3] = {1, 1, 1};
};

void visited(const char *, long long, const double *, int, void *user_data) {
  auto *self = static_cast<Visited *>(user_data);
  std::thread([&] {
    const Depth d = depth("btc_usdt", 2, 10.0, 11.0);
    signal_hop_t hops[4];
    self->plugin->on_data(self->handle, kDepth, &d);
    self->plugin->register_callback(self->handle, nullptr, nullptr);
    self->plugin->destroy(self->handle);
    self->codes[0] = self->plugin->poll_callbacks(self->handle);
    self->codes[1] = self->plugin->latency(self->handle, hops, 4);
    signal_stats_t stats = empty_stats();
    self->codes[2] = self->plugin->stats(self->handle, &stats);
    CHECK(std::strstr(self->plugin->last_error(), "another call") != nullptr);
  }).join();
}

}  // namespace

// Another thread calls in while a callback runs: it may not use the handle.
SCENARIO(visitors_during_a_callback) {
  Plugin plugin;
  for (const char *config : {"{}", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    Visited visit{&plugin, engine.handle};
    plugin.register_callback(engine.handle, visited, &visit);
    for (int event = 0; event < 3; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.settle();
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 3);
    CHECK_EQ(visit.codes[0], kBusy);
    CHECK_EQ(visit.codes[1], kBusy);
    CHECK_EQ(visit.codes[2], 0);
    const signal_stats_t stats = engine.stats();
    CHECK_EQ(stats.refused_concurrent, 3u * 5u);
    CHECK_EQ(stats.events_depth, 3u);
    check_accounts(stats);
  }
  return 0;
}

SCENARIO(callback_calls_everything) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"fused"})", R"({"placement":"split"})", R"({"placement":"inline"})"}) {
    Engine engine(plugin, config);
    Busy busy{&plugin, engine.handle, {}, {}};
    plugin.register_callback(engine.handle, everything, &busy);
    for (int event = 1; event <= 3; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.settle();
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 2);
    CHECK((busy.first == std::vector<long long>{1, 2}));
    CHECK((busy.second == std::vector<long long>{1001, 1002}));
    // The callback has cleared itself, so the remaining signals wait.
    engine.settle();
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 0);
    CHECK_EQ(engine.stats().delivered, 2u);
    busy.second.clear();
    plugin.register_callback(engine.handle, second_callback, &busy);
    CHECK_EQ(plugin.poll_callbacks(engine.handle), 3);
    CHECK((busy.second == std::vector<long long>{3, 1001, 1002}));
    CHECK_EQ(plugin.current_model(engine.handle), SIGNAL_NO_MODEL);
    CHECK_EQ(plugin.current_sequence(engine.handle), 0u);
    CHECK_EQ(engine.stats().refused_concurrent, 0u);
    check_accounts(engine.stats());
  }
  CHECK_EQ(plugin.refused_handles(), 0u);
  return 0;
}

SCENARIO(destroy_in_a_callback) {
  Plugin plugin;
  const std::size_t threads_before = threads().size();
  for (int round = 0; round < 12; ++round) {
    const char *const configs[] = {R"({"placement":"fused"})", R"({"placement":"split"})", R"({"placement":"inline"})"};
    Busy busy{&plugin, plugin.create(configs[round % 3]), {}, {}, round % 2 == 1};
    CHECK(busy.handle != nullptr);
    const signal_egress_t *egress = plugin.egress(busy.handle);
    plugin.register_callback(busy.handle, destroys, &busy);
    for (int event = 1; event <= 5; ++event) {
      const Depth d = depth("btc_usdt", event, 10.0, 11.0);
      plugin.on_data(busy.handle, kDepth, &d);
    }
    signal_stats_t stats = empty_stats();
    CHECK(wait_for([&] { return plugin.stats(busy.handle, &stats) == 0 && stats.in_flight == 0; }));
    bool caught = false;
    try {
      CHECK_EQ(signal_poll(busy.handle, egress, plugin.poll_callbacks), 1);
    } catch (const Thrown &) {
      caught = true;
    }
    CHECK_EQ(caught, busy.throws);
    CHECK((busy.first == std::vector<long long>{1}));
    check_refused(plugin, busy.handle, "not a live handle");
    CHECK_EQ(signal_poll(busy.handle, egress, plugin.poll_callbacks), 0);
    CHECK(wait_for([&] { return threads().size() == threads_before; }));
  }
  return 0;
}
