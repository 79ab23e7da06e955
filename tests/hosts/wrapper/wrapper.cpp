// A host that uses signal.hpp. It loads the library that SIGNAL_LIB_PATH names, or with
// -DLINKED uses the one that it is linked with. It exits 0 if everything holds.
#include "../../../include/signal.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

// The system's header of the same name stays usable.
#include <csignal>

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::_Exit(1);                                                                     \
    }                                                                                    \
  } while (0)

// A host's own struct with the same layout.
namespace mine {
#pragma pack(push, 1)
struct Book {
  char source_id[16], symbol[32], exchange_id[16];
  std::int64_t data_time;
  std::int8_t instrument_type;
  double prices[40];
};
#pragma pack(pop)
}  // namespace mine
template <> struct godzilla::message_type<mine::Book> : std::integral_constant<int, godzilla::kDepth> {};

namespace {

using godzilla::Signal, godzilla::span;

static_assert(sizeof(godzilla::Depth) == 393 && sizeof(godzilla::Ticker) == 105);
static_assert(sizeof(godzilla::Trade) == 131 && sizeof(godzilla::IndexPrice) == 57);
static_assert(!std::is_copy_constructible_v<Signal> && !std::is_copy_assignable_v<Signal>);
static_assert(std::is_nothrow_move_constructible_v<Signal> && std::is_nothrow_move_assignable_v<Signal>);
static_assert(std::is_nothrow_destructible_v<Signal>);

const char *const kInline = R"({"placement":"inline","model":"none"})";

godzilla::Library library() {
#ifdef LINKED
  return godzilla::Library::linked();
#else
  return godzilla::Library::open(std::getenv("SIGNAL_LIB_PATH"));
#endif
}

template <typename Event> Event event(const char *symbol) {
  Event event{};
  std::memcpy(event.symbol, symbol, std::strlen(symbol));
  std::memcpy(event.exchange_id, "binance", 8);
  return event;
}

godzilla::Depth depth(long long time, double bid) {
  auto depth = event<godzilla::Depth>("btc_usdt");
  depth.data_time = time;
  depth.bid_price[0] = bid, depth.ask_price[0] = bid + 2.0;
  return depth;
}

template <typename Done> void until(Done done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    CHECK(std::chrono::steady_clock::now() < limit);
    std::this_thread::yield();
  }
}

void events_and_callbacks() {
  // On a busy machine a lane makes progress late.
  const char *const fused = R"({"placement":"fused","model":"none","health":{"stall_us":60000000}})";
  for (const char *config : {kInline, fused}) {
    Signal signal(library(), config);
    std::vector<double> bids;
    signal.on_signal([&](std::string_view symbol, long long time, span<const double> values) {
      CHECK(symbol == "BTCUSDT" && values.size() == 3);
      CHECK(static_cast<double>(time) == values[2]);
      CHECK(signal.current_sequence() == bids.size() + 1 && signal.current_model() == 0);
      const auto instrument = signal.current_instrument();
      CHECK(instrument && instrument->name == symbol && std::string_view(instrument->symbol) == "btc_usdt");
      bids.push_back(values[2]);
    });
    CHECK(signal.poll() == 0 && !signal.current_instrument());
    signal.on_data(depth(10, 10.0));
    auto ticker = event<godzilla::Ticker>("btc_usdt");
    ticker.bid_price = 10.0, ticker.ask_price = 11.0;
    signal.on_data(ticker);
    auto trade = event<godzilla::Trade>("btc_usdt");
    trade.price = 10.0;
    signal.on_data(trade);
    auto index = event<godzilla::IndexPrice>("btc_usdt");
    index.price = 10.0;
    signal.on_data(index);
    mine::Book book;
    const godzilla::Depth second = depth(20, 20.0);
    std::memcpy(&book, &second, sizeof book);
    signal.on_data(book);
    signal.on_data(godzilla::kDepth, nullptr);
    until([&] { return signal.stats().in_flight == 0; });
    CHECK(signal.has_news());
    CHECK(signal.poll() == 2);
    CHECK(!signal.has_news() && signal.poll() == 0);
    CHECK((bids == std::vector<double>{10.0, 20.0}));
    const signal_stats_t stats = signal.stats();
    CHECK(stats.events_depth == 2 && stats.events_ticker == 1 && stats.events_trade == 1);
    CHECK(stats.events_index_price == 1 && stats.refused_null_data == 1 && stats.delivered == 2);
    CHECK(stats.updates == 3);
    CHECK(signal.health() == SIGNAL_HEALTH_OK && signal.last_error().empty());
  }
}

void plain_callbacks() {
  Signal signal(library(), std::string(kInline));
  int calls = 0;
  const auto count = [](const char *, long long, const double *, int, void *user_data) { ++*static_cast<int *>(user_data); };
  signal.on_signal(count, &calls);
  signal.on_data(depth(1, 1.0));
  CHECK(signal.poll() == 1 && calls == 1);
  // The callback is cleared, so signals wait.
  signal.on_signal(nullptr, nullptr);
  signal.on_data(depth(2, 2.0));
  CHECK(signal.poll() == 0 && signal.stats().queued == 1);
  signal.on_signal([&](auto...) { calls += 10; });
  CHECK(signal.poll() == 1 && calls == 11);
}

void what_throws() {
  // The constructor throws with the library's reason.
  try {
    Signal signal(library(), R"({"placement":"sideways"})");
    CHECK(false);
  } catch (const std::runtime_error &error) {
    CHECK(std::strstr(error.what(), "placement") != nullptr);
  }
  for (const char *path : {"/nowhere/libsignal.so", static_cast<const char *>(nullptr)}) {
    try {
      godzilla::Library::open(path);
      CHECK(false);
    } catch (const std::runtime_error &error) {
      CHECK(std::strlen(error.what()) > 0);
    }
  }
  // A library that is not ours.
  try {
    godzilla::Library::open("libm.so.6");
    CHECK(false);
  } catch (const std::runtime_error &error) {
    CHECK(std::strstr(error.what(), "libm.so.6 has no function signal_create") != nullptr);
  }
  // A callback throws, through poll and through on_data.
  for (const bool from_data : {false, true}) {
    Signal signal(library(), from_data ? R"({"placement":"inline","deliver":"on_data"})" : kInline);
    signal.on_signal([](std::string_view, long long time, span<const double>) {
      throw std::runtime_error(std::to_string(time));
    });
    try {
      signal.on_data(depth(7, 1.0));
      CHECK(!from_data);
      signal.poll();
      CHECK(false);
    } catch (const std::runtime_error &error) {
      CHECK(std::string(error.what()) == "7");
    }
    CHECK(signal.stats().delivered == 1 && signal.stats().queued == 0);
  }
}

void moves() {
  const auto alive = std::make_shared<int>(0);
  {
    Signal first(library(), kInline);
    first.on_signal([alive](auto...) { ++*alive; });
    Signal second(std::move(first));
    second.on_data(depth(1, 1.0));
    CHECK(second.poll() == 1 && *alive == 1);
    Signal third(library(), kInline);
    const auto other = std::make_shared<int>(0);
    third.on_signal([other](auto...) { ++*other; });
    third = std::move(second);
    CHECK(other.use_count() == 1 && alive.use_count() == 2);
    third.on_data(depth(2, 2.0));
    CHECK(third.poll() == 1 && *alive == 2);
    Signal &self = third;
    third = std::move(self);
    third.on_data(depth(3, 3.0));
    CHECK(third.poll() == 1 && *alive == 3);
    // A moved-from object may be assigned to.
    first = Signal(library(), kInline);
    first.on_data(depth(1, 1.0));
    CHECK(first.poll_batch().size() == 1);
  }
  CHECK(alive.use_count() == 1);
}

// A callback may replace itself and destroy its object: its captures live until it returns.
void callbacks_that_end_themselves() {
  const auto alive = std::make_shared<int>(0);
  for (const char *config : {kInline, R"({"placement":"inline","deliver":"on_data"})"}) {
    std::optional<Signal> signal;
    signal.emplace(library(), config);
    std::vector<int> calls;
    signal->on_signal([&, alive](auto...) {
      calls.push_back(1);
      signal->on_signal([&, alive](auto...) {
        calls.push_back(2);
        signal->on_signal([&, alive](auto...) {
          calls.push_back(3);
          signal.reset();
          CHECK(alive.use_count() > 1);
        });
        CHECK(alive.use_count() > 2);
      });
      CHECK(alive.use_count() > 2);
    });
    for (int time = 1; signal.has_value(); ++time) {
      CHECK(time <= 3);
      signal->on_data(depth(time, 1.0));
      if (signal.has_value()) signal->poll();
    }
    CHECK((calls == std::vector<int>{1, 2, 3}));
    CHECK(alive.use_count() == 1);
  }
}

void batches() {
  Signal signal(library(), R"({"placement":"inline","model":"none","rings":{"egress":4}})");
  CHECK(signal.poll_batch().empty());
  for (int time = 1; time <= 3; ++time) signal.on_data(depth(time, time));
  auto batch = signal.poll_batch(2);
  CHECK(batch.size() == 2 && !batch.empty());
  CHECK(signal.batch_instrument(1)->name == batch[1].symbol && !signal.batch_instrument(2));
  double bid = 1.0;
  for (const signal_result_t &result : batch) {
    CHECK(std::string_view(result.symbol) == "BTCUSDT");
    const span<const double> values = godzilla::values(result);
    CHECK(values.size() == 3 && values.data() == result.values && values[2] == bid++);
  }
  // The batch is out: two of four slots are free, and one signal is in them.
  signal.on_data(depth(4, 4.0));
  CHECK(batch[0].values[2] == 1.0);
  batch = signal.poll_batch();
  CHECK(batch.size() == 2 && batch[1].values[2] == 4.0);
  // Nothing is new, but the batch that is out is freed.
  for (int time = 5; time <= 8; ++time) signal.on_data(depth(time, time));
  CHECK(signal.stats().conflated_egress == 1);
  batch = signal.poll_batch();
  CHECK(batch.size() == 3 && batch[2].values[2] == 8.0);
  CHECK(signal.poll_batch().empty());
  CHECK(signal.poll_batch(0).empty());
  for (int time = 9; time <= 12; ++time) signal.on_data(depth(time, time));
  CHECK(signal.stats().conflated_egress == 1);
  // This takes all but one of the ring's slots, so that there is news.
  CHECK(signal.poll_batch(~std::size_t{0}).size() == 3);
  CHECK(signal.has_news() && signal.poll_batch().size() == 1);
  int calls = 0;
  signal.on_signal([&](auto...) { ++calls; });
  signal.on_data(depth(13, 13.0));
  CHECK(signal.poll() == 1 && calls == 1);
}

// Another thread is inside: the library refuses a new callable, and the running one stays
// alive with everything that it holds.
void callbacks_that_are_in_use() {
  Signal signal(library(), R"({"placement":"inline"})");
  const auto alive = std::make_shared<int>(0);
  std::atomic<bool> inside{false}, go{false};
  int second = 0;
  signal.on_signal([alive, &inside, &go](auto...) {
    inside = true;
    while (!go) std::this_thread::yield();
    ++*alive;
  });
  signal.on_data(depth(1, 1.0));
  std::thread poller([&] { signal.poll(); });
  while (!inside) std::this_thread::yield();
  const auto refused = [&](auto &&registering) {
    try {
      registering();
    } catch (const std::runtime_error &error) {
      return std::string(error.what()).find("one thread at a time") != std::string::npos;
    }
    return false;
  };
  const bool callable = refused([&] { signal.on_signal([&second](auto...) { ++second; }); });
  const bool plain = refused([&] { signal.on_signal(nullptr, nullptr); });
  CHECK(alive.use_count() == 2);
  go = true;
  poller.join();
  CHECK(callable && plain);
  signal.on_data(depth(2, 2.0));
  CHECK(signal.poll() == 1 && *alive == 2 && second == 0);
  signal.on_signal([&second](auto...) { ++second; });
  CHECK(alive.use_count() == 1);
  signal.on_data(depth(3, 3.0));
  CHECK(signal.poll() == 1 && second == 1);
}

}  // namespace

int main() {
  events_and_callbacks();
  plain_callbacks();
  what_throws();
  moves();
  callbacks_that_end_themselves();
  batches();
  callbacks_that_are_in_use();
  std::puts("the wrapper holds");
  return 0;
}
