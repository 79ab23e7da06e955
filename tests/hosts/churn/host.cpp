// A host that looks for the crash that this library replaces: strategies with a virtual
// `on_factor` come and go all the time while events flow at full speed. Every callback must
// run on the host's own thread, inside its poll, and no strategy may be called once its
// destruction has begun.
//
// Usage: churn [--seconds N] [--call-anyway]
// The library is SIGNAL_LIB_PATH; only the host's five functions are needed. Exits
// 0 if everything holds, 1 if not. A callback on a foreign thread is counted and
// calls no strategy, unless --call-anyway asks for what the trading host did.
#include "../plugin.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <new>

namespace {

using host::Depth;

constexpr std::uint64_t kAlive = 0xa11feed5a11feed5u, kDead = 0xdeadbeefdeadbeefu;
constexpr std::size_t kPlaces = 16;

const pid_t main_thread = host::tid();
thread_local const pid_t this_thread = host::tid();
bool call_anyway = false;
bool polling = false;

// A few hundred steps take a few hundred nanoseconds.
void wait(int steps) {
  for (int step = 0; step < steps; ++step) asm volatile("" ::: "memory");
}

struct Findings {
  std::atomic<std::uint64_t> foreign_thread{0}, outside_poll{0}, dead_object{0}, callbacks{0};
} found;
std::uint64_t calls = 0, made = 0, destroyed = 0, registered = 0;

// The host's strategies: an abstract base, called through its table of virtual functions.
// While the base's destructor runs, the entry in that table is the pure virtual one: "pure
// virtual method called".
class Strategy {
public:
  explicit Strategy(int number) : number_(number) { alive_.store(kAlive); }
  virtual ~Strategy() {
    alive_.store(kDead);
    // A strategy's own clean-up takes time.
    wait(200);
  }
  Strategy(const Strategy &) = delete;
  Strategy &operator=(const Strategy &) = delete;
  virtual void on_factor(const char *symbol, long long time, const double *values, int count) = 0;

protected:
  void called(const double *values, int count) {
    if (alive_.load() != kAlive) ++found.dead_object;
    if (this_thread == main_thread) ++calls;
    for (int index = 0; index < count; ++index) sum_ += values[index];
  }
  int number_;
  double sum_ = 0;

private:
  std::atomic<std::uint64_t> alive_;
};

class Quiet final : public Strategy {
public:
  using Strategy::Strategy;
  void on_factor(const char *, long long, const double *values, int count) override {
    called(values, count);
  }
};
class Keeper final : public Strategy {
public:
  explicit Keeper(int number) : Strategy(number), last_(64, ' ') {}
  void on_factor(const char *symbol, long long, const double *values, int count) override {
    called(values, count);
    last_.assign(symbol);
  }

private:
  std::string last_;
};
class Counter final : public Strategy {
public:
  explicit Counter(int number) : Strategy(number), times_(8, 0) {}
  void on_factor(const char *, long long time, const double *values, int count) override {
    called(values, count);
    times_[static_cast<std::size_t>(number_) % times_.size()] = time;
  }

private:
  std::vector<long long> times_;
};

// A strategy's memory outlives it here, so that a call on a dead one is detected rather
// than left to chance: `state` is poisoned when the destruction begins, the other bytes
// when it has ended.
struct Place {
  std::atomic<std::uint64_t> state{kDead};
  std::atomic<bool> listed{false};
  alignas(16) unsigned char memory[256];
  Strategy *strategy() { return std::launder(reinterpret_cast<Strategy *>(memory)); }
};
Place places[kPlaces];

void make(Place &place, int number) {
  static_assert(sizeof(Keeper) <= sizeof place.memory && sizeof(Counter) <= sizeof place.memory);
  switch (number % 3) {
    case 0: new (place.memory) Quiet(number); break;
    case 1: new (place.memory) Keeper(number); break;
    default: new (place.memory) Counter(number); break;
  }
  place.state = kAlive;
  place.listed = true;
  ++made;
}

// The strategy stays listed: a call before it leaves the list reaches a dead object.
void destroy(Place &place) {
  place.state = kDead;
  place.strategy()->~Strategy();
  std::memset(place.memory, 0xdb, sizeof place.memory);
  ++destroyed;
}

// What `user_data` points to. It comes and goes too, and stays dead for a long while before
// its place is used again.
struct Trampoline {
  std::atomic<std::uint64_t> state{kDead};
};
Trampoline trampolines[4096];

void inside_a_callback();

void dispatch(const char *symbol, long long time, const double *values, int count, void *user_data) {
  ++found.callbacks;
  const bool foreign = this_thread != main_thread;
  if (foreign) {
    ++found.foreign_thread;
  } else if (!polling) {
    ++found.outside_poll;
  }
  if (static_cast<const Trampoline *>(user_data)->state != kAlive) ++found.dead_object;
  for (Place &place : places) {
    if (!place.listed) continue;
    if (place.state != kAlive) ++found.dead_object;
    if (foreign ? call_anyway : place.state == kAlive) {
      place.strategy()->on_factor(symbol, time, values, count);
    }
  }
  if (!foreign) inside_a_callback();
}

// The host's five functions, and the counters if the library has them.
struct Library {
  decltype(&signal_create) create;
  decltype(&signal_register_callback) register_callback;
  decltype(&signal_on_data) on_data;
  decltype(&signal_poll_callbacks) poll_callbacks;
  decltype(&signal_destroy) destroy;
  decltype(&signal_stats) stats;

  Library() {
    const char *path = std::getenv("SIGNAL_LIB_PATH");
    CHECK(path != nullptr);
    void *library = dlopen(path, RTLD_LAZY | RTLD_NODELETE);
    if (library == nullptr) std::fprintf(stderr, "dlopen: %s\n", dlerror());
    CHECK(library != nullptr);
#define LOAD(name) name = reinterpret_cast<decltype(name)>(dlsym(library, "signal_" #name))
    LOAD(create), LOAD(register_callback), LOAD(on_data), LOAD(poll_callbacks), LOAD(destroy);
    LOAD(stats);
#undef LOAD
    CHECK(create && register_callback && on_data && poll_callbacks && destroy);
  }
};

struct Random {
  std::uint64_t state = 20240721;
  std::uint64_t below(std::uint64_t limit) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
  }
};

// Signals that were numbered and will never be delivered.
std::uint64_t lost(const signal_stats_t &stats) {
  return stats.conflated_egress + stats.dropped_egress_ring_full + stats.dropped_egress_timeout +
         stats.dropped_egress_stopped + stats.dropped_egress_too_old;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One process: its strategies, its handle and its counts.
class Host {
public:
  std::uint64_t depths = 0, signals = 0, delivered = 0, handles = 0;

  explicit Host(const Library &library) : library_(library) {
    for (const char *symbol : {"btc_usdt", "eth_usdt", "sol_usdt"}) {
      books_.push_back(host::depth(symbol, 0, 100.0, 101.0));
    }
    for (Place &place : places) make(place, number_++);
  }

  // The life of a handle: events as fast as possible, or with a strategy's work between
  // them; everything else now and then.
  void live(const char *config, double until, int work) {
    work_ = work;
    handle_ = library_.create(config);
    CHECK(handle_ != nullptr);
    ++handles;
    set_callback();
    const std::uint64_t callbacks_before = found.callbacks, depths_before = depths;
    while (now() < until) {
      for (int event = 0; event < 512; ++event) step();
    }
    if (trampoline_ == nullptr) set_callback();
    account(depths_before, callbacks_before);
    // Signals may be queued and the strategies are being destroyed, as when the host stops.
    for (int event = 0; event < 100; ++event) feed();
    destroy(places[0]);
    library_.destroy(handle_);
    handle_ = nullptr;
    make(places[0], number_++);
    drop_trampoline();
  }

  // A called strategy may end another one, or make the host continue.
  void inside() {
    if (random_.below(64) != 0) return;
    CHECK_EQ(library_.poll_callbacks(handle_), 0);
    replace(places[random_.below(kPlaces)]);
  }

private:
  const Library &library_;
  void *handle_ = nullptr;
  Trampoline *trampoline_ = nullptr;
  std::vector<Depth> books_;
  Random random_;
  int number_ = 0, work_ = 0;
  std::int64_t time_ = 0;

  // A Depth as the host handles it: poll, the strategies' own work, on_data.
  void step() {
    if (random_.below(4) == 0) {
      const host::Trade trade = host::trade("btc_usdt", ++time_, 100.5, 1.0);
      library_.on_data(handle_, host::kTrade, &trade);
    } else {
      poll();
      wait(work_);
      feed();
    }
    if (random_.below(8) == 0) replace(places[random_.below(kPlaces)]);
    if (random_.below(4096) == 0) drop_trampoline();
    if (trampoline_ == nullptr && random_.below(256) == 0) set_callback();
  }

  void feed() {
    Depth &book = books_[random_.below(books_.size())];
    book.data_time = ++time_;
    library_.on_data(handle_, host::kDepth, &book);
    ++depths;
  }

  int poll() {
    polling = true;
    const int made = library_.poll_callbacks(handle_);
    polling = false;
    CHECK(made >= 0);
    return made;
  }

  // The host continues between a strategy's death and its removal from the list: a callback
  // made from here would find it dead.
  void replace(Place &place) {
    destroy(place);
    if (random_.below(4) == 0) feed();
    if (random_.below(64) == 0) set_callback();
    place.listed = false;
    make(place, number_++);
  }

  void set_callback() {
    Trampoline *old = trampoline_;
    trampoline_ = &trampolines[registered++ % std::size(trampolines)];
    trampoline_->state = kAlive;
    library_.register_callback(handle_, dispatch, trampoline_);
    if (old != nullptr) old->state = kDead;
  }

  // Signals without a callback wait in the ring.
  void drop_trampoline() {
    if (trampoline_ == nullptr) return;
    if (handle_ != nullptr) library_.register_callback(handle_, nullptr, nullptr);
    trampoline_->state = kDead;
    trampoline_ = nullptr;
  }

  // Lets everything arrive; afterwards each event has ended and each signal has come.
  void account(std::uint64_t depths_before, std::uint64_t callbacks_before) {
    if (library_.stats == nullptr) return;
    signal_stats_t stats{};
    const double start = now();
    do {
      CHECK(now() - start < 10.0);
      const std::uint64_t before = found.callbacks;
      const int arrived = poll();
      CHECK_EQ(found.callbacks - before, static_cast<std::uint64_t>(arrived));
      stats.size = sizeof stats;
      CHECK_EQ(library_.stats(handle_, &stats), 0);
    } while (stats.in_flight != 0 || stats.delivered + lost(stats) < stats.signals);
    CHECK_EQ(stats.events_depth, depths - depths_before);
    CHECK_EQ(stats.delivered, found.callbacks - callbacks_before);
    CHECK_EQ(stats.signals, stats.answered);
    CHECK_EQ(stats.signals, stats.delivered + lost(stats));
    CHECK_EQ(stats.events_depth + stats.events_trade,
             stats.answered + stats.updates + stats.dropped_ingest_ring_full);
    signals += stats.signals;
    delivered += stats.delivered;
  }
};

Host *running = nullptr;

void inside_a_callback() { running->inside(); }

}  // namespace

int main(int argc, char **argv) {
  double seconds = 20;
  for (int index = 1; index < argc; ++index) {
    const std::string word = argv[index];
    if (word == "--call-anyway") {
      call_anyway = true;
    } else if (word == "--seconds" && index + 1 < argc && std::atof(argv[index + 1]) > 0) {
      seconds = std::atof(argv[++index]);
    } else {
      std::fprintf(stderr, "usage: churn [--seconds N] [--call-anyway]\n");
      return 2;
    }
  }
  // Each kind of lane; the default kind appears more than once.
  const char *const configs[] = {
      "{}", R"({"placement":"fused","idle":"spin","factors":"market","model":"none"})",
      R"({"placement":"split","idle":"park"})", R"({"placement":"inline"})",
      R"({"placement":"fused","idle":"park","rings":{"ingest":64,"egress":64}})"};
  Library library;
  Host host(library);
  running = &host;
  const double start = now();
  // In 20 s there are a few hundred lives of a handle, some of them long.
  for (std::size_t life = 0; now() < start + seconds; ++life) {
    const double length = life % 11 == 10 ? 1.0 : 0.05;
    const int work = life / 5 % 2 == 0 ? 0 : 2000;
    host.live(configs[life % 5], std::min(now() + length, start + seconds), work);
  }
  std::printf(
      "handles %llu\ndepths %llu\nsignals %llu\ndelivered %llu\nstrategies made %llu\n"
      "strategies destroyed %llu\ncalls of strategies %llu\ncallbacks registered %llu\n"
      "foreign-thread callbacks %llu\ncallbacks outside a poll %llu\ncalls of dead objects %llu\n",
      static_cast<unsigned long long>(host.handles), static_cast<unsigned long long>(host.depths),
      static_cast<unsigned long long>(host.signals),
      static_cast<unsigned long long>(host.delivered), static_cast<unsigned long long>(made),
      static_cast<unsigned long long>(destroyed), static_cast<unsigned long long>(calls),
      static_cast<unsigned long long>(registered),
      static_cast<unsigned long long>(found.foreign_thread.load()),
      static_cast<unsigned long long>(found.outside_poll.load()),
      static_cast<unsigned long long>(found.dead_object.load()));
  std::fflush(stdout);
  CHECK_EQ(found.foreign_thread.load(), 0u);
  CHECK_EQ(found.outside_poll.load(), 0u);
  CHECK_EQ(found.dead_object.load(), 0u);
  // Signals flowed: those that were made arrived, and enough were made.
  CHECK(calls > 0 && host.delivered > 0);
  CHECK(host.delivered >= host.signals / 2);
  CHECK(host.delivered >= host.depths / 100);
  return 0;
}
