// Several models: each callback can ask which model made its signal, and the signal's number.
#include "plugin.hpp"

using namespace host;

namespace {

struct Seen {
  const Plugin *plugin;
  void *handle;
  std::vector<int> models;
  std::vector<std::vector<double>> values;
};

void remember(const char *, long long, const double *values, int count, void *user_data) {
  auto *seen = static_cast<Seen *>(user_data);
  seen->models.push_back(seen->plugin->current_model(seen->handle));
  seen->values.emplace_back(values, values + count);
}

std::string text(const char *name) { return name == nullptr ? "(null)" : name; }

Seen run(const Plugin &plugin, const char *config) {
  Seen seen{&plugin, plugin.create(config), {}, {}};
  CHECK(seen.handle != nullptr);
  plugin.register_callback(seen.handle, remember, &seen);
  CHECK_EQ(plugin.models(seen.handle), 2);
  CHECK_EQ(text(plugin.model_name(seen.handle, 0)), "none");
  CHECK_EQ(text(plugin.model_name(seen.handle, 1)), "test0000");
  CHECK_EQ(text(plugin.value_name(seen.handle, 0, 2)), "best_bid");
  CHECK_EQ(text(plugin.value_name(seen.handle, 1, 1)), "pred_confidence");
  CHECK_EQ(text(plugin.value_name(seen.handle, SIGNAL_ALL_MODELS, 3)), "pred_signal");
  for (const int wrong : {-1, 2, 1000}) CHECK(plugin.model_name(seen.handle, wrong) == nullptr);
  CHECK(plugin.value_name(seen.handle, 2, 0) == nullptr);
  CHECK(plugin.value_name(seen.handle, 0, 3) == nullptr);
  CHECK(plugin.value_name(seen.handle, SIGNAL_ALL_MODELS, 5) == nullptr);
  CHECK(plugin.value_name(seen.handle, SIGNAL_ALL_MODELS, -1) == nullptr);
  CHECK_EQ(plugin.current_model(seen.handle), SIGNAL_NO_MODEL);
  const Depth book = depth("btc_usdt", 1, 10.0, 11.0);
  plugin.on_data(seen.handle, kDepth, &book);
  CHECK(wait_for([&] {
    plugin.poll_callbacks(seen.handle);
    signal_stats_t stats{};
    stats.size = sizeof stats;
    return plugin.stats(seen.handle, &stats) == 0 && stats.in_flight == 0 && stats.signals == stats.delivered;
  }));
  CHECK_EQ(plugin.current_model(seen.handle), SIGNAL_NO_MODEL);
  plugin.destroy(seen.handle);
  return seen;
}

struct Numbers {
  const Plugin *plugin;
  void *handle;
  std::uint64_t last = 0, skipped = 0;
};

void number(const char *, long long, const double *, int, void *user_data) {
  auto *seen = static_cast<Numbers *>(user_data);
  const std::uint64_t now = seen->plugin->current_sequence(seen->handle);
  CHECK(now > seen->last);
  seen->skipped += now - seen->last - 1;
  seen->last = now;
}

}  // namespace

SCENARIO(models) {
  const Plugin plugin;
  CHECK_EQ(plugin.models(nullptr), SIGNAL_ERROR_NULL);
  CHECK_EQ(plugin.current_model(nullptr), SIGNAL_ERROR_NULL);
  CHECK(plugin.model_name(nullptr, 0) == nullptr);
  CHECK(plugin.value_name(nullptr, 0, 0) == nullptr);
  const double confidence = static_cast<double>(0.8f);
  for (const char *placement : {"inline", "fused", "split"}) {
    const std::string keys = std::string(R"({"models":["none","test0000"],"placement":")") + placement + '"';
    const Seen all = run(plugin, (keys + "}").c_str());
    CHECK((all.models == std::vector<int>{SIGNAL_ALL_MODELS}));
    CHECK((all.values == std::vector<std::vector<double>>{{1.0, 10.5, 10.0, 1.0, confidence}}));
    const Seen each = run(plugin, (keys + R"(,"callback":"per-model"})").c_str());
    CHECK((each.models == std::vector<int>{0, 1}));
    CHECK((each.values == std::vector<std::vector<double>>{{1.0, 10.5, 10.0}, {1.0, confidence}}));
  }
  return 0;
}

// A host stops polling for a while, and the numbers show what it lost.
SCENARIO(numbers_show_each_gap) {
  const Plugin plugin;
  CHECK_EQ(plugin.current_sequence(nullptr), 0u);
  for (const char *policy : {"conflate", "drop-newest"}) {
    for (const char *placement : {"inline", "fused", "split"}) {
      const std::string config = std::string(R"({"rings":{"egress":4},"overload":{"egress":")") + policy +
                                 R"("},"placement":")" + placement + "\"}";
      Numbers seen{&plugin, plugin.create(config.c_str())};
      CHECK(seen.handle != nullptr);
      plugin.register_callback(seen.handle, number, &seen);
      signal_stats_t stats{};
      stats.size = sizeof stats;
      for (int burst = 0; burst < 50; ++burst) {
        // Small bursts fit, larger ones do not; the last burst shows the gap before it.
        for (int event = 0; event < (burst == 49 ? 1 : burst % 20); ++event) {
          const Depth d = depth(event % 3 == 0 ? "btc_usdt" : "eth_usdt", event, 10.0, 11.0);
          plugin.on_data(seen.handle, kDepth, &d);
        }
        CHECK(wait_for([&] { return plugin.stats(seen.handle, &stats) == 0 && stats.in_flight == 0; }));
        CHECK(wait_for([&] {
          plugin.poll_callbacks(seen.handle);
          return plugin.stats(seen.handle, &stats) == 0 && stats.queued == 0;
        }));
        CHECK_EQ(seen.skipped, stats.egress_gap);
        CHECK_EQ(plugin.current_sequence(seen.handle), 0u);
      }
      CHECK(seen.skipped > 0);
      CHECK_EQ(seen.last, stats.signals);
      CHECK_EQ(seen.skipped, stats.conflated_egress + stats.dropped_egress_ring_full);
      plugin.destroy(seen.handle);
    }
  }
  return 0;
}
