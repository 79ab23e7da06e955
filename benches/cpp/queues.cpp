// Queues of C++ libraries, for `hop`. One whose header is not there is left out.

#include <cstddef>
#include <cstdint>
#include <string_view>

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#define HAS_BOOST
#include <boost/lockfree/spsc_queue.hpp>
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#define HAS_READER_WRITER
#include <readerwriterqueue/readerwriterqueue.h>
#endif
#if __has_include(<atomic_queue/atomic_queue.h>)
#define HAS_ATOMIC_QUEUE
#include <atomic_queue/atomic_queue.h>
#endif

namespace {

constexpr std::size_t SLOTS = 1024;

template <std::size_t W> struct alignas(64) Message {
  std::uint64_t words[W];
};

#ifdef HAS_BOOST
template <class M> struct Boost {
  boost::lockfree::spsc_queue<M, boost::lockfree::capacity<SLOTS>> queue;
  bool push(const M &message) { return queue.push(message); }
  bool pop(M &message) { return queue.pop(message); }
  const M *front() { return queue.read_available() > 0 ? &queue.front() : nullptr; }
  void skip() { queue.pop(); }
};
#endif

#ifdef HAS_READER_WRITER
template <class M> struct ReaderWriter {
  // With one more it would have four blocks of 512 slots.
  moodycamel::ReaderWriterQueue<M> queue{SLOTS - 1};
  bool push(const M &message) { return queue.try_enqueue(message); }
  bool pop(M &message) { return queue.try_dequeue(message); }
  const M *front() { return queue.peek(); }
  void skip() { queue.pop(); }
};
#endif

#ifdef HAS_ATOMIC_QUEUE
template <class M> struct Atomic {
  // Its defaults, and one producer, one consumer.
  atomic_queue::AtomicQueue2<M, SLOTS, true, true, false, true> queue;
  bool push(const M &message) { return queue.try_push(message); }
  bool pop(M &message) { return queue.try_pop(message); }
  // It has no way to read a message in its slot.
  const M *front() { return nullptr; }
  void skip() {}
};
#endif

/// As in `cpp.rs`.
struct Calls {
  void *(*make)();
  void (*drop)(void *queue);
  bool (*push)(void *queue, const void *message);
  bool (*pop)(void *queue, void *message);
  /// The oldest message in its slot, or null.
  const void *(*front)(void *queue);
  /// Frees that slot.
  void (*skip)(void *queue);
};

template <template <class> class Q, class M>
constexpr Calls CALLS = {
    []() -> void * { return new Q<M>; },
    [](void *queue) { delete static_cast<Q<M> *>(queue); },
    [](void *queue, const void *message) {
      return static_cast<Q<M> *>(queue)->push(*static_cast<const M *>(message));
    },
    [](void *queue, void *message) {
      return static_cast<Q<M> *>(queue)->pop(*static_cast<M *>(message));
    },
    [](void *queue) -> const void * { return static_cast<Q<M> *>(queue)->front(); },
    [](void *queue) { static_cast<Q<M> *>(queue)->skip(); },
};

template <template <class> class Q> [[maybe_unused]] const Calls *of(std::size_t words) {
  switch (words) {
  case 8:
    return &CALLS<Q, Message<8>>;
  case 16:
    return &CALLS<Q, Message<16>>;
  case 56:
    return &CALLS<Q, Message<56>>;
  default:
    return nullptr;
  }
}

} // namespace

/// The queue of the library that is in this Debian package.
extern "C" const void *hop_queue(const char *package, [[maybe_unused]] std::size_t words) {
  const std::string_view is = package;
#ifdef HAS_BOOST
  if (is == "libboost-dev")
    return of<Boost>(words);
#endif
#ifdef HAS_READER_WRITER
  if (is == "libreaderwriterqueue-dev")
    return of<ReaderWriter>(words);
#endif
#ifdef HAS_ATOMIC_QUEUE
  if (is == "libatomic-queue-dev")
    return of<Atomic>(words);
#endif
  return nullptr;
}
