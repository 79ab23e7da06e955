// Refused calls on threads that have not used the library before. They must not call the
// allocator, because they may come from a signal handler that has interrupted it.
//
// host plain | keys | static_tls LIBRARY...
//   keys: the host has taken the thread-specific keys that need no memory.
//   static_tls: each LIBRARY takes static thread-local storage, until none is left.
#include "../plugin.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <functional>

using namespace host;

extern "C" {
void *__libc_malloc(std::size_t);
void *__libc_calloc(std::size_t, std::size_t);
void *__libc_realloc(void *, std::size_t);
void *__libc_memalign(std::size_t, std::size_t);
void __libc_free(void *);
}

namespace {

// Variables of the program itself have their storage when the thread starts.
__thread bool counting = false;
__thread int calls = 0;

void count() { calls += counting ? 1 : 0; }

int allocator_calls(const std::function<void()> &doing) {
  calls = 0;
  counting = true;
  doing();
  counting = false;
  return calls;
}

void *start(void *doing) {
  (*static_cast<const std::function<void()> *>(doing))();
  return nullptr;
}

pthread_t begin(const std::function<void()> &doing) {
  pthread_attr_t attributes;
  CHECK_EQ(pthread_attr_init(&attributes), 0);
  CHECK_EQ(pthread_attr_setstacksize(&attributes, 128 << 10), 0);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, &attributes, start, const_cast<std::function<void()> *>(&doing)), 0);
  pthread_attr_destroy(&attributes);
  return thread;
}

void on_a_fresh_thread(const std::function<void()> &doing) { CHECK_EQ(pthread_join(begin(doing), nullptr), 0); }

const Plugin *plugin = nullptr;
void *const none = reinterpret_cast<void *>(64);

void ignore(const char *, long long, const double *, int, void *) {}

void every_refusal() {
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  signal_result_t results[2];
  signal_stats_t stats{};
  stats.size = sizeof stats;
  signal_hop_t hops[2];
  signal_lane_t lanes[2];
  signal_ring_t rings[2];
  signal_instrument_t instrument{};
  for (void *handle : {none, static_cast<void *>(nullptr)}) {
    const int code = handle == nullptr ? SIGNAL_ERROR_NULL : SIGNAL_ERROR_HANDLE;
    CHECK_EQ(plugin->poll_callbacks(handle), code);
    plugin->on_data(handle, kDepth, &d);
    CHECK_EQ(plugin->poll_batch(handle, results, 2), code);
    plugin->register_callback(handle, ignore, nullptr);
    CHECK_EQ(plugin->stats(handle, &stats), code);
    CHECK_EQ(plugin->latency(handle, hops, 2), code);
    CHECK_EQ(plugin->lanes(handle, lanes, 2), code);
    CHECK_EQ(plugin->rings(handle, rings, 2), code);
    CHECK_EQ(plugin->models(handle), code);
    CHECK(plugin->model_name(handle, 0) == nullptr);
    CHECK(plugin->value_name(handle, 0, 0) == nullptr);
    CHECK_EQ(plugin->current_model(handle), code);
    CHECK_EQ(plugin->current_sequence(handle), 0u);
    CHECK_EQ(plugin->current_instrument(handle, &instrument), code);
    CHECK_EQ(plugin->batch_instrument(handle, 0, &instrument), code);
    CHECK_EQ(plugin->health(handle), code);
    CHECK(plugin->incident(handle, 0) == nullptr);
    CHECK(plugin->egress(handle) == nullptr);
    CHECK(plugin->stamp_ns(handle) == -1.0);
    plugin->destroy(handle);
  }
}

bool says(const char *what) {
  const char *text = plugin->last_error();
  return text != nullptr && std::strstr(text, what) != nullptr;
}

constexpr const char *kNoHandle = "not a live handle";

// Each thread has its own text, and a new thread has none.
void texts_belong_to_threads() {
  CHECK(plugin->last_error() == nullptr);
  for (int round = 0; round < 20; ++round) {
    on_a_fresh_thread([] {
      CHECK(plugin->last_error() == nullptr);
      CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE);
      CHECK(says(kNoHandle));
      on_a_fresh_thread([] { CHECK(plugin->last_error() == nullptr); });
      CHECK(says(kNoHandle));
      // A text that has to be allocated replaces it.
      CHECK(plugin->create("{") == nullptr);
      CHECK(says("configuration"));
      CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE);
      CHECK(says(kNoHandle));
    });
  }
  CHECK(plugin->last_error() == nullptr);
}

// The text that health makes has a buffer of its own.
void a_text_without_memory_belongs_to_its_thread() {
  void *handle = plugin->create(R"({"placement":"inline","assets":["NONEUSDT"]})");
  CHECK(handle != nullptr);
  feed_and_settle(*plugin, handle, 1);
  for (int round = 0; round < 3; ++round) {
    on_a_fresh_thread([handle] {
      CHECK_EQ(allocator_calls([handle] { CHECK(plugin->health(handle) >= 0); }), 0);
      CHECK(says("NONEUSDT"));
      on_a_fresh_thread([] { CHECK(plugin->last_error() == nullptr); });
      CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE);
      CHECK(says(kNoHandle));
    });
  }
  plugin->destroy(handle);
}

void nothing_is_allocated() {
  // This covers the very first call of all, and the first on other threads.
  for (int round = 0; round < 3; ++round) {
    on_a_fresh_thread([] {
      CHECK_EQ(allocator_calls([] {
                 CHECK(plugin->last_error() == nullptr);
                 CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE);
                 CHECK(says(kNoHandle));
                 every_refusal();
               }),
               0);
    });
    on_a_fresh_thread([] { CHECK_EQ(allocator_calls(every_refusal), 0); });
  }
}

int in_handler = -1;

void nothing_is_allocated_in_a_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) { in_handler = allocator_calls(every_refusal); };
  CHECK_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  on_a_fresh_thread([] {
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(in_handler, 0);
    CHECK(says(kNoHandle));
  });
}

// Another thread is inside the handle.
void nothing_is_allocated_where_another_is_inside() {
  void *handle = plugin->create(R"({"placement":"inline"})");
  CHECK(handle != nullptr);
  static int refused = 0;
  plugin->register_callback(
      handle,
      [](const char *, long long, const double *, int, void *handle) {
        on_a_fresh_thread([handle] {
          const int made = allocator_calls([handle] {
            CHECK_EQ(plugin->poll_callbacks(handle), SIGNAL_ERROR_BUSY);
            CHECK(says("in progress"));
            plugin->register_callback(handle, ignore, nullptr);
            plugin->destroy(handle);
          });
          CHECK_EQ(made, 0);
          ++refused;
        });
      },
      handle);
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  plugin->on_data(handle, kDepth, &d);
  CHECK_EQ(plugin->poll_callbacks(handle), 1);
  CHECK_EQ(refused, 1);
  plugin->destroy(handle);
}

// Threads run one after another and get each other's stacks, and so their names.
void a_handle_goes_from_thread_to_thread() {
  for (int thread = 0; thread < 200; ++thread) {
    on_a_fresh_thread([thread] {
      const Depth d = depth("btc_usdt", thread, 10.0, 11.0);
      static void *handle = nullptr;
      static int made = 0;
      if (thread == 0) {
        handle = plugin->create(R"({"placement":"inline"})");
        CHECK(handle != nullptr);
        plugin->register_callback(
            handle, [](const char *, long long, const double *, int, void *made) { ++*static_cast<int *>(made); }, &made);
      }
      plugin->on_data(handle, kDepth, &d);
      CHECK_EQ(plugin->poll_callbacks(handle), 1);
      CHECK_EQ(made, thread + 1);
      if (thread == 199) plugin->destroy(handle);
    });
  }
}

// More threads run at once than there are places in the library's own table.
void many_threads_at_once() {
  constexpr int kThreads = 1040;
  static std::atomic<int> own{0}, lost{0};
  static pthread_barrier_t all_have_called;
  CHECK_EQ(pthread_barrier_init(&all_have_called, nullptr, kThreads), 0);
  const std::function<void()> doing = [] {
    CHECK_EQ(allocator_calls([] { CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE); }), 0);
    if (says(kNoHandle)) ++own;
    if (says("more than 1024 threads")) ++lost;
    pthread_barrier_wait(&all_have_called);
  };
  std::vector<pthread_t> threads;
  for (int thread = 0; thread < kThreads; ++thread) threads.push_back(begin(doing));
  for (const pthread_t thread : threads) CHECK_EQ(pthread_join(thread, nullptr), 0);
  CHECK_EQ(own + lost, kThreads);
  CHECK(own >= 1000);
  std::printf("threads with a text of their own %d, without %d\n", own.load(), lost.load());
  // The threads have ended, so there is room again.
  on_a_fresh_thread([] {
    CHECK_EQ(plugin->poll_callbacks(none), SIGNAL_ERROR_HANDLE);
    CHECK(says(kNoHandle));
  });
}

}  // namespace

extern "C" {
void *malloc(std::size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void *calloc(std::size_t number, std::size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}
void *realloc(void *before, std::size_t bytes) {
  count();
  return __libc_realloc(before, bytes);
}
void *memalign(std::size_t alignment, std::size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
void *aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **to, std::size_t alignment, std::size_t bytes) {
  count();
  *to = __libc_memalign(alignment, bytes);
  return *to == nullptr ? 12 : 0;
}
void free(void *memory) {
  count();
  __libc_free(memory);
}
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  const std::string mode = argv[1];
  if (mode == "keys") {
    for (int key = 0; key < 40; ++key) {
      pthread_key_t made;
      CHECK_EQ(pthread_key_create(&made, nullptr), 0);
    }
  }
  if (mode == "static_tls") {
    int taken = 0;
    for (int library = 2; library < argc; ++library) taken += dlopen(argv[library], RTLD_NOW) != nullptr ? 1 : 0;
    std::printf("static thread-local storage was used up after %d libraries\n", taken);
    CHECK(taken > 0);
    CHECK(dlopen(argv[argc - 1], RTLD_NOW) == nullptr);
    CHECK(std::strstr(dlerror(), "static TLS") != nullptr);
  }
  const Plugin loaded;
  plugin = &loaded;
  CHECK_EQ(allocator_calls([] { std::free(std::malloc(1)); }) >= 1, true);
  nothing_is_allocated();
  texts_belong_to_threads();
  a_text_without_memory_belongs_to_its_thread();
  nothing_is_allocated_in_a_handler();
  nothing_is_allocated_where_another_is_inside();
  a_handle_goes_from_thread_to_thread();
  if (mode != "static_tls") many_threads_at_once();
  return 0;
}
