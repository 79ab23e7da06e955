// Children of every kind: above all those that no handler of `fork` announces, made by `_Fork` or by a system call.
#include "children.hpp"
#include "folder.hpp"
#include "plugin.hpp"

#include <sched.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <utility>
#include <vector>

using namespace host;

namespace {

void ignore(const char *, long long, const double *, int, void *) {}

// Every call on a handle, each of which a child may make first. True: it was refused.
std::vector<std::function<bool()>> calls(const Plugin &plugin, void *handle) {
  constexpr int kRefused = SIGNAL_ERROR_HANDLE;
  const signal_egress_t *egress = plugin.egress(handle);
  const auto counted = [&plugin](const std::function<void()> &call) {
    const std::uint64_t before = plugin.refused_handles();
    call();
    return plugin.refused_handles() == before + 1;
  };
  static signal_stats_t stats{};
  stats.size = sizeof stats;
  static signal_hop_t hops[4];
  static signal_lane_t lanes[4];
  static signal_ring_t rings[4];
  static signal_result_t results[4];
  static signal_instrument_t instrument{};
  return {
      [=, &plugin] { return plugin.stats(handle, &stats) == kRefused; },
      [=, &plugin] { return plugin.health(handle) == kRefused; },
      [=, &plugin] { return plugin.latency(handle, hops, 4) == kRefused; },
      [=, &plugin] { return plugin.lanes(handle, lanes, 4) == kRefused; },
      [=, &plugin] { return plugin.rings(handle, rings, 4) == kRefused; },
      [=, &plugin] { return plugin.models(handle) == kRefused; },
      [=, &plugin] { return plugin.model_name(handle, 0) == nullptr; },
      [=, &plugin] { return plugin.value_name(handle, 0, 0) == nullptr; },
      [=, &plugin] { return plugin.incident(handle, 0) == nullptr && plugin.refused_handles() == 1; },
      [=, &plugin] { return plugin.stamp_ns(handle) == -1.0; },
      [=, &plugin] { return plugin.egress(handle) == nullptr; },
      [=, &plugin] { return plugin.current_model(handle) == kRefused; },
      [=, &plugin] { return counted([&] { plugin.current_sequence(handle); }); },
      [=, &plugin] { return plugin.current_instrument(handle, &instrument) == kRefused; },
      [=, &plugin] { return plugin.batch_instrument(handle, 0, &instrument) == kRefused; },
      [=, &plugin] { return counted([&] { plugin.register_callback(handle, ignore, nullptr); }); },
      [=, &plugin] { return counted([&] { plugin.destroy(handle); }); },
      // Those of the hot path.
      [=, &plugin] {
        const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
        return counted([&] { plugin.on_data(handle, kDepth, &d); });
      },
      [=, &plugin] { return plugin.poll_callbacks(handle) == kRefused; },
      [=, &plugin] { return plugin.poll_batch(handle, results, 4) == kRefused; },
      [=, &plugin] {
        // It asks the library if signals wait, or finds none.
        const int found = signal_poll(handle, egress, plugin.poll_callbacks);
        return found == 0 || found == kRefused;
      },
  };
}
constexpr std::size_t kHotCalls = 4;

struct Cloning {
  const Plugin *plugin;
  void *handle;
  const Way *way;
  bool destroys, makes;
  void *own = nullptr;
  pid_t child = -1;
  int calls = 0;
};

void cloning(const char *, long long, const double *, int, void *user_data) {
  auto *self = static_cast<Cloning *>(user_data);
  if (++self->calls != 2) return;
  if (self->destroys) self->plugin->destroy(self->handle);
  self->child = made(*self->way);
  if (self->child == 0 && self->makes) self->own = self->plugin->create(kConfigs[1]);
}

int make_in_shared_memory(void *argument) {
  const auto *plugin = static_cast<const Plugin *>(argument);
  if (plugin->create("{}") != nullptr) return 1;
  return std::strstr(plugin->last_error(), "shares its parent's memory") == nullptr ? 2 : 17;
}

}  // namespace

// Whatever the child calls first.
SCENARIO(children_however_made) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    for (const Way &way : kWays) {
      Engine engine(plugin, config);
      // Some signals wait in the ring.
      for (int event = 0; event < 5; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
      engine.settle();
      const auto each = calls(plugin, engine.handle);
      for (std::size_t first = 0; first < each.size(); ++first) {
        in_child_by(way, 17, [&] {
          if (!each[first]()) std::fprintf(stderr, "%s: call %zu\n", way.name, first);
          CHECK(plugin.refused_handles() == 1 || first + 1 == each.size());
          check_refused(plugin, engine.handle, kWhy);
          _exit(17);
        });
      }
      in_child_by(way, 17, [&] {
        // What the child makes is its own, whatever it has called.
        for (const char *own : kConfigs) use(plugin, own);
        check_refused(plugin, engine.handle, "handle");
        Engine second(plugin, config);
        second.feed(depth("btc_usdt", 1, 10.0, 11.0));
        second.drain();
        CHECK_EQ(second.got.size(), 1u);
        for (const Way &again : kWays) {
          in_child_by(again, 18, [&] {
            check_refused(plugin, second.handle, kWhy);
            // Its place in the table may have been another's since.
            check_refused(plugin, engine.handle, "handle");
            use(plugin, config);
            std::exit(18);
          });
        }
        second.feed(depth("btc_usdt", 2, 10.0, 11.0));
        second.drain();
        CHECK_EQ(second.got.size(), 2u);
        // It ends with two handles left behind.
        std::exit(17);
      });
      engine.drain();
      CHECK_EQ(engine.got.size(), 5u);
      engine.feed(depth("btc_usdt", 9, 10.0, 11.0));
      engine.drain();
      CHECK_EQ(engine.got.size(), 6u);
      CHECK_EQ(plugin.refused_handles(), 0u);
      check_accounts(engine.stats());
    }
  }
  return 0;
}

// The child comes back from its parent's callback. What its parent destroys there is not its own to end.
SCENARIO(children_made_in_a_callback) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    for (const Way &way : kWays) {
      for (const int mode : {0, 1, 2, 3}) {
        const bool destroys = mode & 1, makes = mode & 2;
        Cloning state{&plugin, plugin.create(config), &way, destroys, makes};
        CHECK(state.handle != nullptr);
        plugin.register_callback(state.handle, cloning, &state);
        feed_and_settle(plugin, state.handle, 5);
        const int calls = plugin.poll_callbacks(state.handle);
        if (state.child == 0) {
          CHECK_EQ(calls, 2);
          // What the child has made there is not what ends with the call.
          if (makes) {
            CHECK(state.own != nullptr);
            feed_and_settle(plugin, state.own, 5);
            plugin.destroy(state.own);
          }
          check_refused(plugin, state.handle, kWhy);
          use(plugin, config);
          _exit(17);
        }
        ends(way, state.child, 17);
        CHECK_EQ(calls, destroys ? 2 : 5);
        if (!destroys) plugin.destroy(state.handle);
        CHECK(wait_for([] { return threads().size() == 1; }));
        CHECK_EQ(plugin.refused_handles(), 0u);
      }
    }
  }
  return 0;
}

// What the parent writes is its own, and locked for it, whatever the child does and however it ends.
SCENARIO(children_leave_files_alone) {
  Plugin plugin;
  for (const Way &way : kWays) {
    const Folder folder;
    const std::string config = R"({"placement":"fused","latency":{"dir":")" + folder.at("report") +
                               R"("},"capture":{"file":")" + folder.at("c.csv") + "\"}}";
    void *handle = plugin.create(config.c_str());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 5);
    const auto is_locked = [&] {
      in_child(17, [&] { _exit(plugin.create(config.c_str()) == nullptr ? 17 : 18); });
    };
    for (const bool calls : {false, true}) {
      in_child_by(way, 17, [&] {
        if (calls) {
          plugin.destroy(handle);
          CHECK(plugin.create(config.c_str()) == nullptr);
          CHECK(std::strstr(plugin.last_error(), folder.path) != nullptr);
          use(plugin, kConfigs[1]);
        }
        std::exit(17);
      });
      is_locked();
    }
    // One that lives on keeps no lock.
    const pid_t child = made(way);
    if (child == 0) {
      plugin.poll_callbacks(handle);
      for (;;) pause();
    }
    feed_and_settle(plugin, handle, 5);
    plugin.destroy(handle);
    const std::string capture = text(folder.at("c.csv"));
    CHECK_EQ(std::count(capture.begin(), capture.end(), '\n'), 11);
    CHECK(!text(folder.at("report/summary.json")).empty());
    handle = plugin.create(config.c_str());
    CHECK(handle != nullptr);
    plugin.destroy(handle);
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, nullptr, 0), child);
  }
  return 0;
}

// The table has 256 places. A child's parent leaves them to it, and so on.
SCENARIO(children_of_children_have_room) {
  Plugin plugin;
  const std::function<void(int)> beget = [&](int left) {
    std::vector<void *> handles(50);
    for (void *&handle : handles) {
      handle = plugin.create(kConfigs[0]);
      if (handle == nullptr) std::fprintf(stderr, "%s\n", plugin.last_error());
      CHECK(handle != nullptr);
    }
    feed_and_settle(plugin, handles.back(), 1);
    if (left == 0) return;
    in_child(17, [&] {
      check_refused(plugin, handles.back(), kWhy);
      beget(left - 1);
      _exit(17);
    });
  };
  beget(6);
  return 0;
}

// Before Linux 4.14, or in a sandbox: the calls that are not on the hot path compare the process'
// number, and those that are follow once one has.
SCENARIO(children_where_pages_are_kept) {
  keep_pages();
  Plugin plugin;
  for (const char *config : kConfigs) {
    for (const Way &way : kWays) {
      Engine engine(plugin, config);
      engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
      engine.settle();
      const auto each = calls(plugin, engine.handle);
      for (std::size_t first = 0; first + kHotCalls < each.size(); ++first) {
        in_child_by(way, 17, [&] {
          if (!each[first]()) std::fprintf(stderr, "%s: call %zu\n", way.name, first);
          CHECK_EQ(plugin.refused_handles(), 1u);
          check_refused(plugin, engine.handle, kWhy);
          use(plugin, config);
          _exit(17);
        });
      }
      if (way.make == fork) {
        in_child(17, [&] {
          CHECK_EQ(plugin.poll_callbacks(engine.handle), SIGNAL_ERROR_HANDLE);
          _exit(17);
        });
      }
      engine.drain();
      CHECK_EQ(engine.got.size(), 1u);
      CHECK_EQ(plugin.refused_handles(), 0u);
    }
  }
  return 0;
}

// As `vfork`'s child would: it makes none, and its parent's goes on.
SCENARIO(a_child_that_shares_memory_makes_no_handle) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    Engine engine(plugin, config);
    std::vector<char> stack(1 << 20);
    std::fflush(nullptr);
    const pid_t child = clone(make_in_shared_memory, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD,
                              &plugin);
    CHECK(child > 0);
    ends({"clone", nullptr}, child, 17);
    engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
    engine.drain();
    CHECK_EQ(engine.got.size(), 1u);
    CHECK_EQ(plugin.refused_handles(), 0u);
    check_accounts(engine.stats());
  }
  return 0;
}
