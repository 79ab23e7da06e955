// One producer to several consumers under a mutex: each consumer holds a token and
// sees every item, unless it is overtaken.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace hf_live {

template <typename T> class Broadcast {
public:
  explicit Broadcast(std::size_t capacity) : items_(capacity) {}

  /// A token. All are handed out before the first item is pushed.
  std::size_t add_consumer() {
    std::lock_guard<std::mutex> lock(mutex_);
    positions_.push_back(0);
    return positions_.size() - 1;
  }

  /// The oldest item makes room for the newest.
  void push(T item) {
    // Destroyed after the lock is let go.
    T oldest;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const std::uint64_t written = written_.load(std::memory_order_relaxed);
      oldest = std::exchange(items_[written % items_.size()], std::move(item));
      written_.store(written + 1, std::memory_order_release);
    }
  }

  /// Whether this consumer has read everything: no lock, so that a consumer that
  /// spins does not keep the producer out.
  bool finished(std::uint64_t read) const {
    return written_.load(std::memory_order_acquire) == read;
  }

  /// The token's next item. `read` is the consumer's own copy of its position.
  bool pop(std::size_t token, std::uint64_t &read, T &item) {
    if (finished(read))
      return false;
    std::lock_guard<std::mutex> lock(mutex_);
    std::uint64_t &position = positions_[token];
    const std::uint64_t written = written_.load(std::memory_order_relaxed);
    if (written - position > items_.size()) {
      missed_.fetch_add(written - items_.size() - position, std::memory_order_relaxed);
      position = written - items_.size();
    }
    item = items_[position % items_.size()];
    read = ++position;
    return true;
  }

  /// Items that some consumer was overtaken on.
  std::uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }

private:
  std::mutex mutex_;
  std::vector<T> items_;
  std::vector<std::uint64_t> positions_;
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> missed_{0};
};

} // namespace hf_live
