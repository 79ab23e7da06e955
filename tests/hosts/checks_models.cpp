// Several models: each callback can ask whose signal it has.
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
