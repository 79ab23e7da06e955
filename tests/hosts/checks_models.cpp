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

namespace {

// What a strategy in use does with its values.
std::vector<double> own(const std::vector<double> &values) {
  if (values.size() > 8 && values[0] == -999.0) return {values.begin() + 8, values.end()};
  return {};
}

void check_times(const std::vector<double> &values) {
  CHECK(values.size() > 8 && values[0] == -999.0);
  CHECK(0.0 <= values[1] && values[1] <= values[3] && values[3] <= values[4] && values[4] <= values[5]);
  CHECK(values[2] >= 0.0);
  CHECK_EQ(static_cast<std::size_t>(values[6]), values.size() - 8);
  CHECK_EQ(values[7], 0.0);
}

void keep(const char *, long long, const double *values, int count, void *user_data) {
  static_cast<std::vector<std::vector<double>> *>(user_data)->emplace_back(values, values + count);
}

enum class Way { kPoll, kInlined, kOnData, kBatch };

// The values of the signals of 40 Depths, which arrive in this way.
std::vector<std::vector<double>> values_of(const Plugin &plugin, const std::string &config, Way way) {
  std::vector<std::vector<double>> got;
  void *handle = plugin.create(config.c_str());
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(handle != nullptr);
  const signal_egress_t *egress = plugin.egress(handle);
  if (way != Way::kBatch) plugin.register_callback(handle, keep, &got);
  const auto take = [&] {
    if (way == Way::kInlined) {
      signal_poll(handle, egress, plugin.poll_callbacks);
    } else if (way == Way::kBatch) {
      signal_result_t results[8];
      const int count = plugin.poll_batch(handle, results, 8);
      for (int index = 0; index < count; ++index) {
        got.emplace_back(results[index].values, results[index].values + results[index].count);
      }
    } else {
      plugin.poll_callbacks(handle);
    }
  };
  for (int event = 0; event < 40; ++event) {
    const Depth d = depth(event % 3 == 0 ? "btc_usdt" : "eth_usdt", event, 10.0 + event / 3.0, 21.0);
    take();
    plugin.on_data(handle, kDepth, &d);
  }
  CHECK(wait_for([&] {
    take();
    return got.size() == 40;
  }));
  plugin.destroy(handle);
  return got;
}

}  // namespace

SCENARIO(timing_metadata) {
  const Plugin plugin;
  for (const char *placement : {"inline", "fused", "split"}) {
    for (const Way way : {Way::kPoll, Way::kInlined, Way::kOnData, Way::kBatch}) {
      std::string keys = std::string(R"({"model":"none","placement":")") + placement + '"';
      if (way == Way::kOnData) keys += R"(,"deliver":"on_data")";
      const auto plain = values_of(plugin, keys + "}", way);
      const auto timed = values_of(plugin, keys + R"(,"timing_metadata":true})", way);
      for (std::size_t signal = 0; signal < plain.size(); ++signal) {
        CHECK(own(plain[signal]).empty());
        check_times(timed[signal]);
        const std::vector<double> values = own(timed[signal]);
        CHECK_EQ(values.size(), plain[signal].size());
        CHECK_EQ(std::memcmp(values.data(), plain[signal].data(), values.size() * sizeof(double)), 0);
      }
    }
  }
  void *handle = plugin.create(R"({"model":"none","timing_metadata":true})");
  CHECK(handle != nullptr);
  CHECK_EQ(text(plugin.value_name(handle, 0, 5)), "timing.total_us");
  CHECK_EQ(text(plugin.value_name(handle, 0, 8)), "spread");
  plugin.destroy(handle);
  CHECK(plugin.create(R"({"timing":false,"timing_metadata":true})") == nullptr);
  CHECK(has(plugin.last_error(), "timing_metadata cannot be used with timing false"));
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
