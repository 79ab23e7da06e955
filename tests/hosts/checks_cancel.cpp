// Hosts that cancel their threads: no thread is unwound from within the library, and none
// becomes uncancellable.
#include "plugin.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <functional>

using namespace host;

namespace {

struct Call {
  std::function<void()> run;
  std::atomic<bool> begun{false}, returned{false};
};

void *start(void *argument) {
  auto *call = static_cast<Call *>(argument);
  call->run();
  call->returned = true;
  return nullptr;
}

// Runs `call` on a thread that is cancelled once it says that it has begun. Returns whether
// the thread ended there.
bool is_cancelled(Call &call, unsigned after_us = 0) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, nullptr, start, &call), 0);
  CHECK(wait_for([&] { return call.begun.load(); }));
  if (after_us > 0) sleep_us(after_us);
  CHECK_EQ(pthread_cancel(thread), 0);
  void *result = nullptr;
  CHECK_EQ(pthread_join(thread, &result), 0);
  CHECK_EQ(result == PTHREAD_CANCELED, !call.returned);
  return result == PTHREAD_CANCELED;
}

// Cancels the calling thread, so that its next cancellation point ends it.
void cancel_self() { CHECK_EQ(pthread_cancel(pthread_self()), 0); }

int cancel_state() {
  int state = -1, none = -1;
  CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), 0);
  CHECK_EQ(pthread_setcancelstate(state, &none), 0);
  return state;
}

void ignore(const char *, long long, const double *, int, void *) {}

std::atomic<bool> in_callback{false};

void sleeping(const char *, long long, const double *, int, void *) {
  CHECK_EQ(cancel_state(), static_cast<int>(PTHREAD_CANCEL_ENABLE));
  in_callback = true;
  for (;;) sleep_us(1000);
}

void leaving(const char *, long long, const double *, int, void *) { pthread_exit(nullptr); }

}  // namespace

// A create that is cancelled returns its handle, or ends before it makes one.
SCENARIO(cancelled_in_create) {
  Plugin plugin;
  use(plugin, "{}");
  const std::size_t before = threads().size();
  for (const char *config : kConfigs) {
    for (const unsigned after_us : {0u, 100u, 500u, 2000u}) {
      void *handle = nullptr;
      Call call;
      call.run = [&] {
        call.begun = true;
        handle = plugin.create(config);
      };
      const bool ended = is_cancelled(call, after_us);
      CHECK_EQ(ended, handle == nullptr);
      if (handle != nullptr) plugin.destroy(handle);
      CHECK(wait_for([&] { return threads().size() == before; }));
    }
  }
  Call loop;
  loop.run = [&] {
    for (;;) {
      loop.begun = true;
      plugin.destroy(plugin.create(R"({"placement":"inline"})"));
    }
  };
  CHECK(is_cancelled(loop, 1000));
  Call refused;
  refused.run = [&] {
    for (;;) {
      CHECK(plugin.create(R"({"placement":"nowhere"})") == nullptr);
      refused.begun = true;
    }
  };
  CHECK(is_cancelled(refused));
  return 0;
}

// Destroy ends the handle completely, and the thread ends only after that: destroy may be
// called in a destructor, which must not be left by unwinding.
SCENARIO(cancelled_in_destroy) {
  Plugin plugin;
  use(plugin, "{}");
  const std::size_t before = threads().size();
  char directory[] = "/tmp/signal-checks-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  const std::string with_report = std::string(R"({"placement":"split","latency":{"dir":")") + directory + "\"}}";
  for (const char *config : {kConfigs[0], kConfigs[1], kConfigs[2], with_report.c_str()}) {
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    bool is_behind = false;
    Call call;
    call.run = [&] {
      cancel_self();
      call.begun = true;
      [&]() noexcept { plugin.destroy(handle); }();
      is_behind = true;
      pthread_testcancel();
    };
    CHECK(is_cancelled(call));
    CHECK(is_behind);
    CHECK_EQ(plugin.models(handle), SIGNAL_ERROR_HANDLE);
    CHECK(wait_for([&] { return threads().size() == before; }));
  }
  CHECK_EQ(access((std::string(directory) + "/summary.json").c_str(), R_OK), 0);
  CHECK_EQ(std::system((std::string("rm -r ") + directory).c_str()), 0);
  return 0;
}

// A thread that only makes queries can be cancelled, and the handle works as before.
SCENARIO(cancelled_while_it_asks) {
  Plugin plugin;
  Engine engine(plugin, R"({"placement":"fused"})");
  void *handle = engine.handle;
  signal_hop_t hops[16];
  signal_lane_t lanes[8];
  signal_ring_t rings[8];
  const std::function<void()> questions[] = {
      [&] { plugin.latency(handle, hops, 16); }, [&] { plugin.health(handle); },
      [&] { plugin.lanes(handle, lanes, 8); },   [&] { plugin.rings(handle, rings, 8); },
      [&] { plugin.stamp_ns(handle); },          [&] { plugin.latency(nullptr, hops, 16); },
  };
  for (const auto &question : questions) {
    for (const unsigned after_us : {0u, 300u}) {
      Call call;
      call.run = [&] {
        for (;;) {
          question();
          call.begun = true;
        }
      };
      CHECK(is_cancelled(call, after_us));
    }
    // A thread that has disabled cancellation keeps it disabled.
    Call call;
    call.run = [&] {
      int before = 0;
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
      cancel_self();
      question();
      CHECK_EQ(cancel_state(), static_cast<int>(PTHREAD_CANCEL_DISABLE));
      call.begun = true;
    };
    CHECK(!is_cancelled(call));
  }
  engine.feed(depth("btc_usdt", 1, 10.0, 11.0));
  engine.drain();
  CHECK_EQ(engine.got.size(), 1u);
  return 0;
}

// Events and polls do not end a thread, not even where they write a line.
SCENARIO(cancelled_on_the_hot_path) {
  Plugin plugin;
  for (const char *config : kConfigs) {
    void *handle = plugin.create(config);
    CHECK(handle != nullptr);
    plugin.register_callback(handle, ignore, nullptr);
    const std::string line = said([&] {
      Call call;
      call.run = [&] {
        cancel_self();
        for (int event = 0; event < 100; ++event) {
          Depth d = depth("btc_usdt", event, 10.0, 11.0);
          // A second instrument with this name: one line reports it.
          d.instrument_type = event % 2 == 0 ? 5 : 7;
          plugin.on_data(handle, kDepth, &d);
          plugin.poll_callbacks(handle);
        }
        call.begun = true;
        call.returned = true;
        pthread_testcancel();
      };
      pthread_t thread;
      CHECK_EQ(pthread_create(&thread, nullptr, start, &call), 0);
      CHECK_EQ(pthread_join(thread, nullptr), 0);
      CHECK(call.returned);
      signal_stats_t stats = empty_stats();
      CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
      CHECK_EQ(stats.events_depth, 100u);
    });
    CHECK(line.find("several instruments") != std::string::npos);
    plugin.destroy(handle);
  }
  return 0;
}

// A callback is the host's code: its thread may be cancelled there, or may exit.
SCENARIO(cancelled_in_a_callback) {
  Plugin plugin;
  for (const char *config : {R"({"placement":"inline"})", R"({"placement":"fused"})",
                             R"({"placement":"inline","deliver":"on_data"})"}) {
    for (const bool leaves : {false, true}) {
      void *handle = plugin.create(config);
      CHECK(handle != nullptr);
      plugin.register_callback(handle, leaves ? leaving : sleeping, nullptr);
      in_callback = false;
      pthread_t thread;
      Call call;
      call.run = [&] {
        const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
        plugin.on_data(handle, kDepth, &d);
        while (plugin.poll_callbacks(handle) == 0) sleep_us(100);
      };
      CHECK_EQ(pthread_create(&thread, nullptr, start, &call), 0);
      if (!leaves) {
        CHECK(wait_for([&] { return in_callback.load(); }));
        CHECK_EQ(pthread_cancel(thread), 0);
      }
      CHECK_EQ(pthread_join(thread, nullptr), 0);
      CHECK(!call.returned);
      plugin.register_callback(handle, nullptr, nullptr);
      CHECK_EQ(plugin.poll_callbacks(handle), 0);
      CHECK_EQ(plugin.current_model(handle), static_cast<int>(SIGNAL_NO_MODEL));
      plugin.destroy(handle);
    }
  }
  return 0;
}
